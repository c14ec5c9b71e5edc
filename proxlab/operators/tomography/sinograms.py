"""Sinograms in files: NAME.npy, [views, detectors], and NAME.json, how the scan was taken.

The JSON holds the fields of `tomography.scan.Scan`, lengths in one unit of the user's choice, which
"unit" may name, and the standard deviation of the noise, like line integrals in image units times
that unit.
"""

import math
import os
from dataclasses import asdict, fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from proxlab.images.admission import read_json
from proxlab.images.decoders.npy import read_npy, write_npy
from proxlab.images.files import check_writable, write_json, writing
from proxlab.images.formats import check_numbers
from proxlab.images.reading import existing
from proxlab.operators.tomography.scan import FanBeam, ParallelBeam, Scan

LATER = {"detector_offset"}
"""Fields that files written before proxlab 0.2 do not have; their default is what was meant."""
BEAMS = {"parallel": ParallelBeam, "fan": FanBeam}


class Geometry(NamedTuple):
    """A scan and its noise, as the JSON has them."""

    scan: Scan
    noise: float | None
    """Standard deviation, of line integrals."""
    unit: str | None
    """Name of the unit of lengths, such as "mm"."""


def beside(path: str | Path) -> Path:
    """Path of the JSON of the sinogram `path`, which need not exist."""
    return Path(path).with_suffix(".json")


def check_sinogram_writable(path: str | Path, overwrite: bool = False) -> None:
    """Raise at once what `write_sinogram` would raise about its paths."""
    if Path(path).suffix.lower() != ".npy":
        raise ValueError(f"cannot write {path}: a sinogram is an .npy file; name it so")
    for place in (path, beside(path)):
        check_writable(place, overwrite)


def write_sinogram(
    path: str | Path,
    y: Tensor,
    scan: Scan,
    noise: float | None = None,
    unit: str | None = None,
    overwrite: bool = False,
) -> None:
    """Write a sinogram [1, 1, V, D] as float32 [V, D], its geometry beside it.

    noise: its standard deviation. unit: name of that of lengths. Raises ValueError for a shape that
    does not fit the scan, NaN or infinity, another suffix; see `files.writing`.
    """
    check_sinogram_writable(path, overwrite)
    if y.ndim != 4 or y.shape[:2] != (1, 1):
        raise ValueError(
            f"cannot write {path}: a sinogram is [1, 1, views, detectors], got {list(y.shape)}"
        )
    check_scan_fits(f"cannot write {path}: the sinogram", y, "the fields of its scan", scan)
    array = y[0, 0].detach().cpu().numpy().astype(np.float32)
    bad = int((~np.isfinite(array)).sum())
    if bad:
        raise ValueError(f"cannot write {path}: {bad} values are NaN or infinite; look upstream")
    kind = next(name for name, beam in BEAMS.items() if isinstance(scan.beam, beam))
    card = asdict(scan) | {"beam": {"kind": kind} | asdict(scan.beam), "noise": noise}
    with writing(path, overwrite) as temporary:
        write_npy(temporary, array)
        # Before the sinogram: alone it does no harm, a sinogram without it means another thing.
        write_json(beside(path), card | ({} if unit is None else {"unit": unit}), overwrite)


def read_sinogram(path: str | Path) -> tuple[Tensor, Scan | None]:
    """A sinogram, float32 [1, 1, V, D], and its scan, None without a JSON beside it.

    Raises ValueError: no such file, not .npy, not [V, D], no numbers, NaN or infinity, a JSON that
    is broken, lacks a field, or does not fit.
    """
    path = existing(path, (".npy",))
    stored = read_npy(path)
    if stored.ndim != 2 or stored.size == 0:
        raise ValueError(
            f"{path} has shape {stored.shape}; a sinogram is [views, detectors], not empty"
        )
    check_numbers(path, stored)
    with np.errstate(over="ignore"):  # beyond float32: said below
        stored = stored.astype(np.float32)
    check_numbers(path, stored)
    y = torch.from_numpy(stored)[None, None]
    geometry = read_geometry(path)
    if geometry is None:
        return y, None
    check_scan_fits(f"{path}", y, f"the fields of {beside(path).name}", geometry.scan)
    return y, geometry.scan


def read_geometry(path: str | Path) -> Geometry | None:
    """Geometry of the sinogram `path`, None without a JSON beside it; ValueError if it is bad."""
    card_path = beside(path)
    if not os.path.lexists(card_path):
        return None
    remedy = "write it anew, or remove it and tell the geometry by options"
    try:
        card = read_json(card_path)
    except ValueError as error:
        raise ValueError(f"{error}; {remedy}") from None
    card = card if isinstance(card, dict) else {}
    lacking = [f.name for f in fields(Scan) if f.name not in {*card, *LATER}]
    if lacking:
        raise ValueError(f"{card_path} lacks {', '.join(lacking)} of a CT scan; {remedy}")
    try:
        lengths = dict(card["beam"])
        beam = BEAMS[lengths.pop("kind")](**lengths)
        told = {f.name: card[f.name] for f in fields(Scan) if f.name in card}
        scan = Scan(**told | {"axis": tuple(card["axis"]), "beam": beam})
    except (TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{card_path} tells no CT scan ({reason}); {remedy}") from None
    noise, unit = card.get("noise"), card.get("unit")
    number = isinstance(noise, (int, float)) and 0 <= noise < math.inf
    if (noise is not None and not number) or isinstance(noise, bool):
        raise ValueError(f"{card_path}: noise is a standard deviation >= 0, got {noise}; {remedy}")
    return Geometry(scan, noise, None if unit is None else str(unit))


def check_line_integrals(path: str | Path, y: Tensor, scan: Scan, noise: float) -> None:
    """ValueError for values far from those of an image in [0, 1] and noise of that std."""
    low, high = float(y.min()), float(y.max())
    longest = math.hypot(scan.height, scan.width) * scan.pixel_spacing
    found = f"{path} holds values from {low:.4g} to {high:.4g}"
    if low < -0.1 * longest - 10 * noise:
        raise ValueError(
            f"{found}, but line integrals of an image in [0, 1] are not negative; if they are of "
            "Hounsfield units, measure (HU + 1024) / 4095 instead"
        )
    if high > 1.5 * longest + 10 * noise:
        raise ValueError(
            f"{found}, but a line through an image in [0, 1], {longest:.4g} long, has an integral "
            "of at most its length; divide by the largest value that a pixel can have, or mend the "
            "pixel spacing"
        )


def check_scan_fits(what: str, y: Tensor, by: str, scan: Scan) -> None:
    """ValueError unless y has the scan's views and detectors; `by` says who told of the scan."""
    check_shape(what, list(y.shape[2:]), by, scan)


def check_shape(what: str, shape: list[int], by: str, scan: Scan) -> None:
    """`check_scan_fits` for a sinogram of that shape, [views, detectors]."""
    wanted = [len(scan.angles), scan.detectors]
    if shape != wanted:
        hint = "; transpose it?" if shape == wanted[::-1] else ""
        raise ValueError(
            f"{what} has [views, detectors] = {shape}, but {by} tell of {wanted[0]} views of "
            f"{wanted[1]} detectors{hint or '; one of them belongs elsewhere'}"
        )
