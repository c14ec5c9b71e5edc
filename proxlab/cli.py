"""The command `proxlab`. Heavy imports wait until a command needs them, so that --help is quick."""

import argparse
import sys
from pathlib import Path

from proxlab.ct_arguments import add_ct_arguments, check_usage

RECIPES = (
    "lpn-gray",
    "lpn-gray-small",
    "lpn-gray-large",
    "lpn-gray-pm",
    "lpn-color",
    "lpn-ct",
    "unet-gray",
    "unet-gray-small",
    "unet-gray-large",
    "unet-color",
)
"""What `train` knows of priors: the functions of `proxlab.training.recipes.photographs`."""
CRATES = ("crate-gray", "crate-gray-step", "lpn-gray-wide", "unet-gray-wide", "dncnn-gray")
"""Those of `proxlab.training.recipes.crate`."""
COMPLETION = "crate-completion"
DIFFUSIONS = ("proxdm-mnist", "score-mnist", "proxdm-cifar10")
"""Those of `proxlab.training.recipes.diffusion`."""
CLASSIFIER = "digit-classifier"


def main(argv: list[str] | None = None) -> int:
    """Run a command; 0 on success, 1 with one sentence on stderr for bad input, 2 for bad usage."""
    args = _parser().parse_args(argv)
    try:
        args.run(args)
    except (ValueError, OSError, RuntimeError, ArithmeticError, MemoryError) as error:
        print(f"proxlab: {_sentence(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("proxlab: interrupted; nothing was left half-written", file=sys.stderr)
        return 1
    return 0


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return place + error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="proxlab",
        description="Restore and sample images with priors that are exact proximal operators.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--quiet", action="store_true", help="print nothing but errors")
    shared.add_argument("--device", default="auto", help="auto, cpu or cuda")

    demo = commands.add_parser("demo", parents=[shared], help="restore a photograph three ways")
    demo.add_argument("--out", type=Path, default=Path("proxlab-demo"))
    demo.add_argument("--overwrite", action="store_true")
    demo.set_defaults(run=_demo)

    models = commands.add_parser("models", parents=[shared], help="list the shipped models")
    models.set_defaults(run=_models)

    restore = commands.add_parser("restore", parents=[shared], help="restore an image file")
    restore.add_argument("input", type=Path)
    restore.add_argument("problem", choices=["deblur", "inpaint", "ct"])
    restore.add_argument("--noise", type=float, help="standard deviation, 0 to 1 (ct: any)")
    blur = restore.add_mutually_exclusive_group()
    blur.add_argument("--kernel", help="file with the blur kernel (npy, npz[:name], png, txt)")
    blur.add_argument("--blur-sigma", type=float, help="Gaussian blur of this width, pixels")
    restore.add_argument("--normalize", action="store_true", help="divide the kernel by its sum")
    restore.add_argument("--boundary", default="circular", choices=["circular", "reflect", "valid"])
    holes = restore.add_mutually_exclusive_group()
    holes.add_argument("--mask", help="image or npy, nonzero = seen")
    holes.add_argument("--missing", type=float, help="fraction of pixels missing at random")
    holes.add_argument("--box", help="missing rectangle Y,X,H,W")
    restore.add_argument("--simulate", action="store_true", help="INPUT is clean: degrade it first")
    restore.add_argument(
        "--prior",
        help="of `proxlab models`, a file or MODULE:ATTRIBUTE (default: lpn-gray, for ct lpn-ct)",
    )
    restore.add_argument(
        "--tile", type=int, metavar="SIDE", help="run the prior on tiles of so many pixels"
    )
    restore.add_argument("--start", help="completion that inpainting starts from, name or file")
    restore.add_argument("--solver", default="admm", choices=["pgd", "fista", "admm", "drs", "hqs"])
    restore.add_argument("--sigma", type=float, help="noise level of the prior, 0 to 1")
    restore.add_argument("--weight", type=float, help="of the prior (default: the prior's own)")
    restore.add_argument("--steps", type=int, default=400)
    restore.add_argument("--tol", type=float, default=1e-4)
    restore.add_argument("--out", type=Path, help="default: INPUT with -restored before its suffix")
    restore.add_argument("--trace", type=Path, help="write objective and residual here, JSON")
    restore.add_argument("--overwrite", action="store_true")
    restore.add_argument("--seed", type=int, default=0)
    add_ct_arguments(restore)
    restore.set_defaults(run=_restore, usage_error=restore.error)

    sample = commands.add_parser("sample", parents=[shared], help="draw images from a diffusion")
    sample.add_argument("model", help="name or .safetensors file")
    sample.add_argument("--n", type=int, default=64, help="how many images")
    sample.add_argument("--steps", type=int, default=10, help="network evaluations for each")
    sample.add_argument(
        "--kind", default="hybrid", choices=["hybrid", "backward", "flow", "sde", "ode"]
    )
    sample.add_argument("--grid", default="uniform", choices=["uniform", "even"])
    sample.add_argument("--seed", type=int, default=0)
    sample.add_argument("--batch", type=int, help="images at once; changes no image")
    sample.add_argument("--out", type=Path, required=True, help=".png (all in one) or .npy")
    sample.add_argument("--overwrite", action="store_true")
    sample.set_defaults(run=_sample)

    train = commands.add_parser("train", parents=[shared], help="train a shipped model again")
    train.add_argument("recipe", choices=(*RECIPES, *CRATES, COMPLETION, *DIFFUSIONS, CLASSIFIER))
    train.add_argument(
        "--data",
        type=Path,
        help="in place of PROXLAB_DATA's: a folder, for photographs also a folder of .tar shards, "
        "one .tar or 'a-*.tar' (CIFAR-10: zip)",
    )
    train.add_argument("--out", type=Path, help="folder for the run (default: the recipe's name)")
    train.add_argument("--minutes", type=float, default=float("inf"), help="stop after so many")
    train.add_argument("--steps", type=int, help="training steps (default: the recipe's)")
    train.add_argument("--batch", type=int, help="patches or images a step (default: the recipe's)")
    train.add_argument("--start", help="model that lpn-gray-pm or crate-gray-step starts from")
    train.add_argument("--resume", action="store_true")
    train.set_defaults(run=_train)

    compare = commands.add_parser("compare", parents=[shared], help="compare priors on images")
    compare.add_argument("--priors", required=True, help="names as of --prior, by commas")
    compare.add_argument("--problems", required=True, help="of deblur, inpaint, boxes, ct")
    compare.add_argument("--images", type=Path, required=True, help="folder, read as gray levels")
    compare.add_argument("--out", type=Path, required=True, help="folder of rows and tables")
    compare.add_argument("--noises", help="in place of each problem's own, by commas")
    compare.add_argument("--seeds", default="0", help="of noise and masks, by commas")
    compare.add_argument("--solvers", default="admm", help="by commas")
    chosen = compare.add_mutually_exclusive_group()
    chosen.add_argument("--tune", type=Path, help="folder to choose settings on, apart from images")
    chosen.add_argument("--settings", type=Path, help="file of settings that --tune wrote")
    compare.add_argument("--steps", type=int, default=400)
    compare.add_argument("--tol", type=float, default=1e-4)
    compare.add_argument("--resume", action="store_true")
    compare.set_defaults(run=_compare)
    return parser


