"""A TIFF written page by page, so that memory holds one of them."""

import contextlib
import io
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from proxlab.images.decoders.npy import reserve
from proxlab.images.decoders.tiff_tags import TiffTags

_MOST_CLASSIC = 2**32 - 2**25
"""Bytes of pixels from which on offsets of four bytes do not reach."""


class _Plain(io.FileIO):
    """A file that numpy cannot dump an array into.

    It would answer a full disk by an error without a reason; a plain write says what is the matter.
    """

    def fileno(self) -> int:
        raise io.UnsupportedOperation("fileno")


class TiffPages(contextlib.AbstractContextManager):
    """TIFF that grows by a page at a time, uncompressed.

    file: where it is written to; order: of its bytes, "<" or ">", that of the tags that pages
    bring; big: whether offsets have eight bytes. Raises OSError if the disk is full.
    """

    def __init__(self, file: BinaryIO, order: str = "<", big: bool = False):
        import tifffile

        self._writer: Any = tifffile.TiffWriter(
            file, bigtiff=big, byteorder=">" if order == ">" else "<", shaped=False
        )

    def __exit__(self, *error: object) -> None:
        self._writer.close()

    def add(self, array: np.ndarray, tags: TiffTags) -> None:
        """Write [H, W] or [H, W, 3] with these tags."""
        photometric = "rgb" if array.ndim == 3 else "minisblack"
        planes = tags.planes and array.ndim == 3
        coloured = tags.colours is not None and array.dtype == np.uint8 and array.ndim == 2
        self._writer.write(
            array.transpose(2, 0, 1) if planes else array,
            planarconfig=("separate" if planes else "contig") if array.ndim == 3 else None,
            photometric="palette" if coloured else photometric,
            colormap=tags.colours if coloured else None,
            metadata=None,
            description=tags.description,
            software=tags.software or False,
            resolution=tags.resolution,
            resolutionunit=tags.unit,
            iccprofile=tags.profile,
            extratags=tags.others,
            contiguous=False,
        )


@contextlib.contextmanager
def tiff_file(path: Path, nbytes: int, order: str, big: bool):
    """A TiffPages of a new file, for so many bytes of pixels, whose room is taken at once.

    A disk that is too full is known before the first page is computed: OSError then.
    """
    with path.open("wb") as file:
        reserve(file, nbytes)
    with _Plain(path, "r+") as file, TiffPages(file, order, big or nbytes > _MOST_CLASSIC) as tiff:
        yield tiff
