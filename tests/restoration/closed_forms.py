"""Restorations of which every number is known beforehand: quadratic priors, masks, 8 x 8, float64.

    x* = (w m y + c g) / (w m + c),   w = 1 / (weight noise^2),   c = curve / sigma^2

minimises w |m x - y|^2 / 2 + (curve |x - g|^2 / 2) / sigma^2. The prior's prox has the Jacobian
1 / (1 + curve), so its margin is that number, the convex margin is `curve`, and any R that fits the
answers differs from curve |x - g|^2 / 2 by no more than the interval of the evidence.
"""

from dataclasses import dataclass, replace

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from proxlab.operators import Noise
from proxlab.priors.contract import Capabilities
from proxlab.restoration import Restoration, Settings, restore
from solvers.witness import Seen

GREY, NOISE, SIDE = 0.5, 0.1, 8


def pictures(batch: int = 1, seed: int = 0) -> Tensor:
    """Float64 images in [0, 1]."""
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(batch, 1, SIDE, SIDE, generator=rng, dtype=torch.float64)


@dataclass(frozen=True)
class Silent:
    """R_sigma(x) = curve |x - 1/2|^2 / 2 at every level, without values."""

    curve: float = 0.5
    name: str = "quadratic"
    sigma_range: tuple[float, float] = (1e-3, 0.9)
    capabilities: Capabilities = Capabilities(exact=True)

    def prox(self, v: Tensor, sigma: float | Tensor) -> Tensor:
        return (v + self.curve * GREY) / (1 + self.curve)


@dataclass(frozen=True)
class Quadratic(Silent):
    """The same with its values, times `told`, which is 1 for an honest one."""

    told: float = 1.0

    def prox_and_value(self, v: Tensor, sigma: float | Tensor) -> tuple[Tensor, Tensor]:
        x = self.prox(v, sigma)
        return x, self.told * self.curve * (x - GREY).square().flatten(1).sum(1) / 2


class Scaled(LinearPhysics):
    """x -> d x, d [1, 1, H, W], of which the library knows no closed form."""

    def __init__(self, d: Tensor, noise: float = NOISE):
        super().__init__(noise_model=Noise(noise))
        self.register_buffer("d", d)

    def A(self, x: Tensor, **kwargs) -> Tensor:
        return self.d * x

    def A_adjoint(self, y: Tensor, **kwargs) -> Tensor:
        return self.d * y


CHECKERED = (torch.arange(SIDE * SIDE).view(1, 1, SIDE, SIDE) % 3 != 0).double()
"""Two pixels of three are seen."""


def measured(batch: int = 1, d: Tensor = CHECKERED) -> Tensor:
    rng = torch.Generator().manual_seed(7)
    x = pictures(batch)
    return d * (x + NOISE * torch.randn(x.shape, generator=rng, dtype=x.dtype))


def restored(
    prior: object, op: LinearPhysics, y: Tensor, init: Tensor | None = None, **told
) -> Restoration:
    settings = replace(Settings(steps=300, weight=1.0), **told)
    return restore(y, op, prior, settings, init=init)


def minimiser(y: Tensor, d: Tensor, curve: float, sigma: Tensor, noise: float = NOISE) -> Tensor:
    """x* of a weight of 1; sigma [B]."""
    w, c = noise**-2, (curve / sigma**2).view(-1, 1, 1, 1)
    return (w * d * y + c * GREY) / (w * d**2 + c)


def run_of(answers: list[Tensor], asked: list[Tensor], values: list[float] | None = None) -> Seen:
    """What a witness would have kept of a run with those answers, [C, H, W] each, at tau = 2."""
    count = len(answers)
    return Seen(
        v=asked,
        x=answers,
        point=asked,
        values=None if values is None else torch.tensor(values, dtype=torch.float64),
        misfits=torch.arange(count, 0, -1, dtype=torch.float64) ** 2,
        tau=2.0,
        steps=list(range(1, count + 1)),
        evaluations=count,
        gradient=0.0,
        largest=1.0,
    )
