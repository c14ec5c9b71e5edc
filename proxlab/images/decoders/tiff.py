"""TIFF of more than 8 bits a channel, whole or refused; Pillow cuts 16-bit colours to 8."""

import contextlib
import lzma
import math
import zlib
from typing import Any, NamedTuple

import numpy as np

from proxlab.images.admission import Unreadable, check_values
from proxlab.images.decoder_failures import decoding
from proxlab.images.decoders.pages import Page
from proxlab.images.decoders.tiff_layout import behind_one_header
from proxlab.images.shards import ImageFile

_DEFLATE = (8, 32946, 50013)
_LZMA = 34925
"""Numbers of compressions in a TIFF, as of those in `_unpacked`."""
_AT_HAND = (1, *_DEFLATE, _LZMA)
"""Compressions that tifffile undoes without another package."""


class DeepTiff(NamedTuple):
    """Page of a TIFF."""

    pixels: np.ndarray
    """[H, W] or [H, W, C], as stored."""
    turn: int
    """Orientation tag, 1 to 8; 1 is upright."""
    white: int | None
    """Largest value, where 0 is white; None if 0 is black."""


def read_deep_tiff(path: ImageFile) -> DeepTiff | None:
    """The one page of a TIFF, or that of a `Page`; None for one that Pillow is to read.

    That is one of at most 8 bits a channel. The pages of a stack are read here as far as they are
    plain gray or RGB: Pillow would come to the last one by way of all others.
    Raises ValueError for several pages, colours other than gray and RGB, signed integers, other
    depths than 16, 32 and 64 bits, missing strips, a compression without its decoder, and for a
    page larger than `admission.MOST_VALUES`, or whose strips unpack to more than they are to hold.
    """
    import tifffile

    with decoding(path), path.open("rb") as file, tifffile.TiffFile(file, _multifile=False) as tiff:
        page = _page(path, tiff)
        photometric, depth = int(page.photometric), page.bitspersample
        tag = page.tags.get("Orientation")
        turn = int(tag.value) if tag is not None else 1
        signed = page.dtype is not None and page.dtype.kind == "i"
        check_values(path, page.shape)
        table = photometric == 3 and depth == 8 and tiff.pages.first.is_imagej
        if table:
            photometric = 1  # the colours are a way to look at gray
        plain = photometric in (0, 1, 2) and int(page.compression) in _AT_HAND
        plain = plain and depth == 8 and isinstance(path, Page)
        if depth <= 8 and not signed and not table and not plain:
            _check_pillow_has(path, int(page.compression))
            return None
        kind = "" if page.dtype is None else page.dtype.str[1:]
        white_is_zero = photometric == 0 and kind in ("u1", "u2")
        if photometric not in (1, 2) and not white_is_zero:
            raise Unreadable(
                f"{path} has colours of TIFF kind {photometric}, not gray or RGB; convert it first"
            )
        if page.axes not in ("YX", "YXS", "SYX") or depth not in (8, 16, 32, 64) or signed:
            raise Unreadable(
                f"{path} holds {page.axes} data of {depth} bits ({page.dtype}); save it as gray or "
                "RGB of 8 or 16 bits, or float in [0, 1]"
            )
        if isinstance(path, Page) and path.data is not None:
            stored = _uncompressed(file, page, path.data)
        else:
            stored, turn = _pixels(path, file, page, turn)
    if page.axes == "SYX":
        stored = stored.transpose(1, 2, 0)
    return DeepTiff(stored, turn, int(np.iinfo(kind).max) if white_is_zero else None)


def _page(path: ImageFile, tiff: Any) -> Any:
    """The only page of a TiffFile, or the one that was asked for."""
    import tifffile

    if isinstance(path, Page):
        tiff.filehandle.seek(path.header)
        return tifffile.TiffPage(tiff, index=path.number - 1)
    if not len(tiff.pages):
        raise ValueError("no page can be found")
    count = max(len(tiff.pages), behind_one_header(path, tiff))
    if count > 1:
        raise Unreadable(
            f"{path} holds {count} pages, and one image is read; take one of them (--page, "
            "proxlab.images.list_pages), or save it as a file of its own"
        )
    return tiff.pages.first


