"""Measurement operators, blur, missing pixels and CT, as deepinv physics built from plain arrays.

`y = op(x)` adds the noise, `op.A(x)` does not. Images are float32 or float64 [B, C, H, W] of any
size that the operator fits; device and dtype follow the image. A blur is a true convolution,
`(A x)[i] = sum_j kernel[j] x[i - j + centre]`, with its centre at (h // 2, w // 2).

The room may import `images` (sinogram files) and `solvers`. One operator is one file.
"""

from proxlab.operators.arguments import check_finite, check_image
from proxlab.operators.blur import CircularBlur, PaddedBlur, deblur
from proxlab.operators.inpainting import MaskedPixels, box_mask, boxes_mask, inpaint, random_mask
from proxlab.operators.kernels import gaussian_kernel
from proxlab.operators.measured_psf import MeasuredPsf, psf
from proxlab.operators.noise import Noise, PhotonCounts, noise_level
from proxlab.operators.noise_estimate import estimate_noise
from proxlab.operators.tomography.operator import ct
from proxlab.operators.tomography.scan import FanBeam
from proxlab.operators.width_estimate import BlurWidth, blur_width

__all__ = [
    "BlurWidth",
    "CircularBlur",
    "FanBeam",
    "MaskedPixels",
    "MeasuredPsf",
    "Noise",
    "PaddedBlur",
    "PhotonCounts",
    "blur_width",
    "box_mask",
    "boxes_mask",
    "check_finite",
    "check_image",
    "ct",
    "deblur",
    "estimate_noise",
    "gaussian_kernel",
    "inpaint",
    "noise_level",
    "psf",
    "random_mask",
]
