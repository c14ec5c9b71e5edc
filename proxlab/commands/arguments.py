"""The options of all commands, and which belong together. No slow imports: --help is quick."""

import argparse
from collections.abc import Callable
from pathlib import Path

from proxlab import __version__
from proxlab.commands.problems.options import (
    AUTO,
    COLOR_PRIOR,
    DEFAULT_PRIOR,
    PROBLEM_OPTIONS,
    add_photons,
    add_problem_options,
)
from proxlab.training.recipes.names import ALL

ALLOW = "of files of foreign weights that you trust, by commas"


def parser() -> argparse.ArgumentParser:
    """The commands of `proxlab` and their options."""
    proxlab = argparse.ArgumentParser(
        prog="proxlab",
        description="Restore and sample images with priors that are exact proximal operators.",
    )
    proxlab.add_argument("--version", action="version", version=f"proxlab {__version__}")
    commands = proxlab.add_subparsers(dest="command", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--quiet", action="store_true", help="print nothing but errors")
    shared.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    for name, (add, about) in COMMANDS.items():
        add(commands.add_parser(name, parents=[shared], help=about))
    return proxlab


def check_usage(args: argparse.Namespace) -> None:
    """End with a usage error for options that are missing, or of another problem."""
    known = {name: row.defaults() for name, row in PROBLEM_OPTIONS.items()}
    for attribute, untold in {a: u for row in known.values() for a, u in row.items()}.items():
        if attribute not in known[args.problem] and vars(args)[attribute] != untold:
            option = "--" + attribute.replace("_", "-")
            owners = " and ".join(name for name, row in known.items() if attribute in row)
            args.usage_error(f"{option} is for {owners}, not for {args.problem}")
    if args.photons is not None and not PROBLEM_OPTIONS[args.problem].counts:
        args.usage_error(f"--photons is not for {args.problem}")
    lacking = PROBLEM_OPTIONS[args.problem].lacking(args)
    if lacking:
        args.usage_error(lacking)
    if args.problem == "ct" and args.scale is not None:
        args.usage_error("--scale is for photographs and stacks; of ct, see --hounsfield")
    if args.simulate and args.photons is None and args.noise in (None, AUTO):
        args.usage_error(
            f"{args.problem} with --simulate needs --noise, a number, for that noise is added; "
            "only that of a measurement can be estimated"
        )


def _demo(demo: argparse.ArgumentParser) -> None:
    demo.description = (
        "Measures a photograph in three ways and a CT slice in one, restores each by total "
        "variation and by a learned prior, and writes a figure and a table with what each run "
        "proves."
    )
    demo.add_argument(
        "--out", type=Path, default=Path("proxlab-demo"), help="folder (default: proxlab-demo)"
    )
    demo.add_argument("--overwrite", action="store_true")


def _models(models: argparse.ArgumentParser) -> None:
    """None of its own."""


def _measured(parser: argparse.ArgumentParser) -> None:
    """INPUT, its problem, the prior and the seed, for whatever is to be made of a measurement."""
    others = [
        f"for {name} {p.prior}" for name, p in PROBLEM_OPTIONS.items() if p.prior != DEFAULT_PRIOR
    ]
    parser.add_argument("input", type=Path)
    parser.add_argument("problem", choices=list(PROBLEM_OPTIONS))
    parser.add_argument(
        "--noise",
        type=noise_level,
        help="standard deviation, 0 to 1 (ct: any); default: auto, an estimate (ct: the JSON's)",
    )
    add_photons(parser)
    parser.add_argument("--simulate", action="store_true", help="INPUT is clean: degrade it first")
    parser.add_argument(
        "--prior",
        help="of `proxlab models`, a file or MODULE:ATTRIBUTE (default: "
        + ", ".join([DEFAULT_PRIOR, f"for colour {COLOR_PRIOR}", *others])
        + ")",
    )
    parser.add_argument("--allow-weights", default="", metavar="SHA256", help=ALLOW)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--page", type=int, metavar="N", help="page or slice, from 1")
    parser.add_argument("--overwrite", action="store_true")
    parser.set_defaults(usage_error=parser.error)


def _restore(restore: argparse.ArgumentParser) -> None:
    restore.description = (
        "INPUT is an image file, a TIFF of several pages or a folder of images. Pages and files "
        "are measured by one operator, restored one by one, and come out in their order."
    )
    _measured(restore)
    restore.add_argument(
        "--scale",
        type=value_range,
        metavar="LOW,HIGH",
        help="values of INPUT that are 0 and 1, as 0,4095 for 12 bits; the result has them again",
    )
    restore.add_argument(
        "--clip", action="store_true", help="keep the result between 0 and 1, floats too"
    )
    restore.add_argument(
        "--tile",
        type=int,
        metavar="SIDE",
        help="run the prior on tiles of so many pixels, 0 for none (default: where memory asks)",
    )
    restore.add_argument("--solver", help="admm, drs, pgd, hqs, fista, pdhg (tv, wavelets)")
    restore.add_argument("--sigma", type=float, help="noise level of the prior, 0 to 1")
    restore.add_argument("--weight", type=float, help="of the prior (default: the prior's own)")
    restore.add_argument("--steps", type=int, help="at most (default: 400; 3000 of pdhg)")
    restore.add_argument("--tol", type=float, default=1e-4)
    restore.add_argument("--out", type=Path, help="default: INPUT with -restored before its suffix")
    restore.add_argument("--trace", type=Path, help="write objective and residual here, JSON")
    restore.add_argument(
        "--difference",
        type=Path,
        metavar="FILE.png",
        help="ct --simulate of Hounsfield units: result, truth and difference, soft-tissue window",
    )
    add_problem_options(restore)


def _posterior(posterior: argparse.ArgumentParser) -> None:
    posterior.description = (
        "Draws images that may lie behind a measurement, and writes them, their mean and deviation "
        "and a figure. Where they agree the measurement decided, where they differ it did not."
    )
    _measured(posterior)
    posterior.add_argument("--samples", type=int, default=16, metavar="N", help="default: 16")
    posterior.add_argument("--steps", type=int, default=10, help="noise levels (default: 10)")
    posterior.add_argument("--batch", type=int, help="samples at once; changes no sample")
    posterior.add_argument("--out", type=Path, required=True, help="folder of the samples")
    posterior.set_defaults(scale=None)
    add_problem_options(posterior)


def noise_level(text: str) -> float | str:
    """A number, or the word auto. Raises ValueError for anything else, as `argparse` wants it."""
    return text if text == AUTO else float(text)


def value_range(text: str) -> tuple[float, float]:
    """Two numbers LOW,HIGH. Raises ValueError for anything else, as `argparse` wants it."""
    low, high = (float(part) for part in text.split(","))
    return low, high


def _sample(sample: argparse.ArgumentParser) -> None:
    sample.add_argument("model", help="name or .safetensors file")
    sample.add_argument("--n", type=int, default=64, help="how many images")
    sample.add_argument("--steps", type=int, default=10, help="network evaluations for each")
    sample.add_argument(
        "--kind",
        default="restricted",
        help="restricted, hybrid, backward, flow; with a score also sde, ode",
    )
    sample.add_argument(
        "--grid",
        default="own",
        choices=["own", "uniform", "even"],
        help="times of the steps: the kind's own (default), or equal in time or in noise",
    )
    sample.add_argument("--seed", type=int, default=0)
    sample.add_argument("--batch", type=int, help="images at once; changes no image")
    sample.add_argument("--out", type=Path, required=True, help=".png (all in one) or .npy")
    sample.add_argument(
        "--scale",
        type=int,
        default=1,
        help="width of an image's pixel in the .png",
    )
    sample.add_argument("--overwrite", action="store_true")


def _train(train: argparse.ArgumentParser) -> None:
    train.add_argument("recipe", choices=ALL)
    train.add_argument(
        "--data",
        type=Path,
        help="in place of PROXLAB_DATA's: a folder, for photographs also a folder of .tar shards, "
        "one .tar or 'a-*.tar' (CIFAR-10: zip)",
    )
    train.add_argument("--out", type=Path, help="folder for the run (default: the recipe's name)")
    length = train.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, help="train for so long, in place of steps")
    length.add_argument("--steps", type=int, help="training steps (default: the recipe's)")
    train.add_argument("--size", type=int, metavar="SIDE", help="of proxdm's images (default: 32)")
    train.add_argument("--color", action="store_true", help="proxdm in colour, not in gray")
    train.add_argument("--batch", type=int, help="patches or images a step (default: the recipe's)")
    train.add_argument("--start", help="model that lpn-gray-pm or crate-gray-step starts from")
    train.add_argument("--resume", action="store_true")


