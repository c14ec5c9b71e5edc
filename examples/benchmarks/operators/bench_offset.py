"""The offset of a CT detector, estimated: errors, fits, seconds, and what a wrong one costs.

    PROXLAB_DATA=... python -m examples.benchmarks.operators.bench_offset [--kinds whole truncated]

Slices of ct/test, offsets uniform in 12 detectors to either side, fresh noise. "whole" sees
all of the image, "truncated" 0.44 of its diagonal, "fan" and "photons" are what they say.
Beside `proxlab.calibrate` its start, the first moments, and a search for the filtered
back-projection of the least entropy (tomopy's `find_center`, Donath et al. 2006), in steps of a
quarter detector. PSNR is that of `--prior` at the offset found less that at the true one.
"""

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

import proxlab
from proxlab.images.folders import load_ct
from proxlab.operators import PhotonCounts, ct
from proxlab.operators.tomography.moments import moment_offset
from proxlab.operators.tomography.operator import Tomography

FARTHEST = 12.0
"""Detectors."""


class Row(NamedTuple):
    """Errors in detectors."""

    ours: float
    sd: float
    moments: float
    entropy: float
    fits: int
    seconds: float
    doubts: int
    cost: float
    """dB."""


def scanner(kind: str, size: int, views: int, noise: float, offset: float) -> Tomography:
    """The scan of that kind."""
    more: dict[str, Any] = {}
    level: float | PhotonCounts = noise
    if kind == "truncated":
        more["detectors"] = round(size * 0.62)
    elif kind == "fan":
        more["fan"] = (3.0 * size, 4.5 * size)
        more["detector_spacing"] = 1.5
    if kind == "photons":
        level = PhotonCounts(photons=2e4, attenuation=15.0 / size)
    if "detectors" not in more:
        more["detectors"] = ct(size, views, **more).scan.detectors + 2 * int(FARTHEST + 1)
    spacing = more.get("detector_spacing", 1.0)
    return ct(size, views, level, detector_offset=offset * spacing, **more)


def by_entropy(y: Tensor, kind: str, size: int, views: int, noise: float) -> float:
    """The offset in detectors whose filtered back-projection has the least entropy."""
    best = (np.inf, 0.0)
    for offset in np.arange(-FARTHEST - 2, FARTHEST + 2.01, 0.25):
        x = scanner(kind, size, views, noise, float(offset)).A_dagger(y, window="hann")
        share = np.histogram(x.numpy(), bins=64, range=(-0.2, 0.8))[0] / x.numel()
        entropy = -(share[share > 0] * np.log2(share[share > 0])).sum()
        best = min(best, (entropy, float(offset)))
    return best[1]


def one(kind: str, x: Tensor, offset: float, args: argparse.Namespace, seed: int) -> Row:
    """One slice."""
    size, views = x.shape[-1], args.views
    there = scanner(kind, size, views, args.noise, offset)
    y = there(x, generator=torch.Generator().manual_seed(seed))
    blind = scanner(kind, size, views, args.noise, 0.0)
    s = blind.scan.detector_spacing
    began = time.perf_counter()
    found = proxlab.calibrate(y, blind, "detector_offset")
    seconds = time.perf_counter() - began
    try:
        trust = proxlab.operators.noise.measurement_weights(y, blind, None, 1.0, None)
        moments = moment_offset(y, blind.scan, trust).value / s - offset
    except ValueError:
        moments = float("nan")
    entropy = float("nan") if args.quick else by_entropy(y, kind, size, views, args.noise) - offset
    cost = float("nan")
    if args.prior:
        images = [
            proxlab.restore(y, op, args.prior, steps=60, solver="hqs").image
            for op in (found.op, there)
        ]
        cost = float(proxlab.metrics.psnr(images[0], x) - proxlab.metrics.psnr(images[1], x))
    return Row(
        found.value / s - offset,
        found.sd / s,
        moments,
        entropy,
        len(found.trace),
        seconds,
        len(found.doubts),
        cost,
    )


def main(argv: Sequence[str] | None = None) -> dict[str, list[Row]]:
    """Print the table; its rows by kind of scan."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    kinds = ["whole", "truncated", "fan", "photons"]
    parser.add_argument("--kinds", nargs="+", default=kinds, choices=kinds)
    parser.add_argument("--split", default="test", choices=["train", "test"])
    parser.add_argument("--images", type=int, default=19)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--views", type=int, default=60)
    parser.add_argument("--noise", type=float, default=0.5)
    parser.add_argument("--prior", default="", help="of the images that are compared")
    parser.add_argument("--quick", action="store_true", help="no search by entropy")
    args = parser.parse_args(argv)
    slices = load_ct(Path(os.environ["PROXLAB_DATA"]) / "ct" / args.split)
    slices = [slices[i * len(slices) // args.images] for i in range(args.images)]
    found = {}
    print(
        "| scan | largest error, ours | rms | within .1 | error over sd, rms | moments | entropy | "
        "fits, most | seconds, most | with doubts | dB |\n|" + " --- |" * 11
    )
    for kind in args.kinds:
        draw = np.random.default_rng(7)
        rows = found[kind] = []
        for i, x in enumerate(slices):
            x = interpolate(x[None, None], (args.size, args.size), mode="bilinear", antialias=True)
            rows.append(one(kind, x, float(draw.uniform(-FARTHEST, FARTHEST)), args, i))
        each = np.array(rows)
        ours, sd, moments, entropy = each[:, :4].T
        print(
            f"| {kind} | {abs(ours).max():.3f} | {rms(ours):.3f} | {(abs(ours) <= 0.1).sum()} of "
            f"{len(rows)} | {rms(ours / sd):.1f} | {rms(moments):.3f} | {rms(entropy):.3f} | "
            f"{each[:, 4].max():.0f} | {each[:, 5].max():.0f} | {(each[:, 6] > 0).sum()} | "
            f"{each[:, 7].min():.2f} |",
            flush=True,
        )
    return found


def rms(errors: np.ndarray) -> float:
    """Root of the mean square of the errors that there are."""
    return float(np.sqrt(np.nanmean(errors**2))) if np.isfinite(errors).any() else float("nan")


if __name__ == "__main__":
    main()
