"""The file that a training run is kept in, to go on from after it was stopped."""

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from proxlab.images.admission import regular_file
from proxlab.images.files import writing
from proxlab.training.held_out import Judged

ENTRIES = {"config", "step", "minutes", "model", "average", "optimiser"}
"""Names of what every such file holds; those of older versions hold nothing else."""


class Done(NamedTuple):
    """Progress of a run."""

    step: int
    """Steps taken."""
    minutes: float
    """Minutes that they took."""
    stage: tuple[int, int] = (0, 0)
    """The stage that it is in and the step this began with, of a run by the clock."""
    best: Judged | None = None
    """The best weights so far."""


@dataclass(frozen=True)
class StateFile:
    """The state of a run as it stands, and the file it is written to and read from."""

    path: Path
    config: dict
    """The configuration as JSON has it; the file of a run is that of one configuration."""
    model: nn.Module
    optimiser: torch.optim.Optimizer
    average: dict[str, Tensor]
    """Averaged weights by name."""

    def save(self, done: Done) -> None:
        """Write the file. An interrupt leaves the one before it whole."""
        state = {
            "config": self.config,
            "step": done.step,
            "minutes": done.minutes,
            "model": self.model.state_dict(),
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
            "stage": list(done.stage),
            "best": None if done.best is None else tuple(done.best),
        }
        with writing(self.path, overwrite=True) as temporary:
            # In memory first: torch's own writer tells nobody that a disk is full.
            buffer = io.BytesIO()
            torch.save(state, buffer)
            temporary.write_bytes(buffer.getbuffer())

    def restore(self) -> Done:
        """Read the file into model, optimiser and average, in place.

        Raises ValueError for a file of another kind, and for a run of another configuration.
        """
        state = _read(self.path)
        if state["config"] != self.config:
            raise ValueError(
                f"{self.path} was made with another configuration, {state['config']}; resume with "
                "that one or choose another folder"
            )
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        for name, value in state["average"].items():
            self.average[name].copy_(value)
        best = state.get("best")
        index, since = state.get("stage", (0, 0))
        kept = None if best is None else Judged(*best)
        return Done(state["step"], state["minutes"], (index, since), kept)


def _read(path: Path) -> dict:
    """The content by name; no code in the file is run.

    Raises ValueError for another content, on which torch raises whatever it stumbles over.
    """
    regular_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            state = torch.load(path, weights_only=True, map_location="cpu")
        if lacking := ENTRIES - set(state):
            raise ValueError(f"it lacks {', '.join(sorted(lacking))}")
    except Exception as error:
        reason = str(error).split(". ")[0].split("\n")[0] or type(error).__name__
        raise ValueError(
            f"{path} is damaged or not the state of a training run ({reason}); remove it, or "
            "choose another folder"
        ) from error
    return state
