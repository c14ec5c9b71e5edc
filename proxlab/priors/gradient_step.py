"""A denoiser made into a gradient step on a potential that it knows.

    f(v) = v - a grad g(v),  g(v) = |v - N(v)|^2 / 2

for any network N, here CRATE or a U-Net, and a in (0, 1]. f is the gradient of
|v|^2 / 2 - a g(v). That function is convex where no eigenvalue of a grad^2 g is above 1, which is
so where a grad g has a Lipschitz constant below 1. There f is the prox of

    R(f(v)) = a g(v) - |f(v) - v|^2 / 2,

so solvers have an objective [Hurault22, Sec. 3]. Nothing in the network holds the eigenvalues
below 1: training penalises them (`training.prox_penalty`), they are measured (`solvers.spectrum`),
and a is chosen by what was found. The network must have no kinks, or grad g would jump: its ReLU is
smoothed.
"""

import copy
from dataclasses import replace
from typing import NamedTuple

import torch
from deepinv.models import Denoiser
from torch import Tensor

from proxlab.machine import full_precision
from proxlab.priors.arguments import check_channels, check_images, noise_levels
from proxlab.priors.crate.denoiser import CrateConfig, CrateDenoiser
from proxlab.priors.gradients import stopped
from proxlab.priors.inversion import NO_GRADIENT, invert
from proxlab.priors.jacobians.autograd import AutogradJacobian
from proxlab.priors.jacobians.spread import SpreadOfMean
from proxlab.priors.unet import UNetConfig, UNetDenoiser
from solvers.protocols import float_for_sums
from solvers.spectrum import jacobian_spectrum

LANCZOS_STEPS = 20
EVERYWHERE = slice(None), slice(None)
"""All rows and columns."""


