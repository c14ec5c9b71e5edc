"""Growth of memory over many restorations: nothing of one may be kept by the next.

    python -m examples.robustness.memory --restorations 1000

Each restores a small image of its own, by problems, priors and solvers in turn, so that whatever
keeps something by image, operator or prior grows. Printed are the bytes that Python holds
(tracemalloc) and those of the process (resident set), after a tenth of the restorations, when
libraries have made their tables, and at the end.
"""

import argparse
import gc
import itertools
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch

import proxlab
from proxlab.operators import ct, deblur, gaussian_kernel, inpaint, random_mask

SIZE = 16
SOLVERS = ("admm", "drs", "pgd", "hqs")
PRIORS = ("none", "lpn-gray-small", "tv")


class Held(NamedTuple):
    """Memory held at a moment, MiB."""

    python: float
    """By objects of Python, the headers of tensors among them."""
    resident: float
    """By the process, the pixels of tensors among it."""


class Growth(NamedTuple):
    """Memory after a tenth of the restorations, and at the end."""

    early: Held
    late: Held
    count: int
    """Restorations between the two."""

    @property
    def python(self) -> float:
        """KiB for each restoration between, of Python's objects."""
        return 1024 * (self.late.python - self.early.python) / self.count

    @property
    def resident(self) -> float:
        """KiB for each restoration between, of the process."""
        return 1024 * (self.late.resident - self.early.resident) / self.count


def held() -> Held:
    """Memory of now, after what nobody can reach is gone."""
    gc.collect()
    pages = Path("/proc/self/statm")
    resident = int(pages.read_text().split()[1]) * 4096 if pages.exists() else 0
    return Held(tracemalloc.get_traced_memory()[0] / 2**20, resident / 2**20)


def growth(count: int, work: Callable[[int], object]) -> Growth:
    """Growth over `count` calls of `work`, which is told the number of the call."""
    tracemalloc.start()
    try:
        first = max(1, count // 10)
        for i in range(first):
            work(i)
        early = held()
        for i in range(first, count):
            work(i)
        return Growth(early, held(), max(1, count - first))
    finally:
        tracemalloc.stop()


def restorations() -> Callable[[int], object]:
    """Work: the i-th restoration, of an image and an operator of its own."""
    priors = [proxlab.load(name) for name in PRIORS]
    turns = list(itertools.product(range(3), priors, SOLVERS))

    def work(i: int) -> None:
        problem, prior, solver = turns[i % len(turns)]
        generator = torch.Generator().manual_seed(i)
        x = torch.rand(1, 1, SIZE, SIZE, generator=generator)
        op = (
            deblur(gaussian_kernel(0.4 + i * 1e-5), 0.05)
            if problem == 0
            else inpaint(random_mask((SIZE, SIZE), 0.5, generator), 0.05)
            if problem == 1
            else ct(SIZE, 4, 0.05)
        )
        proxlab.restore(op(x, generator=generator), op, prior, solver, steps=2)

    return work


def main(argv: list[str] | None = None) -> None:
    """Print memory early and late, and its growth."""
    asked = argparse.ArgumentParser(description="growth of memory")
    asked.add_argument("--restorations", type=int, default=1000)
    args = asked.parse_args(argv)
    found = growth(args.restorations, restorations())
    for name, at in (("early", found.early), ("late", found.late)):
        print(f"{name:6s} Python {at.python:7.1f} MiB, process {at.resident:7.1f} MiB")
    print(
        f"growth of each of {found.count} restorations: Python {found.python:.2f} KiB, "
        f"process {found.resident:.2f} KiB"
    )


if __name__ == "__main__":
    main()
