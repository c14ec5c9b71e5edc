"""Blur kernels, PSFs, masks and angles of views from files: what a measurement was made with."""

import warnings
from pathlib import Path

import numpy as np

from proxlab.images.admission import MOST_TEXT, check_bytes, in_words, read_json
from proxlab.images.decoders.kinds import READABLE, kind_of
from proxlab.images.decoders.npy import read_npy, read_npz
from proxlab.images.decoders.tiff_pages import read_tiff_pages
from proxlab.images.formats import check_numbers, stored_pixels
from proxlab.images.reading import existing


def read_kernel(path: str | Path) -> np.ndarray:
    """A blur kernel, float64 [h, w], from npy, npz, PNG, TIFF, txt (spaces) or csv (commas).

    "kernels.npz:name" picks one array of several. Integer arrays and images are divided by their
    sum, since integers cannot sum to one; floats and text are taken as they are.

    Raises ValueError if there is no such file or array, and for an array that is not [h, w], holds
    NaN or infinity, or is all zero.
    """
    kernel = _stored(path, (".npy", ".npz", ".png", ".tif", ".tiff", ".txt", ".csv"))
    if kernel.ndim != 2 or kernel.size == 0:
        raise ValueError(f"{path} has shape {kernel.shape}; a kernel is [h, w], not empty")
    check_numbers(path, kernel)
    total = kernel.sum()
    if not kernel.any() or (kernel.dtype.kind != "f" and total <= 0):
        raise ValueError(f"{path} sums to {total}, no blur kernel; save one that sums to 1")
    return kernel.astype(np.float64) / (1 if kernel.dtype.kind == "f" else total)


def read_psf(path: str | Path) -> np.ndarray:
    """A measured point-spread function, [h, w], or frames of it, [n, h, w], as the file has them.

    From npy, npz ("beads.npz:name" picks one array of several), gray PNG, TIFF of one page or of
    several. `operators.psf` makes a kernel of it. Raises ValueError if there is no such file or
    array, and for colours, another number of axes, NaN or infinity.
    """
    frames = _stored(path, (".npy", ".npz", ".png", ".tif", ".tiff"), pages=True)
    if frames.ndim not in (2, 3) or frames.size == 0:
        raise ValueError(
            f"{path} has shape {frames.shape}; a PSF is [h, w], or frames [n, h, w], not empty"
        )
    check_numbers(path, frames)
    return frames


def read_mask(path: str | Path) -> np.ndarray:
    """A mask, bool [H, W], True = seen, from an image or npy of 0 and one other value.

    Raises ValueError if there is no such file, and for one with colours or with other than two
    values (a JPEG, a smooth edge).
    """
    path = existing(path, tuple(s for s in READABLE if s != ".dcm"))
    mask = _one_plane(path, stored_pixels(path))
    values = np.unique(mask)
    if len(values) != 2 or 0 not in values:
        shown = ", ".join(f"{v:g}" for v in values[:4].astype(float))
        raise ValueError(
            f"{path} holds {len(values)} different values ({shown}{', ...' * (len(values) > 4)}); "
            "a mask has two, 0 = missing and one other = seen: save it as PNG or npy, no smoothing"
        )
    return mask != 0


def read_angles(path: str | Path) -> np.ndarray:
    """Angles of views in degrees, float64 [V], from npy, txt (spaces, lines), csv (commas) or JSON,
    a list, or an object with one under "angles" or "theta".

    Raises ValueError if there is no such file, and for one that is not one row or column, or holds
    NaN or infinity.
    """
    file = existing(path, (".npy", ".txt", ".csv", ".json"))
    kind = file.suffix.lower()
    if kind == ".npy":
        angles = read_npy(file)
    elif kind == ".json":
        angles = _listed(file)
    else:
        angles = _read_table(file)
        angles = angles.ravel() if 1 in angles.shape else angles
    if angles.ndim != 1 or angles.size == 0:
        raise ValueError(f"{path} has shape {angles.shape}; angles are one row of degrees")
    check_numbers(path, angles)
    return angles.astype(np.float64)


def _listed(path: Path) -> np.ndarray:
    """Numbers of a JSON list, or of that under "angles" or "theta"."""
    held = read_json(path)
    if isinstance(held, dict):
        held = held.get("angles", held.get("theta"))
    if not isinstance(held, list) or not all(type(part) in (int, float) for part in held):
        raise ValueError(
            f'{path} holds no list of degrees; it is to be one, or to have one under "angles"'
        )
    return np.array(held, dtype=np.float64)


def _stored(path: str | Path, suffixes: tuple[str, ...], pages: bool = False) -> np.ndarray:
    """The array of a file with one of the suffixes, "FILE.npz:NAME" for one of several.

    pages: whether a TIFF may have several, which come as [n, h, w].
    """
    text, name = str(path), None
    if ".npz:" in text:
        text, _, name = text.partition(".npz:")
        text += ".npz"
    file = existing(text, suffixes)
    kind = file.suffix.lower()
    if kind in (".txt", ".csv"):
        return _read_table(file)
    if kind == ".npz":
        return read_npz(file, name)
    if kind == ".npy":
        return read_npy(file)
    several = read_tiff_pages(file) if pages and kind_of(file) in (".tif", ".tiff") else None
    return _one_plane(file, stored_pixels(file)) if several is None else several


def _read_table(path: Path) -> np.ndarray:
    """Numbers of a text file, [rows, columns]: between commas in csv, else between spaces."""
    check_bytes(path, path.stat().st_size, MOST_TEXT)
    commas = path.suffix.lower() == ".csv"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a file without numbers, which callers refuse
            return np.loadtxt(path, delimiter="," if commas else None, ndmin=2)
    except (ValueError, OSError) as error:
        reason = in_words(error)
        raise ValueError(
            f"{path} is no table of numbers ({reason}); separate them by "
            f"{'commas' if commas else 'spaces'}, as many in each line"
        ) from None


def _one_plane(path: Path, stored: np.ndarray) -> np.ndarray:
    # Drawing programs save black and white as RGB; equal channels lose nothing.
    if (stored != stored[:, :, :1]).any():
        raise ValueError(f"{path} has colours; save it as gray")
    return stored[:, :, 0]
