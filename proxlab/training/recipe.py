"""A recipe: how one shipped model is made, from data to a model file with its card.

    lpn_gray = Recipe("lpn-gray", "gray photographs, ...", prepare, MixtureConfig(), TrainConfig())
    lpn_gray(Path("photos"), Path("out"), run=Run(minutes=30))

What recipes of a family share is their `prepare`; what all share is here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import torch
from torch import nn

from proxlab import checkpoints
from proxlab.training import processes
from proxlab.training.config import DEFAULT_RUN, Loop, Run
from proxlab.training.loop import Task, train

S = TypeVar("S")
"""Type of what a recipe starts from."""
C = TypeVar("C", bound=Loop)
"""Type of its configuration."""


class Prepared(NamedTuple):
    """A training that is ready to begin, and what the card of its model will say."""

    task: Task
    model: nn.Module
    """The model that is saved: that of the task, or a part of it."""
    data: str
    """The training data in words: "380 images of bsds400"."""
    figures: Callable[[], dict]
    """Entries of the card on how good the trained model is; called once, at the end, by the first
    process alone. It may also set what is chosen by held-out data."""


@dataclass(frozen=True)
class Recipe(Generic[S, C]):
    """The way a model is made; calling it trains the model and saves it."""

    name: str
    """Name of the model, of its files and of the recipe on the command line."""
    what: str
    """A line for its card and for `proxlab models`; "{start}" is the model that it goes on from."""
    prepare: Callable[[S, C, Path | None, Run], Prepared]
    """(start, configuration, data, run) -> a training; data of None lie in PROXLAB_DATA."""
    start: S
    """The configuration of the untrained network, or a model to go on from, by its name or file."""
    config: C

    @property
    def goes_on(self) -> bool:
        """Whether it trains a model further, and not from scratch."""
        return isinstance(self.start, str | Path)

    def __call__(
        self,
        data: Path | None = None,
        out: Path | None = None,
        *,
        config: C | None = None,
        start: S | None = None,
        run: Run = DEFAULT_RUN,
    ) -> Path | None:
        """Train on the images at `data` (those of PROXLAB_DATA if None) in the folder `out`.

        `out` is by default a folder of the recipe's name, here. `config` and `start` stand in for
        the recipe's own. Returns the model file, or None if `run.minutes` ended first. Raises
        ValueError where a model lies already and is not resumed, and as `loop.train`.
        """
        out, config, start = Path(out or self.name), config or self.config, start or self.start
        check_unmade(out, self.name, run.resume)
        task, model, data_in_words, figures = self.prepare(start, config, data, run)
        finished, minutes = train(task, config, out, run)
        if not finished:
            return None

        def save() -> Path:
            option = f" --start {start}" if isinstance(start, str | Path) else ""
            about = {
                "what": self.what.format(start=start),
                "data": data_in_words,
                "command": f"proxlab train {self.name} --steps {config.steps} "
                f"--batch {config.batch}{option}",
                **_spent(config.steps, minutes, run.device),
                **figures(),
            }
            return checkpoints.save(out / self.name, model, about, overwrite=True)

        return processes.first_makes(save)


def check_unmade(out: Path, name: str, resume: bool) -> None:
    """Raises ValueError if `out` holds the model `name` already and its run is not resumed."""
    for made in (out / f"{name}.safetensors", out / f"{name}.json"):
        if made.exists() and not resume:
            raise ValueError(f"{made} exists; choose another folder, or resume its run")


def _spent(steps: int, minutes: float, device: str) -> dict:
    """Entries of the card on what the training took."""
    on_gpu = torch.device(device).type == "cuda"
    return {
        "steps": steps,
        "minutes": round(minutes, 1),
        "device": torch.cuda.get_device_name(device) if on_gpu else device,
        **({"processes": processes.count()} if processes.count() > 1 else {}),
    }
