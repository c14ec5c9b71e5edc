"""From a folder of images to a model file with its card: what all recipes share."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from proxlab import checkpoints, processes
from proxlab.data import NoisyPatches, Patches, hold_out
from proxlab.losses import balanced_squared_error
from proxlab.metrics import LEVELS, denoising_psnr
from proxlab.stages import Stage
from proxlab.train import Loop, Loss, TrainConfig, check_unmade, train


def train_and_save(
    name: str,
    what: str,
    load: Callable[[Path], list[Tensor]],
    untrained: tuple[nn.Module, list[dict]],
    config: TrainConfig,
    data: Path,
    out: Path,
    *,
    levels: tuple[float, ...] = LEVELS,
    scale: dict | None = None,
    loss: Loss | list[Stage] = balanced_squared_error,
    options: str = "",
    finish: Callable[[nn.Module, list[Tensor]], dict] | None = None,
    minutes: float,
    resume: bool,
    progress: bool,
    device: str,
) -> Path | None:
    """Train `untrained`, the model and its parameter groups, on `data`; save it with its card.

    One image in 20 is held out for its figures, `levels` of 255. `finish` is given the trained
    model and those images; it may set what is chosen by them, and its answer goes to the card.
    Returns the model file, or None if `minutes` ended first. Raises ValueError where one lies
    already, and as `proxlab.train.train`.
    """
    check_unmade(out, name, resume)
    images, held_out = hold_out(load(data))
    folder = "/".join(Path(data).parts[-2:]) if Path(data).name == "train" else Path(data).name
    model, groups = untrained
    finished, spent = train(
        model.to(device),
        groups,
        NoisyPatches(Patches(images, config.patch), config.sigma_range).draw,
        loss,
        config,
        out,
        evaluate=lambda m: {"held_out_psnr": denoising_psnr(m, held_out[:10], levels=levels)},
        minutes=minutes,
        resume=resume,
        progress=progress,
    )
    if not finished:
        return None

    def save() -> Path:
        found = finish(model, held_out) if finish else {}
        about = {
            "what": what,
            "data": f"{len(images)} images of {folder}",
            **how_made(name, config, spent, device, options),
            "held_out_psnr": denoising_psnr(model, held_out, levels=levels),
        }
        about |= found | (scale or {})
        return checkpoints.save(out / name, model, about, overwrite=True)

    return processes.first_makes(save)


def how_made(name: str, config: Loop, minutes: float, device: str, options: str = "") -> dict:
    """For the card of a model: the command that trains it again, and what that took."""
    on_gpu = torch.device(device).type == "cuda"
    return {
        "command": f"proxlab train {name} --steps {config.steps} --batch {config.batch}{options}",
        "steps": config.steps,
        "minutes": round(minutes, 1),
        "device": torch.cuda.get_device_name(device) if on_gpu else device,
        **({"processes": processes.count()} if processes.count() > 1 else {}),
    }
