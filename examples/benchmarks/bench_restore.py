"""Deblurring and inpainting of Set12 by a learned prior, and by total variation at its best weight.

    PROXLAB_DATA=... python examples/benchmarks/bench_restore.py
        [--priors tv,lpn-gray] [--out FILE.jsonl]
    PROXLAB_DATA=... python examples/benchmarks/bench_restore.py --tune tv
    python examples/benchmarks/bench_restore.py --time

Measurements are by the 8 kernels of Levin et al. 2009 with circular boundary at noise 0.01 and
0.03, and with half the pixels missing at noise 0.01. They are seeded, the same for every prior.
With --out each case is a line of a file as soon as it is done, and what the file holds is not run
again. --tune prints the PSNR by weight on photographs held out of the training set, blurred by
random motion: TV_WEIGHTS are its best. The learned prior runs at the defaults of `proxlab.restore`
everywhere. --time runs 40 steps of ADMM on a 512 x 512 image.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from torch import Tensor

from proxlab import operators
from proxlab.checkpoints import load
from proxlab.images.data_sets import find_data
from proxlab.images.folders import hold_out, load_gray
from proxlab.images.metrics import psnr
from proxlab.jobs import restore
from proxlab.restoration import Restoration
from solvers.certificate import rises

PROBLEMS = (("deblur", 0.01), ("deblur", 0.03), ("inpaint", 0.01))
STEPS = 200
TV_WEIGHTS = {("deblur", 0.01): 2.0, ("deblur", 0.03): 1.4, ("inpaint", 0.01): 2.0}
TEXT = ("prior", "problem", "doubt")
GRID = (0.25, 0.5, 0.7, 1.0, 1.4, 2.0, 4.0)


def restored(name: str, y: Tensor, op, problem: tuple[str, float], weight: float | None = None):
    """Restoration of one image, by a prior at its defaults or by TV at the problem's weight."""
    if name == "tv":
        weight = weight or TV_WEIGHTS[problem]
        return restore(y, op, "tv", weight=weight)
    return restore(y, op, load(name), steps=STEPS, weight=weight)


def cases(problem: tuple[str, float], kernels: list[np.ndarray], count: int) -> Iterator[tuple]:
    """Cases of a problem: the number of the image, that of the measurement, and a function.

    The function makes the operator from the size of the image.
    """
    kind, noise = problem
    for i in range(count):
        if kind == "deblur":
            for j, kernel in enumerate(kernels):
                yield i, j, lambda shape, k=kernel: operators.deblur(k, noise=noise)
        else:
            seed = torch.Generator().manual_seed(i)
            yield (
                i,
                0,
                lambda shape, s=seed: operators.inpaint(
                    operators.random_mask(shape, 0.5, s), noise=noise
                ),
            )


def monotone(result: Restoration) -> bool:
    """Whether the objective never rose after the descent."""
    if result.trace.objective is None:
        return False
    settled = result.trace.objective[result.descent :, 0]
    return not bool(rises(settled[settled.isfinite()]).any())


def run_cases(priors: list[str], images: list[Tensor], kernels, out: Path | None) -> list[dict]:
    """Rows by prior, problem, image and measurement; those in the file `out` are not run again."""
    rows = [json.loads(line) for line in out.read_text().splitlines()] if _there(out) else []
    done = {(r["prior"], r["problem"], r["noise"], r["image"], r["measurement"]) for r in rows}
    for name in priors:
        for problem in PROBLEMS:
            for i, j, make in cases(problem, kernels, len(images)):
                if (name, *problem, i, j) in done:
                    continue
                truth = images[i][None, None] / 255
                op = make(truth.shape[-2:])
                y = op(truth, generator=torch.Generator().manual_seed(100 * i + j))
                began = time.perf_counter()
                result = restored(name, y, op, problem)
                row = {
                    "prior": name,
                    "problem": problem[0],
                    "noise": problem[1],
                    "image": i,
                    "measurement": j,
                    "psnr": float(psnr(result.image, truth)),
                    "psnr_measured": float(psnr(y, truth)),
                    "steps": int(result.steps),
                    "monotone": monotone(result),
                    "certified": result.certified[0],
                    "doubt": result.doubts[0],
                    "seconds": time.perf_counter() - began,
                }
                rows.append(row)
                if out:
                    with open(out, "a") as file:
                        file.write(json.dumps(row) + "\n")
    return rows


