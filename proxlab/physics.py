"""The deepinv physics behind `proxlab.operators`: blur, missing pixels, noise from a generator.

deepinv's own, made to take images of any size that fits, in float32 or float64, on any device, and
to refuse all others instead of broadcasting over them.
"""

from typing import Any

import torch
import torch.nn.functional as F
from deepinv.physics import Blur, GaussianNoise, Inpainting, LinearPhysics
from torch import Tensor

from proxlab.arrays import check_finite, check_image
from proxlab.kernels import check_fits

PSEUDO_INVERSE_CUTOFF = 1e-5
"""Frequencies damped below this fraction of the strongest are not inverted by `A_dagger`."""


class CircularBlur(LinearPhysics):
    """Convolution that wraps around, diagonal in Fourier: A = F^-1 diag(S) F.

    `kernel` [h, w] is kept as given; the spectrum of the last image size, dtype and device is kept.
    """

    def __init__(self, kernel: Tensor, noise_model: GaussianNoise):
        super().__init__(noise_model=noise_model)
        self.register_buffer("kernel", kernel)
        self._kept: tuple[Any, Tensor, Tensor] | None = None

    def spectrum(self, x: Tensor) -> Tensor:
        """S [H, W // 2 + 1], complex, such that A x = irfft2(S rfft2(x)) for images like x."""
        check_fits(self.kernel, x)
        size = x.shape[-2:]
        version = None if self.kernel.is_inference() else self.kernel._version
        key = (size, x.dtype, x.device, version)
        kept = self._kept
        if kept is None or kept[0] != key or kept[2] is not self.kernel:
            h, w = self.kernel.shape
            with torch.inference_mode(False):  # what is kept must serve training as well
                padded = F.pad(self.kernel.double(), (0, size[1] - w, 0, size[0] - h))
                full = torch.fft.rfft2(padded.roll((-(h // 2), -(w // 2)), (0, 1)))
                full = full.to(device=x.device, dtype=x.dtype.to_complex())
            self._kept = kept = key, full, self.kernel
        return kept[1]

    def forward(self, x: Tensor, **kwargs) -> Tensor:
        return super().forward(check_finite(x), **kwargs)

    def A(self, x: Tensor, **kwargs) -> Tensor:
        return _filter(check_image(x), self.spectrum(x))

    def A_adjoint(self, y: Tensor, **kwargs) -> Tensor:
        return _filter(check_image(y), self.spectrum(y).conj())

    def A_adjoint_A(self, x: Tensor, **kwargs) -> Tensor:
        return _filter(check_image(x), _power(self.spectrum(x)))

    def A_A_adjoint(self, y: Tensor, **kwargs) -> Tensor:
        return self.A_adjoint_A(y)

    def A_dagger(self, y: Tensor, **kwargs) -> Tensor:
        """Least squares of least norm, frequencies below 1e-5 of the strongest left out."""
        s = self.spectrum(check_image(y))
        kept = s.abs() > PSEUDO_INVERSE_CUTOFF * s.abs().max()
        return _filter(y, torch.where(kept, 1 / torch.where(kept, s, 1), 0))

    def prox_l2(self, z, y: Tensor, gamma, **kwargs) -> Tensor:
        """argmin_x gamma / 2 |A x - y|^2 + |x - z|^2 / 2; gamma a float, [B] or [B, 1, 1, 1]."""
        s, z, gamma = self.spectrum(check_image(y)), _filled(z, y), _column(gamma, y)
        pull = s.conj() * torch.fft.rfft2(y) - _power(s) * torch.fft.rfft2(z)
        step = pull * (gamma / (1 + gamma * _power(s)))
        return z + torch.fft.irfft2(step, s=y.shape[-2:])


class PaddedBlur(Blur):
    """deepinv's Blur with "valid" or "reflect" edges, for images of any float dtype and device."""

    def forward(self, x: Tensor, **kwargs) -> Tensor:
        return super().forward(check_finite(x), **kwargs)

    def A(self, x: Tensor, filter=None, **kwargs) -> Tensor:
        self.update_parameters(filter=filter, **kwargs)
        check_fits(self.filter, check_image(x))
        return self.conv[2](x, filter=self.filter.to(x), padding=self.padding)

    def A_adjoint(self, y: Tensor, filter=None, **kwargs) -> Tensor:
        self.update_parameters(filter=filter, **kwargs)
        check_image(y)
        if self.padding != "valid":
            check_fits(self.filter, y)
        return self.conv_transpose[2](y, filter=self.filter.to(y), padding=self.padding)


class MaskedPixels(Inpainting):
    """deepinv's Inpainting, which here refuses images that its mask would broadcast over."""

    def fitted(self, x: Tensor) -> Tensor:
        """The mask [1, 1 or C, H, W] for images like x, in their dtype and on their device."""
        channels, *size = self.mask.shape[1:]
        if list(check_image(x).shape[2:]) != size or channels not in (1, x.shape[1]):
            raise ValueError(
                f"the mask is for [C, H, W] = {list(self.mask.shape[1:])}, the image has "
                f"{list(x.shape[1:])}; make the mask of the image's size"
            )
        return self.mask.to(x)

    def forward(self, x: Tensor, **kwargs) -> Tensor:
        return super().forward(check_finite(x), **kwargs)

    def noise(self, x: Tensor, **kwargs) -> Tensor:
        return self.fitted(x) * self.noise_model(x, **kwargs)

    def A(self, x: Tensor, mask=None, **kwargs) -> Tensor:
        self.update_parameters(mask=mask, **kwargs)
        return self.fitted(x) * x

    def A_adjoint(self, y: Tensor, mask=None, **kwargs) -> Tensor:
        return self.A(y, mask=mask, **kwargs)

    def A_adjoint_A(self, x: Tensor, mask=None, **kwargs) -> Tensor:
        return self.A(x, mask=mask, **kwargs)

    def A_A_adjoint(self, y: Tensor, mask=None, **kwargs) -> Tensor:
        return self.A(y, mask=mask, **kwargs)

    def A_dagger(self, y: Tensor, mask=None, **kwargs) -> Tensor:
        return self.A(y, mask=mask, **kwargs)

    def prox_l2(self, z, y: Tensor, gamma, **kwargs) -> Tensor:
        """argmin_x gamma / 2 |A x - y|^2 + |x - z|^2 / 2; gamma a float, [B] or [B, 1, 1, 1]."""
        m, z, gamma = self.fitted(y), _filled(z, y), _column(gamma, y)
        return z + m * (y - z) * (gamma / (1 + gamma))


class Noise(GaussianNoise):
    """deepinv's Gaussian noise, its std kept in float64, drawn from a `generator` if given."""

    def __init__(self, sigma: float):
        super().__init__(torch.tensor(sigma, dtype=torch.float64))

    def forward(self, x, sigma=None, seed=None, generator=None, **kwargs):
        """x + std * n. A CPU generator gives the same n for every device of x."""
        self.update_parameters(sigma=sigma)
        self.rng_manual_seed(seed)
        source = self.rng if generator is None else generator
        if source is None:
            n = torch.randn_like(x)
        elif isinstance(source, torch.Generator):
            n = torch.randn(x.shape, generator=source, device=source.device, dtype=x.dtype).to(x)
        else:
            raise TypeError(f"generator is a torch.Generator, got {type(source).__name__}")
        return x + self.sigma.to(x).reshape(-1, *[1] * (x.ndim - 1)) * n


def _filter(x: Tensor, spectrum: Tensor) -> Tensor:
    return torch.fft.irfft2(spectrum * torch.fft.rfft2(x), s=x.shape[-2:])


def _power(spectrum: Tensor) -> Tensor:
    return spectrum.real**2 + spectrum.imag**2


def _filled(z: Tensor | float | None, y: Tensor) -> Tensor:
    """deepinv also passes numbers and None (zero) for an image."""
    return check_image(z) if isinstance(z, Tensor) else torch.full_like(y, z or 0.0)


def _column(gamma: float | Tensor, y: Tensor) -> float | Tensor:
    if not isinstance(gamma, Tensor):
        return gamma
    if gamma.numel() not in (1, len(y)) or gamma.ndim > 1 and gamma.numel() != len(gamma):
        raise ValueError(
            f"gamma is a float, [B] or [B, 1, 1, 1] with B = {len(y)}, got {list(gamma.shape)}"
        )
    return gamma.to(y).reshape(-1, 1, 1, 1)
