"""Is a data term that of its operator and measurement: asked before a run, by two products."""

import math

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from proxlab.operators.checks import ROUGHNESS, TOLERANCE, ratio, share, worst
from proxlab.operators.contract import QuadraticDataTerm
from proxlab.operators.counts.data_terms import BlurredCounts, MaskedCounts, by_products
from proxlab.operators.draws import Draws
from solvers.protocols import Image, dot, norm, per_image


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
    if isinstance(f, (MaskedCounts, BlurredCounts)):
        (value, grad), right = by_products(f, op, x), "the likelihood of the counts"
    else:
        rest, right = op.A(x) - y, "w |A x - y|^2 / 2"
        weighted = rest if entry is None else entry * rest
        value, grad = (
            f.weight * dot(rest, weighted) / 2,
            per_image(f.weight, x) * op.A_adjoint(weighted),
        )
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
