"""Posteriors of photographs and CT slices: do intervals hold, and what does the mean cost?

    PROXLAB_DATA=... python -m examples.posteriors.photographs --problems deblur,inpaint
        [--priors lpn-gray,unet-gray-wide] [--images 12] [--samples 16] [--steps 10] [--rivals]
    PROXLAB_DATA=... python -m examples.posteriors.photographs --problems ct --priors lpn-ct

Photographs are the middle 128 x 128 pixels of Set12, blurred by a Gaussian of 1.6 pixels (borders
wrap around) or half of the pixels missing, both with noise 0.02; slices are those of ct/test, 512 x
512, under 60 views with noise 0.5 on the sinogram, and samples of them begin at `restore`'s image.
Printed for each image set: the PSNR of the mean of the samples and of `restore`'s own image, what
central intervals hold of the truth, overall and in quarters from flat to busy pixels, and the
spread of the samples over the error of their mean.
DiffPIR and PnP-DM begin at the same plain estimate as ours, for the priors know no more noise;
their settings are the best of eight (`--tune`), by energy score, on held-out photographs.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

import proxlab
from examples.bench_spread import crops
from examples.posteriors.diagonal import Measured, Rival, Task, blurred
from examples.posteriors.rivals import DiffPIR, PnPDM
from proxlab.images.data_sets import find_data
from proxlab.images.folders import hold_out, load_ct, load_gray
from proxlab.images.metrics import psnr
from proxlab.posteriors.quality import PosteriorQuality, posterior_quality

SIDE, BLUR, MISSING, NOISE = 128, 1.6, 0.5, 0.02
VIEWS, CT_NOISE = 60, 0.5
CT_SETTING = {"solver": "hqs", "sigma": 2 / 255, "weight": 0.2, "steps": 50}
"""Of `restore`, as `bench_ct_restore` chose them on training slices."""
TRIED: dict[str, list[Rival]] = {
    "DiffPIR": [DiffPIR(0.2, 0.03, w, f) for w in (0.1, 0.3, 1.0, 3.0) for f in (0.3, 0.7)],
    "PnP-DM": [PnPDM(h, l, i) for h in (0.2, 0.1) for l in (0.06, 0.03) for i in (2, 3)],
}
"""Eight settings of each rival."""
BEST: dict[str, dict[str, Rival]] = {
    "deblur": {"DiffPIR": DiffPIR(0.2, 0.03, 1.0, 0.7), "PnP-DM": PnPDM(0.2, 0.03, 2)},
    "inpaint": {"DiffPIR": DiffPIR(0.2, 0.03, 1.0, 0.7), "PnP-DM": PnPDM(0.1, 0.03, 2)},
}
"""Their settings that `--tune --images 4` chose."""


class Problem(NamedTuple):
    """A measurement of images."""

    name: str
    clean: Tensor
    """[B, 1, H, W]."""
    op: LinearPhysics
    y: Tensor
    seen: Measured | None
    """The same as rivals take it, where A is diagonal."""


def problem(name: str, clean: Tensor, seed: int = 0) -> Problem:
    """The measurement by name, its noise and mask from the seed."""
    size = clean.shape[-2:]
    generator = torch.Generator().manual_seed(seed)
    if name == "ct":
        op, seen = proxlab.operators.ct(size[0], VIEWS, CT_NOISE), None
    elif name == "deblur":
        op = proxlab.operators.deblur(proxlab.operators.gaussian_kernel(BLUR), noise=NOISE)
        seen = blurred(size, BLUR, NOISE)
    else:
        mask = proxlab.operators.random_mask(size, MISSING, generator)
        op = proxlab.operators.inpaint(mask, noise=NOISE)
        seen = Measured(mask.view(1, 1, *size).float(), False, torch.zeros(1), NOISE)
    y = op(clean, generator=generator)
    return Problem(name, clean, op, y, seen and replace(seen, y=y))


def by_rival(task: Problem, prior, rival: Rival, n: int, steps: int) -> Tensor:
    """Samples of a rival, [n, B, 1, H, W]."""
    assert task.seen is not None
    start = proxlab.data_terms.start(task.y, task.op)
    generator = torch.Generator().manual_seed(1)
    least, most = prior.sigma_range

    def denoise(v: Tensor, sigma: float) -> Tensor:
        return prior.prox(v, min(max(sigma, least), most))

    wanted = Task(denoise, task.seen, start, NOISE)
    with torch.no_grad():
        return torch.stack([rival(wanted, steps, generator) for _ in range(n)])


def row(name: str, task: Problem, samples: Tensor, restored: Tensor | None, seconds: float) -> dict:
    """Figures of one method."""
    quality: PosteriorQuality = posterior_quality(samples, task.clean)
    return {
        "method": name,
        "problem": task.name,
        "mean": float(psnr(samples.mean(0), task.clean).mean()),
        "restore": None if restored is None else float(psnr(restored, task.clean).mean()),
        "coverage": quality.coverage,
        "quarters": quality.coverage_by_quarter.get(0.8, []),
        "ratio": quality.spread_over_error,
        "ratios": quality.spread_over_error_by_quarter,
        "energy": float(quality.energy_score.mean()),
        "seconds": seconds / samples.shape[0] / samples.shape[1],
    }


def line(r: dict) -> str:
    """The row as a line of a table."""
    held = " / ".join(f"{100 * v:.0f}" for v in r["coverage"].values())
    quarters = " / ".join(f"{100 * v:.0f}" for v in r["quarters"])
    ratios = " / ".join(f"{v:.2f}" for v in r["ratios"])
    own = "" if r["restore"] is None else f"{r['restore']:.2f}"
    return (
        f"| {r['problem']} | {r['method']} | {r['mean']:.2f} | {own} | {held} | {quarters} | "
        f"{r['ratio']:.2f} | {ratios} | {r['energy']:.3f} | {r['seconds']:.1f} |"
    )


def images(name: str, count: int, held_out: bool) -> Tensor:
    """Test images of a problem, or held-out ones of the training sets, [B, 1, H, W] in [0, 1]."""
    if name == "ct":
        slices = load_ct(find_data("ct/train" if held_out else "ct/test"))
        slices = hold_out(slices)[1] if held_out else slices
        chosen = sorted({i * len(slices) // count for i in range(count)})
        return torch.stack([slices[i][None] for i in chosen])
    if held_out:
        return crops(hold_out(load_gray(find_data("bsds400")))[1], count, SIDE)
    return crops(load_gray(find_data("set12")), count, SIDE)


def tune(names: Sequence[str], prior, count: int, steps: int) -> None:
    """Print what each setting of the rivals has as energy score on held-out photographs."""
    for name in names:
        task = problem(name, images(name, count, held_out=True))
        for method, settings in TRIED.items():
            for setting in settings:
                found = by_rival(task, prior, setting, 4, steps)
                print(
                    name, setting, f"{row(method, task, found, None, 0)['energy']:.4f}", flush=True
                )


def main(argv: Sequence[str] | None = None) -> list[dict]:
    """Print the table; its rows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--problems", default="deblur,inpaint", help="of deblur, inpaint, ct")
    parser.add_argument("--priors", default="lpn-gray")
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rivals", action="store_true", help="DiffPIR and PnP-DM too")
    parser.add_argument("--tune", action="store_true", help="settings, on held-out photographs")
    parser.add_argument("--held-out", action="store_true", help="held-out images, none of the test")
    parser.add_argument("--out", type=Path, help="JSON lines of the rows")
    args = parser.parse_args(argv)
    names = args.problems.split(",")
    if args.tune:
        tune(names, proxlab.load(args.priors.split(",")[0]), args.images, args.steps)
        return []
    print(
        "| problem | method | mean | restore | 50 / 80 % | 80 % by quarter | ratio | by quarter |"
    )
    rows = []
    for name in names:
        task = problem(name, images(name, args.images, args.held_out))
        for model in args.priors.split(","):
            prior = proxlab.load(model)
            setting = CT_SETTING if name == "ct" else {}
            restored = proxlab.restore(task.y, task.op, prior, **setting).image
            ours = {f"annealed, {model}": None}
            for method, rival in (ours | (BEST[name] if args.rivals else {})).items():
                begun = time.perf_counter()
                if rival is None:
                    samples = proxlab.posterior(
                        task.y,
                        task.op,
                        prior,
                        args.samples,
                        steps=args.steps,
                        init=restored if name == "ct" else None,
                    ).samples
                else:
                    samples = by_rival(task, prior, rival, args.samples, args.steps)
                rows.append(row(method, task, samples, restored, time.perf_counter() - begun))
                print(line(rows[-1]), flush=True)
                if args.out:
                    with args.out.open("a") as file:
                        file.write(json.dumps(rows[-1]) + "\n")
    return rows


if __name__ == "__main__":
    main()
