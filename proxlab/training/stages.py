"""Stages of a training, each with a loss, a learning rate and a number of steps of its own."""

import math
from dataclasses import dataclass

from proxlab.training.losses import Loss


@dataclass(frozen=True)
class Stage:
    """A part of a training with a loss and a learning rate of its own."""

    loss: Loss
    learning_rate: float
    """Rate in place of the configuration's; warm-up and decline are within the stage."""
    steps: int

    def __post_init__(self):
        if self.steps < 1:
            raise ValueError(f"a stage has at least 1 step, got {self.steps}")
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"a learning rate is positive, got {self.learning_rate}")

    def rate(self, step: int, share: float) -> float:
        """The learning rate of a step of this stage, as a share of `learning_rate`.

        step: its number within the stage, for the warm-up; share: how much of the stage is over, 0
        to 1, for the decline in its second half.
        """
        return min(1.0, (step + 1) / 50, max(0.02, 2 * (1 - share)))


def stage_at(stages: list[Stage], step: int) -> tuple[int, int]:
    """The number of the stage that a step of the whole training is in, and the step's within it."""
    for index, stage in enumerate(stages):
        if step < stage.steps:
            return index, step
        step -= stage.steps
    raise AssertionError("steps end with the stages")
