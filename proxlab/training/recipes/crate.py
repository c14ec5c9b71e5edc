"""How the CRATE models were made, and the three of their size that stand beside them."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from proxlab import checkpoints
from proxlab.images.data_sets import find_data
from proxlab.images.metrics import LEVELS
from proxlab.images.stored import open_gray
from proxlab.priors.crate.denoiser import CrateConfig, CrateDenoiser
from proxlab.priors.crate.gradient_step import GradientStep, curvature
from proxlab.priors.dncnn import DnCNNConfig, DnCNNDenoiser
from proxlab.priors.lpn.mixture_config import MixtureConfig
from proxlab.priors.unet import UNetConfig
from proxlab.training.loop import TrainConfig
from proxlab.training.losses import balanced_squared_error
from proxlab.training.prox_penalty import ProxPenalty
from proxlab.training.recipes.photographs import Recipe, lpn, unet
from proxlab.training.run import train_and_save

SMOOTHING = 0.1
"""Of the network of a gradient step, in units of its normalised tokens."""
CLIP = 1.0
"""Largest norm of a gradient."""
STEP_CONFIG = TrainConfig(steps=1500, learning_rate=1e-3, clip=CLIP)
"""Of `crate_gray_step`."""
PENALTY = 20.0
"""Weight of what keeps it a prox."""
SAFE = 0.97
"""Length of a gradient step times the largest eigenvalue of its curvature, as measured."""
MIDDLE = 64
"""Side of the middles of held-out images that it is measured on."""


def crate_gray_step(
    data: Path | None = None,
    out: Path | None = None,
    *,
    start: str | Path = "crate-gray",
    config: TrainConfig | None = None,
    minutes: float = math.inf,
    resume: bool = False,
    progress: bool = False,
    device: str = "cpu",
) -> Path | None:
    """`crate-gray-step`: the network of `start` smoothed, and trained on as a gradient step.

    Curvature that would make it no prox is penalised, and its steps are made so short that what is
    left of it on held-out images keeps them one. As a `Recipe`; `start` may be such a gradient step
    too, to go on from. Raises ValueError if it is neither that nor a CRATE denoiser.
    """
    config = config or STEP_CONFIG
    network = checkpoints.load(start)
    if isinstance(network, GradientStep):
        network = network.network
    if not isinstance(network, CrateDenoiser):
        raise ValueError(f"a gradient step starts from a CRATE denoiser, not {start!r}")
    size = dataclasses.replace(network.config, smoothing=SMOOTHING)
    model = GradientStep(size, config.sigma_range)
    model.network.load_state_dict(network.state_dict())
    return train_and_save(
        "crate-gray-step",
        f"gray photographs, gradient step on the potential of {start}, squared loss and curvature",
        open_gray,
        (model, model.parameter_groups(config.learning_rate)),
        config,
        data or find_data("bsds400"),
        out or Path("crate-gray-step"),
        loss=ProxPenalty(balanced_squared_error, model.slope, PENALTY),
        options=f" --start {start}",
        finish=shorten,
        minutes=minutes,
        resume=resume,
        progress=progress,
        device=device,
    )


def shorten(model: GradientStep, held_out: Sequence[Tensor]) -> dict:
    """Set the length of the model's step by the largest curvature found; for its card, by level.

    Looked at are every fourth of the images, noisy and as they are.
    """
    constants, largest, generator = {}, {}, torch.Generator().manual_seed(0)
    device = next(model.parameters()).device
    for level in LEVELS:
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


def _crate(architecture: CrateConfig, config: TrainConfig) -> tuple[nn.Module, list[dict]]:
    model = CrateDenoiser(architecture, config.sigma_range)
    return model, model.parameter_groups(config.learning_rate)


def _dncnn(architecture: DnCNNConfig, config: TrainConfig) -> tuple[nn.Module, list[dict]]:
    model = DnCNNDenoiser(architecture, config.sigma_range)
    return model, model.parameter_groups(config.learning_rate)


crate_gray = Recipe(
    "crate-gray",
    "gray photographs, CRATE encoder and decoder, squared loss",
    open_gray,
    _crate,
    CrateConfig(),
    TrainConfig(clip=CLIP, learning_rate=6e-3),
)
unet_gray_wide = Recipe(
    "unet-gray-wide",
    "gray photographs, unconstrained network of the size of crate-gray, squared loss",
    open_gray,
    unet,
    UNetConfig(channels=1, widths=(29, 48, 74, 109)),
    # at the default rate, as its smaller sisters have it, it was lost before the 1000th step
    TrainConfig(clip=CLIP, learning_rate=1e-3),
)
lpn_gray_wide = Recipe(
    "lpn-gray-wide",
    "gray photographs, learned proximal network of the size of crate-gray, squared loss",
    open_gray,
    lpn,
    MixtureConfig(components=40, bases=48, kept=36),
    TrainConfig(clip=CLIP),
)
dncnn_gray = Recipe(
    "dncnn-gray",
    "gray photographs, DnCNN of the size of crate-gray, squared loss",
    open_gray,
    _dncnn,
    DnCNNConfig(),
    TrainConfig(clip=CLIP),
)
