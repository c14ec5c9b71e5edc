"""Settings of a training: how long and how hard, which decides the weights, and how it is run.

A run is resumed with the configuration it began with alone. Its `Run` may be another each time:
pauses, progress and device change the weights by rounding at most. Minutes take the place of the
steps of the configuration, and may be more when it is resumed.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol


class Loop(Protocol):
    """The part of a configuration that the loop reads; any dataclass with these fields will do."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def steps(self) -> int:
        """Steps in all."""
        ...

    @property
    def batch(self) -> int:
        """Pairs a step, of all processes together."""
        ...

    @property
    def learning_rate(self) -> float:
        """Learning rate of Adam."""
        ...

    @property
    def ema(self) -> float:
        """Decay of the moving average of the weights."""
        ...

    @property
    def clip(self) -> float:
        """Largest norm of a gradient."""
        ...

    @property
    def seed(self) -> int:
        """Seed of what is drawn."""
        ...

    @property
    def checkpoint_every(self) -> int:
        """Steps from one saved state to the next."""
        ...

    @property
    def evaluate_every(self) -> int:
        """Steps from one line of the log to the next."""
        ...


@dataclass(frozen=True)
class TrainConfig:
    """Length and pace of a training, and its noise levels."""

    steps: int = 10_000
    batch: int = 8
    patch: int = 64
    """Side of the patches, pixels."""
    sigma_range: tuple[float, float] = (1 / 255, 75 / 255)
    """Noise levels of the training pairs, image units; drawn uniformly in their square roots."""
    learning_rate: float = 3e-3
    """Learning rate of Adam: constant after a warm-up of 50 steps, then linear to 2 % over the
    second half."""
    ema: float = 0.998
    """Decay of the exponential moving average of the weights, which is what is shipped."""
    clip: float = math.inf
    """Largest norm of a gradient, taken over all parameters; a longer one is shortened."""
    seed: int = 0
    checkpoint_every: int = 250
    evaluate_every: int = 1000

    def __post_init__(self):
        low, high = self.sigma_range
        if not 0 < low <= high < 1:
            raise ValueError(
                f"sigma_range is in image units, expected 0 < low <= high < 1, got {low}, {high}; "
                "divide by 255?"
            )
        check_counts(self)
        if self.patch < 1:
            raise ValueError(f"patch is at least 1, got {self.patch}")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema is a decay, expected 0 <= ema < 1, got {self.ema}")
        if not self.clip > 0:
            raise ValueError(f"clip is the largest norm of a gradient, positive, got {self.clip}")


@dataclass(frozen=True)
class Run:
    """Circumstances of a training; by default the whole of it, in silence, on the CPU."""

    minutes: float | None = None
    """Minutes that it takes in all, resumptions included, which its learning rate follows; None to
    take the steps of its configuration."""
    resume: bool = False
    """Whether to go on from the state in its folder, if there is one."""
    progress: bool = False
    """Whether to show a bar on stderr."""
    device: str = "cpu"
    pause: float = math.inf
    """Minutes after which it stops unfinished, its state saved, to be resumed."""

    def __post_init__(self):
        if self.minutes is not None and not 0 < self.minutes < math.inf:
            raise ValueError(f"minutes are positive and finite, got {self.minutes}")


DEFAULT_RUN = Run()
MOST = 2**31 - 1
"""The largest count that every part of a training can hold."""


def check_counts(config: Loop) -> None:
    """Raises ValueError unless steps, batch and intervals of a configuration are 1 to `MOST`."""
    counts = {
        "steps": config.steps,
        "batch": config.batch,
        "checkpoint_every": config.checkpoint_every,
        "evaluate_every": config.evaluate_every,
    }
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} is at least 1, got {count}")
        if count > MOST:
            raise ValueError(f"{name} is at most {MOST}, got {count}")
