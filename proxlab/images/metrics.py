"""PSNR and SSIM of each image against the truth, for values in [0, 1]."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from proxlab.images.folders import as_floats
from proxlab.images.layouts import as_images

NOISE_LEVELS = (5, 15, 25, 50)
"""Noise levels at which photographs are denoised, of 255."""
SMALLEST_SIDE = 11
"""Side of the smallest image that the window of SSIM fits into, pixels."""


def psnr(x: Tensor | np.ndarray, truth: Tensor | np.ndarray) -> Tensor:
    """Peak signal-to-noise ratio in dB, [B], peak 1, of images of any size.

    Nothing is clipped; infinite if equal, NaN for an image with a NaN. Arrays are [H, W], [H, W, 3]
    or [B, C, H, W], and 255 of uint8 is the peak. Raises ValueError for images of other shapes than
    the truth's, and as `layouts.as_images` for arrays.

    >>> proxlab.metrics.psnr(torch.zeros(1, 1, 8, 8), torch.full((1, 1, 8, 8), 0.1)).round()   # dB
    tensor([20.], dtype=torch.float64)
    """
    x, truth = as_images(x), as_images(truth)
    _check_shapes(x, truth)
    error = x - truth
    if error.device.type not in ("cpu", "cuda"):  # others may have no float64
        error = error.cpu()
    return -10 * error.double().square().flatten(1).mean(1).log10()


def has_ssim(x: Tensor) -> bool:
    """Whether images [B, C, H, W] are large enough for `ssim`.

    >>> proxlab.metrics.has_ssim(torch.zeros(1, 1, 10, 64))   # less than its window
    False
    """
    return min(x.shape[-2:]) >= SMALLEST_SIDE


def ssim(x: Tensor | np.ndarray, truth: Tensor | np.ndarray) -> Tensor:
    """Structural similarity [B], Gaussian weights of width 1.5 [Wang04], by scikit-image.

    Arrays are as those of `psnr`. NaN for an image with NaN or infinity. Raises ValueError for
    images of other shapes than the truth's, and for images that its window of 11 x 11 pixels does
    not fit into, of which there is no SSIM (`has_ssim`).

    >>> proxlab.metrics.ssim(torch.ones(1, 1, 16, 16), torch.ones(1, 1, 16, 16))
    tensor([1.], dtype=torch.float64)
    """
    x, truth = as_images(x), as_images(truth)
    _check_shapes(x, truth)
    if not has_ssim(x):
        raise ValueError(
            f"SSIM takes images of at least {SMALLEST_SIDE} x {SMALLEST_SIDE} pixels, got "
            f"{x.shape[-2]} x {x.shape[-1]}; PSNR takes any"
        )
    from skimage.metrics import structural_similarity

    return torch.tensor(
        [
            float("nan")
            if not bool(a.isfinite().all() and b.isfinite().all())
            else structural_similarity(
                a.cpu().double().numpy(),
                b.cpu().double().numpy(),
                data_range=1.0,
                channel_axis=0,
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
            )
            for a, b in zip(x, truth, strict=True)
        ]
    )


def denoising_psnr(
    model: nn.Module,
    images: Sequence[Tensor],
    seed: int = 0,
    levels: Sequence[float] = NOISE_LEVELS,
) -> dict[str, float]:
    """Mean PSNR in dB of `model(noisy, sigma)` by noise level, over images [H, W] or [3, H, W].

    Images are uint8 or in [0, 1], levels are of 255; the keys are the levels as text, "25".

    >>> image = torch.full((64, 64), 128, dtype=torch.uint8)
    >>> net = proxlab.load("lpn-gray-small")
    >>> proxlab.metrics.denoising_psnr(net, [image], levels=(25,))["25"] > 30   # noisy: 20.2 dB
    True
    """
    figures = {}
    where = next((p.device for p in model.parameters()), torch.device("cpu"))
    for level in levels:
        generator = torch.Generator().manual_seed(seed)
        values = []
        for image in images:
            clean = as_floats(image).reshape(1, -1, *image.shape[-2:])
            noisy = clean + level / 255 * torch.randn(clean.shape, generator=generator)
            with torch.no_grad():
                estimate = model(noisy.to(where), level / 255).cpu()
            values.append(float(psnr(estimate, clean)))
        figures[f"{level:g}"] = round(sum(values) / len(values), 3)
    return figures


def _check_shapes(x: Tensor, truth: Tensor) -> None:
    # one image would be compared with each of the others, or a row with each row, without a word
    if x.shape != truth.shape or x.ndim != 4:
        raise ValueError(
            f"images [B, C, H, W] are compared with a truth of their shape, got {list(x.shape)} "
            f"and {list(truth.shape)}"
        )
