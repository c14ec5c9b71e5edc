"""A scan that INPUT holds: its geometry, its slices, and measurements of some of them."""

import argparse
from typing import NamedTuple

from torch import Tensor

from proxlab.calibration import WITHIN, calibrate
from proxlab.commands.problems.geometry import agreed, operator, told_noise, untold
from proxlab.commands.problems.options import AUTO
from proxlab.commands.problems.slices import BRIGHTEST, Lines, Slices, views_told
from proxlab.operators.estimates.noise_level import estimate_noise
from proxlab.operators.tomography.operator import Tomography
from proxlab.operators.tomography.scan_files import SCANS
from proxlab.operators.tomography.sinograms import (
    beside,
    check_line_integrals,
    check_shape,
    read_geometry,
)


class Measured(NamedTuple):
    """Sinograms of some slices, and their operator."""

    y: Tensor
    """[n, 1, V, D]."""
    op: Tomography
    """All operators of a scan share one matrix."""
    estimated: Tensor | None
    """Noise that nobody told, [n]; None if it was told."""
    notes: tuple[str, ...]


class ScanInput:
    """INPUT as a scan of `count` slices, of one geometry.

    Raises ValueError where file, JSON and options do not fit each other, as `open_scan`, and as
    `calibrate` where the offset of the detector is to be found: it is told by the middle slice, as
    is the attenuation of the brightest pixels.
    """

    def __init__(self, args: argparse.Namespace):
        if args.input.suffix.lower() not in SCANS:
            raise ValueError(
                f"{args.input} is no sinogram, which is {', '.join(SCANS)}; to measure an image "
                "first, add --simulate"
            )
        self._args = args
        card = read_geometry(args.input)
        recorded = None if card is None else card.scan
        self._slices = Slices(args, views_told(args, recorded), recorded is not None)
        self.count = self._slices.count
        if recorded is None:
            self.geometry = untold(args, self._slices)
        else:
            shape = [self._slices.views, self._slices.detectors]
            by = f"the fields of {beside(args.input).name}"
            check_shape(f"{args.input}", shape, by, recorded)
            self.geometry = agreed(args, recorded)
        self.unit = None if card is None else card.unit
        self._noise = None if args.photons is not None else told_noise(args)
        self.notes: list[str] = self._slices.notes
        if self._slices.asks_for_attenuation:
            self._attenuate()
        if args.detector_offset == AUTO:
            self._calibrate()
        self.op = operator(self.geometry, 0.0)

    @property
    def attenuation(self) -> float:
        """Attenuation per unit of length of 1 in the image."""
        return self._slices.attenuation

    @property
    def of_attenuation(self) -> bool:
        """Whether values are attenuation: of counts, or where --attenuation says so."""
        return self._slices.flat is not None or self._args.attenuation is not None

    def measured(self, first: int, last: int) -> Measured:
        """The slices from `first` to before `last`."""
        lines = self._lines(first, last)
        if lines.noise is not None:
            return Measured(lines.y, operator(self.geometry, lines.noise), None, lines.notes)
        estimated, noise = None, self._noise
        if noise is None:
            estimated = estimate_noise(lines.y, operator(self.geometry, 0.0))
            noise = float(estimated.mean())
        if self._slices.flat is None:
            check_line_integrals(self._args.input, lines.y, self.geometry, noise)
        return Measured(lines.y, operator(self.geometry, noise), estimated, lines.notes)

    def _lines(self, first: int, last: int) -> Lines:
        return self._slices.lines(first, last, self.geometry.angles)

    def _attenuate(self) -> None:
        middle = self.count // 2
        y = self._lines(middle, middle + 1).y
        pixels = operator(self.geometry, 0.0).first_estimate(y).flatten()
        brightest = float(pixels.kthvalue(max(1, round(BRIGHTEST * len(pixels)))).values)
        if brightest <= 0:
            raise ValueError(
                f"{self._args.input} becomes an image that is nowhere brighter than 0; are counts "
                "and --flat exchanged, or is INPUT no counts?"
            )
        self._slices.told_attenuation(brightest)

    def _calibrate(self) -> None:
        middle = self.count // 2
        made = self.measured(middle, middle + 1)
        within = min(WITHIN, self.geometry.detectors / 2)
        found = calibrate(made.y, made.op, "detector_offset", within=within)
        of = f" in slice {middle + 1}" if self.count > 1 else ""
        self.notes.append(f"detector offset estimated{of} at {found.value:.4g} +- {found.sd:.2g}")
        self.notes += found.doubts
        self.geometry = found.op.scan


def measures_slices(args: argparse.Namespace) -> bool:
    """Whether INPUT is the file of a scan, not an image or a folder."""
    return args.problem == "ct" and not args.simulate and not args.input.is_dir()


def slices_of(args: argparse.Namespace) -> ScanInput | None:
    """The scan of INPUT if it holds several slices, of which none is chosen; else None."""
    if not measures_slices(args) or args.page is not None or not args.input.exists():
        return None
    scan = ScanInput(args)
    return scan if scan.count > 1 else None
