"""From a folder of images to a model file with its card: what all recipes share."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from proxlab import checkpoints
from proxlab.images.folders import hold_out
from proxlab.images.metrics import LEVELS, denoising_psnr
from proxlab.images.stored import StoredImages
from proxlab.training import processes
from proxlab.training.draws import spare_threads
from proxlab.training.loop import Loop, Loss, TrainConfig, check_unmade, train
from proxlab.training.losses import balanced_squared_error
from proxlab.training.patches import NoisyPatches, Patches
from proxlab.training.stages import Stage


def train_and_save(
    name: str,
    what: str,
    load: Callable[[Path], Sequence[Tensor]],
    untrained: tuple[nn.Module, list[dict]],
    config: TrainConfig,
    data: Path,
    out: Path,
    *,
    levels: tuple[float, ...] = LEVELS,
    scale: dict | None = None,
    loss: Loss | list[Stage] = balanced_squared_error,
    options: str = "",
    finish: Callable[[nn.Module, Sequence[Tensor]], dict] | None = None,
    minutes: float,
    resume: bool,
    progress: bool,
    device: str,
) -> Path | None:
    """Train `untrained`, the model and its parameter groups, on `data`; save it with its card.

    One image in 20 is held out for its figures, `levels` of 255. `finish` is given the trained
    model and those images; it may set what is chosen by them, and its answer goes to the card.
    Returns the model file, or None if `minutes` ended first. Raises ValueError where one lies
    already, and as `loop.train`.
    """
    check_unmade(out, name, resume)
    images, held_out, said, ahead = open_split(load, data, device, progress)
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
        ahead=ahead,
    )
    if not finished:
        return None

    def save() -> Path:
        found = finish(model, held_out) if finish else {}
        about = {
            "what": what,
            "data": said,
            **how_made(name, config, spent, device, options),
            "held_out_psnr": denoising_psnr(model, held_out, levels=levels),
        }
        about |= found | (scale or {})
        return checkpoints.save(out / name, model, about, overwrite=True)

    return processes.first_makes(save)


class Split(NamedTuple):
    """Images to train on and those held out."""

    images: Sequence[Tensor]
    held_out: Sequence[Tensor]
    said: str
    """For the card: "380 images of bsds400"."""
    ahead: int
    """Steps to draw in advance."""


def open_split(
    load: Callable[[Path], Sequence[Tensor]], data: Path, device: str, progress: bool
) -> Split:
    """What `load` finds at `data`, divided; with `progress`, stderr is told if it stays on disk.

    It is then decoded ahead where a GPU trains; else training has the cores already.
    """
    found = load(data)
    images, held_out = hold_out(found)
    place = Path(data)
    # Of a part of a data set, "train" or "shard-0000.tar", the name alone says little.
    part = place.name == "train" or not place.is_dir()
    said = f"{len(images)} images of {'/'.join(place.parts[-2:]) if part else place.name}"
    if not isinstance(found, StoredImages):
        return Split(images, held_out, said, 0)
    if progress:
        print(
            f"{len(found)} images are {found.nbytes / 2**30:.3g} GiB decoded: they are read as "
            f"they are drawn, and the last {found.cache.most / 2**30:.3g} GiB kept",
            file=sys.stderr,
        )
    on_gpu = torch.device(device).type == "cuda"
    return Split(images, held_out, said, spare_threads() if on_gpu else 0)


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
