"""The command `proxlab demo`: four problems, restored by total variation and a learned prior."""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from proxlab.checkpoints import load
from proxlab.commands.demo_figure import Shown, draw_demo, in_short
from proxlab.commands.demo_scenes import Scene, scenes
from proxlab.commands.device import device
from proxlab.images.files import check_folder, check_writable, writing
from proxlab.images.metrics import psnr, ssim
from proxlab.jobs import restore
from proxlab.restoration import Restoration
from solvers.progress import on_terminal

SIDE = 192
"""Side of the images, pixels: large enough to see, small enough to be quick on any machine."""


def demo_files(args: argparse.Namespace) -> None:
    """Run the demo into the folder args.out and print its table. Raises as `demo` does."""
    check_folder(args.out)
    rows = demo(args.out, quiet=args.quiet, overwrite=args.overwrite, device=device(args.device))
    if args.quiet:
        return
    print(
        f"{'problem':14s} {'prior':10s} {'measured':>8s} {'restored':>8s} {'SSIM':>6s}  certified"
    )
    for r in rows:
        print(
            f"{r['problem']:14s} {r['prior']:10s} {r['psnr_measured']:8.2f} {r['psnr']:8.2f} "
            f"{r['ssim']:6.3f}  {r['evidence']}"
        )
    print(f"figure: {args.out / 'figure.png'}   rows: {args.out / 'results.jsonl'}")


def demo(
    out: Path,
    steps: int | None = None,
    quiet: bool = False,
    crop: int = SIDE,
    overwrite: bool = False,
    device: str = "cpu",
) -> list[dict]:
    """Restore four measurements, each by total variation and by a learned prior.

    Writes figure.png and results.jsonl to the folder `out`, and returns the rows of the latter.
    Raises ValueError if `out` cannot be written to, and FileExistsError if it holds results and
    `overwrite` is false.
    """
    out.mkdir(parents=True, exist_ok=True)
    for file in ("results.jsonl", "figure.png"):
        check_writable(out / file, overwrite)
    rows: list[dict] = []
    pictures: list[Shown] = []
    for scene in scenes(crop):
        y = scene.op(scene.truth, generator=torch.Generator().manual_seed(1))
        plain, op = scene.plain(y), scene.op.to(device)
        learned = load(scene.prior)
        if isinstance(learned, nn.Module):
            learned.to(device)
        results, shown = [], not quiet and on_terminal()
        for name, prior in (("tv", load("tv")), (scene.prior, learned)):
            result = restore(y.to(device), op, prior, steps=steps, progress=shown)
            result = replace(result, image=result.image.cpu())
            rows.append(_row(scene, name, plain, result))
            results.append(result)
        pictures.append(Shown(scene, y, plain, *results))
    with writing(out / "results.jsonl", overwrite) as path:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with writing(out / "figure.png", overwrite) as path:
        draw_demo(path, pictures)
    return rows


def _row(scene: Scene, prior: str, plain: Tensor, result: Restoration) -> dict:
    """Line of results.jsonl and of the table; PSNR in dB."""
    return {
        "problem": scene.name,
        "prior": prior,
        "psnr_measured": round(float(psnr(plain, scene.truth)), 2),
        "psnr": round(float(psnr(result.image, scene.truth)), 2),
        "ssim": round(float(ssim(result.image, scene.truth)), 4),
        "steps": int(result.steps),
        "stopped": result.stopped[0],
        "certified": result.certified[0],
        "doubt": result.doubts[0],
        "solver": result.solver,
        "proof": result.evidence[0].brief,
        "evidence": in_short(result),
    }
