"""Borders of blurred photographs: those that wrap around beside those that nobody knows.

    PROXLAB_DATA=... python examples/benchmarks/photographs/bench_borders.py
        [--images 12 | --only 1,5] [--side 512] [--prior lpn-gray] [--steps 400]
        [--circular-steps 100] [--blurs "Gaussian, 1.6 pixels"] [--figure borders.png]
    PROXLAB_DATA=... python examples/benchmarks/photographs/bench_borders.py --prox

A photograph of Set12 is blurred, and of the result only that is kept into which nothing outside of
the photograph blurred; noise 0.01 is added. It is restored as if its edges wrapped around
("circular"), and with pixels beyond its edges estimated and cut off ("unknown", what `proxlab
restore` does). PSNR of the outer 16 pixels and of the rest, seconds, steps and certificates. The
figure has the corner in which the two differ most. --prox prints what one prox of the data term
costs, cold, by how it is solved.

Windows of a learned prior begin at every second pixel of what it is given, and at which ones is
worth tenths of a dB, up or down: both restorations have them at the same pixels of the photograph.
Wrong edges hardly let a run come to rest: `--circular-steps` ends it earlier.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import torch
from torch import Tensor

import proxlab
from proxlab.images.data_sets import find_data
from proxlab.images.folders import load_gray
from proxlab.operators.contract import Accuracy
from proxlab.operators.data_terms.linear import LinearData
from proxlab.operators.data_terms.valid import ValidData
from proxlab.operators.noise import measurement_weights

NOISE = 0.01
BORDER = 16
"""Width of the outer pixels."""
ALIGNMENT = 2
"""Windows of the shipped priors begin at every second pixel."""
ZOOM, CORNER = 5, 56
"""Enlargement of the figure's corners, and their side in pixels."""


def kernels() -> dict[str, Tensor]:
    """The blurs by name."""
    return {
        "Gaussian, 1.6 pixels": proxlab.operators.gaussian_kernel(1.6),
        "uniform, 9 x 9": torch.full((9, 9), 1 / 81, dtype=torch.float64),
        "motion, 25 x 25": motion(25),
    }


def motion(side: int) -> Tensor:
    """A random motion, seeded, that sums to 1."""
    from deepinv.physics.generator import MotionBlurGenerator

    made = MotionBlurGenerator((side, side), l=0.6).step(1, seed=3)["filter"][0, 0].double()
    return made / made.sum()


class How(NamedTuple):
    """What all restorations have in common."""

    prior: object
    steps: int
    """At most."""
    circular_steps: int
    """The same with edges that wrap around."""


class Ended(NamedTuple):
    """One restoration, cut to the size of the measurement."""

    image: Tensor
    border: float
    """PSNR of the outer `BORDER` pixels."""
    inside: float
    seconds: float
    steps: int
    certified: bool


def split(x: Tensor, truth: Tensor) -> tuple[float, float]:
    """PSNR of the outer pixels, and of the rest."""
    error = (x - truth).double().square()[0, 0]
    inner = error[BORDER:-BORDER, BORDER:-BORDER]
    outer = (error.sum() - inner.sum()) / (error.numel() - inner.numel())
    return float(-10 * outer.log10()), float(-10 * inner.mean().log10())


def ended(y: Tensor, truth: Tensor, kernel: Tensor, boundary, how: How) -> Ended:
    """The restoration of y with that boundary."""
    op = proxlab.operators.deblur(kernel, NOISE, boundary)
    if boundary == "circular":
        y = y[..., off(kernel) :, off(kernel) :]
    began = time.perf_counter()
    steps = how.circular_steps if boundary == "circular" else how.steps
    result = proxlab.restore(y, op, how.prior, steps=steps)
    seconds = time.perf_counter() - began
    x = op.inside(result.image)
    x = x[..., x.shape[-2] - truth.shape[-2] :, x.shape[-1] - truth.shape[-1] :]
    return Ended(x, *split(x, truth), seconds, int(result.steps), result.certified[0])


def off(kernel: Tensor) -> int:
    """Pixels by which windows on y lie off those on the photograph behind it."""
    return len(kernel) // 2 % ALIGNMENT


