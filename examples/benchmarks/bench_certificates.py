"""Certificates on Set12: honest runs, planted mistakes, the share of every prior, and their price.

    PROXLAB_DATA=... python -m examples.benchmarks.bench_certificates --out FILE.jsonl
        [--sets honest,planted,share,cost] [--side 128] [--priors A,B] [--images 4]

honest   100 runs of `lpn-gray` at the defaults, 25 measurements by 4 solvers: all to be certified
planted  100 runs with a mistake each (`planted_mistakes`): none to be certified
share    priors x deblurring, inpainting, CT x solvers on Set12: how many come to rest, how many are
         certified, how many after a prior that was refused, margins, reasons of the others, PSNR
cost     time that evidence takes of a run, 256 x 256, 64 evaluations kept

Images are cut to their middle `--side` pixels. Measurements: two kernels of Levin et al. 2009, a
Gaussian blur and half the pixels missing at noise 0.01, CT from 40 views at noise 0.75. A row of
the file is a run; what the file holds is not run again. A part of the table may be run first.
"""

import argparse
import json
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from examples.benchmarks.planted_mistakes import MISTAKES
from proxlab import operators
from proxlab.images.data_sets import find_data
from proxlab.images.folders import load_gray
from proxlab.jobs import restore
from proxlab.named_priors import as_prior
from proxlab.restoration import Checks, Restoration, fixed_level, judging, restoring
from solvers import Diverged

SOLVERS = ("pgd", "admm", "drs", "hqs")
NOISE, COST_SIDE = 0.01, 256
PROBLEMS = ("deblur", "inpaint", "ct")
PRIORS = (
    "lpn-gray", "lpn-gray-small", "lpn-gray-wide", "unet-gray", "unet-gray-wide", "gs-unet-wide",
    "crate-gray-step", "dncnn-gray", "crate-gray", "tv", "wavelets",
)  # fmt: skip
CONVEX = ("tv", "wavelets")
PROVERS = (
    (restoring, "check_operator"), (restoring, "check_data_term"), (restoring, "curvature_floor"),
    (fixed_level, "_probe"), (judging, "check_operator"), (judging, "interpolated"),
    (fixed_level, "curvature_met"), (judging, "_data_errors"),
)  # fmt: skip
"""The functions that make evidence, where they are looked up."""
Case = dict


def operator(problem: str, side: int, kernels: list[np.ndarray]):
    """An operator by its name: "kernel 0", "kernel 1", "deblur", "inpaint" or "ct"."""
    if problem == "inpaint":
        seed = torch.Generator().manual_seed(0)
        return operators.inpaint(operators.random_mask((side, side), 0.5, seed), noise=NOISE)
    if problem == "ct":
        return operators.ct(side, 40, noise=0.75)
    if problem == "deblur":
        return operators.deblur(operators.gaussian_kernel(1.6), noise=NOISE)
    return operators.deblur(kernels[int(problem[-1])], noise=NOISE)


