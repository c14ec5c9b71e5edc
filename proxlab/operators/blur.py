"""Blur: the operator, and the deepinv physics behind it."""

from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from deepinv.physics import Blur, LinearPhysics, NoiseModel
from torch import Tensor

from proxlab.operators.arguments import (
    check_finite,
    check_image,
    column,
    exact_or_there,
    filled,
    said,
    unchanged,
)
from proxlab.operators.contract import Accuracy, QuadraticDataTerm
from proxlab.operators.counts.camera import CameraNoise
from proxlab.operators.data_terms.circular import CircularData
from proxlab.operators.data_terms.linear import LinearData
from proxlab.operators.data_terms.valid import ValidData
from proxlab.operators.kernels import check_kernel_fits, checked_kernel
from proxlab.operators.noise import Weights, noise_model
from solvers.large.parts import assembled, cut
from solvers.protocols import Image

PSEUDO_INVERSE_CUTOFF = 1e-5
"""Frequencies damped below this fraction of the strongest are not inverted by `A_dagger`."""

Boundary = Literal["circular", "valid", "reflect"]


def deblur(
    kernel: np.ndarray | Tensor,
    noise: float | CameraNoise = 0.0,
    boundary: Boundary = "circular",
    normalize: bool = False,
) -> "CircularBlur | PaddedBlur":
    """Blur by `kernel` [h, w], h and w odd, then Gaussian noise of std `noise` (image units), or
    that of a camera.

    boundary: "circular" wraps around, and its prox is a closed form; "reflect" mirrors the image at
    its edges; "valid" keeps only pixels whose neighbourhood is in the image, [H - h + 1,
    W - w + 1]. A photograph is "valid": behind it lies a larger image, which `restore` finds, and
    `op.inside(result.image)` has the size of the photograph. With "circular" its edges ring.
    A kernel that sums to 1 within 1e-3 is used exactly as given, in float64; `normalize` divides
    by the sum. Raises ValueError or TypeError on any other kernel, noise or boundary; the operator
    itself refuses images that are smaller than the kernel.

    >>> op = proxlab.operators.deblur(proxlab.operators.gaussian_kernel(1.6), noise=0.01)
    >>> x = torch.rand(1, 3, 32, 32)
    >>> op(x).shape, op.A(torch.ones(1, 1, 32, 32)).min().round(decimals=4)
    (torch.Size([1, 3, 32, 32]), tensor(1.))
    >>> proxlab.operators.deblur(torch.ones(2, 2) / 4)
    Traceback (most recent call last):
        ...
    ValueError: an even-sized kernel has no centre, got 2 x 2; pad it with a zero row or column
    """
    kernel = checked_kernel(kernel, normalize)
    model = noise_model(noise)
    if isinstance(boundary, str) and boundary == "circular":
        return CircularBlur(kernel, noise_model=model)
    if not isinstance(boundary, str) or boundary not in ("valid", "reflect"):
        raise ValueError(f"boundary is 'circular', 'valid' or 'reflect', got {said(boundary)!r}")
    if boundary == "reflect":
        # deepinv 0.5 has no adjoint for a mirrored kernel of one row or column
        rows, columns = (int(n == 1) for n in kernel.shape)
        kernel = F.pad(kernel, (columns, columns, rows, rows))
    return PaddedBlur(kernel[None, None], boundary, model)


class CircularBlur(LinearPhysics):
    """Convolution that wraps around, diagonal in Fourier: A = F^-1 diag(S) F.

    `kernel` [h, w] is kept as given; the spectrum of the last image size, dtype and device is kept.

    >>> op = proxlab.operators.deblur(proxlab.operators.gaussian_kernel(1.0), noise=0.01)
    >>> x = torch.rand(2, 1, 16, 20)
    >>> y = op.A(x)
    >>> op.spectrum(x).shape, y.shape
    (torch.Size([16, 11]), torch.Size([2, 1, 16, 20]))
    >>> torch.allclose(op.A(op.A_dagger(y)), y, atol=1e-3)   # least squares fit y
    True
    >>> torch.allclose(op.prox_l2(x, y, gamma=1.0), x, atol=1e-5)   # x fits y, and stays
    True
    """

    kernel: Tensor

    def __init__(self, kernel: Tensor, noise_model: NoiseModel):
        super().__init__()
        self.set_noise_model(noise_model)
        self.forw = self.sensor_model = unchanged
        self.register_buffer("kernel", kernel)
        self._kept: tuple[Any, Tensor, Tensor] | None = None

    def _apply(self, fn, recurse=True):
        return super()._apply(exact_or_there(fn), recurse)

    def spectrum(self, x: Tensor) -> Tensor:
        """S [H, W // 2 + 1], complex, such that A x = irfft2(S rfft2(x)) for images like x."""
        check_kernel_fits(self.kernel, x)
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
        s, z, gamma = self.spectrum(check_image(y)), filled(z, y), column(gamma, y)
        pull = s.conj() * torch.fft.rfft2(y) - _power(s) * torch.fft.rfft2(z)
        step = pull * (gamma / (1 + gamma * _power(s)))
        return z + torch.fft.irfft2(step, s=y.shape[-2:])

    def usable(self, y: Tensor) -> Tensor:
        """y; ValueError unless it is a batch of images at least as large as the kernel."""
        check_kernel_fits(self.kernel, check_image(y))
        return y

    def inside(self, x: Tensor) -> Tensor:
        """x: every pixel of an image has one of y beside it. `PaddedBlur.inside` may cut.

        >>> op = proxlab.operators.deblur(proxlab.operators.gaussian_kernel(1.0), noise=0.01)
        >>> op.inside(torch.zeros(1, 1, 16, 16)).shape
        torch.Size([1, 1, 16, 16])
        """
        return x

    def data_term(self, y: Tensor, weights: Weights, accuracy: Accuracy) -> QuadraticDataTerm:
        """A product in Fourier, unless entries have weights of their own."""
        if weights.entry is not None:
            positive = bool((self.kernel >= 0).all())
            return LinearData(y, self, weights, accuracy, non_negative=positive)
        spectrum = self.spectrum(y)[None, None]
        return CircularData(spectrum, torch.fft.rfft2(y), weights.image, y.shape)

    def first_estimate(self, y: Tensor) -> Image:
        """y itself."""
        return self.usable(y).clone()


