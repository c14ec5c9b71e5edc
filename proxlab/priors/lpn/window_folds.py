"""Sums over windows of what each of them sees of a pixel, squared: for the diagonal of a Hessian.

A window that crosses the border sees pixels twice, as themselves and in the mirror. What it sees is
folded onto the image before it is squared: (a + b)^2, not a^2 + b^2. Windows that lie inside have
nothing to fold, and are taken together.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from proxlab.priors.lpn import windows
from proxlab.priors.lpn.window_sums import WINDOW
from proxlab.priors.lpn.windows import WINDOW_STRIDE
from proxlab.priors.mirror import mirrored

EDGE = WINDOW - WINDOW_STRIDE
"""Pixels by which the image is continued before its first row and column."""


class Patches(NamedTuple):
    """The square that is looked at of each window, [C, side, side]."""

    start: int
    """Pixels from the corner of the first window to that of its square."""
    side: int
    channels: int

    def seen(self, group: "Group") -> tuple[slice, slice]:
        """Rows and columns of the extended image that the squares of a group cover."""
        rows, columns = (
            slice(2 * p.start + self.start, 2 * (p.stop - 1) + self.start + self.side)
            for p in group.at
        )
        return rows, columns


class Lines(NamedTuple):
    """Neighbouring rows, or columns, of windows that cross the border alike."""

    within: slice
    fold: Tensor | None
    """Sums on the image of a line of their squares, [side, side]; None: itself."""


class Group(NamedTuple):
    """Windows on a part of their grid, `count` of them."""

    rows: Lines
    columns: Lines

    @property
    def at(self) -> tuple[slice, slice]:
        """Rows and columns of the grid."""
        return self.rows.within, self.columns.within

    def grown(self, by: int, start: int = 0) -> tuple[slice, slice]:
        """The same, `start` farther on and with `by` more rows and columns."""
        rows, columns = (slice(p.start + start, p.stop + start + by) for p in self.at)
        return rows, columns

    def folded(self, x: Tensor, patches: Patches) -> Tensor:
        """Squares [..., C * side * side] added up on the image, each pixel at one place."""
        if self.rows.fold is None and self.columns.fold is None:
            return x
        square = x.unflatten(-1, (patches.channels, patches.side, patches.side))
        if self.rows.fold is not None:
            square = self.rows.fold @ square
        if self.columns.fold is not None:
            square = square @ self.columns.fold.T
        return square.flatten(-3)


class PixelSums:
    """A number for each pixel of an image, [1, C, H, W], to which windows add."""

    def __init__(self, q: Tensor, size: tuple[int, int], channels: int):
        """`q` are the multiplicities of the windows, [h, w]."""
        self.q, self.size = q, size
        self.extended = q.new_zeros(1, channels, *(2 * (n - 1) + WINDOW for n in q.shape))

    def total(self) -> Tensor:
        """The sum, [1, C, H, W]."""
        return windows.fold(F.pixel_unshuffle(self.extended, 2), WINDOW, *self.size)

    def groups(self, patches: Patches, most: int) -> Iterator[Group]:
        """All windows, at most `most` rows and columns of them at a time."""
        rows, columns = (
            _lines(length, n, patches, most, self.q)
            for length, n in zip(self.size, self.q.shape, strict=True)
        )
        for row in rows:
            for column in columns:
                yield Group(row, column)

    def add(self, group: Group, patches: Patches, numbers: Tensor) -> None:
        """Add numbers [C * side * side, n] at the pixels of the squares of a group."""
        where = (..., *patches.seen(group))
        size = self.extended[where].shape[-2:]
        self.extended[where] += F.fold(numbers[None], size, patches.side, stride=WINDOW_STRIDE)

    def add_squares(self, patches: Patches, filters: Tensor, weights: Tensor) -> None:
        """Add weights [K, h, w] times the squares of filters [K, C * side * side]."""
        for group in self.groups(patches, max(self.q.shape)):
            seen = group.folded(filters, patches)
            self.add(group, patches, seen.square().T @ weights[(slice(None), *group.at)].flatten(1))


def _lines(length: int, count: int, patches: Patches, most: int, like: Tensor) -> list[Lines]:
    """Rows or columns of windows, those that cross the border one by one."""
    one = torch.eye(patches.side, dtype=like.dtype, device=like.device)
    found: list[Lines] = []
    for n in range(count):
        place = torch.arange(patches.side) + (WINDOW_STRIDE * n + patches.start - EDGE)
        pixel = mirrored(place, length).tolist()
        first = [pixel.index(p) for p in pixel]
        if first != list(range(patches.side)):
            found.append(Lines(slice(n, n + 1), one[:, first]))
        elif found and found[-1].fold is None and n - found[-1].within.start < most:
            found[-1] = Lines(slice(found[-1].within.start, n + 1), None)
        else:
            found.append(Lines(slice(n, n + 1), None))
    return found
