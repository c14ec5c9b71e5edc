"""Recipes of gradient steps: a denoiser, CRATE or a U-Net, made the gradient of a potential."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from proxlab import checkpoints
from proxlab.images import HOUNSFIELD
from proxlab.images.folders import load_ct
from proxlab.images.metrics import NOISE_LEVELS
from proxlab.images.stored import open_color, open_gray
from proxlab.priors.crate.denoiser import CrateDenoiser
from proxlab.priors.gradient_step import GradientStep, curvature
from proxlab.priors.unet import UNetDenoiser
from proxlab.training.config import TrainConfig
from proxlab.training.losses import balanced_squared_error
from proxlab.training.prox_penalty import ProxPenalty
from proxlab.training.recipe import Recipe
from proxlab.training.recipes.denoising import Built, Denoising

SMOOTHING = {CrateDenoiser: 0.1, UNetDenoiser: 0.01}
"""Smoothing of a network, in units of CRATE's normalised tokens and of a U-Net's feature maps. It
moves answers of `unet-gray-wide`, trained with kinks, by 0.0015, root mean square, at noise 0.1."""
CLIP = 1.0
"""Largest norm of a gradient."""
PENALTY = 20.0
"""Weight of the curvature that would keep a gradient step from being a prox."""
LIGHT_PENALTY, LIGHT_TARGET = 5.0, 0.9
"""Weight and target for a U-Net that is to lose little: it need not be a prox everywhere, as
evidence judges each run."""
SAFE = 0.97
"""Length of a gradient step times the largest eigenvalue of its curvature, as measured."""
MIDDLE = 64
"""Side of the middles of held-out images that curvature is measured on."""


def gradient_step(start: str | Path, config: TrainConfig) -> Built:
    """A gradient step of the network of `start`, smoothed, to be trained on.

    `start` is the name or file of a CRATE denoiser, a U-Net, or of such a gradient step to go on
    from. Raises ValueError for another model.
    """
    network = checkpoints.load(start)
    if isinstance(network, GradientStep):
        network = network.network
    if not isinstance(network, CrateDenoiser | UNetDenoiser):
        raise ValueError(f"a gradient step starts from a CRATE denoiser or a U-Net, not {start!r}")
    size = dataclasses.replace(network.config, smoothing=SMOOTHING[type(network)])
    model = GradientStep(size, config.sigma_range)
    model.network.load_state_dict(network.state_dict())
    return model, model.parameter_groups(config.learning_rate)


def penalised(model: GradientStep, config: TrainConfig) -> ProxPenalty:
    """The squared loss and the penalty on curvature that would make the step no prox."""
    return ProxPenalty(balanced_squared_error, model.slope, PENALTY)


def lightly_penalised(model: GradientStep, config: TrainConfig) -> ProxPenalty:
    """The squared loss, and a penalty that lowers the curvature at a small price."""
    return ProxPenalty(balanced_squared_error, model.slope, LIGHT_PENALTY, LIGHT_TARGET)


def shorten(model: GradientStep, held_out: Sequence[Tensor]) -> dict:
    """Make the model's steps so short that the largest curvature found leaves them a prox.

    The answer, for the card, is what `curvatures` finds.
    """
    found = curvatures(model, held_out)
    model.length = min(1.0, SAFE / max(found["largest_curvature"].values()))
    return found


def curvatures(model: GradientStep, held_out: Sequence[Tensor]) -> dict:
    """The Lipschitz constant and the largest curvature of a model's potential, by noise level.

    They are the largest found at every fourth of the images, noisy and as they are; of 255.
    """
    constants, largest, generator = {}, {}, torch.Generator().manual_seed(0)
    device = next(model.parameters()).device
    for level in NOISE_LEVELS:
        parts = []
        for image in held_out[::4]:
            top, left = (max(0, (n - MIDDLE) // 2) for n in image.shape[-2:])
            clean = image[..., top : top + MIDDLE, left : left + MIDDLE] / 255
            clean = clean.view(-1, *clean.shape[-2:])  # gray images have no channel of their own
            noise = level / 255 * torch.randn(clean.shape, generator=generator)
            parts += [clean, clean + noise]
        found = curvature(model, torch.stack(parts).to(device), level / 255)
        constants[f"{level:g}"] = round(float(found.lipschitz.max()), 3)
        largest[f"{level:g}"] = round(float(found.highest.max()), 3)
    return {"lipschitz": constants, "largest_curvature": largest}


crate_gray_step = Recipe[str | Path, TrainConfig](
    "crate-gray-step",
    "gray photographs, gradient step on the potential of {start}, squared loss and curvature",
    Denoising(open_gray, gradient_step, penalised, finish=shorten),
    "crate-gray",
    TrainConfig(steps=1500, learning_rate=1e-3, clip=CLIP),
)

GRAY_UNET_STEP = Denoising(open_gray, gradient_step, finish=curvatures)

gs_unet = Recipe[str | Path, TrainConfig](
    "gs-unet",
    "gray photographs, gradient step on the potential of {start}, squared loss",
    GRAY_UNET_STEP,
    "unet-gray",
    TrainConfig(steps=16_000, learning_rate=1.5e-3, clip=CLIP),
)
gs_unet_wide = Recipe[str | Path, TrainConfig](
    "gs-unet-wide",
    "gray photographs, gradient step on the potential of {start}, squared loss",
    GRAY_UNET_STEP,
    "unet-gray-wide",
    TrainConfig(steps=10_500, learning_rate=8e-4, clip=CLIP),
)
gs_unet_wide_flat = Recipe[str | Path, TrainConfig](
    "gs-unet-wide-flat",
    "gray photographs, gradient step on the potential of {start}, squared loss and curvature",
    Denoising(open_gray, gradient_step, lightly_penalised, finish=curvatures),
    "gs-unet-wide",
    TrainConfig(steps=5_000, learning_rate=4e-4, clip=CLIP),
)
gs_unet_color = Recipe[str | Path, TrainConfig](
    "gs-unet-color",
    "colour photographs, gradient step on the potential of {start}, squared loss",
    Denoising(open_color, gradient_step, finish=curvatures),
    "unet-color",
    TrainConfig(steps=12_000, learning_rate=1e-3, clip=CLIP),
)
gs_unet_ct = Recipe[str | Path, TrainConfig](
    "gs-unet-ct",
    "CT slices, gradient step on the potential of {start}, squared loss",
    Denoising(
        load_ct, gradient_step, data="ct/train", levels=(0.5, 2, 5, 15), hounsfield=HOUNSFIELD
    ),
    "unet-ct",
    TrainConfig(steps=6_000, learning_rate=1.5e-3, clip=CLIP, sigma_range=(0.001, 0.1)),
)
