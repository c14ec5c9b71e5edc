"""Liars for the tests of certificates: priors and operators that are not what they say.

Each lie is a few lines around something honest, so that its twin runs at the same settings.
"""

from collections.abc import Callable
from functools import cache

import torch
from deepinv.physics import LinearPhysics
from skimage.data import camera
from torch import Tensor

import proxlab
from proxlab.operators import deblur, gaussian_kernel, inpaint, random_mask
from proxlab.priors.contract import Capabilities
from proxlab.restoration import Restoration

CLEAN = torch.from_numpy(camera()).float()[None, None, 100:148, 200:248] / 255
LEVEL = 0.02
"""Noise of every measurement here."""
Ask = Callable[[Tensor, float], tuple[Tensor, Tensor | None]]
Lie = Callable[[Ask, Tensor, float, int], tuple[Tensor, Tensor | None]]
"""(the honest prior, v, sigma, number of the call) -> what is said instead."""


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@cache
def honest(name: str):
    return proxlab.load(name)


@cache
def problem(kind: str = "deblur") -> tuple[LinearPhysics, Tensor]:
    """An operator of ours and a measurement of CLEAN."""
    mask = random_mask((48, 48), 0.5, generator())
    op = deblur(gaussian_kernel(1.2), LEVEL) if kind == "deblur" else inpaint(mask, LEVEL)
    return op, op(CLEAN, generator=generator())


def restored(
    prior, kind: str = "deblur", solver: str = "admm", steps: int = 80, **more
) -> Restoration:
    op, y = problem(kind)
    return proxlab.restore(y, op, prior, solver, steps=steps, **more)


class Silent:
    """A prior without values; `lie` stands between its answers and who asks."""

    sigma_range = (0.0, 1.0)

    def __init__(self, name: str, lie: Lie, claims: Capabilities | None = None):
        inner = honest(name)
        self.name, self.inner, self.lie, self.calls = name, inner, lie, 0
        self.capabilities = claims or inner.capabilities
        self.sigma_range = inner.sigma_range

    def prox(self, v: Tensor, sigma: float | Tensor) -> Tensor:
        return self._said(v, sigma)[0]

    def _said(self, v: Tensor, sigma: float | Tensor) -> tuple[Tensor, Tensor | None]:
        self.calls += 1
        return self.lie(self._honest, v, sigma, self.calls)

    def _honest(self, v: Tensor, sigma: float | Tensor) -> tuple[Tensor, Tensor | None]:
        if isinstance(self, Liar):
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
