"""The options of all commands, and which belong together. No slow imports: --help is quick."""

import argparse
from pathlib import Path

from proxlab.training.recipes.names import ALL

OWN = (
    "angles",
    "angles_file",
    "detectors",
    "detector_spacing",
    "pixel_spacing",
    "fan",
    "size",
    "hounsfield",
    "save_sinogram",
)
"""Options that no other problem has."""
FOREIGN = ("kernel", "blur_sigma", "normalize", "mask", "missing", "box")
"""Options of other problems."""


def parser() -> argparse.ArgumentParser:
    """The commands of `proxlab` and their options."""
    proxlab = argparse.ArgumentParser(
        prog="proxlab",
        description="Restore and sample images with priors that are exact proximal operators.",
    )
    commands = proxlab.add_subparsers(dest="command", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--quiet", action="store_true", help="print nothing but errors")
    shared.add_argument("--device", default="auto", help="auto, cpu or cuda")

    demo = commands.add_parser("demo", parents=[shared], help="restore a photograph three ways")
    demo.add_argument("--out", type=Path, default=Path("proxlab-demo"))
    demo.add_argument("--overwrite", action="store_true")

    commands.add_parser("models", parents=[shared], help="list the shipped models")

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
    _add_ct_arguments(restore)
    restore.set_defaults(usage_error=restore.error)

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

    train = commands.add_parser("train", parents=[shared], help="train a shipped model again")
    train.add_argument("recipe", choices=ALL)
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
    return proxlab


def _add_ct_arguments(parser: argparse.ArgumentParser) -> None:
    """What tells how a scan is, or was, taken; lengths in any one unit."""
    ct = parser.add_argument_group(
        "ct",
        "Without --simulate INPUT is a sinogram [views, detectors], .npy, and a .json of the same "
        "name beside it may stand for these options. Lengths have any one unit.",
    )
    angles = ct.add_mutually_exclusive_group()
    angles.add_argument("--angles", type=int, help="views, even over 180 degrees, 360 for a fan")
    angles.add_argument("--angles-file", type=Path, help="their degrees, npy or text")
    ct.add_argument("--detectors", type=int, help="default: as many as see the whole image")
    ct.add_argument("--detector-spacing", type=float, help="default: 1")
    ct.add_argument("--pixel-spacing", type=float, help="default: 1")
    ct.add_argument(
        "--fan", metavar="A,D", help="from source to axis, to detector; default: parallel"
    )
    ct.add_argument("--size", type=int, help="the image's side in pixels, for a sinogram")
    ct.add_argument(
        "--hounsfield", action="store_true", help="16-bit PNG and TIFF hold Hounsfield units + 1024"
    )
    ct.add_argument(
        "--save-sinogram",
        type=Path,
        metavar="FILE.npy",
        help="with --simulate: keep it, and its JSON",
    )


def check_usage(args: argparse.Namespace) -> None:
    """End with a usage error for options that are missing, or of another problem."""
    if args.problem == "deblur" and not (args.kernel or args.blur_sigma is not None):
        args.usage_error("deblur needs --kernel or --blur-sigma")
    if args.problem == "inpaint" and not (args.mask or args.missing is not None or args.box):
        args.usage_error("inpaint needs --mask, --missing or --box")
    if args.start and args.problem != "inpaint":
        args.usage_error(f"--start is for inpaint, not for {args.problem}")
    is_ct = args.problem == "ct"
    for name in FOREIGN if is_ct else OWN:
        value = getattr(args, name)
        if value is not None and value is not False:  # 0 was told
            option = "--" + name.replace("_", "-")
            args.usage_error(f"{option} is {'not for ct' if is_ct else 'for ct alone'}")
    if not is_ct:
        if args.noise is None:
            args.usage_error(f"{args.problem} needs --noise")
    elif args.simulate:
        if args.angles is None and args.angles_file is None:
            args.usage_error("ct needs --angles or --angles-file")
        if args.noise is None:
            args.usage_error("ct with --simulate needs --noise")
    elif args.save_sinogram is not None:
        args.usage_error("--save-sinogram needs --simulate; INPUT is the sinogram otherwise")
