"""How each shipped model was made: data, architecture, loss, schedule. `proxlab train NAME`."""

import math
from pathlib import Path

import torch
from torch import Tensor, nn

from proxlab import checkpoints
from proxlab.convex import MixtureConfig, MixturePotential
from proxlab.data import Patches, hold_out, load_gray
from proxlab.datasets import find_data
from proxlab.losses import ProximalMatching, balanced_absolute_error, balanced_squared_error
from proxlab.lpn import LPN
from proxlab.metrics import psnr
from proxlab.stages import Stage
from proxlab.train import TrainConfig, train

GAMMAS = (0.064, 0.032, 0.016, 0.008)
"""Of proximal matching, at sigma 25 / 255: from above the error there, 0.035, to well below."""
LEVELS = (5, 15, 25, 50)


def lpn_gray(
    data: Path | None = None,
    out: Path = Path("lpn-gray"),
    *,
    config: TrainConfig | None = None,
    architecture: MixtureConfig | None = None,
    minutes: float = math.inf,
    resume: bool = False,
    progress: bool = False,
    device: str = "cpu",
) -> Path | None:
    """`lpn-gray`: the mixture potential, squared loss, gray photographs, sigma 1 to 75 / 255.

    `data` is a folder of photographs (bsds400 of PROXLAB_DATA if None), `out` a folder for the run.
    Returns the model file, or None if `minutes` ended first. Raises as `proxlab.train.train`.
    """
    config = config or TrainConfig()
    for made in (out / "lpn-gray.safetensors", out / "lpn-gray.json"):
        if made.exists() and not resume:
            raise ValueError(f"{made} exists; choose another folder, or resume its run")
    images, held_out = hold_out(load_gray(data or find_data("bsds400")))
    model = LPN(MixturePotential(architecture or MixtureConfig()), config.sigma_range).to(device)
    finished, spent = train(
        model,
        model.potential.parameter_groups(config.learning_rate),
        Patches(images, config.patch),
        balanced_squared_error,
        config,
        out,
        evaluate=lambda m: {"held_out_psnr": denoising_psnr(m, held_out[:10])},
        minutes=minutes,
        resume=resume,
        progress=progress,
    )
    if not finished:
        return None
    about = {
        "what": "gray photographs, learned proximal network, squared loss",
        "data": f"{len(images)} images of {Path(data).name if data else 'bsds400'}",
        "command": f"proxlab train lpn-gray --steps {config.steps}",
        "steps": config.steps,
        "minutes": round(spent, 1),
        "held_out_psnr": denoising_psnr(model, held_out),
    }
    return checkpoints.save(out / "lpn-gray", model, about, overwrite=True)


def lpn_gray_pm(
    data: Path | None = None,
    out: Path = Path("lpn-gray-pm"),
    *,
    start: str | Path = "lpn-gray",
    config: TrainConfig | None = None,
    minutes: float = math.inf,
    resume: bool = False,
    progress: bool = False,
    device: str = "cpu",
) -> Path | None:
    """`lpn-gray-pm`: the model `start`, trained on by the l1 loss and by proximal matching.

    As `lpn_gray`; also raises ValueError if `start` is not a learned proximal network.
    """
    config = config or TrainConfig(learning_rate=1e-3)
    for made in (out / "lpn-gray-pm.safetensors", out / "lpn-gray-pm.json"):
        if made.exists() and not resume:
            raise ValueError(f"{made} exists; choose another folder, or resume its run")
    model = checkpoints.load(start)
    if not isinstance(model, LPN):
        raise ValueError(f"proximal matching starts from a learned proximal network, not {start!r}")
    images, held_out = hold_out(load_gray(data or find_data("bsds400")))
    # Its noise levels are those of this training; the rest of it is kept.
    model = LPN(model.potential, config.sigma_range).to(device).requires_grad_(True).train()
    finished, spent = train(
        model,
        model.potential.parameter_groups(config.learning_rate),
        Patches(images, config.patch),
        proximal_matching_stages(config),
        config,
        out,
        evaluate=lambda m: {"held_out_psnr": denoising_psnr(m, held_out[:10])},
        minutes=minutes,
        resume=resume,
        progress=progress,
    )
    if not finished:
        return None
    about = {
        "what": f"gray photographs, learned proximal network, {start} then proximal matching",
        "data": f"{len(images)} images of {Path(data).name if data else 'bsds400'}",
        "command": f"proxlab train lpn-gray-pm --steps {config.steps} --start {start}",
        "steps": config.steps,
        "minutes": round(spent, 1),
        "held_out_psnr": denoising_psnr(model, held_out),
    }
    return checkpoints.save(out / "lpn-gray-pm", model, about, overwrite=True)


def proximal_matching_stages(config: TrainConfig) -> list[Stage]:
    """The l1 loss for a third of the steps, then gamma halved stage by stage at a lower rate."""
    each = 2 * config.steps // (3 * len(GAMMAS))
    if each < 1:
        raise ValueError(f"proximal matching needs at least 6 steps, got {config.steps}")
    rate = config.learning_rate
    later = [Stage(ProximalMatching(gamma), rate / 3, each) for gamma in GAMMAS]
    return [Stage(balanced_absolute_error, rate, config.steps - each * len(GAMMAS)), *later]


def denoising_psnr(model: nn.Module, images: list[Tensor], seed: int = 0) -> dict[str, float]:
    """Mean PSNR over gray images (uint8 [H, W]) at sigma 5, 15, 25, 50 / 255, by level."""
    figures = {}
    where = next(model.parameters()).device
    for level in LEVELS:
        generator = torch.Generator().manual_seed(seed)
        values = []
        for image in images:
            clean = image[None, None] / 255
            noisy = clean + level / 255 * torch.randn(clean.shape, generator=generator)
            with torch.no_grad():
                estimate = model(noisy.to(where), level / 255).cpu()
            values.append(float(psnr(estimate, clean)))
        figures[str(level)] = round(sum(values) / len(values), 3)
    return figures
