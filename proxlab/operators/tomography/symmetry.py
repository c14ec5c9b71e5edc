"""Views that are one another's mirror images, so that one matrix serves up to four of them.

Where a turn or mirror M maps the pixels onto themselves, the view at the angle of M n sees of an
image what the view at n sees of the image turned back. So a quarter of the views is stored, and
multiplied with four images at a time, which costs less than four times one: the matrix is read
once. Asks for a square image about the axis.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from torch import Tensor

from proxlab.operators.tomography.scan import ParallelBeam, Scan

CLOSE = 1e-7
"""Degrees within which two views are one."""


class Turn(NamedTuple):
    """A map of square images [..., N, N] and its inverse."""

    there: Callable[[Tensor], Tensor]
    back: Callable[[Tensor], Tensor]


class Plan(NamedTuple):
    """Which views are stored, and how the others come from them."""

    stored: tuple[float, ...]
    """Degrees."""
    turns: tuple[Turn, ...]
    view: np.ndarray
    """For each angle of the scan, which stored view serves it, [V]."""
    turn: np.ndarray
    """And after which turn of the image, [V]."""


def _same(x: Tensor) -> Tensor:
    return x


def _quarter(times: int) -> Turn:
    return Turn(lambda x: x.rot90(-times, (-2, -1)), lambda x: x.rot90(times, (-2, -1)))


def _diagonal(x: Tensor) -> Tensor:
    """x and y exchanged, y up."""
    return x.rot90(2, (-2, -1)).transpose(-2, -1)


IDENTITY = Turn(_same, _same)
MIRRORS = (
    IDENTITY,
    Turn(_diagonal, _diagonal),
    _quarter(1),
    Turn(lambda x: x.flip(-1), lambda x: x.flip(-1)),
)
"""For views at t, 90 - t, 90 + t, 180 - t, t in [0, 45]."""
QUARTERS = (IDENTITY, _quarter(1), _quarter(2), _quarter(3))
"""For views at t, t + 90, t + 180, t + 270."""


def plan(scan: Scan) -> Plan:
    """The views to store: about a quarter where symmetry allows it, else all."""
    angles = np.array(scan.angles)
    whole = Plan(scan.angles, (IDENTITY,), np.arange(len(angles)), np.zeros(len(angles), int))
    if scan.height != scan.width or scan.axis != (0.0, 0.0):
        return whole
    if isinstance(scan.beam, ParallelBeam):
        if angles.min() < -CLOSE or angles.max() > 180 + CLOSE:
            return whole  # views from behind are mirrored along the detector
        turns, turn = MIRRORS, (angles > 45 + CLOSE) + 0 + (angles > 90 + CLOSE)
        turn = turn + (angles > 135 + CLOSE)
        base = np.choose(turn, [angles, 90 - angles, angles - 90, 180 - angles])
    else:
        turns, turn = QUARTERS, np.floor(angles / 90 + CLOSE).astype(int)
        base, turn = angles - 90 * turn, turn % 4
    order = np.argsort(base, kind="stable")
    new = np.diff(base[order], prepend=-np.inf) > CLOSE
    view = np.empty(len(angles), int)
    view[order] = np.cumsum(new) - 1
    stored = tuple(np.maximum(base[order][new], 0.0).tolist())
    if 2 * len(stored) > len(angles):  # few of them have partners
        return whole
    return Plan(stored, turns, view, turn)