def _demo(args: argparse.Namespace) -> None:
    from proxlab.images.files import check_folder

    check_folder(args.out)
    from proxlab.demo import demo

    rows = demo(args.out, quiet=args.quiet, overwrite=args.overwrite, device=device(args.device))
    if args.quiet:
        return
    print(
        f"{'problem':14s} {'prior':10s} {'measured':>8s} {'restored':>8s} {'SSIM':>6s}  certified"
    )
    for r in rows:
        verdict = "yes" if r["certified"] else f"no: {r['doubt']}"
        print(
            f"{r['problem']:14s} {r['prior']:10s} {r['psnr_measured']:8.2f} {r['psnr']:8.2f} "
            f"{r['ssim']:6.3f}  {verdict}"
        )
    print(f"figure: {args.out / 'figure.png'}   rows: {args.out / 'results.jsonl'}")


def _models(args: argparse.Namespace) -> None:
    from proxlab.checkpoints import models

    for name, what in (
        ("tv", "total variation (deepinv)"),
        ("wavelets", "soft thresholding in an orthogonal basis"),
        ("none", "no prior"),
        ("bm3d", "BM3D, with pip install 'proxlab[bm3d]'"),
        ("deepinv:NAME", "pretrained DRUNet, GSDRUNet, FFDNet or DnCNN of deepinv, or NAME-color"),
    ):
        print(f"{name:16s} {what}")
    for name, card in models().items():
        print(f"{name:16s} {card.get('what', '')}; {card['parameters']:,} parameters")
        print(f"{'':16s} trained on {card.get('data', 'unknown data')}", end="")
        for key, said in (
            ("held_out_psnr", "held-out PSNR {} dB at noise {} of 255"),
            ("held_out_completed", "held-out PSNR, filled in, {} dB with {}"),
        ):
            if figures := card.get(key):
                values = " / ".join(f"{v:.2f}" for v in figures.values())
                print("; " + said.format(values, " / ".join(figures)), end="")
        print()


def _restore(args: argparse.Namespace) -> None:
    if args.problem == "deblur" and not (args.kernel or args.blur_sigma is not None):
        args.usage_error("deblur needs --kernel or --blur-sigma")
    if args.problem == "inpaint" and not (args.mask or args.missing is not None or args.box):
        args.usage_error("inpaint needs --mask, --missing or --box")
    if args.start and args.problem != "inpaint":
        args.usage_error(f"--start is for inpaint, not for {args.problem}")
    check_usage(args)
    from proxlab.restore_command import restore_file

    restore_file(args)


def _sample(args: argparse.Namespace) -> None:
    from proxlab.sample_command import sample_file

    sample_file(args)


def _train(args: argparse.Namespace) -> None:
    from proxlab.train_command import train_recipe

    train_recipe(args)


def _compare(args: argparse.Namespace) -> None:
    from proxlab.compare_command import compare_files

    compare_files(args)


def device(name: str) -> str:
    """The device to compute on: "auto" is CUDA where there is one."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda"):
        raise ValueError(f"device is auto, cpu or cuda, got {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("no CUDA device was found; use --device cpu")
    return name


if __name__ == "__main__":
    sys.exit(main())
