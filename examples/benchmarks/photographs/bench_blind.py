"""A blurred photograph of which nobody knows anything, restored by a command without a number.

    PROXLAB_DATA=... python examples/benchmarks/photographs/bench_blind.py
        [--images 12] [--side 256] [--prior lpn-gray] [--blind "--blur-sigma auto --noise auto"]

Photographs of Set12 are blurred by a Gaussian of 1.6 pixels, and of the result only that is kept
into which nothing outside of the photograph blurred; noise 0.01 is added, and it is written as a
PNG of 16 bits, which clips it. `proxlab restore` is run on that file twice: told width and noise,
and told neither, so that it estimates both. Borders are unknown to both. Printed: PSNR of both and
what the second is behind, image by image, and what it said of its estimates.
"""

import argparse
import contextlib
import io
import tempfile
from collections.abc import Sequence
from math import isnan, nan
from pathlib import Path
from statistics import mean, median
from typing import NamedTuple

import torch
from torch import Tensor

import proxlab
from proxlab.commands.main import main as proxlab_command
from proxlab.images import read_image, write_image
from proxlab.images.data_sets import find_data
from proxlab.images.folders import load_gray
from proxlab.images.metrics import psnr

WIDTH, NOISE = 1.6, 0.01
BLIND = "--blur-sigma auto --noise auto"
ESTIMATES = ("estimated at", "width", "noise")
"""Words of the lines in which the command says what it estimated."""


class Row(NamedTuple):
    """One photograph, PSNR in dB."""

    measured: float
    told: float
    blind: float
    """nan where the command refused, and said why."""
    said: str
    """Estimates, as the command said them."""


def restored(path: Path, words: Sequence[str]) -> tuple[Tensor | None, list[str]]:
    """The image that the command makes of a file, None where it refuses, and its lines."""
    out, said = path.with_name("restored.png"), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        failed = proxlab_command(
            ["restore", str(path), "deblur", *words, "--out", str(out), "--overwrite"]
        )
    return None if failed else read_image(out).pixels, said.getvalue().splitlines()


def row(x: Tensor, seed: int, prior: str, blind: Sequence[str]) -> Row:
    """One photograph [1, 1, H, W], measured and restored twice."""
    op = proxlab.operators.deblur(proxlab.operators.gaussian_kernel(WIDTH), NOISE, "valid")
    y, truth = op(x, generator=torch.Generator().manual_seed(seed)), op.inside(x)
    told = ("--blur-sigma", str(WIDTH), "--noise", str(NOISE))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "y.png"
        write_image(path, y, 16)
        before = float(psnr(read_image(path).pixels, truth))
        best, _ = restored(path, (*told, "--prior", prior))
        found, lines = restored(path, (*blind, "--prior", prior))
    said = [line for line in lines if any(word in line for word in ESTIMATES)]
    both = (nan if each is None else float(psnr(each, truth)) for each in (best, found))
    told_psnr, blind_psnr = both
    return Row(before, told_psnr, blind_psnr, "; ".join(said))


def main(argv: Sequence[str] | None = None) -> list[Row]:
    """Print the table; its rows."""
    parser = argparse.ArgumentParser(description="restoring without being told anything")
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--side", type=int, default=256, help="of the photographs, at most")
    parser.add_argument("--prior", default="lpn-gray")
    parser.add_argument("--blind", default=BLIND, help="words of the run that is told nothing")
    args = parser.parse_args(argv)
    rows = []
    print(f"{'image':>5s} {'measured':>9s} {'told':>7s} {'blind':>7s} {'behind':>7s}")
    for i, x in enumerate(load_gray(find_data("set12"))[: args.images]):
        cut = x[None, None, : args.side, : args.side] / 255
        found = row(cut, i, args.prior, args.blind.split())
        rows.append(found)
        figures = f"{found.measured:9.2f} {found.told:7.2f} {found.blind:7.2f}"
        print(f"{i:5d} {figures} {found.told - found.blind:7.2f}  {found.said}", flush=True)
    refused = sum(isnan(found.blind) for found in rows)
    rows = [found for found in rows if not isnan(found.blind)]
    behind = [found.told - found.blind for found in rows]
    means = " ".join(f"{mean(getattr(found, k) for found in rows):7.2f}" for k in ("told", "blind"))
    print(
        f"mean: {means} dB, {mean(behind):.2f} dB behind, median {median(behind):.2f}, at most "
        f"{max(behind):.2f}; refused: {refused}"
    )
    return rows


if __name__ == "__main__":
    main()
