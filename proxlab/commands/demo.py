"""The command `proxlab demo`: photograph and CT phantom, restored by total variation and an LPN."""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor, nn

from proxlab import operators
from proxlab.checkpoints import load
from proxlab.commands.device import device
from proxlab.images.files import check_folder, check_writable, writing
from proxlab.images.metrics import psnr, ssim
from proxlab.jobs import restore
from proxlab.operators.tomography.operator import Tomography
from proxlab.restoration import Restoration
from solvers.progress import on_terminal


class Scene(NamedTuple):
    """An image, how it is measured, and the learned prior that restores it."""

    name: str
    truth: Tensor
    """[1, 1, H, W]."""
    op: LinearPhysics
    prior: str = "lpn-gray"

    def plain(self, y: Tensor) -> Tensor:
        """Image without a prior: the measurement itself, or its filtered back-projection."""
        return self.op.A_dagger(y, window="hann") if isinstance(self.op, Tomography) else y


class Shown(NamedTuple):
    """A row of the figure."""

    scene: Scene
    plain: Tensor
    tv: Restoration
    lpn: Restoration


def scenes(crop: int) -> list[Scene]:
    """Three measurements of scikit-image's photographer, and a scan of its CT phantom.

    crop: side of the images, pixels.
    """
    from skimage.data import camera, shepp_logan_phantom
    from skimage.transform import resize

    photo = torch.from_numpy(camera()).float()[None, None] / 255
    photo = photo[..., 60 : 60 + crop, 130 : 130 + crop]
    phantom = torch.from_numpy(resize(shepp_logan_phantom(), (crop, crop), anti_aliasing=True))
    generator = torch.Generator().manual_seed(0)
    mask = operators.random_mask((crop, crop), 0.5, generator)
    return [
        Scene("blur", photo, operators.deblur(operators.gaussian_kernel(2.0), noise=0.01)),
        Scene("noisy blur", photo, operators.deblur(operators.gaussian_kernel(1.2), noise=0.05)),
        Scene("half missing", photo, operators.inpaint(mask, noise=0.01)),
        Scene("CT, 40 views", phantom.float()[None, None], operators.ct(crop, 40, noise=0.75)),
    ]


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
        verdict = f"yes: {r['proof']}" if r["certified"] else f"no: {r['doubt']}"
        print(
            f"{r['problem']:14s} {r['prior']:10s} {r['psnr_measured']:8.2f} {r['psnr']:8.2f} "
            f"{r['ssim']:6.3f}  {verdict}"
        )
    print(f"figure: {args.out / 'figure.png'}   rows: {args.out / 'results.jsonl'}")


def demo(
    out: Path,
    steps: int | None = None,
    quiet: bool = False,
    crop: int = 256,
    overwrite: bool = False,
    device: str = "cpu",
) -> list[dict]:
    """Restore four measurements of scikit-image's images, each by total variation and by an LPN.

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
        pictures.append(Shown(scene, plain, *results))
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
    }


def draw_demo(path: Path, pictures: list[Shown]) -> None:
    """Write the figure, PNG, to `path`: a row a scene, of one gray image each.

    A row has the measurement, the restorations by TV and by the LPN, the truth, and the objective
    of the LPN's restoration.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 3.15 * len(pictures)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(pictures), 5, squeeze=False)
    for row, (scene, plain, tv, lpn) in zip(axes, pictures, strict=True):
        truth, is_ct = scene.truth, isinstance(scene.op, Tomography)
        shown = (
            (f"{'back-projected' if is_ct else 'measured'}: {scene.name}", plain),
            ("total variation", tv.image),
            (f"learned proximal network, {scene.prior}", lpn.image),
            ("truth", truth),
        )
        for ax, (title, x) in zip(row, shown, strict=False):
            ax.imshow(x[0, 0].clamp(0, 1).numpy(), cmap="gray", vmin=0, vmax=1)
            if x is not truth:
                title = f"{title}\n{float(psnr(x, truth)):.2f} dB"
            ax.set_title(title, fontsize=10)
            ax.set_axis_off()
        _objective(row[4], lpn)
    figure.savefig(path, dpi=110, format="png")


def _objective(ax, result: Restoration) -> None:
    """Draw the objective of a restoration after its descent, above the last value."""
    assert result.trace.objective is not None  # an LPN has a value
    values = result.trace.objective[result.descent :, 0]
    values = values[values.isfinite()]
    excess = (values - values[-1])[:-1]  # the last one, zero, has no logarithm
    steps = range(result.descent + 1, result.descent + 1 + len(excess))
    ax.semilogy(steps, excess.numpy(), color="tab:blue")
    verdict = "certified" if result.certified[0] else result.doubts[0]
    ax.set_title(f"objective above its last value\n{verdict}", fontsize=10)
    ax.set_xlabel("step")
    ax.grid(alpha=0.3)
