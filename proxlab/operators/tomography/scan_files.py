"""Scans in files as instruments and libraries write them: slices that are read a few at a time.

npy and TIFF hold one sinogram or many, in the order that they have or that is told; HDF5 files that
follow Data Exchange [DeCarlo14] hold projections [views, slices, detectors], their flat and dark
fields and the angles, and say so by the names of their data sets.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from proxlab.images.admission import Unreadable, check_values, regular_file
from proxlab.images.decoder_failures import decoding
from proxlab.images.decoders.kinds import kind_of
from proxlab.images.decoders.npy import read_npy
from proxlab.images.decoders.tiff_pages import read_tiff_pages, read_tiff_planes
from proxlab.images.formats import check_numbers, stored_pixels

Array = np.ndarray
HDF5 = (".h5", ".hdf5", ".hdf", ".nxs")
SCANS = (".npy", ".tif", ".tiff", *HDF5)
"""Suffixes of files that hold scans."""
SLICES, PROJECTIONS = "slices,views,detectors", "views,slices,detectors"
LAYOUTS = {
    "views,detectors": (0, 1),
    "detectors,views": (1, 0),
    SLICES: (0, 1, 2),
    PROJECTIONS: (1, 0, 2),
    "slices,detectors,views": (0, 2, 1),
}
"""Order of axes by name -> the axes of the file in our order, [slices,] views, detectors."""
_DATA, _WHITE, _DARK, _THETA = (
    f"exchange/{n}" for n in ("data", "data_white", "data_dark", "theta")
)


class ScanFile(NamedTuple):
    """Slices of a scan, and what their file says besides."""

    shape: tuple[int, int, int]
    """S, V, D."""
    read: Callable[[int, int], Array]
    """Slices from the first to before the last, as stored, [n, V, D]."""
    flat: Array | None = None
    """Frames without an object, [F, S, D]."""
    dark: Array | None = None
    """Frames without X-rays, [F, S, D]."""
    angles: Array | None = None
    """Degrees, [V]."""
    note: str = ""
    """A sentence on the order of axes, where that was concluded from their lengths."""


def open_scan(path: str | Path, views: int | None = None, layout: str | None = None) -> ScanFile:
    """The scan of an npy, TIFF or HDF5 file, whose slices are then read as they are needed.

    views: how many there are, if that is known; by them [detectors, views], as scikit-image has
    sinograms, and [views, slices, detectors], as detectors write projections, are told from the
    orders here, [views, detectors] and [slices, views, detectors]. layout: one of LAYOUTS, if that
    is known. Raises ValueError for a file that is none of these, or damaged, and for an order that
    cannot be told.
    """
    path = regular_file(path)
    suffix = path.suffix.lower()
    if suffix in HDF5:
        return _exchange(path)
    if suffix not in SCANS:
        raise ValueError(f"{path} is no sinogram; those read here are {', '.join(SCANS)}")
    stored, planes = (read_npy(path), "") if suffix == ".npy" else _tiff(path)
    if stored.ndim not in (2, 3) or stored.size == 0:
        raise ValueError(
            f"{path} has shape {stored.shape}; a sinogram is [views, detectors], several are "
            "[slices, views, detectors], not empty"
        )
    check_numbers(path, stored)
    axes, note = _order(path, stored.shape, views, layout)
    note = "; ".join(filter(None, (planes, note)))
    turned = stored.transpose(axes)
    stack = turned if turned.ndim == 3 else turned[None]
    s, v, d = stack.shape
    return ScanFile((s, v, d), lambda first, last: stack[first:last], note=note)


def read_frames(path: str | Path) -> Array:
    """Frames of a flat or dark field, as stored, [D], [F, D] or [F, S, D], from npy or TIFF.

    Raises ValueError for another file.
    """
    path = regular_file(path)
    if path.suffix.lower() not in (".npy", ".tif", ".tiff"):
        raise ValueError(f"{path} holds no flat or dark field, which is npy or TIFF")
    frames = read_npy(path) if path.suffix.lower() == ".npy" else _tiff(path)[0]
    check_numbers(path, frames)
    return frames


def _tiff(path: Path) -> tuple[Array, str]:
    """Values that a TIFF holds, and a sentence where it may have been meant otherwise."""
    if kind_of(path) not in (".tif", ".tiff"):
        raise ValueError(f"{path} is no TIFF, whatever it is called")
    pages = read_tiff_pages(path)
    if pages is not None:
        return pages, ""
    planes = read_tiff_planes(path)
    if planes is not None:
        told = f"{path} stores {len(planes)} colours apart, as tifffile does with so many images"
        return planes, f"{told}: they were taken for those"
    one = stored_pixels(path)
    if one.shape[2] != 1:
        raise ValueError(f"{path} has colours, and a sinogram has none")
    return one[:, :, 0], ""


def _order(
    path: Path, shape: tuple[int, ...], views: int | None, layout: str | None
) -> tuple[tuple[int, ...], str]:
    """The axes of the file in our order, and a sentence where they were concluded."""
    if layout is not None:
        axes = LAYOUTS[layout]
        if len(axes) != len(shape):
            raise ValueError(f"{path} has shape {list(shape)}, and --layout {layout} another")
        return axes, ""
    usual, other = ("views,detectors", "detectors,views")
    if len(shape) == 3:
        usual, other = SLICES, PROJECTIONS
    as_usual, as_other = (shape[1], shape[0]) if len(shape) == 3 else (shape[0], shape[1])
    if views is None or (as_usual == views and as_other != views):
        return LAYOUTS[usual], ""
    if as_other == views and as_usual != views:
        return LAYOUTS[other], f"{path} was taken for [{other}], since {views} are the views"
    if as_usual == views:
        raise ValueError(
            f"{path} has shape {list(shape)}, two axes as long as there are views; say which is "
            f"which by --layout {usual} or {other}"
        )
    return LAYOUTS[usual], ""  # of which the geometry says that it does not fit


def _exchange(path: Path) -> ScanFile:
    """A file of Data Exchange, whose projections stay in it until they are read."""
    h5py = _h5py(path)
    with decoding(path), h5py.File(path, "r") as file:
        if _DATA not in file:
            raise Unreadable(
                f"{path} has no data set /{_DATA}, where Data Exchange has projections; save the "
                "sinogram as npy"
            )
        shape = tuple(map(int, file[_DATA].shape))
        if len(shape) != 3 or 0 in shape:
            raise Unreadable(
                f"/{_DATA} of {path} has shape {shape}, not [views, slices, detectors]"
            )
        views, slices, detectors = shape
        flat, dark = (_frames(path, file, key, (slices, detectors)) for key in (_WHITE, _DARK))
        angles = np.asarray(file[_THETA], dtype=np.float64).ravel() if _THETA in file else None
    if angles is not None and len(angles) != views:
        raise ValueError(f"{path} has {len(angles)} angles in /{_THETA} for {views} projections")

    def read(first: int, last: int) -> Array:
        check_values(path, (last - first, views, detectors))
        with decoding(path), h5py.File(path, "r") as file:
            part = np.asarray(file[_DATA][:, first:last]).swapaxes(0, 1)
        check_numbers(path, part)
        return part

    return ScanFile((slices, views, detectors), read, flat, dark, angles)


def _frames(path: Path, file: Any, key: str, size: tuple[int, int]) -> Array | None:
    """Frames [F, S, D] of a data set, None without it."""
    if key not in file or 0 in file[key].shape:
        return None
    shape = tuple(file[key].shape)
    if shape[-2:] != size or len(shape) not in (2, 3):
        raise Unreadable(f"/{key} of {path} has shape {shape}, not [frames, {size[0]}, {size[1]}]")
    check_values(f"/{key} of {path}", shape)
    return np.asarray(file[key]).reshape(-1, *size)


def _h5py(path: Path) -> Any:
    try:
        import h5py
    except ImportError:
        raise ValueError(
            f"{path} is HDF5, and h5py is not installed; pip install proxlab[hdf5]"
        ) from None
    return h5py
