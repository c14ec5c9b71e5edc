"""Samplers of posteriors judged where the posterior is exact: mixtures seen through a matrix.

    python -m examples.posteriors.laboratory --seeds 400 401

A cell is a mixture of Gaussians in 16 or 64 dimensions, a matrix (a mask, a blur or a random one)
and a level of noise. Every sampler draws 800 points; printed are the sliced W2 distance from exact
draws over the deviation of the posterior, geometric mean over cells, the share of cells in which
80 % intervals hold 75 to 85 % of the posterior, and what they hold on average. Each sampler has one
setting for all cells and counts, `FREE` or `COUNTED`, the best of twelve on other seeds, or of 24
for most rivals (`examples.posteriors.tuning`). Counted, a product with the denoiser's Jacobian, as
a gradient through it takes, costs as much as an evaluation, and a budget buys fewer levels.
"""

import argparse
from collections.abc import Sequence
from statistics import mean

from examples.posteriors.cells import Cell, cells
from examples.posteriors.dense import Annealed, AnnealedByProducts
from examples.posteriors.rivals import DAPS, DPS, DiffPIR, Exact, PiGDM, PnPDM, Sampler
from examples.posteriors.tuning import EVALUATIONS, Figures, figures, levels

OURS = "annealed, "

FREE: dict[str, Sampler] = {
    "exact": Exact(),
    "annealed, wiener": Annealed("wiener", 0.5, 0.2),
    "annealed, jacobian": Annealed("jacobian", 1.0, 0.2),
    "PiGDM": PiGDM(10.0, 0.15, 1.0),
    "DPS": DPS(2.0, 0.05, 1.0),
    "DAPS, exact draw": DAPS(0.7, 0.2, 0.85),
    "DiffPIR": DiffPIR(5.0, 0.2, 1.0, 1.0),
    "PnP-DM": PnPDM(1.0, 0.25, 2),
}
"""Settings from `python -m examples.posteriors.tuning --seeds 1`, products free."""
COUNTED: dict[str, Sampler] = {
    "annealed, wiener": FREE["annealed, wiener"],
    "annealed, jacobian by 5 products": AnnealedByProducts(0.7, 0.2),
    "PiGDM": PiGDM(10.0, 0.3, 1.0),
    "DPS": DPS(2.0, 0.05, 3.0),
    **{name: FREE[name] for name in ("DAPS, exact draw", "DiffPIR", "PnP-DM")},
}
"""The same with products counted."""


Known = dict[tuple[Sampler, int], Figures]


def table(on: Sequence[Cell], samplers: dict[str, Sampler], counted: bool, known: Known) -> None:
    """Print a line for each sampler, and in what share of the cells each of ours is lowest.

    known: figures of these cells, by sampler and levels, which are not run again.
    """
    found: dict[str, list[Figures | None]] = {}
    for name, sampler in samplers.items():
        counts = [levels(sampler, e, counted) for e in EVALUATIONS]
        for k in counts:
            if k and (sampler, k) not in known:
                known[sampler, k] = figures(sampler, on, k)
        found[name] = [known.get((sampler, k)) for k in counts]
        row = [
            f"{f.distance:.2f}, {f.calibrated:.2f}, {mean(f.held):.2f}" if f else "-"
            for f in found[name]
        ]
        print(f"| {name} | " + " | ".join(row) + " |", flush=True)
    rivals = [fs for name, fs in found.items() if not name.startswith(OURS) and name != "exact"]
    for name in (name for name in found if name.startswith(OURS)):
        shares = [
            f"{lowest(f, [r[k] for r in rivals]):.2f}" if f else "-"
            for k, f in enumerate(found[name])
        ]
        print(f"| {name}: share of cells in which no rival is lower | " + " | ".join(shares) + " |")


def lowest(ours: Figures, rivals: Sequence[Figures | None]) -> float:
    """Share of the cells in which no rival has a lower distance."""
    best = [min(each) for each in zip(*(r.distances for r in rivals if r), strict=True)]
    return mean(a <= b for a, b in zip(ours.distances, best, strict=True))


def main(seeds: Sequence[int]) -> None:
    """Print both tables."""
    on = cells(seeds)
    known: Known = {}
    for title, samplers, counted in (("free", FREE, False), ("counted", COUNTED, True)):
        print(f"| {len(on)} cells, products {title} | " + " | ".join(map(str, EVALUATIONS)) + " |")
        table(on, samplers, counted, known)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="samplers of posteriors against exact ones")
    parser.add_argument("--seeds", type=int, nargs="+", default=[400, 401])
    main(parser.parse_args().seeds)
