"""Worth of flat fields, weights of rays, and the removal of rings and zingers, in dB.

    python -m examples.benchmarks.operators.bench_preprocessing
    PROXLAB_DATA=... python -m examples.benchmarks.operators.bench_preprocessing --slices 4

The drawn abdomen, or held-out slices of ct/train at half their size, scanned by a detector whose
elements differ: counts of photons over an uneven flat field and a dark one. Each row spoils the
counts in one way and mends them. PSNR of filtered back-projection with a Hann window, and of TV.
"""

import argparse

import numpy as np
import torch.nn.functional as F
from torch import Tensor

import proxlab
from proxlab.images import list_images
from proxlab.images.data_sets import find_data
from proxlab.images.hounsfield import read_slice
from proxlab.operators import remove_rings, remove_zingers, sinogram
from proxlab.operators.tomography.abdomen import abdomen
from proxlab.operators.tomography.operator import Tomography

WIDTH = 400.0
"""Of the image in mm, and `WATER` per mm: attenuation of water, whose value is `VALUE`."""
WATER, VALUE = 0.02, 1024 / 4095


def images(args: argparse.Namespace) -> list[Tensor]:
    if args.slices == 0:
        return [((abdomen(args.side) + 1024) / 4095).float()]
    paths = list_images(find_data("ct/train"))[-args.slices :]
    return [F.avg_pool2d(read_slice(path).pixels, 2) for path in paths]


def psnr(x: Tensor, y: Tensor, op: Tomography) -> float:
    return float(proxlab.metrics.psnr(op.A_dagger(y, window="hann"), x))


def tv(x: Tensor, y: Tensor, op: Tomography) -> float:
    return float(proxlab.metrics.psnr(proxlab.restore(y, op, "tv", steps=300).image, x))


def rows(x: Tensor, args: argparse.Namespace) -> dict[str, list[float]]:
    """Name -> PSNR unspoilt, spoilt and mended."""
    side = x.shape[-1]
    pixel, rng = WIDTH / side, np.random.default_rng(args.seed)
    k = WATER / VALUE

    def scan(noise: float | proxlab.operators.PhotonCounts) -> Tomography:
        return proxlab.operators.ct(
            side, args.views, noise, pixel_spacing=pixel, detector_spacing=pixel
        )

    op = scan(0.0)
    n = op.scan.detectors
    flat = np.exp(0.3 * rng.standard_normal(n))
    flat *= 4000 / flat.mean()
    dark = 300 + 50 * rng.random(n)
    rays = flat / 4000 * args.photons * np.exp(-k * op.A(x)[0, 0].double().numpy())
    counts = dark + 4000 / args.photons * rng.poisson(rays)

    def lines(counted: np.ndarray, white: np.ndarray = flat) -> Tensor:
        return sinogram(counted, dark + white, dark, k).y

    y = lines(counts)
    worn = flat * np.where(rng.random(n) < 0.5, 1, 1 + 0.02 * rng.standard_normal(n))
    ringed = lines(counts, worn)
    hit = np.where(rng.random(counts.shape) < 0.002, counts + 4000 * rng.random(n), counts)
    zung = lines(hit)
    made = sinogram(counts, dark + flat, dark, k, photons=args.photons)
    assert made.noise is not None
    level = float((1 / made.noise.precision(made.y)).mean()) ** 0.5  # rms over the rays
    weighed, alike = scan(made.noise), scan(level)
    mean = np.full(n, flat.mean())
    return {
        "flat field of one number, FBP": [psnr(x, y, op), psnr(x, lines(counts, mean), op)],
        "flat field 2 % off, FBP": [
            *(psnr(x, z, op) for z in (y, ringed, remove_rings(ringed))),
            psnr(x, remove_rings(y), op),
        ],
        "0.2 % zingers, FBP": [
            *(psnr(x, z, op) for z in (y, zung, remove_zingers(zung))),
            psnr(x, remove_zingers(y), op),
        ],
        "one weight for all rays, TV": [tv(x, y, weighed), tv(x, y, alike)],
    }


def main(argv: list[str] | None = None) -> dict[str, list[float]]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=0, help="of ct/train; 0: the drawn abdomen")
    parser.add_argument("--side", type=int, default=256, help="of the drawn abdomen")
    parser.add_argument("--views", type=int, default=180)
    parser.add_argument("--photons", type=float, default=2e4)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    found: dict[str, list[list[float]]] = {}
    for x in images(args):
        for name, numbers in rows(x, args).items():
            found.setdefault(name, []).append(numbers)
    means = {name: np.mean(numbers, 0).tolist() for name, numbers in found.items()}
    print("| spoilt by | unspoilt | spoilt | mended | mended though unspoilt |")
    print("| --- | --- | --- | --- | --- |")
    for name, numbers in means.items():
        cells = [f"{number:.2f}" for number in numbers] + [""] * (4 - len(numbers))
        print(f"| {name} | {' | '.join(cells)} |")
    return means


if __name__ == "__main__":
    main()
