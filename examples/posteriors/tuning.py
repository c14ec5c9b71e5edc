"""Settings of the laboratory's samplers: the best of twelve, on cells that no test has.

    python -m examples.posteriors.tuning --seeds 1

The best has the least product of sliced W2 distances at 5, 10 and 20 evaluations. Samplers whose
levels take products with the Jacobian are chosen for again with these counted, for fewer levels.
`examples.posteriors.laboratory` holds what came out.
"""

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import mean
from typing import NamedTuple, TypeVar

import torch

from examples.posteriors.cells import Cell, cells
from examples.posteriors.dense import Annealed, AnnealedByProducts
from examples.posteriors.rivals import DAPS, DPS, DiffPIR, PiGDM, PnPDM, Sampler

Kind = TypeVar("Kind", bound=Sampler)

EVALUATIONS = (5, 10, 20)
LEVELS = [(high, low) for high in (0.5, 0.7, 1.0, 1.5) for low in (0.05, 0.1, 0.2)]

TRIED: dict[str, Sequence[Sampler]] = {
    "annealed, wiener": [Annealed("wiener", h, l) for h, l in LEVELS],
    "annealed, jacobian": [Annealed("jacobian", h, l) for h, l in LEVELS],
    "annealed, jacobian by 5 products": [AnnealedByProducts(h, l) for h, l in LEVELS],
    "PiGDM": [PiGDM(h, l, e) for h in (2.0, 5.0) for l in (0.03, 0.1) for e in (0.0, 0.5, 1.0)],
    "DPS": [DPS(h, l, s) for h in (2.0, 5.0) for l in (0.05, 0.2) for s in (0.3, 1.0, 3.0)],
    "DAPS, exact draw": [
        DAPS(h, l, r) for h in (1.0, 3.0) for l in (0.05, 0.15) for r in (0.5, 0.7, 1.0)
    ],
    "DiffPIR": [
        DiffPIR(h, l, w, f)
        for h, l in ((5.0, 0.05), (2.0, 0.1))
        for w in (1.0, 3.0)
        for f in (0.3, 0.7, 1.0)
    ],
    "PnP-DM": [PnPDM(h, l, i) for h in (1.0, 3.0) for l in (0.1, 0.2, 0.4) for i in (1, 2)],
}
"""Twelve settings of each."""
AGAIN: dict[str, Sequence[Sampler]] = {
    "PiGDM": [PiGDM(h, l, e) for h in (5.0, 10.0) for l in (0.15, 0.2, 0.3) for e in (0.8, 1.0)],
    "DAPS, exact draw": [
        DAPS(h, l, r) for h in (0.5, 0.7, 1.0) for l in (0.2, 0.3) for r in (0.85, 1.0)
    ],
    "DiffPIR": [
        DiffPIR(h, l, w, 1.0)
        for h, l in ((5.0, 0.1), (5.0, 0.2), (10.0, 0.05), (10.0, 0.2), (2.0, 0.2), (2.0, 0.05))
        for w in (0.5, 1.0)
    ],
    "PnP-DM": [PnPDM(h, l, i) for h in (0.5, 0.7, 1.0) for l in (0.25, 0.3) for i in (1, 2)],
}
"""Twelve more of the rivals whose best lay at an edge of the first, beyond that edge."""


class Figures(NamedTuple):
    """How a sampler did in each cell."""

    distances: list[float]
    """Sliced W2 over the posterior's deviation."""
    held: list[float]
    """What 80 % intervals hold."""

    @property
    def distance(self) -> float:
        """Geometric mean."""
        return math.exp(mean(math.log(max(w, 1e-9)) for w in self.distances))

    @property
    def calibrated(self) -> float:
        """Share of the cells whose intervals hold 75 to 85 %."""
        return mean(abs(h - 0.8) <= 0.05 for h in self.held)


def levels(sampler: Sampler, evaluations: int, counted: bool) -> int:
    """Levels that so many evaluations pay for; 0 where they do not pay for one."""
    return evaluations // (1 + sampler.products) if counted else evaluations


def figures(sampler: Sampler, on: Sequence[Cell], count: int) -> Figures:
    """Figures of so many levels."""
    found = []
    for k, cell in enumerate(on):
        with torch.no_grad():
            found.append(cell.judged(sampler(cell, count, torch.Generator().manual_seed(k))))
    return Figures([w for w, _ in found], [h for _, h in found])


def best(settings: Sequence[Kind], on: Sequence[Cell], counted: bool) -> Kind:
    """The setting of the least product of distances, over the evaluations that pay for a level."""
    counts = [k for e in EVALUATIONS if (k := levels(settings[0], e, counted))]
    scores = [math.prod(figures(s, on, k).distance for k in counts) for s in settings]
    return settings[scores.index(min(scores))]


def main(seeds: Sequence[int], tried: Mapping[str, Sequence[Sampler]], draws: int = 100) -> None:
    """Print the best setting of each and, of a rival, of the twelve more, free and counted."""
    on = [replace(cell, n=draws) for cell in cells(seeds)]
    for name, settings in tried.items():
        for counted in {0: (False,), 1: (False, True)}.get(settings[0].products, (True,)):
            chosen = best(settings, on, counted)
            if name in AGAIN:
                chosen = best([chosen, *AGAIN[name]], on, counted)
            print(f'"{name}": {chosen},  # {"counted" if counted else "free"}', flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="the best of twelve settings of each sampler")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    main(parser.parse_args().seeds, TRIED)
