"""How far a denoised image may be trusted: squared error of each pixel over its predicted variance.

    PROXLAB_DATA=... python examples/bench_spread.py [--prior lpn-gray] [--images 12] [--size 128]

For each level of noise: the mean squared error of denoised crops of BSD68 over the mean predicted
variance, `prior.spread` squared, over all pixels and in each quartile of predicted variance; then
the same after one factor on the variance, which makes the ratio 1 on held-out photographs of
bsds400. Calibrated is a ratio of 1 in every quartile.
"""

import argparse
from collections.abc import Sequence

import torch
from torch import Tensor

from proxlab.checkpoints import load
from proxlab.images.data_sets import find_data
from proxlab.images.folders import hold_out, load_gray

LEVELS = (10, 25, 50)


def crops(images: Sequence[Tensor], count: int, size: int) -> Tensor:
    """The middles of so many images, evenly chosen, [n, 1, size, size] in [0, 1]."""
    chosen = [images[i * len(images) // count] for i in range(min(count, len(images)))]
    cut = []
    for image in chosen:
        top, left = ((n - size) // 2 for n in image.shape[-2:])
        cut.append(image[None, top : top + size, left : left + size] / 255)
    return torch.stack(cut)


def errors(prior, clean: Tensor, level: int, probes: int) -> tuple[Tensor, Tensor]:
    """Squared errors of all pixels, and the variances that were predicted for them."""
    generator, sigma = torch.Generator().manual_seed(0), level / 255
    squares, variances = [], []
    for x in clean.split(1):
        noisy = x + sigma * torch.randn(x.shape, generator=generator)
        squares.append((prior.prox(noisy, sigma) - x).square().flatten())
        variances.append(prior.spread(noisy, sigma, probes=probes).square().flatten())
    return torch.cat(squares).double(), torch.cat(variances).double()


def ratios(squares: Tensor, variances: Tensor) -> list[float]:
    """Mean squared error over mean variance: of all pixels, and by quartile of the variance."""
    parts = [slice(None), *variances.argsort().tensor_split(4)]
    return [float(squares[part].mean() / variances[part].mean()) for part in parts]


def main(argv: list[str] | None = None) -> dict[int, list[float]]:
    """Print the table; return the ratios after the factor, by level."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--prior", default="lpn-gray")
    parser.add_argument("--images", type=int, default=12, help="crops of BSD68, and held out")
    parser.add_argument("--size", type=int, default=128, help="side of the crops")
    parser.add_argument("--probes", type=int, default=72, help="where no spread is exact")
    args = parser.parse_args(argv)
    prior = load(args.prior)
    _, held_out = hold_out(load_gray(find_data("bsds400")))
    tuned = crops(held_out, args.images, args.size)
    tested = crops(load_gray(find_data("bsd68")), args.images, args.size)
    print(f"{args.prior}, {len(tested)} crops of {args.size} x {args.size}: error / variance")
    print("| noise | factor | as predicted, by quartile | all | 1 | 2 | 3 | 4 |")
    table = {}
    for level in LEVELS:
        factor = ratios(*errors(prior, tuned, level, args.probes))[0]
        squares, variances = errors(prior, tested, level, args.probes)
        before, table[level] = (ratios(squares, f * variances) for f in (1.0, factor))
        first = " / ".join(f"{r:.2f}" for r in before)
        after = " | ".join(f"{r:.2f}" for r in table[level])
        print(f"| {level} | {factor:.3f} | {first} | {after} |", flush=True)
    return table


if __name__ == "__main__":
    main()
