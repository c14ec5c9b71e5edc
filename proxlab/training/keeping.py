"""Files that a training leaves as it goes on: its state, its log, and the best of its weights."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from proxlab.training.average import Average
from proxlab.training.held_out import HeldOut, Judged, judge
from proxlab.training.losses import Loss
from proxlab.training.pace import ByMinutes, Pace
from proxlab.training.state import Done, StateFile

Keep = Callable[[Judged, float], object]
"""(best weights so far, minutes so far) -> anything; called while the model has these weights."""


def not_kept(best: Judged, minutes: float) -> None:
    """Nothing: what is done with the best weights so far where nobody asks for more."""


class Clock:
    """Minutes of a training, those before a resumption included."""

    def __init__(self, before: float):
        self.before, self._started = before, monotonic()

    @property
    def now(self) -> float:
        """Minutes in all."""
        return self.before + self.here

    @property
    def here(self) -> float:
        """Minutes since it was begun or resumed."""
        return (monotonic() - self._started) / 60


@dataclass
class Keeping:
    """Files that the first process of a training keeps, in the folder `out`."""

    out: Path
    state: StateFile
    average: Average
    pace: Pace
    clock: Clock
    held_out: HeldOut | None
    keep: Keep
    best: Judged | None

    def save(self, done: int) -> None:
        """Write the state after so many steps."""
        pace = self.pace
        stage = (pace.index, pace.since) if isinstance(pace, ByMinutes) else (0, 0)
        self.state.save(Done(done, self.clock.now, stage, self.best))

    def judge(self, done: int, index: int, loss: Loss, entered: bool) -> None:
        """Judge the averaged weights after so many steps, and keep them if they are the best.

        index, loss: of the stage; entered: whether they may end the training as its best.
        """
        began = self.clock.now
        with self.average.in_place():
            found = judge(self.average.model, loss, self.held_out, index, done)
        self.pace.judged(began, self.clock.now)
        better = found.better(self.best)
        if better and entered:
            self.best = found
        self.save(done)  # first, so that a run that is killed and resumed knows what is kept
        if better:
            with self.average.in_place():
                self.keep(found, self.clock.now)
        if self.held_out:
            self.note(done, found.told())

    def note(self, done: int, figures: dict) -> None:
        """Write a line of the log."""
        line = {"step": done, "minutes": self.clock.now} | figures
        with open(self.out / "log.jsonl", "a") as log:
            log.write(json.dumps(line) + "\n")
