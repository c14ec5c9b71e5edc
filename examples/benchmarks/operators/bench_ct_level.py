"""CT slices at the defaults of `restore`, in dB and Hounsfield units: sizes, scales, low doses.

    PROXLAB_DATA=... python -m examples.benchmarks.operators.bench_ct_level
        [--sizes 512,360,256] [--scales wide,narrow] [--slices 19]
    PROXLAB_DATA=... python -m examples.benchmarks.operators.bench_ct_level --low-dose --sizes 256
    PROXLAB_DATA=... python -m examples.benchmarks.operators.bench_ct_level --tune

A slice of another size is that of 512 pixels, interpolated. Scales are the Hounsfield units of 0
and 1, `SCALES`. 60 views with noise of 0.5 on the wide scale, or with --low-dose the problem
`ct-low-dose` of `proxlab compare`. TV has weights of its own beside its default, since the learned
priors' levels are tuned; --tune tries shares of the noise of filtered back-projection as their
levels (`proxlab.operators.tomography.operator.LEVEL_SHARE`), on slices held out of ct/train.
Rows go to a file as they are made (`--out`); those that are there already are not computed again,
and after `--minutes` none is begun.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean

import torch
from torch import Tensor
from torch.nn.functional import interpolate

import proxlab
from proxlab import operators
from proxlab.comparison.problems import LowDose
from proxlab.images.data_sets import find_data
from proxlab.images.folders import hold_out, load_ct
from proxlab.images.reading import HOUNSFIELD
from proxlab.images.slices import hounsfield_errors
from proxlab.operators.tomography.backprojection import backprojected_noise
from proxlab.operators.tomography.operator import LEVEL_SHARE, Tomography

SCALES = {"wide": HOUNSFIELD, "narrow": (-1000.0, 1000.0)}
VIEWS, NOISE, PHOTONS = 60, 0.5, 2e4
TV_STEPS = 300
"""Steps of TV, whose images change no more after half of them; its gap still falls."""
SHARES = (0.0, 0.07, 0.1, 0.14, 0.2)
"""Levels that --tune tries, over the noise of filtered back-projection; 0 is ADMM at its own."""
METHODS = "fbp,tv,tv:3,lpn-gray,lpn-ct,lpn-ct-zoom"
Row = dict[str, str | int | float | bool]


def scaled(x: Tensor, size: int, scale: str) -> Tensor:
    """The slice [1, 1, 512, 512] of HOUNSFIELD at another size and scale."""
    if size != x.shape[-1]:
        x = interpolate(x, size=(size, size), mode="bilinear", antialias=True)
    (low, high), (of, to) = SCALES[scale], HOUNSFIELD
    return ((x * (to - of) + of - low) / (high - low)).clamp(0, 1)


def operator(size: int, scale: str, low_dose: bool) -> Tomography:
    """The scan; noise and photons are the same on each scale."""
    low, high = SCALES[scale]
    span = (HOUNSFIELD[1] - HOUNSFIELD[0]) / (high - low)
    if not low_dose:
        return operators.ct(size, VIEWS, NOISE * span)
    if scale != "wide":
        raise ValueError("a low dose is measured on the wide scale, which is that of ct-low-dose")
    return LowDose().operator((size, size), PHOTONS, torch.Generator())


def solve(method: str, y: Tensor, op: Tomography, share: float | None) -> tuple[Tensor, bool]:
    """The image and whether it is certified. A method is a prior, or one and its weight, tv:3."""
    if method == "fbp":
        return op.A_dagger(y, window="hann"), False
    name, _, weight = method.partition(":")
    steps = TV_STEPS if name == "tv" else None
    sigma = None
    if share:
        sigma = share * NOISE * backprojected_noise(op.scan)
    solver = "admm" if share == 0 else None
    told = float(weight) if weight else None
    result = proxlab.restore(y, op, name, solver, sigma=sigma, weight=told, steps=steps)
    return result.image, bool(result.certified[0])


def cases(args: argparse.Namespace) -> Iterator[Row]:
    """Cases to be measured, slice by slice, so that what is done can be compared."""
    for i in range(args.slices):
        for size in map(int, args.sizes.split(",")):
            for scale in args.scales.split(","):
                for method in args.methods.split(","):
                    learned = method.split(":")[0] not in ("fbp", "tv")
                    for share in SHARES if args.tune and learned else (LEVEL_SHARE,):
                        row: Row = {"slice": i, "size": size, "scale": scale, "method": method}
                        row |= {"share": share, "low_dose": args.low_dose, "tune": args.tune}
                        yield row


def measured(row: Row, x: Tensor) -> Row:
    """The row and its figures."""
    size, scale, method = int(row["size"]), str(row["scale"]), str(row["method"])
    truth = scaled(x[None, None], size, scale)
    op = operator(size, scale, bool(row["low_dose"]))
    y = op(truth, generator=torch.Generator().manual_seed(int(row["slice"])))
    op.matrix(y)  # not on the clock: operators of one scan share it
    began = time.process_time()
    image, certified = solve(method, y, op, float(row["share"]) if row["tune"] else None)
    seconds = time.process_time() - began
    errors = hounsfield_errors(image, truth, SCALES[scale])
    figures: Row = {name: float(vars(errors)[name]) for name in ("rmse", "bias", "noise")}
    figures["psnr"] = float(proxlab.metrics.psnr(image, truth))
    return row | figures | {"certified": certified, "seconds": seconds}


def key(row: Row) -> tuple:
    names = ("slice", "size", "scale", "method", "share", "low_dose", "tune")
    return tuple(row[name] for name in names)


def report(rows: Sequence[Row], tune: bool) -> None:
    """The means of each size, scale and method over the slices that all its methods have."""
    print("| size | scale | method | slices | PSNR | RMSE | bias | noise | certified | cpu s |")
    print("|" + " --- |" * 10)
    cells: dict[tuple, dict[str, list[Row]]] = {}
    for row in rows:
        name = f"{row['method']} at {row['share']}" if tune else str(row["method"])
        cells.setdefault((row["size"], row["scale"]), {}).setdefault(name, []).append(row)
    for (size, scale), methods in cells.items():
        common = set.intersection(*({int(r["slice"]) for r in all_} for all_ in methods.values()))
        for name, all_ in methods.items():
            these = [row for row in all_ if int(row["slice"]) in common]
            if not these:
                continue
            means = {
                n: mean(float(row[n]) for row in these)
                for n in ("psnr", "rmse", "bias", "noise", "seconds")
            }
            certified = "" if name == "fbp" else f"{sum(bool(r['certified']) for r in these)}"
            print(
                f"| {size} | {scale} | {name} | {len(these)} | {means['psnr']:.2f} dB | "
                f"{means['rmse']:.1f} HU | {means['bias']:+.1f} | {means['noise']:.1f} | "
                f"{certified} | {means['seconds']:.0f} |"
            )


def main(argv: Sequence[str] | None = None) -> list[Row]:
    """Print the table; the rows."""
    parser = argparse.ArgumentParser(description="CT slices at the defaults of restore")
    parser.add_argument("--sizes", default="512,360,256", help="pixels, by commas")
    parser.add_argument("--scales", default="wide,narrow", help=f"of {', '.join(SCALES)}")
    parser.add_argument("--methods", default=METHODS, help="fbp, priors, or priors:weight")
    parser.add_argument("--slices", type=int, default=19)
    parser.add_argument("--folder", type=Path, help="slices (default: ct/test of PROXLAB_DATA)")
    parser.add_argument("--low-dose", action="store_true", help="2e4 photons, 200 views")
    parser.add_argument("--tune", action="store_true", help="levels, on slices of ct/train")
    parser.add_argument("--out", type=Path, help="JSON lines, one a slice and method")
    parser.add_argument("--minutes", type=float, default=float("inf"))
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    if args.low_dose:
        args.scales = "wide"
    slices = load_ct(args.folder or find_data("ct/train" if args.tune else "ct/test"))
    if args.tune:
        slices = hold_out(slices)[1]
    args.slices = min(args.slices, len(slices))
    done = {}
    if args.out and args.out.exists():
        lines = map(json.loads, args.out.read_text().splitlines())
        done = {key(row): row for row in lines}
    rows, end = [], time.monotonic() + 60 * args.minutes
    for case in cases(args):
        row = done.get(key(case))
        if row is None:
            if time.monotonic() > end:
                continue
            row = measured(case, slices[int(case["slice"])])
            if args.out:
                with args.out.open("a") as file:
                    file.write(json.dumps(row) + "\n")
        rows.append(row)
    report(rows, args.tune)
    return rows


if __name__ == "__main__":
    main()
