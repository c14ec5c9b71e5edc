"""The options of `proxlab restore INPUT ct`, and which belong together. No slow imports."""

import argparse
from pathlib import Path

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


def add_ct_arguments(parser: argparse.ArgumentParser) -> None:
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
