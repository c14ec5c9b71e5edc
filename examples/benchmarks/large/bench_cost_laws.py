"""Cost laws: time and memory against pixels, batch, views and steps, as slopes on logarithmic axes.

    python -m examples.benchmarks.large.bench_cost_laws
        [--full] [--repeats 3] [--priors lpn-gray,unet-gray-wide,crate-gray] [--figure FILE.png]

A slope of 1 is a cost in proportion, 0 one that does not grow. It is fitted to all points of a line
by least squares, so that what a call costs whatever it is given counts as well, and makes it less.

    pixels      64 x 64 to 2048 x 2048 (4096 x 4096 with --full): one prox of each prior, and one
                iteration of ADMM on a blurred image with the first of them
    batch       1 to 64 images of 64 x 64
    views       15 to 240 of a CT of 256 x 256: one product with A^T A
    steps       10 to 160 of a run of ADMM, 64 x 64, that keeps what evidence needs

Times are the least of some rounds, in each of which every point is measured once, in an order that
is drawn: what else the machine does falls on all of them alike. Memory is that of the tensors that
live at a time (`LiveMemory`), what is measured and its problem included.
"""

import argparse
import random
import time
from collections.abc import Callable, Sequence
from math import log
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F

import solvers
from examples.benchmarks.large.live_memory import LiveMemory
from proxlab import operators
from proxlab.checkpoints import load
from proxlab.priors.contract import Prior
from proxlab.restoration.data_terms import data_term
from proxlab.restoration.fixed_level import RELAXATION, AtStep
from solvers.witness import Witness

SIGMA = 0.05
SHORTEST = 0.05
"""Seconds that a measurement takes at least: shorter work is repeated."""
PROPORTION = (0.85, 1.15)
"""Slopes of time, against pixels and batch, that count as in proportion; others are odd."""
SMALL, SCAN = 64, 256
"""Sides of the images of a batch and of a run, and of a scan."""
Work = Callable[[], object]


class Line(NamedTuple):
    """One line of the figure: a law that is to be found."""

    axis: str
    """pixels, batch, views or steps."""
    what: str
    sizes: Sequence[int]
    """Values along the axis; for pixels sides of images."""
    make: Callable[[int], Work]
    """Problem of a size, and what is measured of it."""
    warm: int
    """Size of a problem that is solved before any, and not measured."""

    @property
    def places(self) -> list[int]:
        """Places of the points along the axis."""
        return [size**2 if self.axis == "pixels" else size for size in self.sizes]


class Found(NamedTuple):
    """One line, measured."""

    line: Line
    seconds: list[float]
    mebibytes: list[float]

    @property
    def time_slope(self) -> float:
        """Growth of time, as a power."""
        return slope(self.line.places, self.seconds)

    @property
    def memory_slope(self) -> float:
        """Growth of memory, as a power."""
        return slope(self.line.places, self.mebibytes)


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Power of x that y grows by: that of the straight line nearest to the points, in logarithms.

    >>> from examples.benchmarks.large.bench_cost_laws import slope
    >>> round(slope([1, 10, 100], [3, 30, 300]), 6), round(slope([1, 10], [5, 5]), 6)
    (1.0, 0.0)
    """
    a, b = [log(v) for v in x], [log(v) for v in y]
    mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
    over = sum((u - mean_a) * (v - mean_b) for u, v in zip(a, b, strict=True))
    return over / sum((u - mean_a) ** 2 for u in a)


def picture(side: int, batch: int = 1, channels: int = 1) -> torch.Tensor:
    """Smooth images with noise, [batch, channels, side, side]."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(batch, channels, side // 8, side // 8, generator=generator)
    smooth = F.interpolate(coarse, (side, side), mode="bilinear", antialias=False)
    return smooth + SIGMA * torch.randn(smooth.shape, generator=generator)


def prox(prior: Prior, side: int, batch: int = 1) -> Work:
    """One prox."""
    v = picture(side, batch, channels_of(prior))
    return lambda: prior.prox(v, SIGMA)


def iteration(prior: Prior, side: int, batch: int = 1) -> Work:
    """One iteration of ADMM, of a run that is on its way."""
    op = operators.deblur(operators.gaussian_kernel(1.0), noise=0.05)
    y = op.A(picture(side, batch, channels_of(prior)))
    states = solvers.admm(data_term(y, op), AtStep(prior), y, tau=SIGMA**2, relaxation=RELAXATION)
    return lambda: next(states)


