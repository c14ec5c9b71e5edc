"""Colour photographs, restored by a prior for colour, by a gray one, and by luminance and chroma.

    PROXLAB_DATA=... python examples/benchmarks/photographs/bench_color.py [--images 8] [--side 128]
        [--noise 0.01]

Middles of evenly chosen images of CBSD68, blurred (sigma 1.6) and with half of the pixels missing,
all by `proxlab.restore` at its defaults. A gray prior takes red, green and blue by themselves, or
luminance and chroma (`proxlab.Luminance`). A row has the mean PSNR, the mean difference to the gray
prior by channel with its standard error, in dB, processor seconds an image, and how many were
certified.
"""

import argparse
import time
from statistics import mean, stdev

import torch
from torch import Tensor

import proxlab
from proxlab.images import list_images, read_image
from proxlab.images.data_sets import find_data
from proxlab.images.metrics import psnr

KINDS = ("deblur", "inpaint")


def priors() -> dict[str, object]:
    """Priors by the name that the table has."""
    gray = proxlab.load("lpn-gray")
    return {
        "lpn-gray, by channel": gray,
        "lpn-gray, by luminance": proxlab.Luminance(gray),
        "lpn-color": proxlab.load("lpn-color"),
    }


def operator(kind: str, noise: float, side: int, seed: int):
    """The operator of a problem, the same for every prior."""
    if kind == "deblur":
        return proxlab.operators.deblur(proxlab.operators.gaussian_kernel(1.6), noise=noise)
    mask = proxlab.operators.random_mask((side, side), 0.5, torch.Generator().manual_seed(seed))
    return proxlab.operators.inpaint(mask, noise=noise)


def middles(count: int, side: int) -> list[Tensor]:
    """Middles [1, 3, side, side] of so many images, spread evenly over the data set."""
    paths = list_images(find_data("cbsd68"))
    found = []
    for path in paths[:: len(paths) // count][:count]:
        x = read_image(path).pixels
        top, left = ((n - side) // 2 for n in x.shape[2:])
        found.append(x[..., top : top + side, left : left + side])
    return found


def main(argv: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--noise", type=float, default=0.01)
    args = parser.parse_args(argv)
    images = middles(args.images, args.side)
    for kind in KINDS:
        print(f"\n{kind}, noise {args.noise}: dB, against the first, seconds an image, certified")
        base: list[float] = []
        for name, prior in priors().items():
            scores, sure, began = [], 0, time.process_time()
            for i, x in enumerate(images):
                op = operator(kind, args.noise, args.side, i)
                y = op(x, generator=torch.Generator().manual_seed(i))
                result = proxlab.restore(y, op, prior)
                sure += result.certified[0]
                scores.append(float(psnr(result.image, x)))
            seconds = (time.process_time() - began) / len(images)
            base = base or scores
            gains = [a - b for a, b in zip(scores, base, strict=True)]
            error = stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else float("nan")
            print(
                f"  {name:34s} {mean(scores):6.2f}  {mean(gains):+5.2f} +- {error:.2f}  "
                f"{seconds:5.1f} s  {sure} of {len(images)}",
                flush=True,
            )


if __name__ == "__main__":
    main()
