"""Is a data term that of its operator and measurement: asked before a run, by two products."""

import math

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from proxlab.operators.checks import ROUGHNESS, TOLERANCE, ratio, share, worst
from proxlab.operators.contract import ByProducts, HasByProducts, QuadraticDataTerm
from proxlab.operators.draws import Draws
from proxlab.operators.noise import Weights
from solvers.protocols import Image, dot, norm, per_image


def by_products(
    f: QuadraticDataTerm, op: LinearPhysics, y: Tensor, x: Image, weights: Weights
) -> ByProducts:
    """f(x) and its gradient by one product with A and one with A^T, whatever f computes itself.

    A data term is w <A x - y, W (A x - y)> / 2, or what it says itself (`HasByProducts`).

    >>> from proxlab.operators.data_term_checks import by_products
    >>> from proxlab.operators.noise import Weights
    >>> op, y = proxlab.operators.inpaint(torch.ones(4, 4), noise=0.1), torch.ones(1, 1, 4, 4)
    >>> f = proxlab.data_terms.data_term(y, op)
    >>> by_products(f, op, y, 0 * y, Weights(torch.tensor([100.0]), None)).value   # 100 * 16 / 2
    tensor([800.], dtype=torch.float64)
    """
    if isinstance(f, HasByProducts):
        return f.by_products(op, x)
    misfit = op.A(x) - y
    weighted = misfit if weights.entry is None else weights.entry * misfit
    value = weights.image * dot(misfit, weighted) / 2
    del misfit
    grad = per_image(weights.image, x) * op.A_adjoint(weighted)
    return ByProducts(value, grad, "w |A x - y|^2 / 2")


@torch.no_grad()
def check_data_term(
    f: QuadraticDataTerm,
    op: LinearPhysics,
    y: Tensor,
    x: Image,
    entry: Tensor | None = None,
) -> str:
    """A sentence if f is not w <A x - y, W (A x - y)> / 2, or its gradient another; else empty.

    Two products, for an f of an operator's own, which `check_operator` does not look at. A prox
    that claims to be a closed form is compared with f too; what an iterative one comes to is seen
    along the run. y as `usable` leaves it; w = f.weight; `entry` is W, None where it is 1. Where y
    are counts f is compared with their likelihood of A x.
    """
    x = x + per_image(norm(x) / math.sqrt(x[0].numel()), x) * Draws(y).normal(x)
    value, grad, right = by_products(f, op, y, x, Weights(f.weight, entry))
    errors = {
        "value": ratio((f.value(x) - value).abs(), value),
        "gradient": share(f.grad(x) - grad, norm(grad)),
    }
    if f.tol == 0:
        pull = per_image(1 / f.weight, x) * f.grad(p := f.prox(x, 1 / f.weight))
        errors["prox"] = share(x - p - pull, norm(pull) + ROUGHNESS * norm(x))
    for name, error in errors.items():
        if not (error <= TOLERANCE).all():
            return (
                f"the data term of {type(op).__name__} has a {name} that differs from that of "
                f"{right} by {worst([error.max()]):.1e} of its size; leave out its "
                "data_term, and conjugate gradients take the place"
            )
    return ""
