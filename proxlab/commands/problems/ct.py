"""The scan that `proxlab restore INPUT ct` works on: a sinogram, or one simulated from an image.

The geometry is told by options, or by the JSON beside a sinogram, which options may repeat but not
contradict.
"""

import argparse
from dataclasses import replace
from typing import Any

import torch

from proxlab.commands.problems.geometry import beam, operator, told
from proxlab.commands.problems.measurement import Measurement, Source
from proxlab.commands.problems.scan_input import ScanInput
from proxlab.images import LoadedImage, read_image
from proxlab.images.hounsfield import HIGHEST_LEVEL, read_slice
from proxlab.operators.tomography.operator import Tomography
from proxlab.operators.tomography.scan import ParallelBeam, Scan, enough_detectors
from proxlab.operators.tomography.sinograms import (
    beside,
    check_sinogram_writable,
    write_sinogram,
)


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
    rays = beam(args) or ParallelBeam()
    size: dict[str, Any] = {"height": x.shape[-2], "width": x.shape[-1], "detectors": 1}
    geometry = Scan(**size | told(args, rays))
    if args.detectors is None:
        geometry = replace(geometry, detectors=enough_detectors(geometry))
    op = operator(geometry, args.noise)
    y = op(x, generator=generator)
    plain = op.A_dagger(y, window="hann") if op.has_filtered_inverse else None
    return Measurement(y, op, x, plain, "filtered back-projection with a Hann window")


def measured(args: argparse.Namespace) -> Measurement:
    """The sinogram INPUT; ValueError where file, JSON and options do not fit each other."""
    scan = ScanInput(args)
    if scan.count > 1:
        raise ValueError(
            f"{args.input} holds {scan.count} slices; name one by --page, or let proxlab restore "
            "take them all"
        )
    made = scan.measured(0, 1)
    estimated = None if made.estimated is None else float(made.estimated)
    return Measurement(made.y, made.op, notes=(*scan.notes, *made.notes), estimated=estimated)


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
