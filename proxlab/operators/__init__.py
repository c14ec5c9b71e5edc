"""Measurement operators as deepinv physics built from plain arrays: blur, missing pixels, images
that are small or merely noisy, CT.

`y = op(x)` adds the noise, `op.A(x)` does not. Images are float32 or float64 [B, C, H, W] of any
size that the operator fits; device and dtype follow the image. A blur is a true convolution,
`(A x)[i] = sum_j kernel[j] x[i - j + centre]`, with its centre at (h // 2, w // 2).

The room may import `images` (sinogram files) and `solvers`. One operator is one file.
"""

from proxlab.operators.arguments import check_finite, check_image
from proxlab.operators.blur import CircularBlur, PaddedBlur, deblur
from proxlab.operators.counts.anscombe import anscombe, inverse_anscombe
from proxlab.operators.counts.camera import CameraNoise
from proxlab.operators.denoising import Unchanged, denoise
from proxlab.operators.estimates.blur_width import BlurWidth, blur_width
from proxlab.operators.estimates.noise_level import estimate_noise
from proxlab.operators.estimates.photon_transfer import PhotonTransfer, estimate_gain
from proxlab.operators.inpainting import MaskedPixels, box_mask, boxes_mask, inpaint, random_mask
from proxlab.operators.kernels import gaussian_kernel
from proxlab.operators.measured_psf import MeasuredPsf, psf
from proxlab.operators.noise import Noise, PhotonCounts, noise_level
from proxlab.operators.superres import SubsampledBlur, superres
from proxlab.operators.tomography.artefacts import remove_rings, remove_zingers
from proxlab.operators.tomography.counted import Sinogram, sinogram
from proxlab.operators.tomography.operator import ct
from proxlab.operators.tomography.scan import FanBeam

__all__ = [
    "BlurWidth",
    "CameraNoise",
    "CircularBlur",
    "FanBeam",
    "MaskedPixels",
    "MeasuredPsf",
    "Noise",
    "PaddedBlur",
    "PhotonCounts",
    "PhotonTransfer",
    "Sinogram",
    "SubsampledBlur",
    "Unchanged",
    "anscombe",
    "blur_width",
    "box_mask",
    "boxes_mask",
    "check_finite",
    "check_image",
    "ct",
    "deblur",
    "denoise",
    "estimate_gain",
    "estimate_noise",
    "gaussian_kernel",
    "inpaint",
    "inverse_anscombe",
    "noise_level",
    "psf",
    "random_mask",
    "remove_rings",
    "remove_zingers",
    "sinogram",
    "superres",
]
