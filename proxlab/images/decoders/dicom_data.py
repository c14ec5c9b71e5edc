"""Data sets of DICOM files and their stored pixels, before anybody asks what they mean."""

import io
import zlib
from typing import Any, BinaryIO

import numpy as np

from proxlab.images.admission import Unreadable, check_bytes, check_values, in_words, regular_file
from proxlab.images.decoder_failures import decoding
from proxlab.images.decoders.kinds import begins_as_dicom
from proxlab.images.shards import ImageFile, Member, holder

MOST_UNPACKED = 2**28
"""Bytes that a deflated data set may unpack to: a slice has half a million."""
DEFLATED = "1.2.840.10008.1.2.1.99"
"""The transfer syntax whose data set is compressed as a whole (DICOM PS3.5, A.5)."""
_LONG = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"UC", b"UN", b"UR", b"UT")
"""Value representations with two reserved bytes and a length of four."""


def pydicom_for(path: ImageFile) -> Any:
    """The module pydicom; ValueError if it is not installed."""
    try:
        import pydicom
    except ImportError:
        raise ValueError(
            f"{path} is DICOM, and pydicom is not installed; pip install proxlab[dicom]"
        ) from None
    return pydicom


def read_data_set(path: ImageFile) -> Any:
    """The data set of a DICOM file, with file meta information or without.

    Without, it is little endian as pydicom finds it, of implicit or explicit VR; compressed pixels
    are then refused, since nothing tells how. Raises ValueError for that, if pydicom is missing,
    for a damaged file, one of over `admission.MOST_BYTES`, and one that unpacks to more than
    MOST_UNPACKED.
    """
    pydicom = pydicom_for(path)
    size = path.size if isinstance(path, Member) else regular_file(holder(path)).stat().st_size
    check_bytes(path, size)
    with decoding(path), path.open("rb") as file:
        head = file.read(132)
        file.seek(0)
        marked = head[128:] == b"DICM"
        if marked and _syntax(file) == DEFLATED:
            _check_unpacked(path, file)
        file.seek(0)
        data: Any = pydicom.dcmread(file, force=begins_as_dicom(head))
        if "TransferSyntaxUID" not in data.file_meta:
            _name_syntax(path, data)
    return data


def check_stored(path: ImageFile, data: Any) -> None:
    """Raise ValueError unless the pixels are whole numbers of 8, 16 or 32 bits, not too many, and
    of a compression that pydicom can undo here."""
    with decoding(path):
        size = int(data.Rows), int(data.Columns)
        bits = int(data.BitsAllocated), int(data.BitsStored)
        high = int(data.get("HighBit", bits[1] - 1))
        data.PixelRepresentation = int(data.get("PixelRepresentation") or 0)
    check_values(path, size)
    if bits[0] not in (8, 16, 32) or not 0 < bits[1] <= bits[0]:
        raise ValueError(
            f"{path} has {bits[1]} of {bits[0]} bits a pixel, expected at most 8, 16 or 32; "
            "convert it to 16 first"
        )
    if high != bits[1] - 1:
        raise ValueError(
            f"{path} says that bit {high} is the highest of {bits[1]} (HighBit, BitsStored): its "
            f"values lie elsewhere, or it errs; shift them down, or set HighBit to {bits[1] - 1}"
        )
    syntax = data.file_meta.TransferSyntaxUID
    if not _decodable(syntax):
        raise ValueError(
            f"{path} is compressed ({in_words(syntax.name)}), which pydicom cannot undo here; "
            "install the decoder that pydicom names for it, or save the slice uncompressed"
        )


def padded_pixels(path: ImageFile, data: Any, stored: np.ndarray) -> np.ndarray:
    """Mask of the stored values [H, W] that are padding, bool."""
    first = _whole(path, data, "PixelPaddingValue")
    if first is None:
        return np.zeros(stored.shape, bool)
    last = _whole(path, data, "PixelPaddingRangeLimit")
    low, high = sorted((first, first if last is None else last))
    padding = (stored >= low) & (stored <= high)
    if data.BitsStored < data.BitsAllocated and not data.file_meta.TransferSyntaxUID.is_compressed:
        # A value may need the bits that pydicom has cleared: -2000 in 12 of 16 reads 2096.
        order = "<" if data.file_meta.TransferSyntaxUID.is_little_endian else ">"
        kind = f"{order}{'i' if data.PixelRepresentation else 'u'}{data.BitsAllocated // 8}"
        words = np.frombuffer(data.PixelData, kind, stored.size).reshape(stored.shape)
        padding |= (words >= low) & (words <= high)
    return padding


def _whole(path: ImageFile, data: Any, keyword: str) -> int | None:
    """An element that is one stored value, of the sign that stored values have; None without.

    Writers differ in the sign: 63536 stands for -2000 where values are signed, and the reverse.
    """
    value = data.get(keyword)
    if isinstance(value, bytes):
        value = int.from_bytes(value, "little") if value else None
    if value is None or value == "":
        return None
    if not isinstance(value, int):
        raise Unreadable(
            f"{path} has {keyword} {in_words(value)}, no whole number; mend or remove it"
        )
    full = 2 ** int(data.BitsAllocated)
    value %= full
    return value - full if data.PixelRepresentation and value >= full // 2 else value


def _syntax(file: BinaryIO) -> str:
    """The transfer syntax that the file meta information names, "" without; the file stands at the
    end of that then."""
    syntax = b""
    file.seek(132)
    while (tag := file.read(4))[:2] == b"\x02\0":
        kind, short = file.read(2), file.read(2)
        length = int.from_bytes(file.read(4) if kind in _LONG else short, "little")
        value = file.read(length)
        if tag == b"\x02\0\x10\0":
            syntax = value
    file.seek(-len(tag), io.SEEK_CUR)
    return syntax.decode("ascii", "replace").rstrip("\0 ")


def _check_unpacked(path: ImageFile, file: BinaryIO) -> None:
    unpack, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while (packed := unpack.unconsumed_tail or file.read(2**16)) and not unpack.eof:
        total += len(unpack.decompress(packed, 2**20))
        check_bytes(path, total, MOST_UNPACKED, "unpacks to")


def _name_syntax(path: ImageFile, data: Any) -> None:
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    implicit, little = data.original_encoding
    if "PixelData" in data and data["PixelData"].is_undefined_length:
        raise Unreadable(
            f"{path} has no file meta information, and its pixels are compressed, nothing says how "
            "(TransferSyntaxUID); export the slice anew"
        )
    explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit


def _decodable(syntax: Any) -> bool:
    # the place that pydicom documents; it lacks an __all__
    from pydicom.pixels import get_decoder  # pyright: ignore[reportPrivateImportUsage]

    try:
        return get_decoder(syntax).is_available
    except NotImplementedError:  # no decoder exists
        return False