class GradientStep(SpreadOfMean, Denoiser):
    """The gradient step of a CRATE denoiser or a U-Net, for the images that the network takes."""

    def __init__(
        self,
        config: CrateConfig | UNetConfig,
        sigma_range: tuple[float, float] = (1 / 255, 75 / 255),
        length: float = 1.0,
        name: str = "gradient-step",
    ):
        """`length` is a. Raises ValueError for a length outside (0, 1], or a network with kinks."""
        super().__init__()
        if not config.smoothing > 0:
            raise ValueError(
                "a gradient step of a network with kinks jumps there, and is the prox of nothing; "
                "give the configuration a smoothing, 0.1 say for CRATE and 0.01 for a U-Net"
            )
        if not 0 < length <= 1:
            raise ValueError(
                f"the length of a gradient step is above 0 and at most 1, got {length}"
            )
        self.config, self.sigma_range, self.length, self.name = config, sigma_range, length, name
        if isinstance(config, UNetConfig):
            self.network = UNetDenoiser(config, sigma_range, name)
        else:
            self.network = CrateDenoiser(config, sigma_range, name)
        # Not exact: f is a prox where no eigenvalue of a grad^2 g is above 1, which nothing
        # guarantees. A pixel moves v - N(v) as far away as N reaches, and the gradient of that
        # depends on pixels as far on: twice the reach of N is enough. It may be up to one alignment
        # more than needed, for only the rims of blocks see so far.
        own = self.network.capabilities
        assert own.reach is not None and own.memory is not None
        # autograd keeps what the layers made: of a U-Net most of it is there anyway, of CRATE a
        # layer's is gone when the next begins
        memory = 5 * own.memory // 2
        if isinstance(config, CrateConfig):
            memory = 11 * config.layers * own.memory
        self.capabilities = replace(
            own, reach=2 * own.reach, parts=True, memory=memory, memory_elsewhere=None
        )

    @property
    def channels(self) -> int:
        """3 if it knows colour images alone, 1 if it takes any image channel by channel."""
        return self.config.channels

    def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """The same as `prox`."""
        return self.prox(x, sigma)

    def prox(self, v: Tensor, sigma: float | Tensor) -> Tensor:
        """f(v), [B, C, H, W] -> the same; sigma a float or a tensor [B], image units.

        Raises as `prox` of the network.
        """
        return v - self.slope(v, sigma)

    def prox_and_value(self, v: Tensor, sigma: float | Tensor) -> tuple[Tensor, Tensor]:
        """f(v), and R_sigma there, [B] in float64, in one pass. Raises as `prox`."""
        return self.prox_and_part(v, sigma, EVERYWHERE)

    def prox_and_part(
        self, v: Tensor, sigma: float | Tensor, part: tuple[slice, slice]
    ) -> tuple[Tensor, Tensor]:
        """f(v), and what those rows and columns hold of R_sigma there, [B] in float64.

        The parts that make up an image add up to R_sigma. Raises as `prox`.
        """
        slope, g = self._slope(v, sigma, part)
        here = (self.length * slope)[(..., *part)]
        r = self.length * g - here.square().sum((1, 2, 3), dtype=g.dtype) / 2
        return v - self.length * slope, r

    def jacobian(self, v: Tensor, sigma: float | Tensor) -> AutogradJacobian:
        """The Jacobian of f at v: symmetric, as f is a gradient. Raises as `prox`."""
        return AutogradJacobian(self.prox, v, sigma, self.name, symmetric=True)

    def slope(self, v: Tensor, sigma: float | Tensor) -> Tensor:
        """The noise that f sees, a grad g(v) = v - f(v), [B, C, H, W]. Raises as `prox`."""
        return self.length * self._slope(v, sigma)[0]

    def inverse(self, x: Tensor, sigma: float | Tensor, tol: float = 1e-6) -> Tensor:
        """The v with f(v) = x, to |f(v) - x| <= tol |x - mean of x|; there is one if f is a prox.

        Raises RuntimeError if an image does not get there.
        """
        v = self._inverse(x, sigma, tol)
        return stopped(NO_GRADIENT, v, x, *self.parameters())

    def value(self, x: Tensor, sigma: float | Tensor, tol: float = 1e-6) -> Tensor:
        """R_sigma at any x, [B] in float64, by inverting f to `tol`. Raises as `inverse`."""
        v = self._inverse(x, sigma, tol)
        with torch.no_grad():
            g = self._slope(v, sigma)[1]
        return self.length * g - (x - v).square().sum((1, 2, 3), dtype=g.dtype) / 2

    def parameter_groups(self, learning_rate: float) -> list[dict]:
        """Parameters for an optimiser, at the rates of its network."""
        return self.network.parameter_groups(learning_rate)

    def _inverse(self, x: Tensor, sigma: float | Tensor, tol: float) -> Tensor:
        check_images(x)
        check_channels(self.name, x, self.channels)
        s = noise_levels(self.name, x, sigma, self.sigma_range, x.dtype)
        with torch.no_grad():
            return invert(lambda v, i: self.prox(v, s[i]), x, tol=tol)

    @full_precision()
    def _slope(
        self,
        v: Tensor,
        sigma: float | Tensor,
        part: tuple[slice, slice] = EVERYWHERE,
    ) -> tuple[Tensor, Tensor]:
        """grad g [B, C, H, W], and what a part of the image holds of g, [B] in float64, at v."""
        check_images(v)
        asked = v.requires_grad or any(p.requires_grad for p in self.network.parameters())
        keep = torch.is_grad_enabled() and asked
        with torch.enable_grad():
            z = v if keep and v.requires_grad else v.detach().requires_grad_()
            squares = self.network.squared_noise(z, sigma)
            sums = float_for_sums(v)
            total = squares.sum(dtype=sums) / 2
            (slope,) = torch.autograd.grad(total, z, create_graph=keep)
            g = squares[(..., *part)].sum((1, 2, 3), dtype=sums) / 2
        return slope, g if keep else g.detach()


class Curvature(NamedTuple):
    """Extreme eigenvalues of grad^2 g, [B] each, as far apart as Lanczos found them."""

    lowest: Tensor
    highest: Tensor
    """Largest eigenvalue; f is a prox where its product with the step's length is at most 1."""

    @property
    def lipschitz(self) -> Tensor:
        """Lipschitz constant of grad g there: the largest eigenvalue without its sign."""
        return torch.maximum(self.lowest.abs(), self.highest.abs())


def curvature(model: GradientStep, v: Tensor, sigma: float) -> Curvature:
    """Curvature of g at each image v [B, C, H, W]; at other images it may be larger.

    It comes from the eigenvalues of the Jacobian of the prox, by Lanczos in float64
    (`solvers.spectrum.jacobian_spectrum`).
    """
    twin = copy.deepcopy(model).double()
    with torch.no_grad():
        found = jacobian_spectrum(
            lambda x: twin.prox(x, sigma), v.double(), step=1e-3 * sigma, steps=LANCZOS_STEPS
        )
    return Curvature((1 - found.highest) / model.length, (1 - found.lowest) / model.length)