def table(rows: list[dict], priors: list[str]) -> None:
    """Print means over images and kernels, and the gain over TV case by case with its extremes."""
    columns = ("measured", "PSNR", "steps", "monotone", "certified", "  over TV (least, most)")
    print(f"{'problem':15s}{'prior':12s}" + "".join(f"{c:>11s}" for c in columns))
    for kind, noise in PROBLEMS:
        here = [r for r in rows if (r["problem"], r["noise"]) == (kind, noise)]
        tv = {(r["image"], r["measurement"]): r["psnr"] for r in here if r["prior"] == "tv"}
        for name in priors:
            mine = [r for r in here if r["prior"] == name]
            if not mine:
                continue
            gains = [r["psnr"] - tv.get((r["image"], r["measurement"]), np.nan) for r in mine]
            means = {k: mean(r[k] for r in mine) for k in mine[0] if k not in TEXT}
            print(
                f"{kind:8s}{noise:5.2f}  {name:12s}{means['psnr_measured']:11.2f}"
                f"{means['psnr']:11.2f}{means['steps']:11.0f}{means['monotone']:11.1%}"
                f"{means['certified']:11.1%}{mean(gains):7.2f} ({min(gains):.2f}, {max(gains):.2f})"
            )


def motion_kernels(count: int) -> list[np.ndarray]:
    """Kernels of blur by random motion, seeded, [25, 25], each with a sum of 1."""
    from deepinv.physics.generator import MotionBlurGenerator

    motion = MotionBlurGenerator((25, 25), l=0.6)
    kernels = [motion.step(1, seed=i)["filter"][0, 0].double().numpy() for i in range(count)]
    return [k / k.sum() for k in kernels]


def tune(name: str) -> None:
    """Print mean PSNR by weight, on 256 x 256 crops of photographs held out of the training set."""
    _, held_out = hold_out(load_gray(find_data("bsds400")))
    crops = [x[:256, -256:] for x in held_out if min(x.shape) >= 256][1:20:4]
    kernels = motion_kernels(len(crops))
    for problem in PROBLEMS:
        for weight in GRID:
            values = []
            for i, j, make in cases(problem, kernels, len(crops)):
                if problem[0] == "deblur" and i != j:
                    continue
                truth = crops[i][None, None] / 255
                op = make((256, 256))
                y = op(truth, generator=torch.Generator().manual_seed(i))
                values.append(float(psnr(restored(name, y, op, problem, weight).image, truth)))
            print(
                f"{problem[0]:8s}{problem[1]:5.2f}  weight {weight:5.2f}  {mean(values):6.2f} dB",
                flush=True,
            )


def seconds() -> None:
    """Print seconds of 40 steps of ADMM, descent included, on a blurred 512 x 512 photograph."""
    from skimage.data import camera

    truth = torch.from_numpy(camera()).float()[None, None] / 255
    op = operators.deblur(operators.gaussian_kernel(1.6), noise=0.01)
    y = op(truth, generator=torch.Generator().manual_seed(0))
    prior = load("lpn-gray")
    began = time.perf_counter()
    result = restore(y, op, prior, solver="admm", steps=40, tol=1e-12)
    took = time.perf_counter() - began
    gain = f"{float(psnr(y, truth)):.2f} -> {float(psnr(result.image, truth)):.2f} dB"
    threads = f"{torch.get_num_threads()} threads of {os.cpu_count()} cores"
    print(f"512 x 512, {int(result.steps)} steps of ADMM: {took:.1f} s, {threads}, {gain}")


def _there(out: Path | None) -> bool:
    return out is not None and out.exists()


def main(argv: list[str] | None = None) -> None:
    """Run the bench and print its table, or what --tune or --time ask for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--priors", default="tv,lpn-gray")
    parser.add_argument("--out", type=Path, help="JSON lines; cases found there are not run again")
    parser.add_argument("--images", type=int, help="only the first so many")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--tune", metavar="PRIOR")
    parser.add_argument("--time", action="store_true")
    args = parser.parse_args(argv)
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.tune:
        return tune(args.tune)
    if args.time:
        return seconds()
    priors = args.priors.split(",")
    images = load_gray(find_data("set12"))[: args.images]
    with np.load(find_data("kernels/levin09.npz")) as stored:
        kernels = [stored[f"kernel_{i}"] for i in range(1, 9)]
    table(run_cases(priors, images, kernels, args.out), priors)


if __name__ == "__main__":
    main()
