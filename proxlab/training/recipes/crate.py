"""Recipes of CRATE: the denoiser, and the gradient step on a potential that is made of it."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from proxlab import checkpoints
from proxlab.images.metrics import NOISE_LEVELS
from proxlab.images.stored import open_gray
from proxlab.priors.crate.denoiser import CrateConfig, CrateDenoiser
from proxlab.priors.crate.gradient_step import GradientStep, curvature
from proxlab.training.config import TrainConfig
from proxlab.training.losses import balanced_squared_error
from proxlab.training.prox_penalty import ProxPenalty
from proxlab.training.recipe import Recipe
from proxlab.training.recipes.denoising import Built, Denoising, untrained

SMOOTHING = 0.1
"""Smoothing of the network of a gradient step, in units of its normalised tokens."""
CLIP = 1.0
"""Largest norm of a gradient."""
PENALTY = 20.0
"""Weight of the curvature that would keep a gradient step from being a prox."""
SAFE = 0.97
"""Length of a gradient step times the largest eigenvalue of its curvature, as measured."""
MIDDLE = 64
"""Side of the middles of held-out images that curvature is measured on."""


def gradient_step(start: str | Path, config: TrainConfig) -> Built:
    """A gradient step of the network of `start`, smoothed, to be trained on.

    `start` is the name or file of a CRATE denoiser, or of such a gradient step to go on from.
    Raises ValueError for another model.
    """
    network = checkpoints.load(start)
    if isinstance(network, GradientStep):
        network = network.network
    if not isinstance(network, CrateDenoiser):
        raise ValueError(f"a gradient step starts from a CRATE denoiser, not {start!r}")
    size = dataclasses.replace(network.config, smoothing=SMOOTHING)
    model = GradientStep(size, config.sigma_range)
    model.network.load_state_dict(network.state_dict())
    return model, model.parameter_groups(config.learning_rate)


def penalised(model: GradientStep, config: TrainConfig) -> ProxPenalty:
    """The squared loss and the penalty on curvature that would make the step no prox."""
    return ProxPenalty(balanced_squared_error, model.slope, PENALTY)


def shorten(model: GradientStep, held_out: Sequence[Tensor]) -> dict:
    """Make the model's steps so short that the largest curvature found leaves them a prox.

    Looked at are every fourth of the images, noisy and as they are. The answer, for the card, is
    the Lipschitz constant and the largest eigenvalue by noise level, of 255.
    """
    constants, largest, generator = {}, {}, torch.Generator().manual_seed(0)
    device = next(model.parameters()).device
    for level in NOISE_LEVELS:
        parts = []
        for image in held_out[::4]:
            top, left = (max(0, (n - MIDDLE) // 2) for n in image.shape)
            clean = image[top : top + MIDDLE, left : left + MIDDLE] / 255
            noise = level / 255 * torch.randn(clean.shape, generator=generator)
            parts += [clean, clean + noise]
        found = curvature(model, torch.stack(parts)[:, None].to(device), level / 255)
        constants[f"{level:g}"] = round(float(found.lipschitz.max()), 3)
        largest[f"{level:g}"] = round(float(found.highest.max()), 3)
    model.length = min(1.0, SAFE / max(largest.values()))
    return {"lipschitz": constants, "largest_curvature": largest}


GRAY_CRATE = Denoising(open_gray, untrained(CrateDenoiser))

crate_gray = Recipe(
    "crate-gray",
    "gray photographs, CRATE encoder and decoder, squared loss",
    GRAY_CRATE,
    CrateConfig(),
    TrainConfig(clip=CLIP, learning_rate=6e-3),
)
crate_gray_step = Recipe[str | Path, TrainConfig](
    "crate-gray-step",
    "gray photographs, gradient step on the potential of {start}, squared loss and curvature",
    Denoising(open_gray, gradient_step, penalised, finish=shorten),
    "crate-gray",
    TrainConfig(steps=1500, learning_rate=1e-3, clip=CLIP),
)
