"""Image files in and out: a PNG, JPEG, TIFF, npy or DICOM file as one tensor in [0, 1].

Nothing is resized, clipped or cast without a word: what cannot be read in full is refused in one
sentence (ValueError) that names the file, the fault and the remedy. Colour profiles are ignored.
"""

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
from proxlab.images.dicom import read_hounsfield, write_hounsfield
from proxlab.images.files import writing
from proxlab.images.formats import encode, open_picture, stored_pixels
from proxlab.images.shards import ImageFile, Member

WRITABLE = {
    ".png": (8, 16),
    ".jpg": (8,),
    ".jpeg": (8,),
    ".tif": (8, 16, 32),
    ".tiff": (8, 16, 32),
    ".npy": (8, 16, 32),
}
"""Depths that `write_image` takes, by suffix; an npy file is float32 whatever the depth.
DICOM is not among them: only what came from a DICOM file can become one."""

LUMA = (0.299, 0.587, 0.114)
"""Weights of R, G, B in a gray image. [ITU-R BT.601, as in the denoising literature]"""

HOUNSFIELD = (-1024.0, 3071.0)
"""CT values that become 0 and 1: what 12 bits hold, air to dense bone and metal."""

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
    scale: tuple[float, float]
    """Values of the file that became 0 and 1: (0, 255), or Hounsfield units for DICOM."""
    clipped: float
    """Fraction of the pixels that were outside `scale` and clipped; nonzero only for DICOM."""
    padded: float = 0.0
    """Fraction of the pixels that DICOM marks as padding, no part of the patient: they are 0, air.
    They do not count as clipped."""


def read_image(
    path: str | ImageFile, gray: bool | None = None, *, unbounded: bool = False
) -> LoadedImage:
    """An image from PNG, JPEG, TIFF (8 or 16 bit, float), npy (uint8, uint16, float) or a CT slice.

    gray: None leaves the channels as they are, True makes one by LUMA, False makes three.
    unbounded: take float files with values outside [0, 1], as noisy measurements have, but not
    outside NOISY, which are in other units.

    Integers are divided by their largest value. 1-bit images become 0 and 1; palettes are expanded
    to the colours they stand for, to gray if all are gray; an alpha channel is dropped if opaque;
    the orientation tag of cameras is obeyed. npy: [H, W], [H, W, C], [C, H, W] or [1, C, H, W].
    DICOM: stored values to Hounsfield units, HOUNSFIELD to [0, 1], clipped outside (`clipped`);
    what the file marks as padding becomes 0, air (`padded`). What a file is, its first bytes say,
    not its name (`decoders.kinds`).

    Raises ValueError if there is no such file, and for one that is damaged, or has CMYK colours,
    transparent pixels, several pages, another data type, NaN or infinity, or floats outside [0, 1],
    or more than `admission.MOST_VALUES` values. A FIFO or device is not opened.

    >>> import tempfile
    >>> path = f"{tempfile.mkdtemp()}/photo.png"
    >>> _ = proxlab.images.write_image(path, torch.rand(1, 3, 20, 30))
    >>> proxlab.images.read_image(path, gray=True).pixels.shape   # float32, in [0, 1]
    torch.Size([1, 1, 20, 30])
    """
    path = path if isinstance(path, Member) else Path(path)
    kind, clipped, padded = kind_of(path), 0.0, 0.0
    if kind == ".dcm":
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
        scale = (0.0, 1.0) if bits == 32 else (0.0, 2.0**bits - 1)
        low, high = NOISY if unbounded else (0.0, 1.0)
        if bits == 32 and (stored.min() < low or stored.max() > high):
            raise ValueError(
                f"{path} holds values from {stored.min():.6g} to {stored.max():.6g}, expected "
                f"[0, 1]{' and noise' if unbounded else ''}; "
                f"{'divide by 255?' if stored.max() > 2 else 'rescale or clip it first'}"
            )
    pixels = (stored.astype(np.float64) - scale[0]) / (scale[1] - scale[0])
    if gray is True and pixels.shape[2] == 3:
        pixels = pixels @ np.array(LUMA)[:, None]
    elif gray is False and pixels.shape[2] == 1:
        pixels = pixels.repeat(3, axis=2)
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], dtype=np.float32)
    return LoadedImage(torch.from_numpy(planes), bits, kind, path, scale, clipped, padded)


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


