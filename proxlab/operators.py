"""Measurement operators, blur, missing pixels and CT, as deepinv physics built from plain arrays.

`y = op(x)` adds the noise, `op.A(x)` does not. Images are float32 or float64 [B, C, H, W] of any
size that the operator fits; device and dtype follow the image. A blur is a true convolution,
`(A x)[i] = sum_j kernel[j] x[i - j + centre]`, with its centre at (h // 2, w // 2).
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from numbers import Integral
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from deepinv.physics import GaussianNoise, LinearPhysics, ZeroNoise
from torch import Tensor

from proxlab.arrays import check_finite, check_image
from proxlab.ct_scan import (
    FanBeam,
    ParallelBeam,
    Scan,
    check_degrees,
    enough_detectors,
    even_angles,
)
from proxlab.kernels import checked_kernel, gaussian_kernel
from proxlab.masks import box_mask, boxes_mask, checked_mask, random_mask
from proxlab.photon_counts import PhotonCounts
from proxlab.physics import CircularBlur, MaskedPixels, Noise, PaddedBlur
from proxlab.tomography import Tomography

__all__ = [
    "deblur",
    "inpaint",
    "ct",
    "FanBeam",
    "PhotonCounts",
    "noise_level",
    "gaussian_kernel",
    "random_mask",
    "box_mask",
    "boxes_mask",
    "CircularBlur",
    "PaddedBlur",
    "MaskedPixels",
    "Noise",
    "check_image",
    "check_finite",
]

Boundary = Literal["circular", "valid", "reflect"]


def deblur(
    kernel: np.ndarray | Tensor,
    noise: float = 0.0,
    boundary: Boundary = "circular",
    normalize: bool = False,
) -> LinearPhysics:
    """Blur by `kernel` [h, w], h and w odd, then Gaussian noise of std `noise` (image units).

    boundary: "circular" wraps around, and its prox is a closed form; "reflect" mirrors the image at
    its edges; "valid" keeps only pixels whose neighbourhood was seen, [H - h + 1, W - w + 1].
    A kernel that sums to 1 within 1e-3 is used exactly as given, in float64; `normalize` divides
    by the sum. Raises ValueError or TypeError on any other kernel, noise or boundary; the operator
    itself refuses images that are smaller than the kernel.
    """
    kernel = checked_kernel(kernel, normalize)
    noise_model = Noise(_checked_noise(noise))
    if boundary == "circular":
        return CircularBlur(kernel, noise_model=noise_model)
    if boundary not in ("valid", "reflect"):
        raise ValueError(f"boundary is 'circular', 'valid' or 'reflect', got {boundary!r}")
    if boundary == "reflect":
        # deepinv 0.5 has no adjoint for a mirrored kernel of one row or column
        rows, columns = (int(n == 1) for n in kernel.shape)
        kernel = F.pad(kernel, (columns, columns, rows, rows))
    # by FFT: faster from 9 x 9 on, and the direct adjoint of one channel is ten times slower
    return PaddedBlur(kernel[None, None], padding=boundary, use_fft=True, noise_model=noise_model)


def inpaint(mask: np.ndarray | Tensor, noise: float = 0.0) -> LinearPhysics:
    """Keep the pixels where `mask` [H, W] or [C, H, W] is 1, zero where it is 0.

    Gaussian noise of std `noise` (image units) falls on the kept pixels only. [H, W] serves any
    number of channels. Raises ValueError or TypeError on other values or shapes, on a mask without
    a single 1, on a bad noise; the operator itself refuses images of another size than the mask.
    """
    mask = checked_mask(mask)
    return MaskedPixels(tuple(mask.shape), mask[None], noise_model=Noise(_checked_noise(noise)))


def ct(
    size: int | tuple[int, int],
    angles: int | Sequence[float],
    noise: float | PhotonCounts = 0.0,
    detectors: int | None = None,
    detector_spacing: float = 1.0,
    pixel_spacing: float = 1.0,
    fan: FanBeam | tuple[float, float] | None = None,
    axis: tuple[float, float] = (0.0, 0.0),
    model: Literal["strip", "line"] = "strip",
) -> Tomography:
    """Line integrals of an image, then Gaussian noise of std `noise` in the sinogram's units.

    Or noise=PhotonCounts(photons, attenuation): that of a detector that counts.

    size: of the image, N or (H, W). angles: how many, even over 180 degrees (360 for a fan), or
    rising degrees. detectors: how many (enough for the image's diagonal if None); their spacing,
    that of pixels and all other lengths are in one unit, in which line integrals are too. fan: the
    source's distance from the axis and from the detector (parallel rays if None). axis: x, y of the
    axis of rotation, x to the right and y up from the image's middle. model: "strip", exact, or
    "line", the ray to the middle of each detector. See `proxlab.ct_scan` for coordinates.
    Raises ValueError on lengths, counts and angles that cannot be.
    """
    height, width = _sides(size)
    beam = ParallelBeam() if fan is None else _fan(fan)
    if isinstance(angles, Integral):
        angles = even_angles(angles, beam.turn)
    else:
        check_degrees(angles)
    some = 1 if detectors is None else detectors
    scan = Scan(height, width, angles, some, detector_spacing, pixel_spacing, axis, beam)
    if detectors is None:
        scan = replace(scan, detectors=enough_detectors(scan))
    if isinstance(noise, PhotonCounts):
        return Tomography(scan, noise, model)
    if not (isinstance(noise, (int, float, np.number)) and 0 <= noise < math.inf):
        raise ValueError(f"noise is a standard deviation of the sinogram, >= 0, got {noise}")
    return Tomography(scan, Noise(float(noise)), model)


def noise_level(op: LinearPhysics) -> float | Tensor | None:
    """Standard deviation of an operator's noise: a float, [B] if it was set per image.

    0.0 without noise, None for noise that is not Gaussian of known level.
    """
    model = op.noise_model
    if isinstance(model, ZeroNoise):
        return 0.0
    if not isinstance(model, GaussianNoise):
        return None
    sigma = torch.as_tensor(model.sigma).detach()
    return sigma.item() if sigma.numel() == 1 else sigma.flatten()


def _fan(fan: FanBeam | tuple[float, float]) -> FanBeam:
    if isinstance(fan, FanBeam):
        return fan
    try:
        to_axis, to_detector = fan
    except (TypeError, ValueError):
        raise ValueError(
            f"fan is the source's distance from the axis and from the detector, got {fan}"
        ) from None
    return FanBeam(to_axis, to_detector)


def _sides(size: int | tuple[int, int]) -> tuple[int, int]:
    try:
        height, width = (size, size) if isinstance(size, Integral) else size
    except (TypeError, ValueError):
        raise ValueError(f"size is a whole number or (height, width), got {size}") from None
    return height, width


def _checked_noise(noise: float) -> float:
    if not (isinstance(noise, (int, float, np.number)) and 0 <= noise <= 1):
        raise ValueError(
            f"noise is a standard deviation in image units, expected 0 <= noise <= 1, got {noise}"
            + ("; divide by 255?" if isinstance(noise, (int, float)) and noise > 1 else "")
        )
    return float(noise)
