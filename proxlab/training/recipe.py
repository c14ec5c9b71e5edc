"""A recipe: how one shipped model is made, from data to a model file with its card.

    lpn_gray = Recipe("lpn-gray", "gray photographs, ...", prepare, MixtureConfig(), TrainConfig())
    lpn_gray(Path("photos"), Path("out"), run=Run(minutes=30))

What recipes of a family share is their `prepare`; what all share is here.
"""

import logging
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import torch
from torch import nn

from proxlab import checkpoints
from proxlab.training import processes
from proxlab.training.config import DEFAULT_RUN, Loop, Run
from proxlab.training.held_out import Judged
from proxlab.training.loop import Task, Trained, check_unbegun, train

LOG = logging.getLogger(__name__)
S = TypeVar("S")
"""Type of what a recipe starts from."""
C = TypeVar("C", bound=Loop)
"""Type of its configuration."""
UNFINISHED = {"unfinished": "the best weights so far of a training that went on or was interrupted"}
"""Entry of the card of a model whose training has not ended."""


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
    held_out: str = ""
    """The held-out data in words, where they are not a part that every reader knows."""


@dataclass(frozen=True)
class Sizing(Generic[S, C]):
    """The way a recipe is made for images of another size: `proxlab train proxdm --size 64`."""

    sized: Callable[[int, bool], tuple[S, C]]
    """(side in pixels, whether in colour) -> start and configuration. Raises ValueError for a side
    that cannot be."""
    words: Callable[[S], str]
    """Such a start -> the options that ask for it."""


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
    sizing: Sizing[S, C] | None = None
    """The same for images of any size, where it is meant for that."""

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
        the recipe's own. Returns the model file, or None if `run.pause` ended first. From the first
        judgement on the file holds the best weights so far, however the training ends.
        Raises ValueError where a model lies already and is not resumed, and as `loop.train`;
        KeyboardInterrupt, which names the file, where it is interrupted.
        """
        out, config, start = Path(out or self.name), config or self.config, start or self.start
        check_unmade(out, self.name, run.resume)
        prepared = self.prepare(start, config, data, run)
        check_unbegun(out, run.resume)
        if prepared.held_out and processes.rank() == 0:
            LOG.info("held out to judge by: %s", prepared.held_out)
        options = self._options(start, config, data, run)
        made = out / f"{self.name}.safetensors"

        def save(figures: dict, steps: int, minutes: float) -> Path:
            apart = {"held_out": prepared.held_out} if prepared.held_out else {}
            about = {
                "what": self.what.format(start=start),
                "data": prepared.data,
                **apart,
                "command": f"proxlab train {self.name}{options}",
                **_spent(steps, minutes, run.device),
                **figures,
            }
            return checkpoints.save(made, prepared.model, about, overwrite=True)

        def keep(best: Judged, minutes: float) -> None:
            save({**best.told(), **UNFINISHED}, best.step, minutes)

        def finish(trained: Trained) -> Path:
            best = trained.best
            told = {**best.told(), "best_step": best.step} if best else {}
            return save({**told, **prepared.figures()}, trained.steps, trained.minutes)

        try:
            trained = train(prepared.task, config, out, run, keep)
            return processes.first_makes(lambda: finish(trained)) if trained.finished else None
        except KeyboardInterrupt as error:
            if not made.exists():
                raise
            raise type(error)(f"{made} holds the best so far; go on with --resume") from error

    def _options(self, start: S, config: C, data: Path | None, run: Run) -> str:
        """The options of the command that does the same."""
        length = (
            f" --steps {config.steps}" if run.minutes is None else f" --minutes {run.minutes:g}"
        )
        going_on = f" --start {start}" if isinstance(start, str | Path) else ""
        size = self.sizing.words(start) if self.sizing else ""
        place = f" --data {shlex.quote(str(data))}" if data else ""
        return f"{length} --batch {config.batch}{size}{going_on}{place}"


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
