"""Restarts of a primal-dual algorithm from the means of its steps. [Applegate21]"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.protocols import PerImage, float_for_sums, per_image, select

LEAP, FALL = 0.2, 0.8
"""Shares of the gap at the last restart below which an image starts again: at once, and once the
gap has begun to rise."""


@dataclass
class Restarts:
    """Means of the steps since each image's last restart, and when to start again from there.

    Near a solution the steps turn around it, and their mean is far nearer to it. An image starts
    again where its gap has fallen to a fifth of that at the last restart, or to four fifths and
    has begun to rise: at the mean, if that has the smaller gap. [Applegate21]
    """

    sums: tuple[Tensor, ...]
    count: PerImage
    start: PerImage
    """Gap at the last restart."""
    before: PerImage
    """Gap at the last look since."""

    @staticmethod
    def at(*variables: Tensor) -> "Restarts":
        """No steps yet of these variables, [B, ...] each."""
        nothing = variables[0].new_zeros(len(variables[0]), dtype=float_for_sums(variables[0]))
        never = nothing + math.inf
        return Restarts(tuple(map(torch.zeros_like, variables)), nothing, never, never)

    def add(self, *variables: Tensor) -> None:
        """One more step."""
        self.count = self.count + 1
        for total, variable in zip(self.sums, variables, strict=True):
            total.add_(variable)

    def means(self) -> tuple[Tensor, ...]:
        """Means of the variables since each image's last restart."""
        return tuple(total / per_image(self.count, total) for total in self.sums)

    def restarted(self, gap: PerImage, gap_mean: PerImage, *variables: Tensor) -> tuple:
        """Images that moved to their means, [B], or None if none did, and the variables."""
        least = torch.minimum(gap, gap_mean)
        over = (least < LEAP * self.start) | ((least < FALL * self.start) & (least > self.before))
        if known_none(over):
            self.before = least
            return None, *variables
        to_mean = over & (gap_mean < gap)
        moved = tuple(
            torch.where(shaped(to_mean, old), new, old)
            for new, old in zip(self.means(), variables, strict=True)
        )
        self.before = torch.where(over, math.inf, least)
        self.start = torch.where(over, least, self.start)
        self.count = torch.where(over, 0, self.count)
        self.sums = tuple(total.masked_fill(shaped(over, total), 0) for total in self.sums)
        return None if known_none(to_mean) else to_mean, *moved

    def select(self, index: Tensor) -> "Restarts":
        """The same for those images of the batch."""
        return Restarts(*select(index, self.sums, self.count, self.start, self.before))


def shaped(mask: Tensor, like: Tensor) -> Tensor:
    """A mask of images [B] that broadcasts against a batch."""
    return mask.view(-1, *[1] * (like.ndim - 1))


def known_none(mask: Tensor) -> bool:
    """Whether no image is meant, where that is known: another device than a CPU is not waited for.

    What is done for the images of a mask does nothing where it holds none.
    """
    return mask.device.type == "cpu" and not bool(mask.any())
