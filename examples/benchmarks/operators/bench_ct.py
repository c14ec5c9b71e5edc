"""The CT projector and its data step: errors against closed forms, time beside deepinv's.

One process, interleaved runs, the least of each. deepinv's scan is about ours, not exactly: its
detectors are as many as the image has columns on the diagonal, and it turns about another point.

    python examples/benchmarks/operators/bench_ct.py --threads 2
"""

import argparse
import time
from collections.abc import Callable, Sequence

import torch
from deepinv.physics import Tomography as Theirs
from torch import Tensor

import solvers
from proxlab import operators
from proxlab.operators.tomography.operator import Tomography
from proxlab.operators.tomography.phantoms import blobs, disks, pixels, sinogram
from proxlab.restoration.data_terms import LinearData, data_term
from solvers.linear_systems import conjugate_gradient
from solvers.protocols import dot

RHOS = (2e-2, 1e-3)
"""Shares of |A|^2: how strongly a data step holds on to where it starts."""
GOAL = 1e-4
"""Relative error at which data steps are compared."""
TOLERANCES = (1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6)


class Smooth:
    """A prior that changes a little from step to step."""

    def prox(self, v: Tensor, tau: float | Tensor) -> Tensor:
        return torch.nn.functional.avg_pool2d(v, 3, 1, 1, count_include_pad=False)


