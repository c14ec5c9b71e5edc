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
COLOR_PRIOR = "lpn-color"
"""The prior of colour images where none is told."""
AUTO = "auto"
"""Word for a number that is to be estimated, as the noise is of a measurement that tells none."""
LAYOUTS = (
    "views,detectors",
    "detectors,views",
    "slices,views,detectors",
    "views,slices,detectors",
    "slices,detectors,views",
)
"""Orders of the axes of sinograms, `operators.tomography.scan_files.LAYOUTS`."""
SEEN, MISSING = "seen", "missing"
"""Words for what pixels are where a mask is not 0."""


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
    shared: tuple[Callable[[argparse.ArgumentParser], None], ...] = ()
    """Add the options that it has in common with a problem above."""
    counts: bool = False
    """Whether its measurement may be counts of photons, told by `--photons`."""

    def defaults(self) -> dict[str, object]:
        """Its options, as attributes of the parsed arguments, and what they are when not told."""
        alone = argparse.ArgumentParser(add_help=False)
        for add in (*self.shared, self.add):
            add(alone)
        return vars(alone.parse_args([]))


def add_photons(parser: argparse.ArgumentParser) -> None:
    """Adds the option of all problems with `counts`: INPUT is counts of photons, N at the value 1.

    --noise is then the standard deviation of the read noise besides, none if it is not told.
    """
    parser.add_argument(
        "--photons",
        type=float,
        metavar="N",
        help="deblur, inpaint: INPUT counts photons, N at white; --noise is then read noise alone; "
        "ct: photons of a ray in --flat",
    )


def _wrong_photons(args: argparse.Namespace) -> str:
    """A sentence for --photons that cannot be, or that --noise contradicts."""
    if args.photons is None:
        return ""
    if not 0 < args.photons < float("inf"):
        return f"--photons is the number of photons at white, above 0, got {args.photons:g}"
    return "with --photons, --noise is a number, that of read noise" if args.noise == AUTO else ""


def number_or_auto(text: str) -> float | str:
    """A number, or the word auto. Raises ValueError for anything else, as `argparse` wants it."""
    return text if text == AUTO else float(text)


