"""The pace of a training: by a number of steps, or by the clock, which its learning rate follows.

A pace says where in its stages a step is, when the weights are judged by held-out data, and when
the training is over.
"""

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from proxlab.training.config import MOST
from proxlab.training.stages import Stage, stage_at

EARLY = (2, 4, 8, 16, 32)
"""Parts of the first interval at which, by steps, the weights are judged too, so that a training
that is stopped soon leaves a model."""
FIRST = 1 / 6
"""Minutes by the clock before they are first judged, or an `OFTEN`-th of a short training."""
OFTEN = 24
"""Times by the clock that they are judged at least, unless judging takes too long."""
WORTH = 10
"""Minutes by the clock, of which judging takes one at most."""


class Place(NamedTuple):
    """The place of a step in its training."""

    index: int
    """Number of its stage."""
    stage: Stage
    within: int
    """Steps of that stage that came before."""
    rate: float
    """Learning rate, as a share of that of the stage."""


@dataclass(frozen=True)
class BySteps:
    """A training of so many steps; the same steps are judged however often it is resumed."""

    stages: list[Stage]
    every: int
    """Steps from one judgement to the next."""

    @property
    def steps(self) -> int:
        """Steps in all."""
        return sum(stage.steps for stage in self.stages)

    def place(self, step: int, minutes: float) -> Place:
        """The place of a step, `minutes` after the beginning."""
        index, within = stage_at(self.stages, step)
        stage = self.stages[index]
        return Place(index, stage, within, stage.rate(within, within / stage.steps))

    def over(self, done: int, minutes: float) -> bool:
        """Whether the training is over after so many steps and minutes."""
        return done >= self.steps

    def judges(self, done: int, minutes: float) -> bool:
        """Whether the weights are judged after so many steps and minutes."""
        return done % self.every == 0 or done in {self.every // part for part in EARLY}

    def judged(self, before: float, after: float) -> None:
        """Nothing: steps cost what they cost."""


@dataclass
class ByMinutes:
    """A training of so many minutes: stages are shares of them, and judging is counted in."""

    stages: list[Stage]
    minutes: float
    index: int = 0
    """Number of the stage that it is in; it does not go back when more minutes are given."""
    since: int = 0
    """Step that the stage began with."""
    last: float = 0.0
    """Minutes at which the weights were last judged."""
    lasted: float = 0.0
    """Minutes that this took."""

    @property
    def steps(self) -> int:
        """More steps than any training takes."""
        return MOST

    def place(self, step: int, minutes: float) -> Place:
        """The place of a step, `minutes` after the beginning."""
        share, ends = minutes / self.minutes, list(accumulate(s.steps for s in self.stages))
        index = min(bisect_right(ends, share * ends[-1]), len(ends) - 1)
        if index > self.index:
            self.index, self.since = index, step
        stage, begun = self.stages[self.index], ends[self.index] - self.stages[self.index].steps
        over = min(max((share * ends[-1] - begun) / stage.steps, 0.0), 1.0)
        return Place(self.index, stage, step - self.since, stage.rate(step - self.since, over))

    def over(self, done: int, minutes: float) -> bool:
        """Whether the training is over: after the next judgement, its time would be."""
        return done > 0 and minutes + self.lasted >= self.minutes

    def judges(self, done: int, minutes: float) -> bool:
        """Whether the weights are judged now: at first soon, later every `OFTEN`-th of the time."""
        soon = min(self.minutes / OFTEN, max(FIRST, self.last / 2))
        return minutes - self.last >= max(soon, WORTH * self.lasted)

    def judged(self, before: float, after: float) -> None:
        """Notes from when to when the weights were judged, minutes after the beginning."""
        self.last, self.lasted = after, after - before


Pace = BySteps | ByMinutes
