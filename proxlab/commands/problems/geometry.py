"""The geometry of a scan as options and the JSON beside a sinogram tell it.

Options may repeat what the JSON says, but not contradict it.
"""

import argparse
import math
from dataclasses import replace
from typing import Any

import numpy as np

from proxlab import operators
from proxlab.commands.problems.options import AUTO
from proxlab.commands.problems.slices import Slices
from proxlab.images.operator_files import read_angles
from proxlab.operators.noise import PhotonCounts
from proxlab.operators.tomography.operator import Tomography
from proxlab.operators.tomography.scan import (
    FanBeam,
    ParallelBeam,
    Scan,
    check_degrees,
    even_angles,
)
from proxlab.operators.tomography.sinograms import beside, check_shape, read_geometry

Beam = ParallelBeam | FanBeam
SAME_ANGLE = 1e-3
"""Degrees by which angles typed with few digits may differ."""


def untold(args: argparse.Namespace, found: Slices) -> Scan:
    """The scan from options alone, or angles that the file of the slices tells."""
    options = told(args, beam(args) or ParallelBeam())
    if found.angles is not None:
        if "angles" in options and not _same(options["angles"], tuple(found.angles)):
            raise ValueError(
                f"{args.input} tells the angles of its views, and --angles or --angles-file "
                "others; leave the option out"
            )
        check_degrees(found.angles)
        options["angles"] = tuple(found.angles.tolist())
    if "angles" not in options or args.size is None:
        raise ValueError(
            f"{args.input} has no {beside(args.input).name} beside it that says how it was "
            "measured; give --angles or --angles-file, and --size"
        )
    seen: dict[str, Any] = {"detectors": found.detectors}
    geometry = Scan(**seen | options)
    check_shape(str(args.input), [found.views, found.detectors], "the options", geometry)
    return geometry


def agreed(args: argparse.Namespace, recorded: Scan) -> Scan:
    """`recorded`; ValueError if an option says otherwise."""
    fields = told(args, beam(args) or recorded.beam)
    geometry = replace(recorded, **fields)
    for name in fields:
        said, known = vars(geometry)[name], vars(recorded)[name]
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


def told(args: argparse.Namespace, rays: Beam) -> dict[str, Any]:
    """The fields of a Scan that options tell, by name."""
    angles = None
    if args.angles is not None:
        angles = even_angles(args.angles, rays.turn)
    elif args.angles_file is not None:
        angles = read_angles(args.angles_file)
        check_degrees(angles)
    offset = None if args.detector_offset == AUTO else args.detector_offset
    fields = {
        "height": args.size,
        "width": args.size,
        "angles": angles,
        "detectors": args.detectors,
        "detector_spacing": args.detector_spacing,
        "pixel_spacing": args.pixel_spacing,
        "detector_offset": offset,
        "beam": rays,
    }
    return {name: value for name, value in fields.items() if value is not None}


def beam(args: argparse.Namespace) -> FanBeam | None:
    """The fan of --fan."""
    if args.fan is None:
        return None
    try:
        to_axis, to_detector = (float(part) for part in args.fan.split(","))
    except ValueError:
        raise ValueError(
            f"--fan is two lengths SOURCE_TO_AXIS,SOURCE_TO_DETECTOR, got {args.fan!r}"
        ) from None
    return FanBeam(to_axis, to_detector)


def told_noise(args: argparse.Namespace) -> float | None:
    """Standard deviation of the sinogram INPUT, from --noise or its JSON; None if neither tells."""
    if args.noise == AUTO:
        return None
    geometry = read_geometry(args.input)
    known = geometry.noise if geometry is not None else None
    if args.noise is None or known is None:
        return known if args.noise is None else args.noise
    # A noise of 0 is of a simulation; any other may then be assumed.
    if known and not math.isclose(args.noise, known, rel_tol=1e-6):
        raise ValueError(
            f"--noise says {args.noise:g}, but {beside(args.input)} says {known:g}; leave the "
            "option out, or mend the file (--weight changes how far the measurement is trusted)"
        )
    return args.noise


def operator(scan: Scan, noise: float | PhotonCounts) -> Tomography:
    """The operator of a scan."""
    return operators.ct(
        (scan.height, scan.width),
        scan.angles,
        noise,
        scan.detectors,
        scan.detector_spacing,
        scan.pixel_spacing,
        scan.beam if isinstance(scan.beam, FanBeam) else None,
        scan.axis,
        detector_offset=scan.detector_offset,
    )


def _same(said: tuple[float, ...], known: tuple[float, ...]) -> bool:
    return len(said) == len(known) and np.allclose(said, known, rtol=0, atol=SAME_ANGLE)


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return f"{len(value)} angles from {value[0]:.4g} to {value[-1]:.4g} degrees"
    if isinstance(value, FanBeam):
        return f"a fan of {value.source_to_axis:g} and {value.source_to_detector:g}"
    return "parallel rays" if isinstance(value, ParallelBeam) else str(value)
