"""Stored image files, decoded to arrays of exactly the values they hold, and encoded from them."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from proxlab.images.admission import Unreadable
from proxlab.images.decoder_failures import decoding
from proxlab.images.decoders.kinds import kind_of
from proxlab.images.decoders.metadata import NOTHING, Metadata
from proxlab.images.decoders.npy import read_npy, write_npy
from proxlab.images.decoders.pages import Page
from proxlab.images.decoders.pictures import open_picture
from proxlab.images.decoders.tiff import read_deep_tiff
from proxlab.images.decoders.tiff_writing import TiffPages
from proxlab.images.shards import ImageFile

_MOST_EXIF = 65533
"""Bytes of EXIF that a JPEG can hold."""


def stored_pixels(path: ImageFile) -> np.ndarray:
    """Pixels as the file holds them, [H, W, C], C = 1 or 3, checked for what no reader accepts."""
    kind = kind_of(path)
    if kind == ".npy":
        stored = read_npy(path)
    elif kind in (".tif", ".tiff"):
        stored = _read_tiff(path)
    elif kind == ".dcm":
        raise ValueError(f"{path} is DICOM, and no mask, kernel or photograph; save it as PNG")
    else:
        stored = _read_pillow(path, kind)
    # Files of the other byte order have types that compare unequal to np.uint16.
    stored, shape = stored.astype(stored.dtype.newbyteorder("="), copy=False), stored.shape
    if stored.ndim == 4 and shape[0] == 1 and shape[1] in (1, 3):
        stored = stored[0].transpose(1, 2, 0)
    elif stored.ndim == 2:
        stored = stored[:, :, None]
    elif kind == ".npy" and stored.ndim == 3 and shape[0] in (1, 3):
        if shape[2] in (1, 3):
            raise ValueError(
                f"{path} has shape {shape}, [C, H, W] or [H, W, C]; save it as [1, C, H, W]"
            )
        stored = stored.transpose(1, 2, 0)
    if stored.ndim != 3 or stored.shape[2] not in (1, 3) or stored.size == 0:
        raise ValueError(
            f"{path} has shape {shape}; expected one image, [H, W], [H, W, 3] or [3, H, W]"
        )
    check_numbers(path, stored)
    return stored


def check_numbers(path: str | ImageFile, array: np.ndarray) -> None:
    """Raise ValueError unless all values are real and finite; `path` is what the error names."""
    if array.dtype.kind not in "buif":
        raise ValueError(f"{path} holds values of type {array.dtype}; save real numbers")
    bad = int((~np.isfinite(array)).sum())
    if bad:
        raise ValueError(f"{path} holds {bad} values NaN or infinite; replace them first")


def encode(path: Path, kind: str, array: np.ndarray, kept: Metadata = NOTHING) -> None:
    """Write [H, W] or [H, W, 3], of the type that the file is to hold, as suffix `kind` says.

    kept: what else the file is to say, as far as its type can; npy can say nothing.
    """
    kept = kept.for_channels(1 if array.ndim == 2 else 3)
    if kind == ".npy":
        write_npy(path, array)
    elif kind == ".png" and array.dtype == np.uint16:
        path.write_bytes(_deep_png(array, kept))
    else:
        # In memory first: what encoders make of a full disk tells nobody what is the matter.
        path.write_bytes(_encoded(kind, array, kept))


def _encoded(kind: str, array: np.ndarray, kept: Metadata) -> bytes:
    buffer = io.BytesIO()
    if kind in (".tif", ".tiff"):
        tags = kept.as_tags()
        with TiffPages(buffer, tags.order) as tiff:
            tiff.add(array, tags)
    else:
        from PIL import Image

        options: dict[str, Any] = {"icc_profile": kept.profile, "dpi": kept.dpi}
        if kept.exif is not None and (kind == ".png" or len(kept.exif) <= _MOST_EXIF):
            options["exif"] = kept.exif
        if kind != ".png":
            options |= {"quality": 95, "subsampling": 0, "dpi": kept.dpi or (0, 0)}
        Image.fromarray(array).save(buffer, "PNG" if kind == ".png" else "JPEG", **options)
    return buffer.getvalue()


def _read_pillow(path: ImageFile, kind: str) -> np.ndarray:
    """Pixels of PNG, JPEG, and TIFF of at most 8 bits a channel: [H, W] or [H, W, 3]."""
    from PIL.PngImagePlugin import PngImageFile

    with decoding(path):
        with path.open("rb") as file:
            head = file.read(26)
        with open_picture(path, kind) as image:
            if isinstance(path, Page):
                image.seek(path.number - 1)
            image.load()
            mode, key = image.mode, image.info.get("transparency")
            # A second picture in a JPEG (MPO) is a preview; in a PNG it is an animation.
            frames = image.n_frames if isinstance(image, PngImageFile) else 1
            # Pillow has turned TIFF upright itself.
            turn = image.getexif().get(0x0112, 1) if image.format != "TIFF" else 1
            depth = head[24] if image.format == "PNG" else 8
            if depth == 16 and mode != "I;16":
                array = _read_deep_png(path)
            elif mode in ("P", "PA"):
                array, key = _unless_gray(np.asarray(image.convert("RGBA"))), None
            elif mode == "1":
                array = np.asarray(image.convert("L"))
            else:
                array = np.asarray(image)
    if frames > 1:
        raise ValueError(f"{path} holds {frames} frames; save one of them")
    if mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "I;16"):
        raise ValueError(f"{path} is a {mode} image; convert it to gray or RGB first")
    planes = array.reshape(*array.shape[:2], -1)
    if key is not None:
        # PNG may name one colour as transparent; at 2 and 4 bits Pillow does not scale it.
        colour = np.array(key) * (255 // (2**depth - 1) if depth in (2, 4) else 1)
        if (planes[:, :, : colour.size] == colour).all(2).any():
            raise ValueError(f"{path} has transparent pixels; flatten it first")
    return _upright(_opaque(path, planes), turn)


def _read_deep_png(path: ImageFile) -> np.ndarray:
    """Pixels of a PNG with 16 bits in each of several channels, [H, W, 3] or [H, W, 4].

    Pillow keeps the upper byte of each sample only, and no other reader at hand keeps both. But
    told that the lower byte comes first, it keeps the other one: two readings give all 16 bits.
    """
    halves = []
    for order in ("B", "L"):
        with open_picture(path, ".png") as image:
            (tile,) = image.tile
            if tile.args not in ("RGB;16B", "RGBA;16B"):
                raise Unreadable(
                    f"{path} holds 16-bit samples of kind {tile.args}, which no reader here keeps "
                    "whole; save it without the alpha channel"
                )
            image.tile = [tile._replace(args=tile.args[:-1] + order)]
            halves.append(np.asarray(image).astype(np.uint16))
    return halves[0] * 256 + halves[1]


def _read_tiff(path: ImageFile) -> np.ndarray:
    """Pixels of a TIFF, [H, W, C], upright, without an alpha channel, 0 black."""
    deep = read_deep_tiff(path)
    if deep is None:
        return _read_pillow(path, ".tif")
    stored = deep.pixels if deep.white is None else deep.white - deep.pixels
    return _upright(_opaque(path, stored.reshape(*stored.shape[:2], -1)), deep.turn)


def _unless_gray(rgba: np.ndarray) -> np.ndarray:
    is_gray = (rgba[..., :3] == rgba[..., :1]).all()
    return rgba[..., 2:] if is_gray else rgba


def _opaque(path: ImageFile, planes: np.ndarray) -> np.ndarray:
    """The planes [H, W, C] without the alpha channel, the last of 2 or 4, if it hides nothing."""
    if planes.shape[2] not in (2, 4):
        return planes
    full = 1 if planes.dtype.kind == "f" else np.iinfo(planes.dtype).max
    if (planes[:, :, -1] != full).any():
        raise ValueError(f"{path} has an alpha channel with transparent pixels; flatten it first")
    return planes[:, :, :-1]


def _upright(planes: np.ndarray, turn: int) -> np.ndarray:
    """Undo the orientation tag: 5 to 8 are 1, 4, 2, 3 with rows and columns exchanged."""
    if turn in (5, 6, 7, 8):
        planes = planes.swapaxes(0, 1)
    down = -1 if turn in (3, 4, 7, 8) else 1
    across = -1 if turn in (2, 3, 6, 7) else 1
    return planes[::down, ::across]


def _deep_png(array: np.ndarray, kept: Metadata) -> bytes:
    """A 16-bit PNG, written here because Pillow has no 16-bit colours. [W3C PNG, Sec. 5, 9.2]"""
    height, width = array.shape[:2]
    rows = np.frombuffer(array.astype(">u2").tobytes(), np.uint8).reshape(height, -1)
    # Filter 2 ("up"): each byte minus the one above it, modulo 256, which packs better.
    change = np.diff(rows, axis=0, prepend=np.zeros_like(rows[:1]))
    lines = np.hstack([np.full((height, 1), 2, np.uint8), change])
    header = struct.pack(">IIBBBBB", width, height, 16, 0 if array.ndim == 2 else 2, 0, 0, 0)
    chunks = [(b"IHDR", header)]
    if kept.profile is not None:
        chunks.append((b"iCCP", b"ICC Profile\0\0" + zlib.compress(kept.profile)))
    if kept.dpi is not None:
        per_metre = (round(value / 0.0254) for value in kept.dpi)
        chunks.append((b"pHYs", struct.pack(">IIB", *per_metre, 1)))
    if kept.exif is not None:
        chunks.append((b"eXIf", kept.exif.removeprefix(b"Exif\0\0")))
    chunks += [(b"IDAT", zlib.compress(lines.tobytes())), (b"IEND", b"")]
    packed = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)
