"""Liars for the tests of certificates: priors and operators that are not what they say.

Each lie is a few lines around something honest, so that its twin runs at the same settings.
"""

from collections.abc import Callable
from functools import cache

import torch
from deepinv.physics import GaussianNoise, LinearPhysics
from skimage.data import camera
from torch import Tensor

import proxlab
from proxlab.operators import deblur, gaussian_kernel, inpaint, random_mask
from proxlab.operators.contract import QuadraticDataTerm
from proxlab.priors.contract import Capabilities
from proxlab.priors.total_variation import TV
from proxlab.priors.weighted_length import WeightedLength
from proxlab.restoration import Restoration
from solvers.protocols import HasProxAndValue

CLEAN = torch.from_numpy(camera()).float()[None, None, 100:148, 200:248] / 255
LEVEL = 0.02
"""Noise of most measurements here."""
Ask = Callable[[Tensor, float], tuple[Tensor, Tensor | None]]
Lie = Callable[[Ask, Tensor, float, int], tuple[Tensor, Tensor | None]]
"""(the honest prior, v, sigma, number of the call) -> what is said instead."""


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noisy(x: Tensor, level: float = LEVEL) -> Tensor:
    return x + level * torch.randn(x.shape, generator=generator())


@cache
def honest(name: str):
    return proxlab.load(name)


@cache
def problem(kind: str = "deblur") -> tuple[LinearPhysics, Tensor]:
    """An operator of ours and a measurement of CLEAN."""
    match kind:
        case "deblur":
            op = deblur(gaussian_kernel(1.2), LEVEL)
        case "inpaint":
            op = inpaint(random_mask((48, 48), 0.5, generator()), LEVEL)
        case _:
            op = proxlab.operators.ct(48, 40, noise=LEVEL)
    return op, op(CLEAN, generator=generator())


def restored(
    prior, kind: str = "deblur", solver: str | None = "admm", steps: int = 120, **more
) -> Restoration:
    op, y = problem(kind)
    return proxlab.restore(y, op, prior, solver, steps=steps, **more)


class Silent:
    """A prior without values; `lie` stands between its answers and who asks."""

    sigma_range = (0.0, 1.0)

    def __init__(self, name: str, lie: Lie, claims: Capabilities | None = None):
        inner = honest(name)
        self.name, self.inner, self.lie, self.calls = f"false {name}", inner, lie, 0
        self.capabilities = claims or inner.capabilities
        self.sigma_range = inner.sigma_range

    def prox(self, v: Tensor, sigma: float | Tensor) -> Tensor:
        return self._said(v, sigma)[0]

    def _said(self, v: Tensor, sigma: float | Tensor) -> tuple[Tensor, Tensor | None]:
        self.calls += 1
        return self.lie(self._honest, v, sigma, self.calls)

    def _honest(self, v: Tensor, sigma: float | Tensor) -> tuple[Tensor, Tensor | None]:
        if isinstance(self.inner, HasProxAndValue):
            return self.inner.prox_and_value(v, sigma)
        return self.inner.prox(v, sigma), None


class Liar(Silent):
    """The same with values."""

    def prox_and_value(self, v: Tensor, sigma: float | Tensor) -> tuple[Tensor, Tensor | None]:
        return self._said(v, sigma)


def valued(change: Callable[[Tensor, Tensor], Tensor]) -> Lie:
    """A lie that touches the value alone: change(x, r)."""

    def lie(ask: Ask, v: Tensor, sigma: float, k: int) -> tuple[Tensor, Tensor | None]:
        x, r = ask(v, sigma)
        return x, change(x, r)

    return lie


def answered(change: Callable[[Tensor, Tensor], Tensor]) -> Lie:
    """A lie that touches the answer alone: change(v, x)."""

    def lie(ask: Ask, v: Tensor, sigma: float, k: int) -> tuple[Tensor, Tensor | None]:
        x, r = ask(v, sigma)
        return change(v, x), r

    return lie


def rolled(v: Tensor) -> Tensor:
    """Half of v, half of v moved by three pixels: no prox, as its Jacobian is not symmetric."""
    return (v + v.roll(3, -1)) / 2


def shifted(x: Tensor) -> Tensor:
    """2 % of the image moved by a pixel."""
    out = x.clone()
    out[..., 10:17, 10:17] = x[..., 10:17, 11:18]
    return out


class Made(LinearPhysics):
    """An operator of two functions, of which the library knows nothing."""

    def __init__(self, A: Callable, A_adjoint: Callable, level: float = LEVEL):
        super().__init__()
        self.there, self.back, self.noise_model = A, A_adjoint, GaussianNoise(level)

    def A(self, x: Tensor, **kwargs) -> Tensor:
        return self.there(x)

    def A_adjoint(self, y: Tensor, **kwargs) -> Tensor:
        return self.back(y)


class Turning:
    """A function that is another one from a number of calls on."""

    def __init__(self, first: Callable, then: Callable, calls: int):
        self.first, self.then, self.left = first, then, calls

    def __call__(self, x: Tensor) -> Tensor:
        self.left -= 1
        return self.first(x) if self.left >= 0 else self.then(x)


class Term:
    """A data term that passes everything on; what a subclass says otherwise is the lie."""

    def __init__(self, f: QuadraticDataTerm):
        self.f, self.tol, self.weight, self.stopped_short = f, f.tol, f.weight, f.stopped_short

    def value(self, x: Tensor) -> Tensor:
        return self.f.value(x)

    def grad(self, x: Tensor) -> Tensor:
        return self.f.grad(x)

    def prox(self, v: Tensor, tau: float | Tensor) -> Tensor:
        return self.f.prox(v, tau)

    def lipschitz(self) -> Tensor:
        return self.f.lipschitz()

    def select(self, index: Tensor) -> "Term":
        return type(self)(self.f.select(index))


class Own(LinearPhysics):
    """One of our operators with a data term of its own."""

    def __init__(self, inner: LinearPhysics, term: type[Term] = Term):
        super().__init__()
        self.inner, self.term, self.noise_model = inner, term, inner.noise_model

    def A(self, x: Tensor, **kwargs) -> Tensor:
        return self.inner.A(x)

    def A_adjoint(self, y: Tensor, **kwargs) -> Tensor:
        return self.inner.A_adjoint(y)

    def usable(self, y: Tensor) -> Tensor:
        return self.inner.usable(y)

    def first_estimate(self, y: Tensor) -> Tensor:
        return self.inner.first_estimate(y)

    def data_term(self, y: Tensor, weights, accuracy) -> Term:
        return self.term(self.inner.data_term(y, weights, accuracy))


class LargerBall(WeightedLength):
    """Total variation of another weight, as far as its dual is concerned."""

    def project(self, u: Tensor) -> Tensor:
        return WeightedLength(1.5 * self.weight).project(u)


class ShorterAdjoint(WeightedLength):
    def adjoint(self, u: Tensor) -> Tensor:
        return 0.9 * super().adjoint(u)


class SmallerValue(WeightedLength):
    def value(self, x: Tensor) -> Tensor:
        return 0.9 * super().value(x)


class FalseTV(TV):
    """Total variation with another composite."""

    def __init__(self, composite: type[WeightedLength] = WeightedLength):
        super().__init__()
        self.kind = composite

    def composite(self) -> WeightedLength:
        return self.kind(self.weight)
