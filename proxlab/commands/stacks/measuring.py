"""Measurements of pages by one operator, and as many of them at once as memory allows."""

import argparse
import copy
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from proxlab.commands.problems.measurement import Measurement
from proxlab.commands.problems.readers import READERS
from proxlab.commands.stacks.survey import PageSeen, with_input
from proxlab.priors.contract import Prior
from proxlab.priors.tiles.within_memory import budget, need


class Batch(NamedTuple):
    """Pages of one size, measured by one operator."""

    pages: list[PageSeen]
    measured: list[Measurement]
    """A measurement of each, on the CPU."""
    op: LinearPhysics
    """Their operator, on the device."""

    def y(self, where: str) -> Tensor:
        """The measurements on that device, [B, ...]."""
        return torch.cat([each.y for each in self.measured]).to(where)

    def noise(self) -> float | Tensor | None:
        """Noise level: of all pages, or of each, [B]; that of the operator if None."""
        levels = [each.noise for each in self.measured]
        told = [level for level in levels if level is not None]
        if len(told) < len(levels):
            return None
        return told[0] if len(set(told)) == 1 else torch.tensor(told, dtype=torch.float64)


class Measuring:
    """Measurements of pages in their order: one operator for all pages of a size.

    The same pages, seed and options give the same measurements, whatever is taken at once.
    """

    def __init__(self, args: argparse.Namespace, where: str):
        self._args, self._where = args, where
        self._generator = torch.Generator().manual_seed(args.seed)
        self._operators: dict[tuple[int, int], tuple[LinearPhysics, LinearPhysics]] = {}

    def measured(self, seen: PageSeen) -> Measurement:
        """The measurement of a page, or the one that is simulated of it."""
        source = READERS[self._args.problem](with_input(self._args, seen.page))
        size = seen.shape[1:]
        if size in self._operators and source.again is not None:
            return source.again(self._operators[size][0], self._generator)
        made = source.measure(self._generator)
        there = made.op if self._where == "cpu" else copy.deepcopy(made.op).to(self._where)
        self._operators[size] = made.op, there
        return made

    def operator(self, seen: PageSeen) -> LinearPhysics:
        """The operator of a page that was measured, on the device."""
        return self._operators[seen.shape[1:]][1]

    def batches(
        self, pages: list[PageSeen], prior_of: Callable[[PageSeen], Prior]
    ) -> Iterator[Batch]:
        """All pages, those beside each other and of one size together where memory allows it."""
        rest = list(pages)
        while rest:
            count = self._at_once(rest, prior_of(rest[0]))
            now, rest = rest[:count], rest[count:]
            measured = [self.measured(seen) for seen in now]
            yield Batch(now, measured, self.operator(now[0]))

    def _at_once(self, pages: list[PageSeen], prior: Prior) -> int:
        """Number of the first pages that are taken together, at least one."""
        shape = pages[0].shape
        alike = next((k for k, seen in enumerate(pages) if seen.shape != shape), len(pages))
        if self._args.tile is not None:
            return 1
        place = torch.device(self._where)
        most = budget(place) // max(need(prior, torch.Size((1, *shape)), place).whole, 1)
        return max(1, min(alike, most))
