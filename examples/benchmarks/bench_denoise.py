"""Denoising PSNR of a prior on test images: Set12 and BSD68 at 15, 25 and 50 / 255.

    PROXLAB_DATA=... python examples/benchmarks/bench_denoise.py
        [--sets set12,bsd68] [--priors none,tv]
    PROXLAB_DATA=... python examples/benchmarks/bench_denoise.py
        --color [--priors none,tv,lpn-gray,lpn-color]
    PROXLAB_DATA=... python examples/benchmarks/bench_denoise.py
        --tune     TV_WEIGHTS, on training images

--color reads the sets in colour, CBSD68 by default; a gray prior then works channel by channel.
The noise is seeded, and nothing is clipped. TV runs at the weight that did best for each level on
photographs held out of the training set.
"""

import argparse
from pathlib import Path

import torch

from proxlab.checkpoints import load
from proxlab.images.data_sets import find_data
from proxlab.images.folders import hold_out, load_color, load_gray
from proxlab.images.metrics import psnr
from proxlab.priors.classical import TV

GRAY = (
    "none,tv,lpn-gray-small,unet-gray-small,lpn-gray,unet-gray,lpn-gray-large,unet-gray-large,"
    "lpn-gray-pm,crate-gray,unet-gray-wide,dncnn-gray,crate-gray-step,crate-completion"
)
COLOR = "none,lpn-color,unet-color"
TV_WEIGHTS = {15: 12.0, 25: 8.0, 50: 4.5}
GRID = (4.0, 4.5, 5.0, 5.5, 6.5, 8.0, 9.0, 11.0, 12.0, 13.0, 15.0)


def mean_psnr(prior, images: list[torch.Tensor], level: int) -> float:
    """Mean PSNR in dB over uint8 images [H, W] or [3, H, W], with noise level / 255."""
    generator = torch.Generator().manual_seed(0)
    values = []
    for image in images:
        clean = image.reshape(1, -1, *image.shape[-2:]) / 255
        noisy = clean + level / 255 * torch.randn(clean.shape, generator=generator)
        values.append(float(psnr(prior.prox(noisy, level / 255), clean)))
    return sum(values) / len(values)


def tune(levels: list[int]) -> None:
    """Print the PSNR of TV by level and weight on 256 x 256 crops of held-out photographs."""
    _, held_out = hold_out(load_gray(find_data("bsds400")))
    crops = [x[:256, -256:] for x in held_out][1::4]
    for level in levels:
        for weight in GRID:
            print(f"{level:3d} weight {weight:5.1f} {mean_psnr(TV(weight), crops, level):6.2f} dB")


def main(argv: list[str] | None = None) -> dict:
    """Print the table; return its rows by set and prior."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", help="names in PROXLAB_DATA, or folders, by commas")
    parser.add_argument("--color", action="store_true", help="images in colour")
    parser.add_argument("--priors", help=f"by commas (default: {GRAY}; in colour {COLOR})")
    parser.add_argument("--levels", default="15,25,50")
    parser.add_argument("--tune", action="store_true", help="print what weights of TV reach")
    args = parser.parse_args(argv)
    table = {}
    levels = [int(level) for level in args.levels.split(",")]
    if args.tune:
        tune(levels)
        return table
    print(f"{'PSNR, dB':26s}" + "".join(f"{level:>8d}" for level in levels))
    read = load_color if args.color else load_gray
    for name in (args.sets or ("cbsd68" if args.color else "set12,bsd68")).split(","):
        images = read(name if Path(name).is_dir() else find_data(name))
        for prior_name in (args.priors or (COLOR if args.color else GRAY)).split(","):
            row = []
            for level in levels:
                prior = TV(TV_WEIGHTS.get(level, 5.0)) if prior_name == "tv" else load(prior_name)
                row.append(mean_psnr(prior, images, level))
            table[name, prior_name] = row
            print(
                f"{name:10s} {Path(prior_name).stem:15s}" + "".join(f"{v:8.2f}" for v in row),
                flush=True,
            )
    return table


if __name__ == "__main__":
    main()
