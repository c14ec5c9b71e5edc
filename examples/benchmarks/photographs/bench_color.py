"""Colour photographs, restored by a prior for colour, by a gray one, and by luminance and chroma.

    PROXLAB_DATA=... python examples/benchmarks/photographs/bench_color.py [--images 8] [--side 128]
        [--noise 0.01] [--only lpn-color,lpn-color-small]
    python examples/benchmarks/photographs/bench_color.py --prox 512

Middles of evenly chosen images of CBSD68, blurred (sigma 1.6) and with half of the pixels missing,
all by `proxlab.restore` at its defaults. A gray prior takes red, green and blue by themselves, or
luminance and chroma (`proxlab.Luminance`). A row has the mean PSNR, the mean difference to the gray
prior by channel with its standard error, in dB, processor seconds an image, and how many were
certified. `--prox` times one prox of an image of that side on one thread instead.
"""

import argparse
import time
from statistics import mean, median, stdev

import torch
from torch import Tensor

import proxlab
from proxlab.images import list_images, read_image
from proxlab.images.data_sets import find_data
from proxlab.images.metrics import psnr
from proxlab.priors.contract import Prior

KINDS = ("deblur", "inpaint")


COLOR, SMALL = "lpn-color", "lpn-color-small"
"""Priors of which one prox is timed against the other."""
LEVEL = 0.05
"""Noise level of that prox."""


def priors() -> dict[str, Prior]:
    """Priors by the name that the table has."""
    gray = proxlab.load("lpn-gray")
    return {
        "lpn-gray, by channel": gray,
        "lpn-gray, by luminance": proxlab.Luminance(gray),
        COLOR: proxlab.load(COLOR),
        SMALL: proxlab.load(SMALL),
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


def proxes(side: int, repeats: int = 5) -> list[float]:
    """Processor seconds of one prox of both by turns, printed; how much the small one is faster."""
    torch.set_num_threads(1)
    both = [proxlab.load(name) for name in (COLOR, SMALL)]
    v = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    seconds: list[list[float]] = []
    for _ in range(repeats + 1):
        each = []
        for prior in both:
            began = time.process_time()
            prior.prox(v, LEVEL)
            each.append(time.process_time() - began)
        seconds.append(each)
    gains = [large / small for large, small in seconds[1:]]  # the first is slow: memory is new
    for name, column in zip((COLOR, SMALL), zip(*seconds[1:], strict=True), strict=True):
        print(f"{name:16s} {median(column):.3f} s")
    print(f"{median(gains):.2f} times faster, {min(gains):.2f} to {max(gains):.2f}")
    return gains


def main(argv: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--noise", type=float, default=0.01)
    parser.add_argument("--only", default="", help="priors, by commas")
    parser.add_argument("--prox", type=int, metavar="SIDE", help="time one prox, and no more")
    args = parser.parse_args(argv)
    if args.prox:
        proxes(args.prox)
        return
    chosen = priors()
    if args.only:
        chosen = {name: chosen[name] for name in args.only.split(",")}
    images = middles(args.images, args.side)
    for kind in KINDS:
        print(f"\n{kind}, noise {args.noise}: dB, against the first, seconds an image, certified")
        base: list[float] = []
        for name, prior in chosen.items():
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
