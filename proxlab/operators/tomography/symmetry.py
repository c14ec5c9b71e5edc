"""Views that are one another's mirror images, so that one matrix serves up to four of them.

If a turn or mirror M maps the pixels onto themselves, the view along M n of an image is the view
along n of the image turned back. So a quarter of the views is stored, and multiplied with four
turned images at a time, which costs less than four products: the matrix is read once. This needs a
square image with the axis in its middle. The detector's coordinate is the same in both views,
(M n) . p = n . (M^T p), so the detector may lie anywhere along it.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from torch import Tensor

from proxlab.operators.tomography.scan import ParallelBeam, Scan

SAME_VIEW = 1e-7
"""Degrees within which two views are one."""


class Turn(NamedTuple):
    """A map of square images [..., N, N] and its inverse."""

    there: Callable[[Tensor], Tensor]
    back: Callable[[Tensor], Tensor]


class ViewPlan(NamedTuple):
    """The views that are stored, and how the others come from them."""

    stored: tuple[float, ...]
    """Degrees."""
    turns: tuple[Turn, ...]
    view: np.ndarray
    """Index of the stored view that serves each angle of the scan, [V]."""
    turn: np.ndarray
    """Index of the turn of the image by which it does, [V]."""


def _same(x: Tensor) -> Tensor:
    return x


def _quarter(times: int) -> Turn:
    return Turn(lambda x: x.rot90(-times, (-2, -1)), lambda x: x.rot90(times, (-2, -1)))


def _diagonal(x: Tensor) -> Tensor:
    """The image with x and y exchanged, y up."""
    return x.rot90(2, (-2, -1)).transpose(-2, -1)


IDENTITY = Turn(_same, _same)
MIRRORS = (
    IDENTITY,
    Turn(_diagonal, _diagonal),
    _quarter(1),
    Turn(lambda x: x.flip(-1), lambda x: x.flip(-1)),
)
"""Turns for views at t, 90 - t, 90 + t, 180 - t, t in [0, 45]."""
QUARTERS = (IDENTITY, _quarter(1), _quarter(2), _quarter(3))
"""Turns for views at t, t + 90, t + 180, t + 270."""


def plan(scan: Scan) -> ViewPlan:
    """The views to store: about a quarter where symmetry allows it, else all."""
    angles = np.array(scan.angles)
    whole = ViewPlan(scan.angles, (IDENTITY,), np.arange(len(angles)), np.zeros(len(angles), int))
    if scan.height != scan.width or scan.axis != (0.0, 0.0):
        return whole
    if isinstance(scan.beam, ParallelBeam):
        if angles.min() < -SAME_VIEW or angles.max() > 180 + SAME_VIEW:
            return whole  # views from behind are mirrored along the detector
        turns, turn = MIRRORS, (angles > 45 + SAME_VIEW) + 0 + (angles > 90 + SAME_VIEW)
        turn = turn + (angles > 135 + SAME_VIEW)
        base = np.choose(turn, [angles, 90 - angles, angles - 90, 180 - angles])
    else:
        turns, turn = QUARTERS, np.floor(angles / 90 + SAME_VIEW).astype(int)
        base, turn = angles - 90 * turn, turn % 4
    order = np.argsort(base, kind="stable")
    new = np.diff(base[order], prepend=-np.inf) > SAME_VIEW
    view = np.empty(len(angles), int)
    view[order] = np.cumsum(new) - 1
    stored = tuple(np.maximum(base[order][new], 0.0).tolist())
    if 2 * len(stored) > len(angles):  # few of them have partners
        return whole
    return ViewPlan(stored, turns, view, turn)
