"""Priors and operators with one mistake each, for `bench_certificates`: none may be certified.

values     reported values off at random by 1 % of their differences along the run
concave    the prior moves a patch of the image the wrong way, as no prox does
shifted    2 % of the image shifted by a pixel after the prox, the values as they were
adjoint    A_adjoint is 1.01 A^T
lipschitz  the data term reports half of its L, so that the step is twice as long
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from proxlab.operators.contract import Accuracy, QuadraticDataTerm
from proxlab.operators.data_terms.linear import LinearData
from proxlab.operators.foreign import as_operator
from proxlab.operators.noise import Weights
from proxlab.priors.contract import Prior
from solvers.protocols import Image, PerImage

MakeTerm = Callable[[LinearPhysics, Tensor, Weights, Accuracy], QuadraticDataTerm]
"""(operator, y, weights, accuracy) -> a data term."""


class Planted(NamedTuple):
    """A mistake, in the prior or in the operator; the other one is as it should be."""

    prior: Callable[[Prior], Prior] | None = None
    operator: Callable[[LinearPhysics], LinearPhysics] | None = None


class Wrong:
    """A prior whose answer or value is changed by `change(v, x, r)`."""

    def __init__(self, prior: Prior, change: Callable[..., tuple[Tensor, Tensor]]):
        self.name, self.sigma_range = f"wrong {prior.name}", prior.sigma_range
        self.capabilities, self._prior, self._change = prior.capabilities, prior, change

    def prox(self, v: Tensor, sigma: float | Tensor) -> Tensor:
        """The changed answer."""
        return self.prox_and_value(v, sigma)[0]

    def prox_and_value(self, v: Tensor, sigma: float | Tensor) -> tuple[Tensor, Tensor]:
        """The changed answer and value."""
        x, r = self._prior.prox_and_value(v, sigma)  # pyright: ignore[reportAttributeAccessIssue]
        return self._change(v, x, r, sigma)


class _Values:
    """Values off by 1 % of how far they are from the first one of their level, at random."""

    def __init__(self):
        self.first: dict[float, Tensor] = {}
        self.generator = torch.Generator().manual_seed(0)

    def __call__(self, v: Tensor, x: Tensor, r: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        first = self.first.setdefault(float(sigma), r)
        n = torch.randn(len(r), generator=self.generator, dtype=torch.float64)
        return x, r + 0.01 * (r - first) * n


def _patch(x: Tensor, share: float) -> tuple[slice, slice]:
    height, width = (max(1, round(n * share**0.5)) for n in x.shape[-2:])
    return slice(height, 2 * height), slice(width, 2 * width)


def _concave(v: Tensor, x: Tensor, r: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    rows, columns = _patch(x, 0.05)
    x = x.clone()
    part = x[..., rows, columns]
    x[..., rows, columns] = 2 * part.mean((-2, -1), keepdim=True) - part
    return x, r


def _shifted(v: Tensor, x: Tensor, r: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    rows, columns = _patch(x, 0.02)
    moved = x.clone()
    moved[..., rows, columns] = x.roll(1, -1)[..., rows, columns]
    return moved, r


class Changed(LinearPhysics):
    """An operator with A_adjoint `times` that of another, and a data term made by `term`."""

    def __init__(self, op: LinearPhysics, times: float, term: MakeTerm):
        super().__init__(noise_model=op.noise_model)
        self.op, self.times, self.term = op, times, term

    def A(self, x: Tensor, **kwargs) -> Tensor:
        return self.op.A(x)

    def A_adjoint(self, y: Tensor, **kwargs) -> Tensor:
        return self.times * self.op.A_adjoint(y)

    def usable(self, y: Tensor) -> Tensor:
        """y, as the operator leaves it."""
        return as_operator(self.op).usable(y)

    def data_term(self, y: Tensor, weights: Weights, accuracy: Accuracy) -> QuadraticDataTerm:
        """The data term that was planted."""
        return self.term(self, y, weights, accuracy)

    def first_estimate(self, y: Tensor) -> Image:
        """That of the operator."""
        return as_operator(self.op).first_estimate(y)


class Halved:
    """A data term that reports half of its L, and is right otherwise."""

    def __init__(self, f: QuadraticDataTerm):
        self.f, self.tol, self.weight = f, f.tol, f.weight
        self.stopped_short = f.stopped_short
        self.value, self.grad, self.prox = f.value, f.grad, f.prox

    def lipschitz(self) -> PerImage:
        """Half of the bound."""
        return self.f.lipschitz() / 2

    def select(self, index: Tensor) -> "Halved":
        """The same for those images."""
        return Halved(self.f.select(index))


def _louder(op: LinearPhysics) -> LinearPhysics:
    """A^T times 1.01, and conjugate gradients with it."""
    return Changed(op, 1.01, lambda mine, y, w, accuracy: LinearData(y, mine, w, accuracy))


def _longer(op: LinearPhysics) -> LinearPhysics:
    """The operator's own data term, its L halved."""
    own = as_operator(op)
    return Changed(op, 1.0, lambda _, y, w, accuracy: Halved(own.data_term(y, w, accuracy)))


MISTAKES: dict[str, Planted] = {
    "values": Planted(prior=lambda prior: Wrong(prior, _Values())),
    "concave": Planted(prior=lambda prior: Wrong(prior, _concave)),
    "shifted": Planted(prior=lambda prior: Wrong(prior, _shifted)),
    "adjoint": Planted(operator=_louder),
    "lipschitz": Planted(operator=_longer),
}
"""The mistakes by name."""
