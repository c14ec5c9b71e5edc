"""Inpainting from a completion: the iterations it saves and the PSNR it gains over other starts.

    PROXLAB_DATA=... python examples/benchmarks/bench_completion.py [--set set12]
        [--starts zero,completion] [--out FILE.jsonl]

Half the pixels are missing, or boxes of 32 x 32, one in each square of 96 x 96; the noise is 0.01.
ADMM with one prior at its default level, without a descent of levels, runs from three starts:

    zero            missing pixels at 0
    smooth          missing pixels filled as `proxlab.restore` fills them
    completion      missing pixels filled by crate-completion

and `default` is restore's own descent from the smooth start. The table has the iterations until the
residual is below the tolerance, and the PSNR of the start and of the end. With --out each case is a
line of a file as soon as it is done, and what the file holds is not run again.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

import torch
from torch import Tensor

import proxlab
from proxlab import operators
from proxlab.checkpoints import load
from proxlab.images.data_sets import find_data
from proxlab.images.folders import load_gray
from proxlab.images.metrics import psnr
from proxlab.priors.crate.completion import Completion
from proxlab.restoration.data_terms import start

NOISE = 0.01
STARTS = ("zero", "smooth", "completion", "default")
STEPS = 400


def masks(shape: Sequence[int], seed: int) -> dict[str, Tensor]:
    """Masks of what is seen by name, bool [H, W]."""
    half = operators.random_mask(shape, 0.5, torch.Generator().manual_seed(seed))
    return {"half missing": half, "boxes missing": operators.boxes_mask(shape, 32)}


def case(truth: Tensor, mask: Tensor, which: str, prior, completion: Completion, seed: int) -> dict:
    """The figures of one restoration, from the start `which`."""
    op = operators.inpaint(mask, noise=NOISE)
    y = op(truth, generator=torch.Generator().manual_seed(seed))
    match which:
        case "zero":
            first = y
        case "completion":
            first = completion.start(y, op)
        case _:
            first = start(y, op)
    init = None if which == "default" else first
    result = proxlab.restore(y, op, prior, steps=STEPS, init=init)
    return {
        "start_psnr": float(psnr(first, truth)),
        "psnr": float(psnr(result.image, truth)),
        "iterations": int(result.steps[0]),
        "stopped": result.stopped[0],
    }


def main(argv: Sequence[str] | None = None) -> list[dict]:
    """Print means over the images; return all rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", default="set12", help="a name in PROXLAB_DATA, or a folder")
    parser.add_argument("--prior", default="lpn-gray")
    parser.add_argument("--completion", default="crate-completion")
    parser.add_argument("--starts", default=",".join(STARTS), help="by commas")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args(argv)
    starts = args.starts.split(",")
    if unknown := set(starts) - set(STARTS):
        parser.error(f"starts are {', '.join(STARTS)}, not {', '.join(unknown)}")
    images = load_gray(args.set if Path(args.set).is_dir() else find_data(args.set))
    prior, completion = load(args.prior), load(args.completion)
    if not isinstance(completion, Completion):
        parser.error(f"--completion names a completion, not {args.completion}")
    there = args.out and args.out.exists()
    rows = [json.loads(line) for line in args.out.read_text().splitlines()] if there else []
    done = {(row["image"], row["mask"], row["start"]) for row in rows}
    for i, image in enumerate(images):
        for name, mask in masks(image.shape, i).items():
            for which in starts:
                if (i, name, which) in done:
                    continue
                found = case(image[None, None] / 255, mask, which, prior, completion, i)
                rows.append({"image": i, "mask": name, "start": which} | found)
                if args.out:
                    with open(args.out, "a") as file:
                        file.write(json.dumps(rows[-1]) + "\n")
    print(f"{'mask':15s}{'start':12s}  at start   at end  iterations  stopped by tolerance")
    for name in dict.fromkeys(row["mask"] for row in rows):
        for which in dict.fromkeys(row["start"] for row in rows):
            part = [r for r in rows if (r["mask"], r["start"]) == (name, which)]
            first, last, steps = (
                mean(r[k] for r in part) for k in ("start_psnr", "psnr", "iterations")
            )
            good = sum(r["stopped"] == "tolerance" for r in part)
            print(
                f"{name:15s}{which:12s}{first:10.2f}{last:9.2f}{steps:12.1f}  {good} of {len(part)}"
            )
    return rows


if __name__ == "__main__":
    main()
