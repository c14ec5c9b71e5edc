"""The command `proxlab sample`: one picture, or an npy file that may be larger than memory.

    torchrun --nproc-per-node 2 -m -- proxlab sample proxdm-mnist --n 10000 --out digits.npy

shares the samples over processes, the first of which writes; torchrun would read --n as its own
without the two dashes.
"""

import argparse
import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from proxlab.checkpoints import load_diffusion
from proxlab.commands.device import device
from proxlab.images import write_image
from proxlab.images.decoders.npy import write_npy_parts
from proxlab.images.files import check_writable, writing
from proxlab.sampling import Drawing, prepared
from proxlab.training import processes
from solvers import even_grid, uniform_grid
from solvers.progress import on_terminal, progress_bar

MOST_IN_A_PICTURE = 10_000
"""Number of images that are put into one picture at most."""
GAP = 2
"""Width of the gap between the images of a picture, pixels."""


def sample_file(args: argparse.Namespace) -> None:
    """Draw args.n images from args.model and write them to args.out, .png or .npy.

    Raises ValueError for another kind of file, for too many images for one picture, and as
    `proxlab.sample` does.
    """
    suffix = args.out.suffix.lower()
    if suffix not in (".npy", ".png"):
        raise ValueError(f"samples are written as .png or .npy, got {args.out}; rename it")
    if suffix == ".png" and args.n > MOST_IN_A_PICTURE:
        raise ValueError(
            f"a picture of {args.n} images is too large to look at; write an .npy file, or take "
            f"--n up to {MOST_IN_A_PICTURE}"
        )
    if args.scale < 1 or (args.scale > 1 and suffix == ".npy"):
        raise ValueError(
            f"--scale is at least 1 and for a .png, got {args.scale} for {args.out}; leave it out"
        )
    with processes.joined(device(args.device)) as place:
        if processes.rank() == 0:
            check_writable(args.out, args.overwrite)
        model = load_diffusion(args.model).to(place)
        grids = {
            "own": args.steps,
            "uniform": uniform_grid(args.steps),
            "even": even_grid(args.steps, model.schedule),
        }
        drawing = prepared(
            model,
            args.n,
            steps=grids[args.grid],
            kind=args.kind,
            seed=args.seed,
            batch=args.batch,
        )
        parts = shared_parts(drawing, not args.quiet and on_terminal())
        if processes.rank() > 0:
            for _ in parts:
                pass
            return
        if suffix == ".npy":
            _write_array(args, model.shape, parts)
        else:
            sheet = picture(torch.cat([x.cpu() for x in parts]))
            sheet = sheet.repeat_interleave(args.scale, 2).repeat_interleave(args.scale, 3)
            write_image(args.out, sheet, overwrite=True)
    if not args.quiet:
        print(f"{args.n} samples of {args.model}, {args.steps} {args.kind} steps: {args.out}")


def shared_parts(drawing: Drawing, progress: bool) -> Iterator[Tensor]:
    """Parts in order in the first process; each other draws every so-manieth batch and yields none.

    Sample i is the same whoever draws it.
    """
    mine, count = processes.rank(), processes.count()
    total = len(drawing.starts[::count]) * drawing.steps
    with progress_bar(progress and mine == 0, total, label="sample") as bar:
        for k, first in enumerate(drawing.starts):
            part, owner = None, k % count
            if owner == mine:
                part = drawing.part(first, bar.update)
            if mine in (0, owner):
                part = processes.to_first(part, drawing.shape(first), owner)
            if mine == 0 and part is not None:
                yield part


def picture(samples: Tensor) -> Tensor:
    """Sheet of images, [N, C, H, W] -> [1, C, ., .], cut to [0, 1].

    It is as nearly square as it can be; the gaps and the places left over are black.
    """
    n, c, h, w = samples.shape
    columns = math.ceil(math.sqrt(n * h / w))
    rows = math.ceil(n / columns)
    sheet = torch.zeros(c, rows * (h + GAP) - GAP, columns * (w + GAP) - GAP)
    for i, x in enumerate(samples.clamp(0, 1)):
        top, left = i // columns * (h + GAP), i % columns * (w + GAP)
        sheet[:, top : top + h, left : left + w] = x
    return sheet[None]


def _write_array(args: argparse.Namespace, shape: tuple[int, ...], parts: Iterator[Tensor]) -> None:
    """Write images as float32 [n, C, H, W], part by part, so that memory holds one batch."""
    with writing(args.out, args.overwrite) as path:
        arrays = (part.cpu().numpy() for part in parts)
        write_npy_parts(path, (args.n, *shape), np.float32, arrays)