def measured(x: Tensor, kernel: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """y, and what of x lies behind its pixels."""
    op = proxlab.operators.deblur(kernel, NOISE, "valid")
    return op(x, generator=torch.Generator().manual_seed(seed)), op.inside(x)


def compared(
    photographs: dict[int, Tensor], blurs: Sequence[str], how: How
) -> dict[str, list[tuple]]:
    """Rows of (circular, unknown, y, truth) by kernel; a line for each image and each kernel."""
    found = {}
    print(f"{'':22s} {'outer 16 pixels, dB':>30s} {'the others, dB':>29s}")
    print(f"{'':22s}" + 2 * f" {'circular':>9s} {'unknown':>8s} {'least gain':>11s}", end="")
    print(f" {'time':>8s} {'steps':>10s} {'certified':>10s}")
    for blur in blurs:
        kernel, rows = kernels()[blur], []
        for i, x in photographs.items():
            y, truth = measured(x, kernel, i)
            truth = truth[..., off(kernel) :, off(kernel) :]
            both = (ended(y, truth, kernel, b, how) for b in ("circular", "valid"))
            rows.append((*both, y[..., off(kernel) :, off(kernel) :], truth))
            line(f"  image {i}", [rows[-1][:2]])
        found[blur] = rows
        line(blur, [row[:2] for row in rows])
    return found


def line(blur: str, rows: list[tuple[Ended, Ended]]) -> None:
    """The means of a kernel, and the least gain of an image."""
    print(f"{blur:22s}", end="")
    for part in ("border", "inside"):
        old, new = ([getattr(row[k], part) for row in rows] for k in (0, 1))
        gains = [b - a for a, b in zip(old, new, strict=True)]
        print(f" {mean(old):9.2f} {mean(new):8.2f} {min(gains):+11.2f}", end="")
    times = sum(row[1].seconds for row in rows) / sum(row[0].seconds for row in rows)
    steps = "/".join(f"{mean(row[k].steps for row in rows):.0f}" for k in (0, 1))
    certified = "/".join(str(sum(row[k].certified for row in rows)) for k in (0, 1))
    print(f" x {times:6.2f} {steps:>10s} {certified:>10s}", flush=True)


def draw(path: Path, row: tuple[Ended, Ended, Tensor, Tensor]) -> None:
    """Write the corner of a row in which the two restorations differ most, enlarged, PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    circular, unknown, y, truth = row

    def corners(x: Tensor) -> list[Tensor]:
        ends = (slice(None, CORNER), slice(-CORNER, None))
        return [x[0, 0, rows, columns] for rows in ends for columns in ends]

    apart = [float(c.square().mean()) for c in corners(circular.image - unknown.image)]
    chosen = apart.index(max(apart))
    figure = Figure(figsize=(4 * 2.9, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    shown = {
        "measured": y,
        f"wraps around, border {circular.border:.1f} dB": circular.image,
        f"unknown, border {unknown.border:.1f} dB": unknown.image,
        "truth": truth,
    }
    for ax, (title, x) in zip(figure.subplots(1, 4), shown.items(), strict=True):
        ax.imshow(corners(x)[chosen], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        ax.set_title(title, size=10)
        ax.set_axis_off()
    figure.savefig(path, dpi=ZOOM * CORNER / 2.9)


class Wrapped:
    """The inverse of I + s A^T A were A not cut, as a preconditioner of `LinearData`."""

    def __init__(self, f: ValidData):
        self.f = f

    def helps(self, s: Tensor) -> Tensor:
        """Always."""
        return torch.ones_like(s, dtype=torch.bool)

    def solve(self, s: Tensor, r: Tensor) -> Tensor:
        """About (I + s A^T A)^-1 r."""
        return self.f._convolved(1 / (1 + s * self.f.power), r)


class Plain(ValidData):
    """The same without a preconditioner."""

    def _inverse(self, tau, v):
        return lambda r: r


def ways(y: Tensor, op, kernel: Tensor) -> dict:
    """Data terms by how their prox is solved."""
    weights, accuracy = measurement_weights(y, op), Accuracy()
    f = ValidData(y, kernel[None, None], weights, accuracy)
    return {
        "A^T A": LinearData(y, op, weights, accuracy),
        "A^T A, near": LinearData(y, op, weights, accuracy, Wrapped(f)),
        "A A^T": Plain(y, kernel[None, None], weights, accuracy),
        "A A^T, near": f,
    }


def proxes(x: Tensor) -> None:
    """Print products and milliseconds of one prox from a cold start, by how it is solved.

    near: preconditioned by what would be the inverse, were nothing cut.
    """
    titles = ("A^T A", "A^T A, near", "A A^T", "A A^T, near")
    print(f"{'':22s} {'s |A|^2':>8s}" + "".join(f"{title:>21s}" for title in titles))
    for blur, kernel in kernels().items():
        y, _ = measured(x, kernel, 0)
        op = proxlab.operators.deblur(kernel, NOISE, "valid")
        v = op.first_estimate(y)
        for s in (0.99, 4.0, 16.0, 64.0, 400.0):
            cells = []
            for f in ways(y, op, kernel).values():
                began = time.perf_counter()
                f.prox(v, s / float(f.weight))
                cells.append(f"{f.inner_steps:8d} {1e3 * (time.perf_counter() - began):8.1f} ms")
            print(f"{blur:22s} {s:8g}" + "".join(f"{cell:>21s}" for cell in cells))


def main(argv: Sequence[str] | None = None) -> dict[str, list[tuple]]:
    """Print the table; the rows by kernel."""
    parser = argparse.ArgumentParser(description="borders of blurred photographs")
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--only", help="numbers of images from 0 on, by commas")
    parser.add_argument("--blurs", default="|".join(kernels()), help="their names, |")
    parser.add_argument("--side", type=int, default=256, help="of the photographs, at most")
    parser.add_argument("--prior", default="lpn-gray")
    parser.add_argument("--steps", type=int, default=400, help="of a run, at most")
    parser.add_argument("--circular-steps", type=int, help="of a run with edges wrapped around")
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--prox", action="store_true", help="what one prox costs, and no more")
    args = parser.parse_args(argv)
    images = load_gray(find_data("set12"))
    numbers = args.only.split(",") if args.only else range(min(args.images, len(images)))
    photographs = {
        int(i): images[int(i)][None, None, : args.side, : args.side] / 255 for i in numbers
    }
    if args.prox:
        proxes(next(iter(photographs.values())))
        return {}
    how = How(proxlab.load(args.prior), args.steps, args.circular_steps or args.steps)
    found = compared(photographs, args.blurs.split("|"), how)
    if args.figure:
        rows = [row for rows in found.values() for row in rows]
        draw(args.figure, max(rows, key=lambda row: row[1].border - row[0].border))
    return found


if __name__ == "__main__":
    main()
