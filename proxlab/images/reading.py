"""Image files in: a PNG, JPEG, TIFF, npy or DICOM file as one tensor in [0, 1].

Nothing is resized, clipped or cast without a word: what cannot be read in full is refused in one
sentence (ValueError) that names the file, the fault and the remedy. Colours are taken as they are
stored, whatever profile a file has; `metadata` keeps that for what is written.
"""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from proxlab.images.admission import regular_file
from proxlab.images.decoder_failures import decoding
from proxlab.images.decoders.kinds import (
    READABLE,
    first_bytes,
    is_unnamed_image,
    kind_of,
)
from proxlab.images.decoders.pages import Page
from proxlab.images.decoders.pictures import open_picture
from proxlab.images.decoders.tiff_layout import tiff_layout
from proxlab.images.dicom import read_hounsfield
from proxlab.images.formats import stored_pixels
from proxlab.images.shards import ImageFile, Member

LUMA = (0.299, 0.587, 0.114)
"""Weights of R, G, B in a gray image. [ITU-R BT.601, as in the denoising literature]"""

HOUNSFIELD = (-1024.0, 3071.0)
"""CT values that become 0 and 1: what 12 bits hold, air to dense bone and metal."""

Scale = tuple[float, float]
"""Values of a file that become 0 and 1."""

NOISY = (-10.0, 11.0)
"""Range of noisy measurements in image units, whose noise has a standard deviation below 1; what
lies beyond it is in other units."""

_CHANNELS = {"1": 1, "L": 1, "LA": 1, "I;16": 1, "RGB": 3, "RGBA": 3}
"""Pillow's modes whose channels are known before the pixels are."""


class LoadedImage(NamedTuple):
    """Image of a file, and what is needed to write a result of the same type.

    >>> import tempfile
    >>> path = f"{tempfile.mkdtemp()}/a.tiff"
    >>> _ = proxlab.images.write_image(path, torch.rand(1, 3, 20, 30), bits=16)
    >>> image = proxlab.images.read_image(path)
    >>> image.pixels.shape, image.bits, image.kind, image.clipped
    (torch.Size([1, 3, 20, 30]), 16, '.tiff', 0.0)
    """

    pixels: Tensor
    """float32 [1, C, H, W], C = 1 or 3, in [0, 1]."""
    bits: int
    """Depth of the file: 8, 16, or 32 for floats; pass it on to `write_image`."""
    kind: str
    """Suffix that the content goes by, lower case: the file's own, if that is right: ".png"."""
    source: ImageFile
    scale: Scale
    """Values of the file that became 0 and 1: (0, 255), or Hounsfield units for DICOM."""
    clipped: float
    """Fraction of the pixels that were outside `scale` and clipped; nonzero only for DICOM."""
    padded: float = 0.0
    """Fraction of the pixels that DICOM marks as padding, no part of the patient: they are 0, air.
    They do not count as clipped."""


def read_image(
    path: str | ImageFile,
    gray: bool | None = None,
    *,
    unbounded: bool = False,
    scale: Scale | None = None,
) -> LoadedImage:
    """An image from PNG, JPEG, TIFF (8 or 16 bit, float), npy (uint8, uint16, float) or a CT slice.

    path: also a page of a TIFF, of `list_pages`;
    gray: None leaves the channels as they are, True makes one by LUMA, False makes three.
    unbounded: take float files with values outside [0, 1], as noisy measurements have, but not
    outside NOISY, which are in other units;
    scale: values of the file that become 0 and 1, as (0, 4095) for 12 bits in a file of 16, of
    npy and TIFF in any unit.

    Without a scale integers are divided by their largest value. 1-bit images become 0 and 1;
    palettes are expanded to the colours they stand for, to gray if all are gray; an alpha channel
    is dropped if opaque; the orientation tag of cameras is obeyed. npy: [H, W], [H, W, C],
    [C, H, W] or [1, C, H, W]. DICOM: stored values to Hounsfield units, HOUNSFIELD to [0, 1],
    clipped outside (`clipped`); what the file marks as padding becomes 0, air (`padded`). What a
    file is, its first bytes say, not its name (`decoders.kinds`).

    Raises ValueError if there is no such file, and for one that is damaged, or has CMYK colours,
    transparent pixels, several pages, another data type, NaN or infinity, values outside the scale,
    of floats [0, 1], or more than `admission.MOST_VALUES` values; and for a scale that is none, or
    of DICOM, which has Hounsfield units. A FIFO or device is not opened.

    >>> import tempfile
    >>> path = f"{tempfile.mkdtemp()}/photo.png"
    >>> _ = proxlab.images.write_image(path, torch.rand(1, 3, 20, 30))
    >>> proxlab.images.read_image(path, gray=True).pixels.shape   # float32, in [0, 1]
    torch.Size([1, 1, 20, 30])
    """
    path = path if isinstance(path, Member | Page) else Path(path)
    _check_scale(path, scale)
    kind, clipped, padded = kind_of(path), 0.0, 0.0
    if isinstance(path, Page) and kind not in (".tif", ".tiff"):
        raise ValueError(f"{path.path} is no TIFF, and has no pages; read it as it is")
    if kind == ".dcm":
        if scale is not None:
            raise ValueError(f"{path} is DICOM, in Hounsfield units; leave the scale out")
        bits, scale = 16, HOUNSFIELD
        stored, padding = read_hounsfield(path)
        outside = (stored < scale[0]) | (stored > scale[1])
        clipped, padded = float((outside & ~padding).mean()), float(padding.mean())
        stored = np.where(padding, scale[0], stored.clip(*scale))
    else:
        stored = stored_pixels(path)
        if stored.dtype.kind != "f" and stored.dtype not in (np.uint8, np.uint16):
            raise ValueError(
                f"{path} holds pixels of type {stored.dtype}; save it as uint8, uint16, or float "
                "in [0, 1]"
            )
        bits = 32 if stored.dtype.kind == "f" else 8 * stored.dtype.itemsize
        told = scale is not None
        scale = scale or ((0.0, 1.0) if bits == 32 else (0.0, 2.0**bits - 1))
        if bits == 32 or told:
            _check_range(path, stored, scale, unbounded)
    pixels = (stored.astype(np.float64) - scale[0]) / (scale[1] - scale[0])
    if gray is True and pixels.shape[2] == 3:
        pixels = pixels @ np.array(LUMA)[:, None]
    elif gray is False and pixels.shape[2] == 1:
        pixels = pixels.repeat(3, axis=2)
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], dtype=np.float32)
    return LoadedImage(torch.from_numpy(planes), bits, kind, path, scale, clipped, padded)