def write_image(
    path: str | Path,
    pixels: Tensor,
    bits: int = 8,
    overwrite: bool = False,
    source: Path | None = None,
) -> float:
    """Write pixels [1, C, H, W] or [C, H, W], C = 1 or 3, whole or not at all.

    PNG 8 or 16 bit, JPEG 8, TIFF 8, 16 or 32 (float), npy float32 [H, W] or [H, W, 3]. Integer
    files are rounded and clipped to [0, 1]: the one place where values are. The result is the
    fraction clipped, values that rounding alone would not bring inside; float files are not
    clipped and give 0. DICOM: a copy of the DICOM file `source` with these pixels, [0, 1] to
    HOUNSFIELD, clipped to what its bits hold (`dicom.write_hounsfield`).

    Raises ValueError for another suffix, depth, shape or type, for NaN or infinity, and for DICOM
    without a source; and as `files.writing`, FileExistsError among it.

    >>> import tempfile
    >>> path = f"{tempfile.mkdtemp()}/a.png"
    >>> pixels = torch.tensor([[[0.0, 0.5, 1.2, 1.0]]])
    >>> proxlab.images.write_image(path, pixels)   # the share that was clipped
    0.25
    >>> proxlab.images.write_image(path, pixels / 2, bits=16, overwrite=True)
    0.0
    """
    kind = Path(path).suffix.lower()
    if kind == ".dcm":
        if source is None or kind_of(source) != ".dcm":
            raise ValueError(
                f"cannot write {path}: DICOM is written only as a copy of the DICOM file that the "
                f"image came from, got {source or 'none'}; use .png or .npy"
            )
        low, high = HOUNSFIELD
        array = _writable(path, pixels)
        return write_hounsfield(path, array * (high - low) + low, source, overwrite)
    if kind not in WRITABLE:
        raise ValueError(
            f"cannot write {path}: unknown type {kind!r}; supported are {', '.join(WRITABLE)}"
        )
    if bits not in WRITABLE[kind]:
        raise ValueError(
            f"cannot write {path} with bits={bits}; {kind} takes {WRITABLE[kind]}, "
            "and .tif and .npy take more"
        )
    array = _writable(path, pixels)
    clipped = 0.0
    if bits == 32 or kind == ".npy":
        array = array.astype(np.float32)
    else:
        levels = np.rint(array * (2**bits - 1))
        clipped = float(((levels < 0) | (levels > 2**bits - 1)).mean())
        array = levels.clip(0, 2**bits - 1).astype(np.uint8 if bits == 8 else np.uint16)
    with writing(path, overwrite) as temporary:
        encode(temporary, kind, array)
    return clipped


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
    found = (p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
    images = sorted(p for p in found if p.suffix.lower() in READABLE or is_unnamed_image(p))
    if not images:
        raise ValueError(f"{folder} holds no image; looked for {', '.join(READABLE)}")
    return images


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


def _writable(path: str | Path, pixels: Tensor) -> np.ndarray:
    """One image as float64 [H, W] or [H, W, 3]; `path` is what an error names."""
    shape = tuple(pixels.shape)
    if pixels.ndim == 4 and shape[0] == 1:
        pixels = pixels[0]
    if pixels.ndim != 3 or pixels.shape[0] not in (1, 3) or pixels.numel() == 0:
        raise ValueError(
            f"cannot write {path}: pixels have shape {shape}, expected one image [1, C, H, W] with "
            "C = 1 or 3; index the batch"
        )
    if not pixels.is_floating_point():
        raise ValueError(
            f"cannot write {path}: pixels are {pixels.dtype}, expected floats in [0, 1]; "
            "convert them first"
        )
    array = pixels.detach().cpu().double().permute(1, 2, 0).numpy()
    bad = int((~np.isfinite(array)).sum())
    if bad:
        raise ValueError(f"cannot write {path}: {bad} pixels are NaN or infinite; look upstream")
    return array[:, :, 0] if array.shape[2] == 1 else array
