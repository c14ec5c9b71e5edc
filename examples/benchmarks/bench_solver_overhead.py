"""What a solver and the driver cost per step beyond the prox and the data term: ms per iteration.

Trivial f and g are run through each solver; the time inside their calls is not counted.

    OMP_NUM_THREADS=1 python examples/benchmarks/bench_solver_overhead.py --size 256
"""

import argparse
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from solvers import admm, drs, fista, hqs, pgd, run

SOLVERS = {"pgd": pgd, "fista": fista, "admm": admm, "drs": drs, "hqs": hqs}


class Cheap:
    """f or g of which every method costs little, leaves the iterates moving and clocks itself.

    The clock runs inside the calls, as they happen between the solver's own passes over memory: the
    same calls timed alone would find their arrays in a cache that the solver keeps busy.
    """

    def __init__(self, image: Tensor):
        self.image = image
        self.zero = torch.zeros(image.shape[0], dtype=torch.float64)
        self.inside = 0.0

    def prox(self, v: Tensor, tau: float) -> Tensor:
        return self._clocked(lambda: v.mul(0.5))

    def grad(self, x: Tensor) -> Tensor:
        return self._clocked(lambda: x.mul(0.5))

    def value(self, x: Tensor) -> Tensor:
        return self._clocked(lambda: self.zero)

    def _clocked(self, work: Callable[[], Tensor]) -> Tensor:
        start = time.perf_counter()
        found = work()
        if found.is_cuda:
            torch.cuda.synchronize()
        self.inside += time.perf_counter() - start
        return found


class Restless(Cheap):
    """A prior whose prox leans to the image and its negative by turns: no residual vanishes."""

    lean = 0.5

    def prox(self, v: Tensor, tau: float) -> Tensor:
        self.lean = -self.lean
        return self._clocked(lambda: torch.add(self.image, v, alpha=self.lean))


def overhead(solver, image: Tensor, steps: int, repeats: int) -> float:
    """Seconds per step of `solver` and `run` outside f and g; the best of some runs, as the
    machine's other work only ever adds."""
    found = []
    for _ in range(repeats):
        f, g = Cheap(image), Restless(image)
        start = time.perf_counter()
        result = run(solver(f, g, image, tau=0.5), max_steps=steps, tol=1e-30)
        outside = time.perf_counter() - start - f.inside - g.inside
        found.append(outside / int(result.steps.max()))
    return min(found)


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Print and return the overhead of each solver in ms per iteration."""
    parser = argparse.ArgumentParser(description="ms per iteration beyond the prox and data step")
    parser.add_argument("--size", type=int, default=256, help="image height and width")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args(argv)
    shape = (args.batch, 1, args.size, args.size)
    image = torch.rand(shape, generator=torch.Generator().manual_seed(0)).to(args.device)
    found = {}
    for name, solver in SOLVERS.items():
        found[name] = 1e3 * overhead(solver, image, args.steps, args.repeats)
        print(f"{name:6s} {found[name]:.3f} ms/iteration")
    return found


if __name__ == "__main__":
    main()