def _check_scale(path: ImageFile, scale: Scale | None) -> None:
    if scale is None:
        return
    low, high = map(float, scale)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(
            f"the scale of {path} is two numbers, the values that become 0 and 1, the lower first, "
            f"got {scale[0]:g}, {scale[1]:g}"
        )


def _check_range(path: ImageFile, stored: np.ndarray, scale: Scale, unbounded: bool) -> None:
    """Raise ValueError for values that are in other units than the scale."""
    low, high = float(stored.min()), float(stored.max())
    least, most = (scale[0] + end * (scale[1] - scale[0]) for end in NOISY) if unbounded else scale
    if low < least or high > most:
        bytes_ = scale == (0.0, 1.0) and high > 2
        remedy = "divide by 255? or say" if bytes_ else "rescale or clip it first, or say"
        raise ValueError(
            f"{path} holds values from {low:.6g} to {high:.6g}, expected "
            f"[{scale[0]:g}, {scale[1]:g}]{' and noise' if unbounded else ''}; {remedy} which of "
            "them are 0 and 1 (--scale LOW,HIGH)"
        )


def read_shape(path: ImageFile) -> tuple[int, int, int]:
    """Shape (C, H, W) of what `read_image` gives; of a PNG or JPEG file its header alone is read.

    Palettes, TIFF, npy and DICOM are decoded for it. Raises as `read_image`, as far as a header
    shows the fault.
    """
    kind = kind_of(path)
    if kind in (".png", ".jpg", ".jpeg"):
        with decoding(path), open_picture(path, kind) as image:
            mode, (width, height) = image.mode, image.size
            # Pillow would decode a whole PNG to look for an orientation behind its pixels.
            known = kind != ".png" or "exif" in image.info
            turn = image.getexif().get(0x0112, 1) if known else 1
        if mode in _CHANNELS:
            sides = (width, height) if turn in (5, 6, 7, 8) else (height, width)
            return _CHANNELS[mode], *sides
    _, channels, height, width = read_image(path).pixels.shape
    return channels, height, width


def list_images(folder: str | Path) -> list[Path]:
    """The image files of a folder by name, without subfolders and hidden files.

    They are known by their suffix, those without one, or with a number, by their first bytes.
    Raises ValueError if there is no such folder or no image in it.

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> for name in ("b.png", "a.npy"):
    ...     _ = proxlab.images.write_image(f"{folder}/{name}", torch.rand(1, 1, 8, 8))
    >>> [path.name for path in proxlab.images.list_images(folder)]
    ['a.npy', 'b.png']
    """
    folder = Path(folder)
    if not folder.is_dir():
        fault = "is a file" if folder.exists() else "does not exist"
        raise ValueError(f"{folder} {fault}; give a folder of images")
    images = images_in(folder)
    if not images:
        raise ValueError(f"{folder} holds no image; looked for {', '.join(READABLE)}")
    return images


def list_pages(path: str | Path) -> list[Page]:
    """The pages of a TIFF, each of which `read_image` takes for a file; one for a single image.

    The pages of a hyperstack are in the order of the file, which its axes tell
    (`decoders.tiff_layout`). Smaller copies of other pages, as thumbnails are, are left out.
    Raises ValueError for a file that is damaged or no TIFF.

    >>> import tempfile, numpy, tifffile
    >>> path = f"{tempfile.mkdtemp()}/stack.tif"
    >>> stack = numpy.arange(4 * 8 * 9, dtype=numpy.uint8).reshape(4, 8, 9)
    >>> tifffile.imwrite(path, stack, imagej=True, metadata={"axes": "ZYX"})
    >>> pages = proxlab.images.list_pages(path)
    >>> [page.number for page in pages], proxlab.images.read_image(pages[3]).pixels.shape
    ([1, 2, 3, 4], torch.Size([1, 1, 8, 9]))
    """
    path = Path(path)
    if kind_of(path) not in (".tif", ".tiff"):
        raise ValueError(f"{path} is no TIFF, and has no pages; read it as it is")
    return tiff_layout(path).pages


def images_in(folder: Path) -> list[Path]:
    """The image files of a folder that there is, as `list_images`; none if it holds none."""
    found = (p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
    return sorted(p for p in found if p.suffix.lower() in READABLE or is_unnamed_image(p))


def existing(path: str | Path, suffixes: tuple[str, ...]) -> Path:
    """The path of a file that can be opened, is not empty and has one of the suffixes.

    Raises ValueError otherwise; what is no ordinary file is not opened.
    """
    path = regular_file(path)
    if path.suffix.lower() not in suffixes:
        raise ValueError(
            f"{path} is of unknown type {path.suffix!r}; supported are {', '.join(suffixes)}"
        )
    first_bytes(path)
    return path
