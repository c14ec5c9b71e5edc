"""A TIFF of several gray pages of one size, as cameras and microscopes save frames."""

import math
from typing import Any

import numpy as np

from proxlab.images.admission import Unreadable, check_values
from proxlab.images.decoder_failures import decoding
from proxlab.images.decoders.tiff import check_unpacked
from proxlab.images.shards import ImageFile


def read_tiff_pages(path: ImageFile) -> np.ndarray | None:
    """The pages of a TIFF, [N, H, W] as stored; None for one of a single page.

    Raises ValueError for colours, pages that differ in size or type, signed integers, missing
    strips, a compression without its decoder, and for more values than `admission.MOST_VALUES`.
    """
    import tifffile

    with decoding(path), path.open("rb") as file, tifffile.TiffFile(file) as tiff:
        pages: Any = tiff.pages
        if len(pages) < 2:
            return None
        first = pages[0]
        check_values(path, (len(pages), *first.shape))
        return np.stack([_page(path, file, page, first) for page in pages])


def read_tiff_planes(path: ImageFile) -> np.ndarray | None:
    """The colours of a TIFF that stores each as a plane, [N, H, W] as stored; None for another.

    So tifffile writes three or four gray images at once unless it is told that they are gray.
    Raises ValueError as `read_tiff_pages`.
    """
    import tifffile

    with decoding(path), path.open("rb") as file, tifffile.TiffFile(file) as tiff:
        page: Any = tiff.pages[0]
        if len(tiff.pages) > 1 or page.axes != "SYX" or page.dtype is None:
            return None
        check_values(path, page.shape)
        return _decoded(path, file, page)


def _page(path: ImageFile, file: Any, page: Any, first: Any) -> np.ndarray:

    if page.axes != "YX" or int(page.photometric) != 1 or page.dtype is None:
        raise Unreadable(
            f"page {page.index + 1} of {path} is {page.axes} data of TIFF kind "
            f"{int(page.photometric)}, not gray with 0 black; save gray pages"
        )
    if (page.shape, page.dtype) != (first.shape, first.dtype) or page.dtype.kind not in "uf":
        raise Unreadable(
            f"page {page.index + 1} of {path} is {page.shape} of {page.dtype}, the first "
            f"{first.shape} of {first.dtype}; save pages of one size and type, not signed"
        )
    return _decoded(path, file, page)


def _decoded(path: ImageFile, file: Any, page: Any) -> np.ndarray:
    import tifffile

    counts = page.databytecounts
    if 0 in counts or len(counts) != math.prod(page.chunked):
        raise ValueError(f"strips or tiles of page {page.index + 1} are not there")
    known = page.compression in tifffile.TIFF.DECOMPRESSORS
    if known and page.predictor in tifffile.TIFF.UNPREDICTORS:
        check_unpacked(path, file, page)
        try:
            return page.asarray()
        except ImportError:  # of a module of a later Python
            pass
    raise Unreadable(
        f"{path} is compressed in a way (method {int(page.compression)}) for which a decoder is "
        "missing here; pip install imagecodecs, or save it uncompressed"
    )