def add_problem_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of all problems, each once."""
    rows = PROBLEM_OPTIONS.values()
    for add in dict.fromkeys(add for row in rows for add in (*row.shared, row.add)):
        add(parser)


def _kernel_options(restore: argparse.ArgumentParser) -> None:
    blur = restore.add_argument_group("deblur, superres")
    kernel = blur.add_mutually_exclusive_group()
    kernel.add_argument("--kernel", help="file with the blur kernel (npy, npz[:name], png, txt)")
    kernel.add_argument(
        "--psf",
        help="deblur: picture of a point (npy, npz, png, tif; frames are averaged), made a kernel",
    )
    kernel.add_argument(
        "--blur-sigma",
        type=number_or_auto,
        help="Gaussian blur of this width, pixels; auto, deblur: estimated from INPUT",
    )
    blur.add_argument("--normalize", action="store_true", help="divide the kernel by its sum")
    blur.add_argument(
        "--boundary",
        choices=[UNKNOWN, "circular", "reflect", "valid"],
        help=f"beyond INPUT: {UNKNOWN}, so estimated and cut off (default of deblur), circular "
        "(default of --simulate and superres) or mirrored; valid: estimated and kept",
    )


def _deblur_lacks(args: argparse.Namespace) -> str:
    if not args.kernel and not args.psf and args.blur_sigma is None:
        return "deblur needs --kernel, --psf or --blur-sigma"
    if args.blur_sigma == AUTO and args.simulate:
        return "--simulate blurs: --blur-sigma is a number there, auto is for measurements"
    if args.blur_sigma == AUTO and args.noise == 0:
        return "--blur-sigma auto needs the noise: --noise above 0, or auto"
    if args.blur_sigma == AUTO and args.photons is not None:
        return "--blur-sigma auto takes --noise, not --photons; give the width as a number"
    return _wrong_photons(args)


def _superres(restore: argparse.ArgumentParser) -> None:
    superres = restore.add_argument_group(
        "superres",
        "INPUT is the small image, with --simulate the large one. A small pixel is the mean of a "
        "block, unless --kernel or --blur-sigma, in pixels of the large image, says otherwise.",
    )
    superres.add_argument("--factor", type=int, choices=[2, 3, 4], help="times as high and wide")
    superres.add_argument(
        "--offset",
        type=float,
        help="row and column of a block where the kernel's centre lies (default: its middle; 0 for "
        "pixels kept at equal steps from the first on)",
    )


def _superres_lacks(args: argparse.Namespace) -> str:
    if args.factor is None:
        return "superres needs --factor"
    if args.boundary in ("valid", UNKNOWN):
        return f"superres has --boundary circular or reflect; {args.boundary} is for deblur"
    if args.psf or args.blur_sigma == AUTO:
        return "superres needs a kernel that is told: --kernel, --blur-sigma with a number, or none"
    return ""


def _inpaint(restore: argparse.ArgumentParser) -> None:
    inpaint = restore.add_argument_group("inpaint")
    holes = inpaint.add_mutually_exclusive_group()
    holes.add_argument("--mask", help="image or npy of 0 and one other value, by default seen")
    holes.add_argument("--missing", type=float, help="fraction of pixels missing at random")
    holes.add_argument("--box", help="missing rectangle Y,X,H,W")
    inpaint.add_argument(
        "--mask-is",
        default=SEEN,
        choices=[SEEN, MISSING],
        help="what pixels are where --mask is not 0 (default: seen; missing: as OpenCV has it)",
    )
    inpaint.add_argument("--start", help="completion to start from, name or file")


def _inpaint_lacks(args: argparse.Namespace) -> str:
    if not args.mask and args.missing is None and not args.box:
        return "inpaint needs --mask, --missing or --box"
    if args.mask_is != SEEN and not args.mask:
        return "--mask-is says how --mask is meant, and there is no --mask"
    return _wrong_photons(args)


def _ct(restore: argparse.ArgumentParser) -> None:
    ct = restore.add_argument_group(
        "ct",
        "Without --simulate INPUT is a sinogram [views, detectors] or many, .npy, .tif or .h5 "
        "(Data Exchange), and a .json of the same name beside it may stand for these options. "
        "Lengths have any one unit.",
    )
    angles = ct.add_mutually_exclusive_group()
    angles.add_argument("--angles", type=int, help="views, even over 180 degrees, 360 for a fan")
    angles.add_argument("--angles-file", type=Path, help="their degrees, npy, text or JSON")
    ct.add_argument("--detectors", type=int, help="default: as many as see the whole image")
    ct.add_argument("--detector-spacing", type=float, help="default: 1")
    ct.add_argument("--pixel-spacing", type=float, help="default: 1")
    ct.add_argument(
        "--detector-offset",
        type=number_or_auto,
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
    ct.add_argument("--layout", choices=LAYOUTS, help="order of INPUT's axes, where unclear")
    ct.add_argument(
        "--flat",
        type=Path,
        help="INPUT is counts: npy or tif of those without an object; frames "
        "are averaged, --photons is the mean of a ray",
    )
    ct.add_argument("--dark", type=Path, help="counts without X-rays, as --flat")
    ct.add_argument(
        "--attenuation",
        type=float,
        metavar="K",
        help="of 1 in the image, per unit of length; of counts default: of the brightest pixels",
    )
    ct.add_argument("--rings", action="store_true", help="remove stripes of single detectors")
    ct.add_argument("--zingers", action="store_true", help="remove outliers among rays")
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
        if args.attenuation is not None and not 0 < args.attenuation < float("inf"):
            return f"--attenuation is positive and finite, got {args.attenuation:g}"
        if args.photons is not None and args.noise is not None:
            return "ct takes --photons or --noise: the photons that a ray counts are its noise"
        return _wrong_photons(args)
    of_counts = (args.flat, args.dark, args.attenuation, args.photons, args.layout)
    if args.rings or args.zingers or any(told is not None for told in of_counts):
        return (
            "--flat, --dark, --photons, --attenuation, --layout, --rings and --zingers are for "
            "what a scanner measured, not for --simulate"
        )
    if args.detector_offset == AUTO:
        return "--detector-offset auto is for a sinogram; with --simulate say what it is to be"
    if args.angles is None and args.angles_file is None:
        return "ct needs --angles or --angles-file"
    return ""


PROBLEM_OPTIONS = {
    "deblur": ProblemOptions(_kernel_options, _deblur_lacks, counts=True),
    "inpaint": ProblemOptions(_inpaint, _inpaint_lacks, counts=True),
    "superres": ProblemOptions(_superres, _superres_lacks, shared=(_kernel_options,)),
    "denoise": ProblemOptions(lambda restore: None, lambda args: ""),
    "ct": ProblemOptions(_ct, _ct_lacks, prior="lpn-ct", counts=True),
}
"""The problems of `proxlab restore` by the name that the command line knows."""