def _uncompressed(file: Any, page: Any, offset: int) -> np.ndarray:
    """Pixels of the size and type of a page that lie at that offset."""
    file.seek(offset)
    packed = file.read(page.nbytes)
    kind = page.dtype.newbyteorder(page.parent.byteorder)
    return np.frombuffer(packed, kind).reshape(page.shape)


def _pixels(path: ImageFile, file: Any, page: Any, turn: int) -> tuple[np.ndarray, int]:
    """Pixels of a page by a decoder that keeps all bits, tifffile's or Pillow's, and their turn."""
    import tifffile

    counts = page.databytecounts
    lacking = sum(count == 0 for count in counts)
    if lacking or len(counts) != math.prod(page.chunked):
        # tifffile fills these with zeros.
        raise ValueError(f"{lacking or 'some'} of its strips or tiles are not there")
    known = page.compression in tifffile.TIFF.DECOMPRESSORS
    if known and page.predictor in tifffile.TIFF.UNPREDICTORS:
        check_unpacked(path, file, page)
        with contextlib.suppress(ImportError):  # of a module of a later Python
            return page.asarray(), turn
        known = False
    stored = _by_pillow(path, page)
    if stored is None:
        how = _name(int(page.compression)) + f" with predictor {int(page.predictor)}" * known
        raise Unreadable(
            f"{path} is compressed by {how}, for which a decoder is missing here; "
            "pip install imagecodecs, or save it uncompressed"
        )
    return stored, 1


def _by_pillow(path: ImageFile, page: Any) -> np.ndarray | None:
    """A gray page by libtiff, which has more decompressors, upright; None if it is not whole so."""
    from PIL.TiffImagePlugin import COMPRESSION_INFO, TiffImageFile

    if int(page.compression) not in COMPRESSION_INFO or page.axes != "YX" or page.photometric != 1:
        return None
    try:
        with path.open("rb") as file, TiffImageFile(file) as image:
            if isinstance(path, Page):
                image.seek(path.number - 1)
            stored = np.asarray(image)
    except SyntaxError:  # a kind of pixels that Pillow does not know
        return None
    # Another type shows that Pillow has no room for all bits of the page, or for its sign.
    whole = stored.dtype.newbyteorder("=") == page.dtype and stored.size == math.prod(page.shape)
    return stored if whole else None


def check_unpacked(path: ImageFile, file: Any, page: Any) -> None:
    """Raise ValueError if a strip or tile unpacks to more than it is to hold.

    tifffile would unpack all of it: a thousand times the size of the file.
    """
    if int(page.compression) not in (*_DEFLATE, _LZMA):
        return
    most = math.prod(page.chunks) * page.dtype.itemsize
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        file.seek(offset)
        if _unpacked(int(page.compression), file.read(count), most + 1) > most:
            raise Unreadable(
                f"{path} holds a strip that unpacks to more than its {most} bytes; save it anew"
            )


def _unpacked(compression: int, packed: bytes, most: int) -> int:
    """Bytes that `packed` unpacks to, counted up to `most`."""
    if compression == _LZMA:
        return len(lzma.LZMADecompressor().decompress(packed, most))
    return len(zlib.decompressobj().decompress(packed, most))


def _check_pillow_has(path: ImageFile, compression: int) -> None:
    from PIL.TiffImagePlugin import COMPRESSION_INFO

    if compression not in COMPRESSION_INFO:
        raise Unreadable(
            f"{path} is compressed by {_name(compression)}, for which a decoder is "
            "missing here; save it uncompressed, or as PNG"
        )


def _name(number: int) -> str:
    """Name of a compression: LZW for 5."""
    import tifffile

    try:
        return f"{tifffile.COMPRESSION(number).name} ({number})"
    except ValueError:
        return f"method {number}"
