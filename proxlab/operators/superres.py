"""Super-resolution: an image is blurred and every so-manieth pixel kept, along both axes.

    y[i] = sum_j kernel[j] x[factor i + offset + centre - j] + noise

A pixel of y answers for a block of factor x factor pixels of x, and the kernel's centre lies on the
middle of the block unless `offset` says otherwise. So x and y cover the same scene, edge to edge.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from deepinv.physics import GaussianNoise, LinearPhysics
from torch import Tensor

from proxlab.operators.arguments import (
    check_finite,
    check_image,
    column,
    exact_or_there,
    filled,
    real,
    said,
    unchanged,
    whole,
)
from proxlab.operators.blur import PSEUDO_INVERSE_CUTOFF
from proxlab.operators.contract import Accuracy, QuadraticDataTerm
from proxlab.operators.cubic import cubic
from proxlab.operators.data_terms.linear import LinearData
from proxlab.operators.data_terms.subsampled import SubsampledData, folded_power, lowered, raised
from proxlab.operators.kernels import check_kernel_fits, checked_kernel
from proxlab.operators.noise import Noise, Weights, checked_noise
from solvers.protocols import Image

LARGEST_FACTOR = 16


def superres(
    factor: int,
    kernel: np.ndarray | Tensor | None = None,
    noise: float = 0.0,
    offset: float | None = None,
    normalize: bool = False,
) -> LinearPhysics:
    """Blur by `kernel` [h, w] that wraps around, every `factor`-th pixel, Gaussian noise of std
    `noise` (image units): [B, C, factor H, factor W] -> [B, C, H, W].

    kernel: the mean of each block where None; sums to 1, or is divided by its sum with `normalize`.
    offset: row and column of a block on which the kernel's centre lies, (factor - 1) / 2 where
    None, the middle: kernels of an even factor have even sides then. At 0 every factor-th pixel is
    kept from the first on, as deepinv's `Downsampling` does, and kernels have odd sides.
    Raises ValueError or TypeError on a factor other than 2 to 16, a kernel whose centre would lie
    between pixels, another kernel or noise; the operator itself refuses images whose sides `factor`
    does not divide. Source of its closed-form prox: [Zhao16].

    >>> op = proxlab.operators.superres(2, noise=0.01)
    >>> x = torch.rand(1, 3, 32, 32)
    >>> op(x).shape, torch.allclose(op.A(x), torch.nn.functional.avg_pool2d(x, 2), atol=1e-6)
    (torch.Size([1, 3, 16, 16]), True)
    >>> proxlab.operators.superres(2, proxlab.operators.gaussian_kernel(1.0))
    Traceback (most recent call last):
        ...
    ValueError: a kernel of 9 x 9 has its centre between pixels on the middle of a block ...
    >>> even = proxlab.operators.gaussian_kernel(1.0, even=True)
    >>> proxlab.operators.superres(2, even, noise=0.01)(x).shape
    torch.Size([1, 3, 16, 16])
    """
    n = whole(factor)
    if not 2 <= n <= LARGEST_FACTOR:
        raise ValueError(
            f"a factor is a whole number from 2 to {LARGEST_FACTOR}, got {said(factor)}"
        )
    if kernel is None:
        kernel = torch.full((n, n), 1 / n**2, dtype=torch.float64)
        middle = (n - 1) / 2
        if offset is not None and real(offset) != middle:
            raise ValueError(f"the mean of a block has its centre at {middle:g}; leave offset out")
    return SubsampledBlur(
        n,
        checked_kernel(kernel, normalize, centred=False),
        (n - 1) / 2 if offset is None else _place(offset, n),
        Noise(checked_noise(noise)),
    )


class SubsampledBlur(LinearPhysics):
    """Circular convolution, of which one pixel a block is kept; A A^T is diagonal in Fourier.

    `kernel` [h, w] is kept as given; what the last image size, dtype and device needs is kept too.

    >>> op = proxlab.operators.superres(2, noise=0.01)
    >>> x, y = torch.rand(2, 1, 16, 20), torch.rand(2, 1, 8, 10)
    >>> op.A(x).shape, op.A_adjoint(y).shape, op.first_estimate(y).shape
    (torch.Size([2, 1, 8, 10]), torch.Size([2, 1, 16, 20]), torch.Size([2, 1, 16, 20]))
    >>> torch.allclose(op.A(op.A_dagger(y)), y, atol=1e-5)
    True
    >>> z = op.prox_l2(x, y, gamma=2.0)
    >>> torch.allclose(z - x, -2 * op.A_adjoint(op.A(z) - y), atol=1e-5)
    True
    >>> op.A(torch.rand(1, 1, 15, 16))
    Traceback (most recent call last):
        ...
    ValueError: 15 x 16 pixels are no blocks of 2 x 2; crop the image to 14 x 16
    """

    kernel: Tensor

    def __init__(self, factor: int, kernel: Tensor, offset: float, noise_model: GaussianNoise):
        super().__init__()
        self.set_noise_model(noise_model)
        self.forw = self.sensor_model = unchanged
        self.factor, self.offset = factor, offset
        self.register_buffer("kernel", kernel)
        self._kept: tuple[Any, tuple[Tensor, Tensor], Tensor] | None = None
        self._shift = []
        for n in kernel.shape:
            shift = offset + (n - 1) / 2
            if shift != round(shift):
                raise ValueError(_between(kernel, factor, offset))
            self._shift.append(-round(shift))

    def _apply(self, fn, recurse=True):
        return super()._apply(exact_or_there(fn), recurse)

    def spectra(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """S [H, W // 2 + 1] of the blur of images like x, and that of A A^T on small ones."""
        self._check_blocks(x)
        check_kernel_fits(self.kernel, x)
        size = x.shape[-2:]
        version = None if self.kernel.is_inference() else self.kernel._version
        key = (size, x.dtype, x.device, version)
        kept = self._kept
        if kept is None or kept[0] != key or kept[2] is not self.kernel:
            h, w = self.kernel.shape
            with torch.inference_mode(False):  # what is kept must serve training as well
                padded = F.pad(self.kernel.double(), (0, size[1] - w, 0, size[0] - h))
                full = torch.fft.rfft2(padded.roll(self._shift, (0, 1)))
                low = folded_power(full, size, self.factor)
                both = full.to(x.device, x.dtype.to_complex()), low.to(x.device, x.dtype)
            self._kept = kept = key, both, self.kernel
        return kept[1]

    def forward(self, x: Tensor, **kwargs) -> Tensor:
        return super().forward(check_finite(x), **kwargs)

    def A(self, x: Tensor, **kwargs) -> Tensor:
        full, _ = self.spectra(check_image(x))
        return lowered(full * torch.fft.rfft2(x), x.shape, self.factor)

    def A_adjoint(self, y: Tensor, **kwargs) -> Tensor:
        like = self._image_like(y)
        full, _ = self.spectra(like)
        return torch.fft.irfft2(full.conj() * raised(y, self.factor), s=like.shape[-2:])

    def A_A_adjoint(self, y: Tensor, **kwargs) -> Tensor:
        _, low = self.spectra(self._image_like(y))
        return _filter(y, low)

    def A_dagger(self, y: Tensor, **kwargs) -> Tensor:
        """Least squares of least norm; frequencies of y that are damped below 1e-5 are left out."""
        _, low = self.spectra(self._image_like(y))
        kept = low > PSEUDO_INVERSE_CUTOFF**2 * low.max()
        return self.A_adjoint(_filter(y, torch.where(kept, 1 / torch.where(kept, low, 1), 0)))

    def prox_l2(self, z, y: Tensor, gamma, **kwargs) -> Tensor:
        """argmin_x gamma / 2 |A x - y|^2 + |x - z|^2 / 2; gamma a float, [B] or [B, 1, 1, 1]."""
        like = self._image_like(y)
        z, gamma = filled(z, like), column(gamma, y)
        _, low = self.spectra(like)
        return z + self.A_adjoint(_filter(y - self.A(z), gamma / (1 + gamma * low)))

    def usable(self, y: Tensor) -> Tensor:
        """y; ValueError unless it is images whose enlargement is no smaller than the kernel."""
        check_kernel_fits(self.kernel, self._image_like(y))
        return y

    def data_term(self, y: Tensor, weights: Weights, accuracy: Accuracy) -> QuadraticDataTerm:
        """Products in Fourier, unless entries have weights of their own."""
        if weights.entry is not None:
            positive = bool((self.kernel >= 0).all())
            return LinearData(y, self, weights, accuracy, non_negative=positive)
        full, low = self.spectra(self._image_like(y))
        return SubsampledData(full[None, None], low[None, None], y, weights.image, self.factor)

    def first_estimate(self, y: Tensor) -> Image:
        """y by cubic interpolation, edges repeated: where the blocks' centres are it is y."""
        x = self.usable(y)
        for dim in (2, 3):
            x = cubic(x, dim, self.factor, self.offset)
        return x

    def _image_like(self, y: Tensor) -> Tensor:
        """Something that has size, dtype and device of the images behind y, and no memory."""
        height, width = (self.factor * n for n in check_image(y).shape[-2:])
        return y.new_zeros(()).expand(*y.shape[:-2], height, width)

    def _check_blocks(self, x: Tensor) -> None:
        (height, width), n = x.shape[-2:], self.factor
        if height % n or width % n:
            told = f"{height} x {width} pixels are no blocks of {n} x {n}"
            if min(height, width) < n:
                raise ValueError(f"{told}; the image is smaller than a block")
            raise ValueError(
                f"{told}; crop the image to {height - height % n} x {width - width % n}"
            )


def _filter(y: Tensor, spectrum: Tensor) -> Tensor:
    return torch.fft.irfft2(spectrum * torch.fft.rfft2(y), s=y.shape[-2:])


def _place(offset: float, factor: int) -> float:
    if not 0 <= real(offset) <= factor - 1:
        raise ValueError(
            f"an offset is a row and column of a block, 0 to {factor - 1}, got {said(offset)}"
        )
    return real(offset)


def _between(kernel: Tensor, factor: int, offset: float) -> str:
    (h, w), middle = kernel.shape, offset == (factor - 1) / 2
    where = f"the middle of a block of {factor} x {factor}" if middle else f"offset {offset:g}"
    sides = "odd" if offset == round(offset) else "even"
    more = "; or offset=0, which keeps the first pixel of each block" if sides == "even" else ""
    return (
        f"a kernel of {h} x {w} has its centre between pixels on {where}; make its sides {sides}, "
        f"as gaussian_kernel(sigma, even={sides == 'even'}) has them{more}"
    )
