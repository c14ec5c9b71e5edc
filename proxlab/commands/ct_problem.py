"""What `proxlab restore INPUT ct` works on: a sinogram from a file, or one simulated from an image.

The geometry is told by options, or by the JSON beside a sinogram, which options may repeat but not
contradict.
"""

import argparse
import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from proxlab import operators
from proxlab.commands.problem import Problem
from proxlab.images import LoadedImage, read_image
from proxlab.images.hounsfield import read_slice
from proxlab.images.operator_files import read_angles
from proxlab.operators.tomography.operator import Tomography
from proxlab.operators.tomography.scan import (
    FanBeam,
    ParallelBeam,
    Scan,
    check_degrees,
    enough_detectors,
    even_angles,
)
from proxlab.operators.tomography.sinograms import (
    beside,
    check_line_integrals,
    check_scan_fits,
    read_geometry,
    read_sinogram,
)

Beam = ParallelBeam | FanBeam
SAME_ANGLE = 1e-3
"""Degrees, by which angles typed with few digits may differ."""


def read_clean(args: argparse.Namespace) -> LoadedImage:
    """The image that a scan is to be simulated of; ValueError for colours and another --size."""
    loaded = read_slice(args.input) if args.hounsfield else read_image(args.input)
    channels, height, width = loaded.pixels.shape[1:]
    if channels != 1:
        raise ValueError(f"{args.input} has colours, and a CT image has none; save it as gray")
    if args.size is not None and (height, width) != (args.size, args.size):
        raise ValueError(
            f"{args.input} is {height} x {width}, but --size says {args.size}; leave --size out"
        )
    return loaded


def simulated(args: argparse.Namespace, loaded: LoadedImage, generator: torch.Generator) -> Problem:
    """A scan of `loaded`, to be compared with filtered back-projection if that has a formula."""
    x = loaded.pixels
    beam = _beam(args) or ParallelBeam()
    told = {"height": x.shape[-2], "width": x.shape[-1], "detectors": 1} | _told(args, beam)
    scan = Scan(**told)
    if args.detectors is None:
        scan = replace(scan, detectors=enough_detectors(scan))
    op = _operator(scan, args.noise)
    y = op(x, generator=generator)
    plain = op.A_dagger(y, window="hann") if op.has_filtered_inverse else None
    return Problem(y, op, x, plain, None)


def measured(args: argparse.Namespace) -> Problem:
    """The sinogram INPUT; ValueError where file, JSON and options do not fit each other."""
    if args.input.suffix.lower() != ".npy":
        raise ValueError(
            f"{args.input} is no sinogram, which is an .npy file [views, detectors]; to measure an "
            "image first, add --simulate"
        )
    y, recorded = read_sinogram(args.input)
    scan = _untold(args, y) if recorded is None else _agreed(args, recorded)
    noise = _noise(args)
    op = _operator(scan, noise)
    check_line_integrals(args.input, y, scan, noise)
    return Problem(y, op, None, None, None)


def _untold(args: argparse.Namespace, y: Tensor) -> Scan:
    """The scan from options alone."""
    angles_told = args.angles is not None or args.angles_file is not None
    if not angles_told or args.size is None:
        raise ValueError(
            f"{args.input} has no {beside(args.input).name} beside it that says how it was "
            "measured; give --angles or --angles-file, and --size"
        )
    scan = Scan(**{"detectors": y.shape[-1]} | _told(args, _beam(args) or ParallelBeam()))
    check_scan_fits(str(args.input), y, "the options", scan)
    return scan


def _agreed(args: argparse.Namespace, recorded: Scan) -> Scan:
    """`recorded`, if no option says otherwise."""
    told = _told(args, _beam(args) or recorded.beam)
    scan = replace(recorded, **told)
    for name in told:
        said, known = getattr(scan, name), getattr(recorded, name)
        if said == known or (name == "angles" and _same(said, known)):
            continue
        option = {"height": "size", "width": "size", "beam": "fan"}.get(name, name)
        if name == "angles" and args.angles is None:
            option = "angles-file"
        raise ValueError(
            f"--{option.replace('_', '-')} means {_shown(said)}, but {beside(args.input)} says "
            f"{_shown(known)}; leave the option out, or mend the file"
        )
    return recorded


def _told(args: argparse.Namespace, beam: Beam) -> dict:
    """The fields of a Scan that options tell."""
    angles = None
    if args.angles is not None:
        angles = even_angles(args.angles, beam.turn)
    elif args.angles_file is not None:
        angles = read_angles(args.angles_file)
        check_degrees(angles)
    fields = {
        "height": args.size,
        "width": args.size,
        "angles": angles,
        "detectors": args.detectors,
        "detector_spacing": args.detector_spacing,
        "pixel_spacing": args.pixel_spacing,
        "beam": beam,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _beam(args: argparse.Namespace) -> FanBeam | None:
    if args.fan is None:
        return None
    try:
        to_axis, to_detector = (float(part) for part in args.fan.split(","))
    except ValueError:
        raise ValueError(
            f"--fan is two lengths SOURCE_TO_AXIS,SOURCE_TO_DETECTOR, got {args.fan!r}"
        ) from None
    return FanBeam(to_axis, to_detector)


def _noise(args: argparse.Namespace) -> float:
    """Of the sinogram INPUT, from --noise or its JSON."""
    geometry = read_geometry(args.input)
    known = geometry.noise if geometry is not None else None
    if args.noise is None and known is None:
        raise ValueError(f"nothing says how noisy {args.input} is; give --noise, in its own units")
    if args.noise is None or known is None:
        return known if args.noise is None else args.noise
    # A noise of 0 is of a simulation; any other may then be assumed.
    if known and not math.isclose(args.noise, known, rel_tol=1e-6):
        raise ValueError(
            f"--noise says {args.noise:g}, but {beside(args.input)} says {known:g}; leave the "
            "option out, or mend the file (--weight changes how far the measurement is trusted)"
        )
    return args.noise


def _operator(scan: Scan, noise: float) -> Tomography:
    return operators.ct(
        (scan.height, scan.width),
        scan.angles,
        noise,
        scan.detectors,
        scan.detector_spacing,
        scan.pixel_spacing,
        scan.beam if isinstance(scan.beam, FanBeam) else None,
        scan.axis,
    )


def _same(said: tuple[float, ...], known: tuple[float, ...]) -> bool:
    return len(said) == len(known) and np.allclose(said, known, rtol=0, atol=SAME_ANGLE)


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return f"{len(value)} angles from {value[0]:.4g} to {value[-1]:.4g} degrees"
    if isinstance(value, FanBeam):
        return f"a fan of {value.source_to_axis:g} and {value.source_to_detector:g}"
    return "parallel rays" if isinstance(value, ParallelBeam) else str(value)
