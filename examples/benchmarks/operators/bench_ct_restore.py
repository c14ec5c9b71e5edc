"""Sparse-view CT of the test slices: filtered back-projection, total variation, learned priors.

    PROXLAB_DATA=... python examples/benchmarks/operators/bench_ct_restore.py
        [--slices 19] [--views 60,200]

Noise 0.5 on the sinogram, in image units ([0, 1] = -1024 .. 3071 Hounsfield units) times pixels.
60 views have detectors of one pixel, 200 views 400 detectors of 1.81 pixels [Fang24]. Weights and
noise levels of the priors are the best on held-out training slices (`--tune`). Rows go to a file as
they are made (`--out`); those that are there already are not computed again.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median

import torch
from torch import Tensor

import proxlab
from proxlab import operators
from proxlab.images.data_sets import find_data
from proxlab.images.folders import hold_out, load_ct
from proxlab.images.metrics import psnr, ssim
from proxlab.operators.tomography.operator import Tomography

NOISE = 0.5
SOLVER, STEPS = "hqs", 50
TV_STEPS = 150
"""Steps of TV, by its own solver: the images change no more after them, its gap still falls."""
TUNED = {"tv": (2.0, 8 / 255), "lpn-gray": (0.2, 2 / 255), "lpn-ct": (0.2, 2 / 255)}
"""Weight and noise level of the prior, the best of `--tune` on held-out slices, 60 views."""
GRIDS = {
    "tv": [(w, 8 / 255) for w in (1, 1.4, 2, 2.8)],  # its objective knows no noise level
    "lpn-ct": [(w, s / 255) for w, s in ((0.1, 2), (0.2, 2), (0.35, 2), (0.6, 2), (0.35, 4))],
    "lpn-gray": [(w, s / 255) for w, s in ((0.2, 2), (0.35, 2), (0.35, 4))],
}


def scan(views: int, size: int) -> Tomography:
    """The two geometries of the table, at any size."""
    if views == 200:
        bins = round(400 * size / 512)
        return operators.ct(size, views, NOISE, detectors=bins, detector_spacing=1.81)
    return operators.ct(size, views, NOISE)


def solve(name: str, y: Tensor, op: Tomography, setting: tuple | None = None) -> Tensor:
    """One image by one method."""
    if name == "fbp":
        return op.A_dagger(y, window="hann")
    weight, sigma = setting or TUNED[name]
    if name == "tv":
        return proxlab.restore(y, op, name, weight=weight, steps=TV_STEPS).image
    return proxlab.restore(y, op, name, SOLVER, sigma=sigma, weight=weight, steps=STEPS).image


def measured(x: Tensor, op: Tomography, seed: int) -> Tensor:
    return op(x, generator=torch.Generator().manual_seed(seed))


def main(argv: Sequence[str] | None = None) -> list[dict]:
    """Print the table, or what TV's settings reach; the rows."""
    parser = argparse.ArgumentParser(description="sparse-view CT by several priors")
    parser.add_argument("--slices", type=int, default=19, help="of the test set, spread evenly")
    parser.add_argument("--views", default="60,200", help="by commas")
    parser.add_argument("--priors", default="fbp,tv,lpn-gray,lpn-ct")
    parser.add_argument("--folder", type=Path, help="slices (default: ct/test of PROXLAB_DATA)")
    parser.add_argument("--out", type=Path, help="JSON lines, one a slice and method")
    parser.add_argument("--tune", action="store_true", help="settings, on held-out training slices")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    if args.tune:
        return tune(args)
    slices = load_ct(args.folder or find_data("ct/test"))
    chosen = sorted({i * len(slices) // args.slices for i in range(args.slices)})
    done = {}
    if args.out and args.out.exists():
        for line in args.out.read_text().splitlines():
            row = json.loads(line)
            done[row["views"], row["method"], row["slice"]] = row
    rows = []
    for views in map(int, args.views.split(",")):
        for i in chosen:
            x = slices[i][None, None]
            op = scan(views, x.shape[-1])
            y = measured(x, op, i)
            for name in args.priors.split(","):
                row = done.get((views, name, i))
                if row is None:
                    op.matrix(y)  # not on the clock: operators of one scan share it
                    start = time.perf_counter()
                    image = solve(name, y, op)
                    row = {
                        "views": views,
                        "method": name,
                        "slice": i,
                        "psnr": float(psnr(image, x)),
                        "ssim": float(ssim(image, x)),
                        "seconds": time.perf_counter() - start,
                    }
                    if args.out:
                        with args.out.open("a") as file:
                            file.write(json.dumps(row) + "\n")
                rows.append(row)
    print(f"{len(chosen)} slices, noise {NOISE}, {SOLVER}, {STEPS} steps; TV by pdhg, {TV_STEPS}")
    print(f"{'views':>6} {'method':14}{'PSNR':>8}{'SSIM':>8}{'s/slice':>9}")
    for views in map(int, args.views.split(",")):
        for name in args.priors.split(","):
            these = [r for r in rows if (r["views"], r["method"]) == (views, name)]
            print(f"{views:6} {name:14}{mean(r['psnr'] for r in these):8.2f}", end="")
            print(f"{mean(r['ssim'] for r in these):8.4f}", end="")
            print(f"{median(r['seconds'] for r in these):9.1f}")
    return rows


def tune(args: argparse.Namespace) -> list[dict]:
    """Print the PSNR that settings reach on slices held out of the training set."""
    _, held_out = hold_out(load_ct(args.folder or find_data("ct/train")))
    images = [x[None, None] for x in held_out[1 : 1 + args.slices]]
    rows = []
    for views in map(int, args.views.split(",")):
        op = scan(views, images[0].shape[-1])
        for name in filter(GRIDS.get, args.priors.split(",")):
            for weight, sigma in GRIDS[name]:
                found = [
                    psnr(solve(name, measured(x, op, i), op, (weight, sigma)), x)
                    for i, x in enumerate(images, 1)
                ]
                row = {"views": views, "method": name, "weight": weight, "sigma": sigma}
                rows.append(row | {"psnr": float(torch.cat(found).mean())})
                print(
                    f"{views} views, {name}, weight {weight}, sigma {sigma * 255:.0f}/255:", end=""
                )
                print(f" {rows[-1]['psnr']:.2f}")
    return rows


if __name__ == "__main__":
    main()
