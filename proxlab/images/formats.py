"""Stored image files, decoded to arrays of exactly the values they hold, and encoded from them."""

import contextlib
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from proxlab.images.decoder_failures import decoding
from proxlab.images.shards import ImageFile


def stored_pixels(path: ImageFile) -> np.ndarray:
    """Pixels as the file holds them, [H, W, C], C = 1 or 3, checked for what no reader accepts."""
    kind = path.suffix.lower()
    if kind == ".npy":
        stored = read_npy(path)
    elif kind in (".tif", ".tiff"):
        stored = _read_tiff(path)
    else:
        stored = _read_pillow(path)
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


def read_npy(path: ImageFile) -> np.ndarray:
    """The array of an npy file. Raises ValueError if it is damaged or holds Python objects."""
    # Not np.load, which takes any unknown content for a pickle and says so.
    with decoding(path), path.open("rb") as file:
        return np.lib.format.read_array(file, allow_pickle=False)


@contextlib.contextmanager
def open_picture(path: ImageFile) -> Iterator[Any]:
    """A PNG, JPEG or TIFF file as Pillow's image, of which only the header is read yet."""
    from PIL import Image, UnidentifiedImageError

    with path.open("rb") as file:
        try:
            image = Image.open(file, formats=("PNG", "JPEG", "TIFF"))
        except UnidentifiedImageError:
            raise ValueError("no PNG, JPEG or TIFF file") from None
        with image:
            yield image


def encode(path: Path, kind: str, array: np.ndarray) -> None:
    """Write [H, W] or [H, W, 3], of the type that the file is to hold, as suffix `kind` says."""
    if kind == ".npy":
        with path.open("wb") as file:
            np.save(file, array)
    elif kind in (".tif", ".tiff"):
        import tifffile

        photometric = "rgb" if array.ndim == 3 else "minisblack"
        tifffile.imwrite(path, array, photometric=photometric, metadata=None)
    elif kind == ".png" and array.dtype == np.uint16:
        path.write_bytes(_deep_png(array))
    else:
        from PIL import Image

        options = {} if kind == ".png" else {"quality": 95, "subsampling": 0}
        Image.fromarray(array).save(path, "PNG" if kind == ".png" else "JPEG", **options)


def _read_pillow(path: ImageFile) -> np.ndarray:
    """Pixels of PNG, JPEG, and TIFF of at most 8 bits a channel: [H, W] or [H, W, 3]."""
    from PIL.PngImagePlugin import PngImageFile

    with decoding(path):
        with path.open("rb") as file:
            head = file.read(26)
        with open_picture(path) as image:
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
        with open_picture(path) as image:
            (tile,) = image.tile
            if tile.args not in ("RGB;16B", "RGBA;16B"):
                raise ValueError(f"16-bit samples of kind {tile.args} are not supported")
            image.tile = [tile._replace(args=tile.args[:-1] + order)]
            halves.append(np.asarray(image).astype(np.uint16))
    return halves[0] * 256 + halves[1]


def _read_tiff(path: ImageFile) -> np.ndarray:
    """Pixels of a TIFF, [H, W] or [H, W, 3]; not all by Pillow, which cuts 16-bit colours to 8."""
    import tifffile

    with decoding(path), path.open("rb") as file, tifffile.TiffFile(file) as tiff:
        pages, page = len(tiff.pages), tiff.pages.first
        photometric, depth, axes = int(page.photometric), page.bitspersample, page.axes
        tag = page.tags.get("Orientation")
        turn = int(tag.value) if tag is not None else 1
        signed = page.dtype is not None and page.dtype.kind == "i"
        shallow = depth <= 8 and not signed
        stored = page.asarray() if pages == 1 and not shallow else np.empty(0)
    if pages != 1:
        raise ValueError(f"{path} holds {pages} pages; save one of them as a file of its own")
    if shallow:
        return _read_pillow(path)
    white_is_zero = photometric == 0 and stored.dtype.str[1:] == "u2"
    if photometric not in (1, 2) and not white_is_zero:
        raise ValueError(
            f"{path} has colours of TIFF kind {photometric}, not gray or RGB; convert it first"
        )
    if axes not in ("YX", "YXS", "SYX") or depth not in (16, 32, 64) or signed:
        raise ValueError(
            f"{path} holds {axes} data of {depth} bits ({stored.dtype}); save it as gray or RGB of "
            "8 or 16 bits, or float in [0, 1]"
        )
    if axes == "SYX":
        stored = stored.transpose(1, 2, 0)
    stored = 65535 - stored if white_is_zero else stored
    return _upright(_opaque(path, stored.reshape(*stored.shape[:2], -1)), turn)


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


def _deep_png(array: np.ndarray) -> bytes:
    """A 16-bit PNG, written here because Pillow has no 16-bit colours. [W3C PNG, Sec. 5, 9.2]"""
    height, width = array.shape[:2]
    rows = np.frombuffer(array.astype(">u2").tobytes(), np.uint8).reshape(height, -1)
    # Filter 2 ("up"): each byte minus the one above it, modulo 256, which packs better.
    change = np.diff(rows, axis=0, prepend=np.zeros_like(rows[:1]))
    lines = np.hstack([np.full((height, 1), 2, np.uint8), change])
    header = struct.pack(">IIBBBBB", width, height, 16, 0 if array.ndim == 2 else 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes())), (b"IEND", b""))
    packed = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)