def product(views: int, side: int = SCAN) -> Work:
    """One product with A^T A of a scan."""
    op, x = operators.ct(side, views), picture(side)
    return lambda: op.A_adjoint(op.A(x))


def run(prior: Prior, steps: int) -> Work:
    """A run of so many steps of ADMM."""
    op = operators.deblur(operators.gaussian_kernel(1.0), noise=0.05)
    y = op.A(picture(SMALL, 1, channels_of(prior)))

    def work() -> object:
        f = data_term(y, op)
        states = solvers.admm(f, AtStep(prior), y, tau=SIGMA**2, relaxation=RELAXATION)
        witness = Witness(lipschitz=f.lipschitz())
        return solvers.run(states, max_steps=steps, tol=1e-30, witness=witness)

    return work


def channels_of(prior: Prior) -> int:
    """3 for a prior of colour images alone."""
    return 3 if "color" in prior.name else 1


def lines(names: Sequence[str], largest: int) -> list[Line]:
    """The lines of the figure; the first prior is the one that solves."""
    priors = {name: load(name) for name in names}
    first = priors[names[0]]
    sides = [64 * 2**k for k in range(8) if 64 * 2**k <= largest]
    batches = [2**k for k in range(7)]
    return [
        *(
            Line("pixels", f"prox, {name}", sides, lambda n, prior=prior: prox(prior, n), 32)
            for name, prior in priors.items()
        ),
        Line("pixels", f"ADMM iteration, {names[0]}", sides, lambda n: iteration(first, n), 32),
        *(
            Line("batch", f"prox, {name}", batches, lambda n, prior=prior: prox(prior, SMALL, n), 3)
            for name, prior in priors.items()
        ),
        Line(
            "batch", f"ADMM iteration, {names[0]}", batches, lambda n: iteration(first, SMALL, n), 3
        ),
        Line("views", "product with A^T A", [15 * 2**k for k in range(5)], product, 8),
        Line(
            "steps", f"run of ADMM, {names[0]}", [10, 20, 40, 80, 160], lambda n: run(first, n), 5
        ),
    ]


def seconds(work: Work) -> float:
    """Seconds of one call, the mean of as many as take `SHORTEST`."""
    calls, start = 0, time.perf_counter()
    while True:
        work()
        calls += 1
        taken = time.perf_counter() - start
        if taken > SHORTEST:
            return taken / calls


def measured(wanted: Sequence[Line], repeats: int) -> list[Found]:
    """Times and memory of all lines, in rounds."""
    memory, best, works = {}, {}, {}
    for i, line in enumerate(wanted):
        line.make(line.warm)()  # what a process makes once is of no size
        for k, size in enumerate(line.sizes):
            with LiveMemory() as live:
                works[i, k] = work = line.make(size)
                work()
            memory[i, k] = live.peak / 2**20
    points, order = list(works), random.Random(0)
    for _ in range(repeats):
        order.shuffle(points)
        for point in points:
            best[point] = min(best.get(point, float("inf")), seconds(works[point]))
    return [
        Found(line, *([table[i, k] for k in range(len(line.sizes))] for table in (best, memory)))
        for i, line in enumerate(wanted)
    ]


def main(argv: Sequence[str] | None = None) -> list[Found]:
    """Print the lines and their slopes, draw them; the lines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--priors", default="lpn-gray,unet-gray-wide,crate-gray", help="by commas")
    parser.add_argument("--largest", type=int, default=2048, help="side of the largest image")
    parser.add_argument("--full", action="store_true", help="images up to 4096 x 4096")
    parser.add_argument("--repeats", type=int, default=3, help="rounds, the least of which counts")
    parser.add_argument("--figure", type=Path, help="a .png to draw")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    with torch.no_grad():
        wanted = lines(args.priors.split(","), 4096 if args.full else args.largest)
        found = measured(wanted, args.repeats)
    for one in found:
        print(f"{one.line.axis:7s}{one.line.what:28s}", end="")
        low, high = PROPORTION
        odd = one.line.axis in ("pixels", "batch") and not low <= one.time_slope <= high
        print(f"time ^ {one.time_slope:.2f}   memory ^ {one.memory_slope:.2f}", "  odd" * odd)
        for x, s, m in zip(one.line.sizes, one.seconds, one.mebibytes, strict=True):
            print(f"{'':7s}{x:6d} {1e3 * s:12.2f} ms {m:10.2f} MiB")
    if args.figure:
        from examples.benchmarks.large.cost_figure import draw

        draw(args.figure, found)
    return found


if __name__ == "__main__":
    main()