def honest(images: int) -> Iterator[Case]:
    """25 measurements, spread evenly over images and operators, by the 4 solvers."""
    names = ("kernel 0", "kernel 1", "deblur", "inpaint")
    for k in range(25):
        for solver in SOLVERS:
            problem = names[(k + k // images) % 4]
            yield {"set": "honest", "prior": "lpn-gray", "problem": problem, "solver": solver,
                   "image": k % images}  # fmt: skip


def planted(images: int) -> Iterator[Case]:
    """20 runs of each mistake, over problems, solvers and images."""
    for mistake in MISTAKES:
        for k in range(20):
            # ct is left to hqs, whose theorem any step satisfies
            problem = ("deblur", "inpaint", "kernel 0", "ct")[k % 4]
            solver = "hqs" if problem == "ct" and mistake != "lipschitz" else SOLVERS[k // 4 % 4]
            yield {"set": "planted", "prior": "lpn-gray", "problem": problem, "solver": solver,
                   "image": (k + k // images) % images, "mistake": mistake}  # fmt: skip


def share(images: int, priors: list[str], each: int) -> Iterator[Case]:
    """Every prior on every problem by every solver that takes it, on `each` of the images."""
    for p, prior in enumerate(priors):
        for q, problem in enumerate(PROBLEMS):
            for s, solver in enumerate(("pdhg",) if prior in CONVEX else SOLVERS):
                for k in range(images if prior in CONVEX else each):
                    image = (k * images // each + p + q + s) % images
                    yield {"set": "share", "prior": prior, "problem": problem, "solver": solver,
                           "image": k if prior in CONVEX else image}  # fmt: skip


def once(case: Case, image: Tensor, kernels: list[np.ndarray]) -> Case:
    """Row of a case: verdict, doubts and the numbers of the evidence."""
    op = operator(case["problem"], image.shape[-1], kernels)
    y = op(image, generator=torch.Generator().manual_seed(case["image"]))
    prior = as_prior(case["prior"])
    mistake = MISTAKES.get(case.get("mistake", ""))
    if mistake is not None and mistake.prior is not None:
        prior = mistake.prior(prior)
    if mistake is not None and mistake.operator is not None:
        op = mistake.operator(op)
    solver = None if case["solver"] == "pdhg" else case["solver"]
    try:
        result = restore(y, op, prior, solver)
    except (Diverged, ValueError) as error:
        return case | {"certified": False, "doubt": str(error), "rest": False}
    return case | told(result, image)


def told(result: Restoration, image: Tensor) -> Case:
    """Verdict, numbers and PSNR of a result, for its row."""
    found, psnr = result.evidence[0], result.scored(image).psnr
    return {
        "certified": result.certified[0],
        "doubt": result.doubts[0],
        "rest": result.stopped[0] == "tolerance",
        "steps": int(result.steps[0]),
        "margin": found.margin,
        "value_margin": found.value_margin,
        "step": found.step,
        "gap": found.gap,
        "refused": len(result.refused),
        "psnr": None if psnr is None else round(float(psnr[0]), 3),
    }


def cost(image: Tensor, priors: list[str]) -> None:
    """Print the share of a run's time that evidence takes, by prior and problem."""
    side = image.shape[-1]
    print(f"\nevidence at {side} x {side}, 64 evaluations kept: share of the run's time")
    for name in priors:
        for problem in PROBLEMS[:2]:
            op = operator(problem, side, [])
            y = op(image, generator=torch.Generator().manual_seed(0))
            spent = [0.0]
            with ExitStack() as stack:
                for module, function in PROVERS:
                    told_by = vars(module)[function]
                    stack.enter_context(patch.object(module, function, _timed(told_by, spent)))
                began = time.perf_counter()
                # a tolerance that no run reaches: 88 evaluations, of which 64 can be kept
                result = restore(y, op, name, "admm", steps=88, tol=1e-9, checks=Checks(pairs=65))
                whole = time.perf_counter() - began
            kept = result.evidence[0].looked_at
            print(f"{name:16s}{problem:8s} kept {kept}: {spent[0]:.2f} of {whole:.2f} s, "
                  f"{spent[0] / whole:.1%}")  # fmt: skip


def _timed(function, spent: list[float]):
    def call(*args, **kwargs):
        began = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            spent[0] += time.perf_counter() - began

    return call


def report(rows: list[Case]) -> None:
    """Print what the rows say, set by set."""
    for name in ("honest", "planted"):
        mine = [row for row in rows if row["set"] == name]
        if mine:
            print(f"{name}: {sum(row['certified'] for row in mine)} of {len(mine)} certified")
        for mistake in dict.fromkeys(row.get("mistake") for row in mine):
            some = [row for row in mine if row.get("mistake") == mistake]
            if mistake:
                print(f"  {mistake}: {sum(r['certified'] for r in some)} of {len(some)} certified")
            for row in some:
                if row["certified"] == (name == "planted"):
                    print(f"    {row['problem']}, {row['solver']}, image {row['image']}: "
                          f"{row['doubt'] or 'certified'}")  # fmt: skip
    mine = [row for row in rows if row["set"] == "share"]
    if not mine:
        return
    wide = max(len(row["prior"]) for row in mine)
    print(f"\n{'prior':{wide}s} problem  runs  at rest  certified  repeated    PSNR  "
          "margins (least, median)  reasons")  # fmt: skip
    for prior in dict.fromkeys(row["prior"] for row in mine):
        for problem in PROBLEMS:
            some = [r for r in mine if (r["prior"], r["problem"]) == (prior, problem)]
            if some:
                print(_line(f"{prior:{wide}s} {problem:8s}", some))


def _line(name: str, rows: list[Case]) -> str:
    margins = sorted(r["margin"] for r in rows if r.get("margin") is not None)
    told_margins = f"{margins[0]:.2f}, {statistics.median(margins):.2f}" if margins else ""
    gaps = [r["gap"] for r in rows if r.get("gap") is not None]
    told_margins = f"gap {max(gaps):.1e} at most" if gaps else told_margins
    reasons = Counter(_reason(r["doubt"]) for r in rows if r["doubt"])
    said = ", ".join(f"{n} {word}" for word, n in reasons.items())
    levels = [r["psnr"] for r in rows if r.get("psnr") is not None]
    psnr = f"{statistics.mean(levels):.2f}" if levels else ""
    counts = [sum(bool(r.get(key)) for r in rows) for key in ("rest", "certified", "refused")]
    words = "{:5d}{:9d}{:11d}{:10d}".format(len(rows), *counts)
    return f"{name}{words}{psnr:>8s}  {told_margins:23s}  {said}"


def _reason(doubt: str) -> str:
    return "no prox" if "no prox" in doubt.split("; ")[0] else " ".join(doubt.split()[:3])


def main(argv: list[str] | None = None) -> None:
    """Run the bench and print its report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", default="honest,planted,share,cost")
    parser.add_argument("--priors", default=",".join(PRIORS))
    parser.add_argument("--out", type=Path, help="JSON lines; runs found there are not run again")
    parser.add_argument("--side", type=int, default=128, help="of the middle part of each image")
    parser.add_argument("--images", type=int, default=4, help="in each cell of the shares")
    args, whole = parser.parse_args(argv), load_gray(find_data("set12"))
    images = [_middle(x, args.side) for x in whole]
    with np.load(find_data("kernels/levin09.npz")) as stored:
        kernels = [stored["kernel_1"], stored["kernel_5"]]
    priors, sets = args.priors.split(","), args.sets.split(",")
    cases = [
        *(honest(len(images)) if "honest" in sets else ()),
        *(planted(len(images)) if "planted" in sets else ()),
        *(share(len(images), priors, args.images) if "share" in sets else ()),
    ]
    there = args.out is not None and args.out.exists()
    rows = [json.loads(line) for line in args.out.read_text().splitlines()] if there else []
    for case in cases:
        if any(case.items() <= row.items() for row in rows):
            continue
        rows.append(once(case, images[case["image"]], kernels))
        if args.out:
            with open(args.out, "a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
    report(rows)
    if "cost" in sets:
        cost(_middle(whole[0], COST_SIDE), [p for p in priors if p not in CONVEX][:2])


def _middle(x: Tensor, side: int) -> Tensor:
    top, left = ((n - side) // 2 for n in x.shape)
    return x[None, None, top : top + side, left : left + side] / 255


if __name__ == "__main__":
    main()
