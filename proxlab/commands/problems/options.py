"""The options of each problem of `proxlab restore`, and what it lacks. No slow imports.

A problem is a row of `PROBLEM_OPTIONS` here and one of `readers.READERS`.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

DEFAULT_PRIOR = "lpn-gray"
"""The prior of problems that name no other."""
UNKNOWN = "unknown"
"""Word for pixels beyond the borders of a photograph, which blurred into it."""
AUTO = "auto"
"""Word for a number that is to be estimated."""


@dataclass(frozen=True)
class ProblemOptions:
    """One problem of `proxlab restore`, as far as its options go."""

    add: Callable[[argparse.ArgumentParser], None]
    """Adds the options that the problem has besides those of all problems, in a group of theirs.
    None of them is required: `lacking` says what is."""
    lacking: Callable[[argparse.Namespace], str]
    """Says what the problem needs and was not told; empty if nothing."""
    prior: str = DEFAULT_PRIOR
    """Name of the prior where none is told."""

    def defaults(self) -> dict[str, object]:
        """Its options, as attributes of the parsed arguments, and what they are when not told."""
        alone = argparse.ArgumentParser(add_help=False)
        self.add(alone)
        return vars(alone.parse_args([]))


def width_or_auto(text: str) -> float | str:
    """A number, or the word auto. Raises ValueError for anything else, as `argparse` wants it."""
    return text if text == AUTO else float(text)


def _deblur(restore: argparse.ArgumentParser) -> None:
    deblur = restore.add_argument_group("deblur")
    kernel = deblur.add_mutually_exclusive_group()
    kernel.add_argument("--kernel", help="file with the blur kernel (npy, npz[:name], png, txt)")
    kernel.add_argument(
        "--psf", help="picture of a point (npy, npz, png, tif; frames are averaged), made a kernel"
    )
    kernel.add_argument(
        "--blur-sigma",
        type=width_or_auto,
        help="Gaussian blur of this width, pixels; auto: estimated from INPUT",
    )
    deblur.add_argument("--normalize", action="store_true", help="divide the kernel by its sum")
    deblur.add_argument(
        "--boundary",
        choices=[UNKNOWN, "circular", "reflect", "valid"],
        help=f"beyond INPUT: {UNKNOWN}, so estimated and cut off (default), circular (default of "
        "--simulate) or mirrored; valid: estimated and kept",
    )


def _deblur_lacks(args: argparse.Namespace) -> str:
    if not args.kernel and not args.psf and args.blur_sigma is None:
        return "deblur needs --kernel, --psf or --blur-sigma"
    if args.blur_sigma == AUTO and args.simulate:
        return "--simulate blurs: --blur-sigma is a number there, auto is for measurements"
    if args.blur_sigma == AUTO and args.noise == 0:
        return "--blur-sigma auto needs the noise: --noise above 0, or auto"
    return "" if args.noise is not None else "deblur needs --noise"


def _inpaint(restore: argparse.ArgumentParser) -> None:
    inpaint = restore.add_argument_group("inpaint")
    holes = inpaint.add_mutually_exclusive_group()
    holes.add_argument("--mask", help="image or npy, nonzero = seen")
    holes.add_argument("--missing", type=float, help="fraction of pixels missing at random")
    holes.add_argument("--box", help="missing rectangle Y,X,H,W")
    inpaint.add_argument("--start", help="completion to start from, name or file")


def _inpaint_lacks(args: argparse.Namespace) -> str:
    if not args.mask and args.missing is None and not args.box:
        return "inpaint needs --mask, --missing or --box"
    return "" if args.noise is not None else "inpaint needs --noise"


def _length_or_auto(text: str) -> float | str:
    return AUTO if text == AUTO else float(text)


def _ct(restore: argparse.ArgumentParser) -> None:
    ct = restore.add_argument_group(
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
        "--detector-offset",
        type=_length_or_auto,
        metavar="C",
        help="way from where the axis is seen to the detector's middle, or auto; default: 0",
    )
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


def _ct_lacks(args: argparse.Namespace) -> str:
    if not args.simulate:
        if args.save_sinogram is not None:
            return "--save-sinogram needs --simulate; INPUT is the sinogram otherwise"
        return ""
    if args.detector_offset == AUTO:
        return "--detector-offset auto is for a sinogram; with --simulate say what it is to be"
    if args.angles is None and args.angles_file is None:
        return "ct needs --angles or --angles-file"
    return "" if args.noise is not None else "ct with --simulate needs --noise"


PROBLEM_OPTIONS = {
    "deblur": ProblemOptions(_deblur, _deblur_lacks),
    "inpaint": ProblemOptions(_inpaint, _inpaint_lacks),
    "ct": ProblemOptions(_ct, _ct_lacks, prior="lpn-ct"),
}
"""The problems of `proxlab restore` by the name that the command line knows."""
