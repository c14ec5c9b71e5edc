"""Rival samplers of posteriors of digits, short, on one denoiser and with closed forms in the data.

The methods are those of `examples.posteriors.rivals`, for images and operators that are diagonal in
pixels or in frequencies. Each is called as rival(task, evaluations, generator) and returns one draw
for each measurement, [B, 1, H, W], in coordinates x_sigma = x_0 + sigma e.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from examples.posteriors.rivals import falling, renoised
from proxlab.operators.kernels import gaussian_kernel
from solvers.noise import normal_like


@dataclass(frozen=True)
class Measured:
    """Measurements y = A x + noise e, with A diagonal: in pixels, or in frequencies."""

    gain: Tensor
    """Eigenvalues of A, broadcast against images, or against their half spectra."""
    in_frequency: bool
    y: Tensor
    """[B, 1, H, W]; where a pixel is not seen, anything."""
    noise: float

    def forward(self, x: Tensor) -> Tensor:
        """A x, as A^T is: the gains are real."""
        return self._filtered(x, self.gain)

    def weighed(self, misfit: Tensor, variance: float) -> Tensor:
        """A^T (variance A A^T + noise^2)^-1 misfit."""
        return self._filtered(misfit, self.gain / (variance * self.gain**2 + self.noise**2))

    def given(self, mean: Tensor, variance: float, generator: torch.Generator | None) -> Tensor:
        """Draws of N(mean, variance I) given y, like mean; without a generator their mean."""
        centre = mean + variance * self.weighed(self.y - self.forward(mean), variance)
        if generator is None:
            return centre
        spread = (1 / variance + self.gain**2 / self.noise**2) ** -0.5
        return centre + self._filtered(normal_like(mean, generator), spread)

    def of(self, x: Tensor, e: Tensor) -> "Measured":
        """Measurements of digits with noise e of unit variance, 0 where nothing is seen."""
        seen = self.forward(x) + self.noise * e
        return replace(self, y=seen if self.in_frequency else self.gain * seen)

    def part(self, which: slice) -> "Measured":
        """Measurements of some of the digits."""
        gain = self.gain if self.in_frequency else self.gain[which]
        return replace(self, gain=gain, y=self.y[which])

    def repeated(self, n: int) -> "Measured":
        """All measurements n times over, [n * B, 1, H, W]."""
        gain = self.gain if self.in_frequency else self.gain.repeat(n, 1, 1, 1)
        return replace(self, gain=gain, y=self.y.repeat(n, 1, 1, 1))

    def _filtered(self, x: Tensor, factor: Tensor) -> Tensor:
        if not self.in_frequency:
            return factor * x
        return torch.fft.irfft2(factor * torch.fft.rfft2(x), s=x.shape[-2:])


def masked(chances: Sequence[Tensor], noise: float) -> Measured:
    """Images of which the half of the pixels is seen where chances [H, W] are least."""
    chance = torch.stack(list(chances))[:, None]
    median = chance.flatten(1).median(1).values.view(-1, 1, 1, 1)
    return Measured((chance <= median).float(), False, torch.zeros_like(chance), noise)


def blurred(size: Sequence[int], sigma: float, noise: float) -> Measured:
    """Images blurred by a Gaussian of deviation sigma pixels, borders wrapping around."""
    kernel = gaussian_kernel(sigma)
    height, width = kernel.shape
    spread = F.pad(kernel, (0, size[1] - width, 0, size[0] - height))
    spectrum = torch.fft.rfft2(spread.roll((-(height // 2), -(width // 2)), (0, 1))).real
    return Measured(spectrum.float(), True, torch.zeros(1, 1, *size), noise)


class Task(NamedTuple):
    """Posteriors to draw from, one draw for each y."""

    denoise: Callable[[Tensor, float], Tensor]
    """D(x, sigma), [B, 1, H, W]."""
    seen: Measured
    mean: Tensor
    """Mean of the images, [1, H, W]."""
    variance: float
    """Mean variance of their pixels."""

    def begin(self, sigma: float, generator: torch.Generator) -> Tensor:
        """The mean image with noise, like y."""
        return self.mean + sigma * normal_like(self.seen.y, generator)


Rival = Callable[[Task, int, torch.Generator], Tensor]


@dataclass(frozen=True)
class PiGDM:
    """Settings: the levels and the share of fresh noise. Takes a product with J an evaluation."""

    high: float = 5.0
    low: float = 0.05
    eta: float = 0.5

    def __call__(self, task: Task, evaluations: int, generator: torch.Generator) -> Tensor:
        """Draws like y."""
        x = task.begin(self.high, generator)
        levels = [*falling(self.high, self.low, evaluations), 0.0]
        for sigma, following in pairwise(levels):
            r2 = task.variance * sigma**2 / (task.variance + sigma**2)
            with torch.enable_grad():
                asked = x.detach().requires_grad_()
                mean = task.denoise(asked, sigma)
                pull = task.seen.weighed(task.seen.y - task.seen.forward(mean.detach()), r2)
                (slope,) = torch.autograd.grad(mean, asked, pull)
            clean = mean.detach() + sigma**2 * slope
            fresh = self.eta * following * (1 - (following / sigma) ** 2) ** 0.5
            x = renoised(x, clean, (sigma, following), fresh, generator)
        return x


@dataclass(frozen=True)
class DAPS:
    """Settings: the levels, and r over sigma."""

    high: float = 5.0
    low: float = 0.05
    ratio: float = 0.7

    def __call__(self, task: Task, evaluations: int, generator: torch.Generator) -> Tensor:
        """Draws like y."""
        x = task.seen.given(task.mean.expand_as(task.seen.y), task.variance, generator)
        for sigma in falling(self.high, self.low, evaluations):
            noisy = x + sigma * normal_like(x, generator)
            r2 = min((self.ratio * sigma) ** 2, task.variance)
            x = task.seen.given(task.denoise(noisy, sigma), r2, generator)
        return x


@dataclass(frozen=True)
class DiffPIR:
    """Settings: the levels, the weight of the data and the share of fresh noise."""

    high: float = 5.0
    low: float = 0.05
    weight: float = 1.0
    fresh: float = 0.5

    def __call__(self, task: Task, evaluations: int, generator: torch.Generator) -> Tensor:
        """Draws like y."""
        x = task.begin(self.high, generator)
        levels = [*falling(self.high, self.low, evaluations), 0.0]
        for sigma, following in pairwise(levels):
            clean = task.seen.given(task.denoise(x, sigma), sigma**2 / self.weight, None)
            x = renoised(x, clean, (sigma, following), following * self.fresh**0.5, generator)
        return x


@dataclass(frozen=True)
class PnPDM:
    """Settings: the couplings, and the evaluations of each inner diffusion."""

    high: float = 2.0
    low: float = 0.1
    inner: int = 2

    def __call__(self, task: Task, evaluations: int, generator: torch.Generator) -> Tensor:
        """Draws like y."""
        x = task.seen.given(task.mean.expand_as(task.seen.y), task.variance, generator)
        for rho in falling(self.high, self.low, max(1, evaluations // self.inner)):
            u = task.seen.given(x, rho**2, generator)
            for sigma, following in pairwise([*falling(rho, rho / 4, self.inner), 0.0]):
                clean = task.denoise(u, sigma)
                fresh = following * (1 - (following / sigma) ** 2) ** 0.5
                u = renoised(u, clean, (sigma, following), fresh, generator)
            x = u
        return task.seen.given(x, self.low**2, generator)
