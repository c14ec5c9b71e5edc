"""Noise of a camera that counts photons and reads them out: Poisson, or Poisson and Gaussian.

    y = gain * n + read * e,   n ~ Poisson((A x + background) / gain),   e ~ N(0, 1)

so that an entry of mean m has the variance gain * m + read^2: bright pixels are noisier, and yet
say more. [Foi08] `Counting` holds the same numbers for each image, whoever told them: our
`CameraNoise`, or deepinv's `PoissonNoise` and `PoissonGaussianNoise`.
"""

import math
from dataclasses import dataclass

import torch
from deepinv.physics import NoiseModel, PoissonGaussianNoise, PoissonNoise
from torch import Tensor

from proxlab.operators.arguments import positive, real, said, unchanged
from solvers.protocols import PerImage, doubles, float_for_sums, per_image

BELOW = 1e-4
"""Share of the largest mean by which another may be negative: rounding of a Fourier transform."""


class CameraNoise(NoiseModel):
    """y = gain * Poisson((z + background) / gain) + read * n, for z = A x.

    gain: of the value 1, one over the photons that a pixel of value 1 counts. read: standard
    deviation of the read noise. background: light that reaches every pixel besides, which y still
    holds. All three in image units. Raises ValueError unless gain > 0, read >= 0, background >= 0,
    all finite.

    >>> noise = proxlab.operators.CameraNoise(gain=1 / 50)   # 50 photons at 1
    >>> op = proxlab.operators.inpaint(torch.ones(100, 100), noise=noise)
    >>> y = op(torch.full((1, 1, 100, 100), 0.5), generator=torch.Generator().manual_seed(0))
    >>> y.mean().round(decimals=2), y.var().round(decimals=3)   # 0.5, 0.5 / 50
    (tensor(0.5000), tensor(0.0100))
    """

    def __init__(self, gain: float, read: float = 0.0, background: float = 0.0):
        super().__init__()
        if not 0 < real(gain) < math.inf:
            raise ValueError(f"gain is positive and finite, got {said(gain)}")
        for name, number in (("read", read), ("background", background)):
            if not 0 <= real(number) < math.inf:
                raise ValueError(f"{name} is finite and from 0 on, got {said(number)}")
        self.noise_model = unchanged
        self.gain, self.read, self.background = real(gain), real(read), real(background)

    def forward(self, x: Tensor, generator: torch.Generator | None = None, **kwargs) -> Tensor:
        """Measurements of the means x, of their shape; a CPU generator gives the same on every
        device. Raises ValueError for a mean x + background below 0, beyond rounding.

        >>> noise = proxlab.operators.CameraNoise(gain=0.1)
        >>> noise(torch.full((1, 1, 2, 3), 0.5)).shape
        torch.Size([1, 1, 2, 3])
        """
        mean = doubles(x) + self.background
        if mean.numel() and float(mean.min()) < -BELOW * float(mean.abs().max()):
            raise ValueError(
                f"a mean number of photons is not negative, got values down to {float(x.min()):.3g}"
                " of A x; clamp the image to [0, 1]"
            )
        mean = mean.clamp(min=0) / self.gain
        if generator is not None:
            mean = mean.to(generator.device)
        y = self.gain * torch.poisson(mean, generator=generator)
        if self.read:
            y = y + self.read * torch.randn(
                y.shape, generator=generator, dtype=y.dtype, device=y.device
            )
        return y.to(x)


@dataclass(frozen=True)
class Counting:
    """Numbers of a batch's counts, [B] each, float64: y = gain n + read e, as measured.

    >>> from proxlab.operators.counts.camera import counting
    >>> found = counting(proxlab.operators.CameraNoise(1 / 50, read=0.01), torch.zeros(1, 1, 2, 2))
    >>> found.gain, found.variance(torch.ones(1, 1, 1, 1))   # 1 / 50 + 0.01^2
    (tensor([0.0200], dtype=torch.float64), tensor([[[[0.0201]]]]))
    >>> print(found)
    counts of photons, 50 at the value 1, read noise 0.01
    """

    gain: PerImage
    read: PerImage
    background: PerImage
    in_photons: bool = False
    """Whether y itself is in photons: n, not gain n."""

    def in_image_units(self, y: Tensor) -> Tensor:
        """y of counts in the units of A x."""
        return y * per_image(self.gain, y) if self.in_photons else y

    def variance(self, mean: Tensor) -> Tensor:
        """Variance of entries of that mean (background included), image units."""
        return per_image(self.gain, mean) * mean + per_image(self.read, mean) ** 2

    def mean_variance(self, y: Tensor) -> PerImage:
        """Mean of the variance over each image's y, image units; at least that of one photon."""
        bright = y.flatten(1).mean(1, dtype=float_for_sums(y)).clamp(min=0)
        return self.gain * torch.maximum(bright, self.gain) + self.read**2

    def __str__(self) -> str:
        words = f"counts of photons, {_told(1 / self.gain)} at the value 1"
        if bool((self.read > 0).any()):
            words += f", read noise {_told(self.read)}"
        if bool((self.background > 0).any()):
            words += f", background {_told(self.background)}"
        return words


def counting(model: torch.nn.Module, y: Tensor) -> Counting | None:
    """Numbers of a noise model that counts photons, for the measurements y [B, ...]; else None.

    `CameraNoise`, and deepinv's `PoissonNoise` (whose `normalize` False leaves y in photons) and
    `PoissonGaussianNoise`, their gain and sigma one number or one for each image.
    Raises ValueError for a gain that is not positive or a read noise that is negative.

    >>> from deepinv.physics import PoissonNoise
    >>> from proxlab.operators.counts.camera import counting
    >>> counting(PoissonNoise(gain=0.1, normalize=False), torch.zeros(1, 1, 2, 2)).in_photons
    True
    """
    in_photons = False
    if isinstance(model, CameraNoise):
        gain, read, background = model.gain, model.read, model.background
    elif isinstance(model, PoissonNoise):
        gain, read, background = _number(model.gain), 0.0, 0.0
        in_photons = not bool(model.normalize)
    elif isinstance(model, PoissonGaussianNoise):
        gain, read, background = _number(model.gain), _number(model.sigma), 0.0
    else:
        return None
    each = positive("the gain of counts", gain, y)
    none = torch.zeros_like(each)
    return Counting(each, none + _from_zero("read noise", read, y), none + background, in_photons)


def _number(value: object) -> float | Tensor:
    """One number, or one for each image as [B]."""
    each = torch.as_tensor(value).detach()
    return each.item() if each.numel() == 1 else each.flatten()


def _from_zero(what: str, number: float | Tensor, y: Tensor) -> PerImage:
    each = torch.as_tensor(number, dtype=float_for_sums(y), device=y.device)
    if each.ndim and each.shape != y.shape[:1]:
        raise ValueError(f"{what} is a float or [B], B = {len(y)}, got {list(each.shape)}")
    if not ((each >= 0) & each.isfinite()).all():
        raise ValueError(f"{what} is finite and from 0 on, got {each.tolist()}")
    return each.expand(len(y))


def _told(each: PerImage) -> str:
    low, high = float(each.min()), float(each.max())
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
