"""Looks at what a run has measured: on a device at several steps at once, for each look waits.

A CPU is asked after every step. On another device that would leave it idle until the answer is
there and the next step is on its way, so steps are judged ten at a time, in order and as they would
have been one by one; the run goes a few steps further than it had to, and nothing else changes.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from solvers.protocols import Image, PerImage, State, float_for_sums, norm

LOOK_EVERY = 10
"""Steps between two looks at the size of the iterates, which cost a pass over memory."""


class Look(NamedTuple):
    """A step, and what was measured at it, on the CPU."""

    k: int
    state: State
    table: Tensor
    """Residual, misfit, objective, merit and gap, those that are known, float64 [rows, B]."""
    size: PerImage | None
    """Norm of each image, [B]; None at steps that do not look at it."""


def steps_at_once(x: Image) -> int:
    """Steps that wait for one look."""
    return 1 if x.device.type == "cpu" else LOOK_EVERY


def looks(steps: list[tuple[int, State]]) -> list[Look]:
    """Looks at steps k with their states, of one batch, all fetched in one table."""
    if not steps:
        return []
    (last, state), sums = steps[-1], float_for_sums(steps[-1][1].x)
    columns = zip(*(_measured(each) for _, each in steps), strict=True)
    table = torch.stack([torch.stack(column).to(sums) for column in columns]).detach()
    sized = last % LOOK_EVERY == 0
    if sized:
        sizes = norm(state.x.detach()).to(sums).expand(1, len(steps), -1)
        table = torch.cat([table, sizes])
    table = table.cpu().double()
    rows = len(table) - sized
    return [
        Look(k, each, table[:rows, i], table[-1, i] if sized and k == last else None)
        for i, (k, each) in enumerate(steps)
    ]


def _measured(state: State) -> list[Tensor]:
    every = state.residual, state.misfit, state.objective, state.merit, state.gap
    return [column for column in every if column is not None]