def _adapt(adapt: argparse.ArgumentParser) -> None:
    adapt.add_argument("folder", type=Path, help="folder of noisy images of one kind")
    adapt.add_argument("--prior", default="lpn-gray", help="name or file (default: lpn-gray)")
    adapt.add_argument("--noise", type=float, required=True, help="of the images, 0 to 1")
    adapt.add_argument("--out", type=Path, required=True, help="the prior's file, .safetensors")
    adapt.add_argument("--steps", type=int, default=80, help="training steps (default: 80)")
    adapt.add_argument("--seed", type=int, default=0)
    adapt.add_argument("--overwrite", action="store_true")


def _audit(audit: argparse.ArgumentParser) -> None:
    audit.add_argument("model", help="a diffusion: name or .safetensors file")
    sets = "folder of images, or .npy [n, H, W] or [n, C, H, W]"
    audit.add_argument("--train", type=Path, required=True, help=f"what it was trained on: {sets}")
    audit.add_argument("--held-out", type=Path, required=True, help="such that it was not")
    audit.add_argument("--n", type=int, default=256, help="samples (default: 256)")
    audit.add_argument("--steps", type=int, default=10, help="network evaluations for each")
    audit.add_argument("--seed", type=int, default=0)
    audit.add_argument("--level", type=float, default=0.01, help="share of chance suspects")
    audit.add_argument("--json", type=Path, help="file of what was found")
    audit.add_argument("--figure", type=Path, help="PNG of the worst samples and all ratios")
    audit.add_argument("--overwrite", action="store_true")


