"""Length and pace of the training of a diffusion network, and what images of any size are given."""

import math
from dataclasses import dataclass

from proxlab.diffusion.network import DiffusionNetConfig
from proxlab.training.config import check_counts

SIDES, FOLD, COARSEST = (8, 256), 2, 7
"""Sides of images of any size, least and largest; side of the squares of pixels that the network
takes for one, and least side of its coarsest scale."""
PIXELS = 128 * 32**2
"""Pixels a step, of images of any size: those of `proxdm-color`."""


@dataclass(frozen=True)
class DiffusionTraining:
    """Length and pace of the training of a diffusion network."""

    steps: int = 8_000
    batch: int = 128
    learning_rate: float = 1e-3
    """Learning rate of Adam in the first stage; half of it in the second, a third in the third."""
    ema: float = 0.999
    """Decay of the exponential moving average of the weights, which is what is shipped."""
    clip: float = 1.0
    """Largest norm of a gradient, taken over all parameters; a longer one is shortened."""
    candidates: tuple[int, ...] = (5, 10, 20, 50, 100)
    """Numbers of sampling steps whose uniform grids a prox is trained for."""
    few: tuple[int, ...] = (3, 5, 10, 20, 50)
    """Numbers of restricted steps whose grids it is trained for beside them; () for none."""
    seed: int = 0
    checkpoint_every: int = 250
    evaluate_every: int = 1000

    def __post_init__(self):
        check_counts(self)
        if self.steps < 4:
            raise ValueError(f"proximal matching needs at least 4 steps, got {self.steps}")
        if not self.candidates or min(self.candidates) < 1:
            raise ValueError(f"candidates are numbers of steps, at least 1, got {self.candidates}")
        if self.few and min(self.few) < 1:
            raise ValueError(f"few are numbers of steps, at least 1, got {self.few}")


def of_size(side: int, colour: bool) -> tuple[DiffusionNetConfig, DiffusionTraining]:
    """Network and training for images of that side, which one core can train.

    At half the side, where the network begins, it has 32 feature maps, and 64 at each coarser scale
    down to 7 pixels or a few more. A step has about as many pixels at every size, and so takes
    about as long. Raises ValueError for a side that is not between 8 and 256 or that the scales do
    not divide.
    """
    if not SIDES[0] <= side <= SIDES[1]:
        raise ValueError(
            f"a diffusion is trained at sides of {SIDES[0]} to {SIDES[1]} pixels, got {side}; "
            "reduce larger images, and enlarge samples"
        )
    scales = max(1, int(math.log2(side / FOLD / COARSEST)) + 1)
    unit = FOLD * 2 ** (scales - 1)
    if side % unit:
        near = sorted({side // unit * unit, (side // unit + 1) * unit})
        raise ValueError(
            f"a side of {side} pixels is not divided by {unit}, as {scales} scales need; take "
            f"{' or '.join(map(str, near))}"
        )
    network = DiffusionNetConfig(
        side=side, channels=3 if colour else 1, fold=FOLD, multipliers=(1, *[2] * (scales - 1))
    )
    return network, DiffusionTraining(batch=max(4, min(128, PIXELS // side**2)))


def size_words(start: DiffusionNetConfig) -> str:
    """The options of `proxlab train` that ask for such images."""
    return f" --size {start.side}" + " --color" * (start.channels == 3)
