"""Recipes of denoisers of CT slices of any pixel size, sharpness and window."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn
from torch.nn.functional import interpolate

from proxlab.images import HOUNSFIELD
from proxlab.images.folders import load_ct
from proxlab.images.metrics import denoising_psnr
from proxlab.training.config import TrainConfig
from proxlab.training.recipe import Recipe
from proxlab.training.recipes.denoising import Denoising, trained_lpn
from proxlab.training.scan_patches import ScanPatches

LEVELS = (0.5, 2, 5, 15)
SHARES = (0.7, 0.5)
"""Sides of coarser held-out slices over those of the slices as they are."""


def at_coarser_pixels(model: nn.Module, held_out: Sequence[Tensor]) -> dict:
    """PSNR in dB by noise level of 255 at coarser pixels, for the card."""
    found = {}
    for share in SHARES:
        coarse = [
            interpolate(x[None, None], scale_factor=share, mode="bilinear", antialias=True)[0, 0]
            for x in held_out
        ]
        found[f"{share:g}"] = denoising_psnr(model, coarse, levels=LEVELS)
    return {"held_out_psnr_of_smaller": found}


ANY_PIXELS = Denoising(
    load_ct,
    trained_lpn,
    data="ct/train",
    levels=LEVELS,
    patches=ScanPatches,
    hounsfield=HOUNSFIELD,
    finish=at_coarser_pixels,
)

lpn_ct_zoom = Recipe[str | Path, TrainConfig](
    "lpn-ct-zoom",
    "CT slices of any pixel size, learned proximal network, from {start}; squared loss",
    ANY_PIXELS,
    "lpn-gray",
    TrainConfig(steps=10_000, sigma_range=(0.001, 0.1)),
)
lpn_ct_zoom_large = Recipe[str | Path, TrainConfig](
    "lpn-ct-zoom-large",
    "CT slices of any pixel size, learned proximal network of three times the parameters, from "
    "{start}; squared loss",
    ANY_PIXELS,
    "lpn-gray-large",
    TrainConfig(steps=5_000, sigma_range=(0.001, 0.1)),
)