def _compare(compare: argparse.ArgumentParser) -> None:
    compare.add_argument("--priors", required=True, help="names as of --prior, by commas")
    known = "of deblur, inpaint, boxes, ct, ct-low-dose"
    compare.add_argument("--problems", required=True, help=known)
    compare.add_argument("--images", type=Path, required=True, help="folder, read as gray levels")
    compare.add_argument("--out", type=Path, required=True, help="folder of rows and tables")
    compare.add_argument("--allow-weights", default="", metavar="SHA256", help=ALLOW)
    compare.add_argument("--lpips", action="store_true", help="a column of LPIPS; needs AlexNet")
    compare.add_argument("--noises", help="in place of each problem's own, by commas")
    compare.add_argument("--seeds", default="0", help="of noise and masks, by commas")
    compare.add_argument("--solvers", default="default", help="by commas")
    chosen = compare.add_mutually_exclusive_group()
    chosen.add_argument("--tune", type=Path, help="folder to choose settings on, apart from images")
    chosen.add_argument("--settings", type=Path, help="file of settings that --tune wrote")
    compare.add_argument("--steps", type=int, help="at most (default: 400; 3000 of pdhg)")
    compare.add_argument("--tol", type=float, default=1e-4)
    compare.add_argument("--resume", action="store_true")


COMMANDS: dict[str, tuple[Callable[[argparse.ArgumentParser], None], str]] = {
    "demo": (_demo, "restore a photograph and a CT slice: four problems, with evidence"),
    "models": (_models, "list the shipped models"),
    "restore": (_restore, "restore an image file"),
    "posterior": (_posterior, "draw images that a measurement leaves open"),
    "sample": (_sample, "draw images from a diffusion"),
    "train": (_train, "train a shipped model again"),
    "adapt": (_adapt, "train a prior further on noisy images"),
    "audit": (_audit, "look for training images among a diffusion's samples"),
    "compare": (_compare, "compare priors on images"),
}
"""The commands by name: what adds their options, and what they do."""