class PaddedBlur(Blur):
    """deepinv's Blur with "valid" or "reflect" edges, for images of any float dtype and device.

    >>> kernel = proxlab.operators.gaussian_kernel(1.0)
    >>> op = proxlab.operators.deblur(kernel, noise=0.01, boundary="valid")
    >>> y = op(torch.rand(1, 1, 16, 20))
    >>> y.shape, kernel.shape
    (torch.Size([1, 1, 8, 12]), torch.Size([9, 9]))
    >>> result = proxlab.restore(y, op, "tv")   # the image is larger than what was seen of it
    >>> result.image.shape, op.inside(result.image).shape
    (torch.Size([1, 1, 16, 20]), torch.Size([1, 1, 8, 12]))
    """

    filter: Tensor

    def __init__(self, kernel: Tensor, boundary: str, noise_model: NoiseModel):
        """`kernel` is [1, 1, h, w]."""
        # by FFT: faster from 9 x 9 on, and the direct adjoint of one channel is ten times slower
        super().__init__(kernel, padding=boundary, use_fft=True, noise_model=noise_model)
        self.forw = self.sensor_model = unchanged

    def _apply(self, fn, recurse=True):
        return super()._apply(exact_or_there(fn), recurse)

    def forward(self, x: Tensor, **kwargs) -> Tensor:
        return super().forward(check_finite(x), **kwargs)

    def A(self, x: Tensor, filter=None, **kwargs) -> Tensor:
        self.update_parameters(filter=filter, **kwargs)
        check_kernel_fits(self.filter, check_image(x))
        return self.conv[2](x, filter=self._filter_for(x), padding=self.padding)

    def A_adjoint(self, y: Tensor, filter=None, **kwargs) -> Tensor:
        self.update_parameters(filter=filter, **kwargs)
        check_image(y)
        if self.padding != "valid":
            check_kernel_fits(self.filter, y)
        return self.conv_transpose[2](y, filter=self._filter_for(y), padding=self.padding)

    def usable(self, y: Tensor) -> Tensor:
        """y; ValueError unless it is images, with mirrored edges no smaller than the kernel."""
        if self.padding != "valid":
            check_kernel_fits(self.filter, check_image(y))
        return check_image(y)

    def inside(self, x: Tensor) -> Tensor:
        """The pixels of x [..., H, W] where y has some: all but the frame of a "valid" blur."""
        if self.padding != "valid":
            return x
        top, left = (n // 2 for n in self.filter.shape[-2:])
        return x[..., top : x.shape[-2] - top, left : x.shape[-1] - left]

    def data_term(self, y: Tensor, weights: Weights, accuracy: Accuracy) -> QuadraticDataTerm:
        """Conjugate gradients, where edges are "valid" in the space of y."""
        if self.padding == "valid":
            return ValidData(y, self.filter, weights, accuracy)
        positive = bool((self.filter >= 0).all())
        return LinearData(y, self, weights, accuracy, non_negative=positive)

    def first_estimate(self, y: Tensor) -> Image:
        """y, with "valid" edges repeated outwards to the size of the image."""
        if self.padding != "valid":
            return self.usable(y).clone()
        h, w = self.filter.shape[-2:]
        return F.pad(self.usable(y), (w // 2, w // 2, h // 2, h // 2), mode="replicate")

    def _filter_for(self, x: Tensor) -> Tensor:
        return self.filter.to(x, non_blocking=True)


def _filter(x: Tensor, spectrum: Tensor) -> Tensor:
    """The image whose transform is that of x [B, C, H, W] times the spectrum [H, W // 2 + 1]."""
    return assembled(
        x, lambda p: torch.fft.irfft2(spectrum * torch.fft.rfft2(cut(x, p)), s=x.shape[-2:])
    )


def _power(spectrum: Tensor) -> Tensor:
    return spectrum.real**2 + spectrum.imag**2
