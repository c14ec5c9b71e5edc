"""Posteriors of images that are measured pixel by pixel or frequency by frequency: masks and blurs.

The matrix of such a measurement is diagonal, so that what is asked of the data is a product. A
`Task` is what the samplers of `examples.posteriors.rivals` draw from, whatever the denoiser.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

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

    def weighed(self, mean: Tensor, variance: float) -> Tensor:
        """A^T (variance A A^T + noise^2)^-1 (y - A mean), like mean."""
        factor = self.gain / (variance * self.gain**2 + self.noise**2)
        return self._filtered(self.y - self.forward(mean), factor)

    def given(self, mean: Tensor, variance: float, generator: torch.Generator | None) -> Tensor:
        """Draws of N(mean, variance I) given y, like mean; without a generator their mean."""
        centre = mean + variance * self.weighed(mean, variance)
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
    if height > size[0] or width > size[1]:
        raise ValueError(
            f"a blur of {sigma:g} pixels has a kernel of {height} x {width} pixels, got images of "
            f"{size[0]} x {size[1]}; blur less, or take larger images"
        )
    spread = F.pad(kernel, (0, size[1] - width, 0, size[0] - height))
    spectrum = torch.fft.rfft2(spread.roll((-(height // 2), -(width // 2)), (0, 1))).real
    return Measured(spectrum.float(), True, torch.zeros(1, 1, *size), noise)


@dataclass(frozen=True, eq=False)
class Task:
    """A `Posterior` of `examples.posteriors.rivals`, one draw for each y."""

    denoise: Callable[[Tensor, float], Tensor]
    """D(x, sigma), [B, 1, H, W]."""
    seen: Measured
    mean: Tensor
    """Mean of the images, [1, H, W]."""
    variance: float
    """Mean variance of their pixels."""

    @property
    def centre(self) -> Tensor:
        """The mean image, once for each y."""
        return self.mean.expand_as(self.seen.y)

    def linearize(self, x: Tensor, sigma: float) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """D(x, sigma), and u -> J^T u by autograd, to be called once."""
        with torch.enable_grad():
            asked = x.detach().requires_grad_()
            mean = self.denoise(asked, sigma)
        return mean.detach(), lambda u: torch.autograd.grad(mean, asked, u)[0]

    def weighed(self, mean: Tensor, variance: float) -> Tensor:
        """See `Measured.weighed`."""
        return self.seen.weighed(mean, variance)

    def given(self, mean: Tensor, variance: float, generator: torch.Generator | None) -> Tensor:
        """See `Measured.given`."""
        return self.seen.given(mean, variance, generator)


Rival = Callable[[Task, int, torch.Generator], Tensor]
"""A sampler of posteriors of images, by so many evaluations of the denoiser."""
