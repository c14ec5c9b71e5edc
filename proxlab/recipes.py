"""How each shipped model was made: data, architecture, loss, schedule. `proxlab train NAME`."""

import math
from collections.abc import Callable
from pathlib import Path

from torch import Tensor, nn

from proxlab import checkpoints
from proxlab.convex import MixturePotential
from proxlab.data import Patches, hold_out, load_color, load_gray
from proxlab.datasets import find_data
from proxlab.losses import ProximalMatching, balanced_absolute_error, balanced_squared_error
from proxlab.lpn import LPN
from proxlab.metrics import denoising_psnr
from proxlab.mixture_config import MixtureConfig
from proxlab.rivals import UNetConfig, UNetDenoiser
from proxlab.stages import Stage
from proxlab.train import Loss, TrainConfig, train

GAMMAS = (0.064, 0.032, 0.016, 0.008)
"""Of proximal matching, at sigma 25 / 255: from above the error there, 0.035, to well below."""
COLOR = MixtureConfig(bases=6, kept=48, channels=3)


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
    return _recipe(
        "lpn-gray",
        "gray photographs, learned proximal network, squared loss",
        load_gray,
        _lpn(architecture or MixtureConfig(), config),
        config,
        data,
        out,
        minutes=minutes,
        resume=resume,
        progress=progress,
        device=device,
    )


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
    model = checkpoints.load(start)
    if not isinstance(model, LPN):
        raise ValueError(f"proximal matching starts from a learned proximal network, not {start!r}")
    # Its noise levels are those of this training; the rest of it is kept.
    model = LPN(model.potential, config.sigma_range).requires_grad_(True).train()
    return _recipe(
        "lpn-gray-pm",
        f"gray photographs, learned proximal network, {start} then proximal matching",
        load_gray,
        (model, model.potential.parameter_groups(config.learning_rate)),
        config,
        data,
        out,
        loss=proximal_matching_stages(config),
        options=f" --start {start}",
        minutes=minutes,
        resume=resume,
        progress=progress,
        device=device,
    )


def lpn_color(
    data: Path | None = None,
    out: Path = Path("lpn-color"),
    *,
    config: TrainConfig | None = None,
    architecture: MixtureConfig | None = None,
    minutes: float = math.inf,
    resume: bool = False,
    progress: bool = False,
    device: str = "cpu",
) -> Path | None:
    """`lpn-color`: `lpn_gray` on photographs in colour; see there."""
    config = config or TrainConfig()
    return _recipe(
        "lpn-color",
        "colour photographs, learned proximal network, squared loss",
        load_color,
        _lpn(architecture or COLOR, config),
        config,
        data,
        out,
        minutes=minutes,
        resume=resume,
        progress=progress,
        device=device,
    )


def unet_gray(
    data: Path | None = None,
    out: Path = Path("unet-gray"),
    *,
    config: TrainConfig | None = None,
    architecture: UNetConfig | None = None,
    minutes: float = math.inf,
    resume: bool = False,
    progress: bool = False,
    device: str = "cpu",
) -> Path | None:
    """`unet-gray`: an unconstrained network, trained as `lpn_gray` is; see there."""
    config = config or TrainConfig()
    return _recipe(
        "unet-gray",
        "gray photographs, unconstrained network, squared loss",
        load_gray,
        _unet(architecture or UNetConfig(channels=1), config),
        config,
        data,
        out,
        minutes=minutes,
        resume=resume,
        progress=progress,
        device=device,
    )


def unet_color(
    data: Path | None = None,
    out: Path = Path("unet-color"),
    *,
    config: TrainConfig | None = None,
    architecture: UNetConfig | None = None,
    minutes: float = math.inf,
    resume: bool = False,
    progress: bool = False,
    device: str = "cpu",
) -> Path | None:
    """`unet-color`: an unconstrained network, trained as `lpn_color` is; see there."""
    config = config or TrainConfig()
    return _recipe(
        "unet-color",
        "colour photographs, unconstrained network, squared loss",
        load_color,
        _unet(architecture or UNetConfig(channels=3), config),
        config,
        data,
        out,
        minutes=minutes,
        resume=resume,
        progress=progress,
        device=device,
    )


def proximal_matching_stages(config: TrainConfig) -> list[Stage]:
    """The l1 loss for a third of the steps, then gamma halved stage by stage at a lower rate."""
    each = 2 * config.steps // (3 * len(GAMMAS))
    if each < 1:
        raise ValueError(f"proximal matching needs at least 6 steps, got {config.steps}")
    rate = config.learning_rate
    later = [Stage(ProximalMatching(gamma), rate / 3, each) for gamma in GAMMAS]
    return [Stage(balanced_absolute_error, rate, config.steps - each * len(GAMMAS)), *later]


def _lpn(architecture: MixtureConfig, config: TrainConfig) -> tuple[LPN, list[dict]]:
    """The network and its parameters as an optimiser takes them."""
    model = LPN(MixturePotential(architecture), config.sigma_range)
    return model, model.potential.parameter_groups(config.learning_rate)


def _unet(architecture: UNetConfig, config: TrainConfig) -> tuple[UNetDenoiser, list[dict]]:
    model = UNetDenoiser(architecture, config.sigma_range)
    return model, model.parameter_groups(config.learning_rate)


def _recipe(
    name: str,
    what: str,
    load: Callable[[Path], list[Tensor]],
    untrained: tuple[nn.Module, list[dict]],
    config: TrainConfig,
    data: Path | None,
    out: Path,
    *,
    loss: Loss | list[Stage] = balanced_squared_error,
    options: str = "",
    minutes: float,
    resume: bool,
    progress: bool,
    device: str,
) -> Path | None:
    """What all recipes share; they differ in what the model is called, sees and is made of."""
    for made in (out / f"{name}.safetensors", out / f"{name}.json"):
        if made.exists() and not resume:
            raise ValueError(f"{made} exists; choose another folder, or resume its run")
    images, held_out = hold_out(load(data or find_data("bsds400")))
    model, groups = untrained
    finished, spent = train(
        model.to(device),
        groups,
        Patches(images, config.patch),
        loss,
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
        "what": what,
        "data": f"{len(images)} images of {Path(data).name if data else 'bsds400'}",
        "command": f"proxlab train {name} --steps {config.steps}{options}",
        "steps": config.steps,
        "minutes": round(spent, 1),
        "held_out_psnr": denoising_psnr(model, held_out),
    }
    return checkpoints.save(out / name, model, about, overwrite=True)
