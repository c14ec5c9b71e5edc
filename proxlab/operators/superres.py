"""Super-resolution: an image is blurred and every so-manieth pixel kept, along both axes.

    y[i] = sum_j kernel[j] x[factor i + offset + centre - j] + noise

A pixel of y answers for a block of factor x factor pixels of x, and the kernel's centre lies on the
middle of the block unless `offset` says otherwise. So x and y cover the same scene, edge to edge.
"""

from typing import Any, Literal

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
from proxlab.operators.data_terms.mirrored import MirroredData, mirrored, quarter
from proxlab.operators.data_terms.subsampled import SubsampledData, folded_power, lowered, raised
from proxlab.operators.kernels import (
    check_kernel_fits,
    checked_kernel,
    is_mirrored,
    lengths_to_centre,
)
from proxlab.operators.noise import Noise, Weights, checked_noise
from solvers.protocols import Image

LARGEST_FACTOR = 16

Edges = Literal["circular", "reflect"]


def superres(
    factor: int,
    kernel: np.ndarray | Tensor | None = None,
    noise: float = 0.0,
    offset: float | None = None,
    boundary: Edges = "circular",
    normalize: bool = False,
) -> LinearPhysics:
    """Blur by `kernel` [h, w], every `factor`-th pixel kept, Gaussian noise of std `noise` (image
    units): [B, C, factor H, factor W] -> [B, C, H, W].

    kernel: the mean of each block where None; sums to 1, or is divided by its sum with `normalize`.
    offset: row and column of a block on which the kernel's centre lies, (factor - 1) / 2 where
    None, the middle: kernels of an even factor have even sides then. At 0 every factor-th pixel is
    kept from the first on, as deepinv's `Downsampling` does, and kernels have odd sides.
    boundary: "circular" wraps around; "reflect" mirrors the image at its edges, edge pixels twice,
    for symmetric kernels on the middle. The prox is a closed form with either, [Zhao16].
    Raises ValueError or TypeError on a factor other than 2 to 16, a kernel whose centre would lie
    between pixels, another kernel, boundary or noise; the operator itself refuses images whose
    sides `factor` does not divide.

    >>> op = proxlab.operators.superres(2, noise=0.01)
    >>> x = torch.rand(1, 3, 32, 32)
    >>> op(x).shape, torch.allclose(op.A(x), torch.nn.functional.avg_pool2d(x, 2), atol=1e-6)
    (torch.Size([1, 3, 16, 16]), True)
    >>> proxlab.operators.superres(2, proxlab.operators.gaussian_kernel(1.0))
    Traceback (most recent call last):
        ...
    ValueError: a kernel of 9 x 9 has its centre between pixels on the middle of a block ...
    >>> even = proxlab.operators.gaussian_kernel(1.0, even=True)
    >>> proxlab.operators.superres(2, even, noise=0.01, boundary="reflect")(x).shape
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
    if not isinstance(boundary, str) or boundary not in ("circular", "reflect"):
        raise ValueError(f"boundary is 'circular' or 'reflect', got {said(boundary)!r}")
    kernel = checked_kernel(kernel, normalize, centred=False)
    place = (n - 1) / 2 if offset is None else _place(offset, n)
    if boundary == "reflect" and not (place == (n - 1) / 2 and is_mirrored(kernel)):
        raise ValueError(
            "mirrored edges are for a kernel that is its own mirror image, up to down and left to "
            f"right, on the middle of a block; take boundary='circular', or average the "
            f"{kernel.shape[0]} x {kernel.shape[1]} kernel with its mirror images"
        )
    return SubsampledBlur(n, kernel, place, Noise(checked_noise(noise)), boundary == "reflect")


class SubsampledBlur(LinearPhysics):
    """Convolution of which one pixel a block is kept; A A^T is diagonal in Fourier.

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

    def __init__(
        self,
        factor: int,
        kernel: Tensor,
        offset: float,
        noise_model: GaussianNoise,
        mirrors: bool = False,
    ):
        """mirrors: whether edges are mirrored; the kernel has to be symmetric then."""
        super().__init__()
        self.set_noise_model(noise_model)
        self.forw = self.sensor_model = unchanged
        self.factor, self.offset, self.mirrors = factor, offset, mirrors
        self.register_buffer("kernel", kernel)
        self._kept: tuple[Any, tuple[Tensor, Tensor], Tensor] | None = None
        self._shift = [-n for n in lengths_to_centre(kernel, factor, offset)]

    def _apply(self, fn, recurse=True):
        return super()._apply(exact_or_there(fn), recurse)

    def forward(self, x: Tensor, **kwargs) -> Tensor:
        return super().forward(check_finite(x), **kwargs)

    def A(self, x: Tensor, **kwargs) -> Tensor:
        u = self._around(self._fits(check_image(x)))
        full, _ = self._spectra(u)
        return self._inside(lowered(full * torch.fft.rfft2(u), u.shape, self.factor))

    def A_adjoint(self, y: Tensor, **kwargs) -> Tensor:
        u = self._around(self.usable(y))
        like = self._image_like(u)
        full, _ = self._spectra(like)
        back = full.conj() * raised(u, self.factor)
        return self._inside(torch.fft.irfft2(back, s=like.shape[-2:]))

    def A_A_adjoint(self, y: Tensor, **kwargs) -> Tensor:
        return self._filtered(self.usable(y), self._low(y))

    def A_dagger(self, y: Tensor, **kwargs) -> Tensor:
        """Least squares of least norm; frequencies of y that are damped below 1e-5 are left out."""
        low = self._low(self.usable(y))
        kept = low > PSEUDO_INVERSE_CUTOFF**2 * low.max()
        return self.A_adjoint(
            self._filtered(y, torch.where(kept, 1 / torch.where(kept, low, 1), 0))
        )

    def prox_l2(self, z, y: Tensor, gamma, **kwargs) -> Tensor:
        """argmin_x gamma / 2 |A x - y|^2 + |x - z|^2 / 2; gamma a float, [B] or [B, 1, 1, 1]."""
        z, gamma = filled(z, self._image_like(self.usable(y))), column(gamma, y)
        share = gamma / (1 + gamma * self._low(y))
        return z + self.A_adjoint(self._filtered(y - self.A(z), share))

    def usable(self, y: Tensor) -> Tensor:
        """y; ValueError unless it is images whose enlargement is no smaller than the kernel."""
        check_kernel_fits(self.kernel, self._image_like(check_image(y)))
        return y

    def data_term(self, y: Tensor, weights: Weights, accuracy: Accuracy) -> QuadraticDataTerm:
        """Products in Fourier, unless entries have weights of their own."""
        if weights.entry is not None:
            positive = bool((self.kernel >= 0).all())
            return LinearData(y, self, weights, accuracy, non_negative=positive)
        u = self._around(y)
        full, low = (t[None, None] for t in self._spectra(self._image_like(u)))
        term = SubsampledData(full, low, u, weights.image, self.factor)
        return MirroredData(term, self._image_like(y).shape) if self.mirrors else term

    def first_estimate(self, y: Tensor) -> Image:
        """y by cubic interpolation, edges repeated: where the blocks' centres are it is y."""
        x = self.usable(y)
        for dim in (2, 3):
            x = cubic(x, dim, self.factor, self.offset)
        return x

    def _spectra(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """S [H, W // 2 + 1] of the blur of images like u, which wraps around, and that of A A^T."""
        size = u.shape[-2:]
        version = None if self.kernel.is_inference() else self.kernel._version
        key = (size, u.dtype, u.device, version)
        kept = self._kept
        if kept is None or kept[0] != key or kept[2] is not self.kernel:
            h, w = self.kernel.shape
            with torch.inference_mode(False):  # what is kept must serve training as well
                padded = F.pad(self.kernel.double(), (0, size[1] - w, 0, size[0] - h))
                full = torch.fft.rfft2(padded.roll(self._shift, (0, 1)))
                low = folded_power(full, size, self.factor)
                both = full.to(u.device, u.dtype.to_complex()), low.to(u.device, u.dtype)
            self._kept = kept = key, both, self.kernel
        return kept[1]

    def _low(self, y: Tensor) -> Tensor:
        """Spectrum of A A^T for measurements like y."""
        return self._spectra(self._image_like(self._around(y)))[1]

    def _filtered(self, y: Tensor, spectrum: Tensor) -> Tensor:
        u = self._around(y)
        return self._inside(torch.fft.irfft2(spectrum * torch.fft.rfft2(u), s=u.shape[-2:]))

    def _around(self, x: Tensor) -> Tensor:
        return mirrored(x) if self.mirrors else x

    def _inside(self, x: Tensor) -> Tensor:
        return quarter(x) if self.mirrors else x.contiguous()

    def _image_like(self, y: Tensor) -> Tensor:
        """Something that has size, dtype and device of the images behind y, and no memory."""
        height, width = (self.factor * n for n in y.shape[-2:])
        return y.new_zeros(()).expand(*y.shape[:-2], height, width)

    def _fits(self, x: Tensor) -> Tensor:
        """x; ValueError unless it is whole blocks and no smaller than the kernel."""
        (height, width), n = x.shape[-2:], self.factor
        if height % n or width % n:
            told = f"{height} x {width} pixels are no blocks of {n} x {n}"
            if min(height, width) < n:
                raise ValueError(f"{told}; the image is smaller than a block")
            raise ValueError(
                f"{told}; crop the image to {height - height % n} x {width - width % n}"
            )
        check_kernel_fits(self.kernel, x)
        return x


def _place(offset: float, factor: int) -> float:
    place = real(offset)
    if not 0 <= place <= factor - 1 or 2 * place != round(2 * place):
        raise ValueError(
            f"an offset is a row and column of a block, 0, 0.5, 1 ... {factor - 1}, got "
            f"{said(offset)}"
        )
    return place
