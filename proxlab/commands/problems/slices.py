"""The slices of a scan that INPUT holds, one or many: read, put into order, made line integrals.

What was done to them is said. All slices have one geometry and one operator; they are read and
prepared a few at a time.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from proxlab import operators
from proxlab.images.operator_files import read_angles
from proxlab.operators.noise import PhotonCounts
from proxlab.operators.tomography.counted import Sinogram
from proxlab.operators.tomography.scan import Scan
from proxlab.operators.tomography.scan_files import ScanFile, open_scan, read_frames

BRIGHTEST = 0.999
"""Quantile of the pixels whose attenuation becomes 1 where none is told."""


class Lines(NamedTuple):
    """Line integrals of some slices, in image units times the unit of length."""

    y: Tensor
    """[n, 1, V, D]."""
    noise: PhotonCounts | None
    """That of counts, where the photons were told."""
    notes: tuple[str, ...]
    """Sentences on what was replaced or removed."""


class Slices:
    """The slices of INPUT, `count` of them, in line integrals once `attenuation` is set."""

    def __init__(self, args: argparse.Namespace, views: int | None, recorded: bool):
        """views: how many the options or the JSON tell; recorded: whether there is a JSON, whose
        sinogram is in the order here.

        Raises ValueError as `open_scan`, and for options that the file lacks something for.
        """
        layout = args.layout
        if recorded and layout is None and args.input.suffix.lower() == ".npy":
            views = None  # written here, [views, detectors]
        self._args, self._file = args, open_scan(args.input, views, layout)
        self.flat, self.dark = self._fields(self._file)
        total, self.views, self.detectors = self._file.shape
        self.first, self.count = 0, total
        if args.page is not None:
            if not 1 <= args.page <= total:
                raise ValueError(f"{args.input} holds {total} slices; --page is not {args.page}")
            self.first, self.count = args.page - 1, 1
        if args.photons is not None and self.flat is None:
            raise ValueError(
                f"--photons weighs rays by a flat field, and {args.input} has none; give --flat"
            )
        self.attenuation = 1.0 if args.attenuation is None else args.attenuation
        self.angles = self._file.angles
        self.notes = [self._file.note] if self._file.note else []
        if self.flat is not None:
            self.notes.append(f"line integrals taken from counts, {self._frames_said()}")

    @property
    def asks_for_attenuation(self) -> bool:
        """True of counts of which nobody told the attenuation of a bright pixel."""
        return self.flat is not None and self._args.attenuation is None

    def told_attenuation(self, brightest: float) -> None:
        """Take the attenuation of the brightest pixels for that of 1, and say so."""
        self.attenuation = float(f"{brightest:.3g}")
        self.notes.append(
            f"attenuation of 1 in the image taken as {self.attenuation:g} per unit of length, that "
            "of its brightest pixels; --attenuation says another"
        )

    def lines(self, first: int, last: int, angles: tuple[float, ...]) -> Lines:
        """Line integrals of the slices from `first` to before `last`, at angles in degrees."""
        low, high = self.first + first, self.first + last
        raw = np.asarray(self._file.read(low, high))
        notes: list[str] = []
        if self.flat is None:
            y, noise = torch.from_numpy(raw.astype(np.float32))[:, None] / self.attenuation, None
        else:
            made = self._counted(raw, low, high)
            y, noise = made.y, made.noise
            notes += made.notes
        if self._args.zingers:
            y, hit = _without_zingers(y, angles)
            notes.append(f"zingers: {hit} of {y.numel()} rays replaced by the median around them")
        if self._args.rings:
            before, y = y, operators.remove_rings(y)
            stripe = float((before - y).square().mean().sqrt())
            notes.append(f"rings: stripes of {stripe:.3g} rms taken off the sinogram")
        return Lines(y, noise, tuple(notes))

    def _counted(self, raw: np.ndarray, low: int, high: int) -> Sinogram:
        assert self.flat is not None
        return operators.sinogram(
            raw,
            _of(self.flat, low, high),
            _of(self.dark, low, high),
            self.attenuation,
            self._args.photons,
        )

    def _fields(self, file: ScanFile) -> tuple[np.ndarray | None, np.ndarray]:
        """Flat and dark frames, [F, S or 1, D]: of options, else of the file; no dark is zeros."""
        args, (slices, _, detectors) = self._args, file.shape
        flat = file.flat if args.flat is None else _frames(args.flat, slices, detectors)
        dark = file.dark if args.dark is None else _frames(args.dark, slices, detectors)
        if args.dark is not None and flat is None:
            raise ValueError(f"--dark needs a flat field, and {args.input} has none; give --flat")
        return flat, np.zeros((1, 1, detectors)) if dark is None else dark

    def _frames_said(self) -> str:
        assert self.flat is not None
        dark = self._args.dark is not None or self._file.dark is not None
        below = f"{len(self.dark)} dark" if dark else "no dark"
        return f"{len(self.flat)} flat and {below} frames averaged"


def _of(frames: np.ndarray, low: int, high: int) -> np.ndarray:
    """The frames of some slices; one row is that of all."""
    return frames[:, low:high] if frames.shape[1] > 1 else frames.repeat(high - low, 1)


def _frames(path: Path, slices: int, detectors: int) -> np.ndarray:
    """Frames of a file, [F, S or 1, D]."""
    found = read_frames(path)
    if found.ndim == 1:
        found = found[None]
    if found.ndim == 2:
        # Of one slice, frames; of many, a row for each slice, if there are as many.
        found = found[None] if len(found) == slices > 1 else found[:, None]
    if found.ndim != 3 or found.shape[1] not in (1, slices) or found.shape[2] != detectors:
        raise ValueError(
            f"{path} has shape {list(found.shape)}, and the scan {slices} slices of {detectors} "
            "detectors; a field is [detectors], [frames, detectors] or [frames, slices, detectors]"
        )
    return found.astype(np.float64)


def _without_zingers(y: Tensor, angles: tuple[float, ...]) -> tuple[Tensor, int]:
    """The sinograms without outliers, and how many there were; views are neighbours by angle."""
    order = torch.as_tensor(np.argsort(np.mod(angles, 360), kind="stable"))
    mended = torch.empty_like(y)
    mended[:, :, order] = operators.remove_zingers(y[:, :, order])
    return mended, int((mended != y).sum())


def views_told(args: argparse.Namespace, recorded: Scan | None) -> int | None:
    """Number of views by options or the JSON, None where neither tells."""
    if recorded is not None:
        return len(recorded.angles)
    if args.angles is not None:
        return args.angles
    return None if args.angles_file is None else len(read_angles(args.angles_file))