def seconds(ways: dict[str, Callable[[], object]], runs: int) -> dict[str, float]:
    """The least of `runs` interleaved calls, after one that is not counted."""
    best = dict.fromkeys(ways, float("inf"))
    for run in range(runs + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            if run:
                best[name] = min(best[name], time.perf_counter() - start)
    return best


def reading() -> float:
    """Bytes a second that a sum over memory reads."""
    numbers = torch.rand(50_000_000)
    return 4 * len(numbers) / seconds({"sum": numbers.sum}, 5)["sum"]


def errors(op: Tomography) -> dict[str, float]:
    """Relative errors of sinograms of ellipses and of Gaussian blobs; mismatch of the adjoint."""
    found = {}
    radius = op.scan.width / 2
    for name, shapes in (("ellipses", disks(radius)), ("blobs", blobs(radius))):
        truth = sinogram(shapes, op.scan)
        found[name] = float((op.A(pixels(shapes, op.scan).float()) - truth).norm() / truth.norm())
    x, y = torch.rand(1, 1, op.scan.height, op.scan.width), torch.rand_like(truth.float())
    forth, back = dot(op.A(x), y), dot(x, op.A_adjoint(y))
    return found | {"adjoint": float((forth - back).abs() / forth.abs())}


def projector(size: int, views: int, runs: int, bandwidth: float) -> dict[str, float]:
    """Print errors and times at one size; errors, and by batch how much faster A^T A is."""
    times = []
    for _ in range(2):
        start = time.perf_counter()
        op = operators.ct(size, views)
        matrix = op.matrix(torch.zeros(1))
        times.append(time.perf_counter() - start)
    found = errors(op)
    print(f"{size} px, {views} views, {op.scan.detectors} detectors, {matrix.bytes / 1e6:.0f} MB:")
    print(f"  built in {times[0]:.2f} s, a second operator in {times[1]:.4f} s")
    print("  relative errors: " + ", ".join(f"{k} {v:.1e}" for k, v in found.items()))
    theirs = Theirs(angles=views, img_width=size, normalize=False)
    for batch in (1, 8):
        x = torch.rand(batch, 1, size, size)
        y, theirs_y = op.A(x), theirs.A(x)
        ways = {
            "A": lambda x=x: op.A(x),
            "AT": lambda y=y: op.A_adjoint(y),
            "deepinv A": lambda x=x: theirs.A(x),
            "deepinv AT": lambda y=theirs_y: theirs.A_adjoint(y),
        }
        best = seconds(ways, runs)
        ratio = (best["deepinv A"] + best["deepinv AT"]) / (best["A"] + best["AT"])
        print(f"  {batch} image(s), ms:", *(f"{k} {1e3 * v:.1f}" for k, v in best.items()), end="")
        print(f"; A^T A {ratio:.1f} times faster")
        found[f"faster, {batch}"] = ratio
        if batch == 1:
            # A matrix of all views would have to be read once; ours is, with four columns.
            full = matrix.bytes / 2 * views / len(matrix.plan.stored)
            for k in ("A", "AT"):
                print(f"  {k}: {full / best[k] / bandwidth:.0%} of the bandwidth", end="")
                print(" if the whole matrix were read,", end=" ")
                print(f"{matrix.bytes / 2 / best[k] / bandwidth:.0%} by the bytes of the quarter")
    return found


def largest(op: Tomography | Theirs, like: Tensor) -> float:
    """|A^T A| by the power method."""
    u = torch.ones_like(like)
    for _ in range(10):
        u = op.A_adjoint_A(u / u.norm())
    return float(u.norm())


def noisy(y: Tensor) -> Tensor:
    return y + 0.01 * y.std() * torch.randn(y.shape, generator=torch.Generator().manual_seed(0))


def until_good(solve: Callable[[float], Tensor], truth: Tensor) -> tuple[float, float]:
    """Seconds of the first tolerance whose solution errs by at most GOAL, and its error."""
    for tol in TOLERANCES:
        start = time.perf_counter()
        x = solve(tol)
        taken = time.perf_counter() - start
        error = float((x - truth).norm() / truth.norm())
        if error <= GOAL:
            break
    return taken, error


def data_step(op: Tomography | Theirs, x: Tensor, rho: float) -> tuple[float, float]:
    """Seconds and true error of the data step from 0.9 x, without a warm start."""
    s, z, y = 1 / (rho * largest(op, x)), 0.9 * x, noisy(op.A(x))
    b = z + s * op.A_adjoint(y)
    normal = lambda u: u + s * op.A_adjoint_A(u)  # noqa: E731
    left = lambda u: b - normal(u)  # noqa: E731
    exact = conjugate_gradient(normal, left, z, scale=dot(b, b).sqrt(), tol=3e-7, max_steps=400).x
    if isinstance(op, Tomography):
        return until_good(lambda tol: data_term(y, op, 1.0, tol=tol).prox(z, s), exact)
    return until_good(lambda tol: op.prox_l2(z, y, s, max_iter=1000, tol=tol), exact)


def inner_steps(op: Tomography, x: Tensor, rho: float, steps: int = 8) -> int:
    """Products with A^T A that the data steps of ADMM take in all."""
    y = noisy(op.A(x))
    f = data_term(y, op, noise=1.0, strength=1 / (rho * largest(op, x)), tol=1e-5)
    assert isinstance(f, LinearData)
    states = solvers.admm(f, Smooth(), op.A_dagger(y, window="hann"), tau=1.0)
    for _ in range(steps):
        next(states)
    return f.inner_steps


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Print the report; the figures by name."""
    parser = argparse.ArgumentParser(description="the CT projector beside deepinv's")
    parser.add_argument("--sizes", default="256,512", help="image sides, by commas")
    parser.add_argument("--views", type=int, default=60)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--step-size", type=int, default=256, help="image side of the data steps")
    parser.add_argument("--wide", type=int, default=512, help="side of the scan of 200 views")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    bandwidth, figures = reading(), {}
    print(f"{args.threads} thread(s), memory is read at {bandwidth / 1e9:.1f} GB/s")
    for size in map(int, args.sizes.split(",")):
        found = projector(size, args.views, args.runs, bandwidth)
        figures |= {f"{size} {name}": value for name, value in found.items()}
    size = args.step_size
    ours = operators.ct(size, args.views)
    theirs = Theirs(angles=args.views, img_width=size, normalize=False)
    x = pixels(disks(size / 2), ours.scan).float()
    for rho in RHOS:
        (t, e), (their_t, their_e) = (data_step(op, x, rho) for op in (ours, theirs))
        print(f"data step, {size} px, rho {rho:.0e} |A|^2: ours {t:.2f} s (error {e:.0e}),", end="")
        print(f" deepinv {their_t:.2f} s (error {their_e:.0e}), {their_t / t:.0f} times")
        figures[f"step {rho:g}"] = their_t / t
    bins = round(400 * args.wide / 512)
    op = operators.ct(args.wide, 200, detectors=bins, detector_spacing=1.81)
    start = time.perf_counter()
    matrix = op.matrix(x)
    print(f"{args.wide} px, 200 views, {bins} detectors of 1.81 px:", end=" ")
    print(f"built in {time.perf_counter() - start:.1f} s, {matrix.bytes / 1e6:.0f} MB")
    x = pixels(disks(args.wide / 2), op.scan).float()
    for rho in RHOS:
        figures[f"inner {rho:g}"] = inner_steps(op, x, rho)
        print(f"  8 ADMM steps, rho {rho:.0e} |A|^2: {figures[f'inner {rho:g}']} inner iterations")
    return figures


if __name__ == "__main__":
    main()
