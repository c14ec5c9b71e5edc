"""The scan that `proxlab restore INPUT ct` works on: a sinogram, or one simulated from an image.

The geometry is told by options, or by the JSON beside a sinogram, which options may repeat but not
contradict.
"""

import argparse
import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from proxlab import operators
from proxlab.calibration import WITHIN, calibrate
from proxlab.commands.problems.measurement import Measurement, Source
from proxlab.commands.problems.options import AUTO
from proxlab.images import LoadedImage, read_image
from proxlab.images.hounsfield import HIGHEST_LEVEL, read_slice
from proxlab.images.operator_files import read_angles
from proxlab.operators.estimates.noise_level import estimate_noise
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
    check_sinogram_writable,
    read_geometry,
    read_sinogram,
    write_sinogram,
)

Beam = ParallelBeam | FanBeam
SAME_ANGLE = 1e-3
"""Degrees by which angles typed with few digits may differ."""


def scan(args: argparse.Namespace) -> Source:
    """A sinogram, or with --simulate an image to be scanned, whose sinogram may be kept."""
    if not args.simulate:
        return Source(None, lambda generator: measured(args))
    loaded = read_clean(args)
    source = Source(loaded, lambda generator: simulated(args, loaded, generator))
    source = source._replace(hint=_hint(args, loaded))
    path = args.save_sinogram
    if path is None:
        return source
    check_sinogram_writable(path, args.overwrite)

    def keep(made: Measurement) -> None:
        assert isinstance(made.op, Tomography)
        write_sinogram(path, made.y.cpu(), made.op.scan, args.noise, overwrite=args.overwrite)

    files = {"--save-sinogram": path, "the JSON of --save-sinogram": beside(path)}
    return source._replace(files=files, keep=keep)


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


def simulated(
    args: argparse.Namespace, loaded: LoadedImage, generator: torch.Generator
) -> Measurement:
    """A scan of `loaded`, to be compared with filtered back-projection if that has a formula."""
    x = loaded.pixels
    if args.noise == 0:
        raise ValueError(
            "--noise 0 leaves nothing to weigh the sinogram by; give the standard deviation that "
            "it is to have, in image units times the unit of length"
        )
    beam = _beam(args) or ParallelBeam()
    size: dict[str, Any] = {"height": x.shape[-2], "width": x.shape[-1], "detectors": 1}
    geometry = Scan(**size | _told(args, beam))
    if args.detectors is None:
        geometry = replace(geometry, detectors=enough_detectors(geometry))
    op = _operator(geometry, args.noise)
    y = op(x, generator=generator)
    plain = op.A_dagger(y, window="hann") if op.has_filtered_inverse else None
    return Measurement(y, op, x, plain, "filtered back-projection with a Hann window")


def measured(args: argparse.Namespace) -> Measurement:
    """The sinogram INPUT; ValueError where file, JSON and options do not fit each other."""
    if args.input.suffix.lower() != ".npy":
        raise ValueError(
            f"{args.input} is no sinogram, which is an .npy file [views, detectors]; to measure an "
            "image first, add --simulate"
        )
    y, recorded = read_sinogram(args.input)
    geometry = _untold(args, y) if recorded is None else _agreed(args, recorded)
    told = _told_noise(args)
    estimated = float(estimate_noise(y, _operator(geometry, 0.0))) if told is None else None
    noise = told if estimated is None else estimated
    assert noise is not None
    op = _operator(geometry, noise)
    check_line_integrals(args.input, y, geometry, noise)
    if args.detector_offset != AUTO:
        return Measurement(y, op, estimated=estimated)
    found = calibrate(y, op, "detector_offset", within=min(WITHIN, geometry.detectors / 2))
    said = f"detector offset estimated at {found.value:.4g} +- {found.sd:.2g}"
    return Measurement(y, found.op, notes=(said, *found.doubts), estimated=estimated)


def _hint(args: argparse.Namespace, loaded: LoadedImage) -> str:
    """A hint for a 16-bit image that is as dark as Hounsfield units are, else nothing."""
    if loaded.bits != 16 or loaded.scale[1] != 65535:
        return ""
    brightest = round(float(loaded.pixels.max()) * 65535)
    if brightest > HIGHEST_LEVEL:
        return ""
    return (
        f"{args.input} holds values up to {brightest} of 65535; if they are Hounsfield "
        "units + 1024, add --hounsfield"
    )


def _untold(args: argparse.Namespace, y: Tensor) -> Scan:
    """The scan from options alone."""
    angles_told = args.angles is not None or args.angles_file is not None
    if not angles_told or args.size is None:
        raise ValueError(
            f"{args.input} has no {beside(args.input).name} beside it that says how it was "
            "measured; give --angles or --angles-file, and --size"
        )
    seen: dict[str, Any] = {"detectors": y.shape[-1]}
    geometry = Scan(**seen | _told(args, _beam(args) or ParallelBeam()))
    check_scan_fits(str(args.input), y, "the options", geometry)
    return geometry


def _agreed(args: argparse.Namespace, recorded: Scan) -> Scan:
    """`recorded`; ValueError if an option says otherwise."""
    told = _told(args, _beam(args) or recorded.beam)
    geometry = replace(recorded, **told)
    for name in told:
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


def _told(args: argparse.Namespace, beam: Beam) -> dict[str, Any]:
    """The fields of a Scan that options tell, by name."""
    angles = None
    if args.angles is not None:
        angles = even_angles(args.angles, beam.turn)
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


def _told_noise(args: argparse.Namespace) -> float | None:
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
