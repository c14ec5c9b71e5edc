"""The demo: one photograph, measured in three ways, restored by total variation and an LPN."""

import json
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from proxlab import operators
from proxlab.checkpoints import load
from proxlab.classical import TV
from proxlab.files import check_writable, writing
from proxlab.metrics import psnr, ssim
from proxlab.restoration import Restoration, restore

STEPS = 200


def problems(shape: tuple[int, int]) -> dict:
    """The three measurements, by name."""
    generator = torch.Generator().manual_seed(0)
    return {
        "blur": operators.deblur(operators.gaussian_kernel(2.0), noise=0.01),
        "noisy blur": operators.deblur(operators.gaussian_kernel(1.2), noise=0.05),
        "half missing": operators.inpaint(operators.random_mask(shape, 0.5, generator), noise=0.01),
    }


def demo(
    out: Path,
    steps: int = STEPS,
    quiet: bool = False,
    crop: int = 256,
    overwrite: bool = False,
    device: str = "cpu",
) -> list[dict]:
    """Restore scikit-image's camera photograph three ways; figure.png and results.jsonl in `out`.

    Returns the rows of results.jsonl. Raises ValueError if `out` cannot be written to, and
    FileExistsError if it holds results and `overwrite` is false.
    """
    from skimage.data import camera

    truth = torch.from_numpy(camera()).float()[None, None] / 255
    truth = truth[..., 60 : 60 + crop, 130 : 130 + crop]
    out.mkdir(parents=True, exist_ok=True)
    for file in ("results.jsonl", "figure.png"):
        check_writable(out / file, overwrite)
    rows, pictures = [], []
    for name, op in problems((crop, crop)).items():
        y = op(truth, generator=torch.Generator().manual_seed(1)).to(device)
        op = op.to(device)
        # A few inner steps from the last dual lead to the same minimum as many, ten times sooner.
        tv = restore(y, op, TV(max_steps=15), steps=steps, progress=not quiet)
        lpn = restore(y, op, load("lpn-gray").to(device), steps=steps, progress=not quiet)
        y, tv, lpn = y.cpu(), replace(tv, image=tv.image.cpu()), replace(lpn, image=lpn.image.cpu())
        pictures.append((name, y, tv, lpn))
        for prior, result in (("tv", tv), ("lpn-gray", lpn)):
            rows.append(_row(name, prior, y, result, truth))
    with writing(out / "results.jsonl", overwrite) as path:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    from proxlab.plots import draw_demo

    with writing(out / "figure.png", overwrite) as path:
        draw_demo(path, truth, pictures)
    return rows


def _row(name: str, prior: str, y: Tensor, result: Restoration, truth: Tensor) -> dict:
    return {
        "problem": name,
        "prior": prior,
        "psnr_measured": round(float(psnr(y, truth)), 2),
        "psnr": round(float(psnr(result.image, truth)), 2),
        "ssim": round(float(ssim(result.image, truth)), 4),
        "steps": int(result.steps),
        "stopped": result.stopped[0],
        "certified": result.certified[0],
        "doubt": result.doubts[0],
    }
