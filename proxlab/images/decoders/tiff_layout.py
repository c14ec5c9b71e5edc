"""Pages of a TIFF and the axes that they lie along, found by its headers alone."""

import math
from pathlib import Path
from typing import Any, NamedTuple

from proxlab.images.admission import Unreadable
from proxlab.images.decoder_failures import decoding
from proxlab.images.decoders.pages import Page

_REDUCED = 1
"""Bit of NewSubfileType of a smaller copy of another page. [TIFF 6.0, Sec. 8]"""


class Layout(NamedTuple):
    """Pages of a TIFF."""

    pages: list[Page]
    """Pages that are images of their own, in the order of the file."""
    axes: str
    """Axes that the pages are along, a letter each, tifffile's: "TZC"; empty where the pages are
    no array."""
    lengths: tuple[int, ...]
    """Pages along each of the axes."""
    left_out: list[int]
    """Numbers of the pages that are smaller copies of others, as thumbnails are."""
    order: str
    """Order of its bytes, "<" or ">"."""
    big: bool
    """Whether it is a BigTIFF, which may be larger than 4 GB."""


def tiff_layout(path: Path) -> Layout:
    """Pages of a TIFF, one or more. Raises ValueError for a file that is damaged or has none."""
    import tifffile

    with decoding(path), path.open("rb") as file, tifffile.TiffFile(file, _multifile=False) as tiff:
        first: Any = tiff.pages.first if len(tiff.pages) else None
        if first is None:
            raise ValueError("no page can be found")
        order, big = str(tiff.byteorder), bool(tiff.is_bigtiff)
        count = behind_one_header(path, tiff)
        if count > 1:
            begin = first.dataoffsets[0]
            pages = [
                Page(path, k + 1, first.offset, begin + k * first.nbytes) for k in range(count)
            ]
            return Layout(pages, *_axes(tiff, first, count), [], order, big)
        pages, left_out = [], []
        for k, page in enumerate(map(_with_tags, tiff.pages)):
            reduced = int(page.subfiletype) & _REDUCED and k > 0
            if reduced:
                left_out.append(k + 1)
            else:
                pages.append(Page(path, k + 1, page.offset))
        axes, lengths = ("", ()) if left_out else _axes(tiff, first, len(pages))
        return Layout(pages, axes, lengths, left_out, order, big)


def behind_one_header(path: object, tiff: Any) -> int:
    """Number of pages whose pixels follow each other behind the one header that a TIFF has.

    ImageJ writes large stacks so. It is 1 where each page has a header. Raises ValueError for such
    a stack that is compressed. tiff: a TiffFile; path: what an error names.
    """
    first = tiff.pages.first
    known = first.is_imagej or first.is_shaped or first.is_stk
    if not known or len(tiff.pages) > 1 or not tiff.series:
        return 1
    series = tiff.series[0]
    count = told = series.size // max(first.size, 1)
    if first.is_imagej and count == 1 and first.is_final:
        # tifffile takes a stack that is cut short for its first page; a page that was copied out of
        # a stack may say the same, and nothing follows it
        more = tiff.filehandle.size - first.dataoffsets[0] >= 2 * first.nbytes
        told = int((tiff.imagej_metadata or {}).get("images", 1)) if more else 1
    if told > count or (count > 1 and series.dataoffset is None):
        raise Unreadable(
            f"{path} says that it holds {told} pages, which are not all there; copy it again, or "
            "save it anew"
        )
    return count


def _with_tags(page: Any) -> Any:
    """A page whole, where tifffile has kept a frame of it alone."""
    return page.aspage()


def _axes(tiff: Any, first: Any, count: int) -> tuple[str, tuple[int, ...]]:
    """Axes of the pages and their lengths, without those of a single page."""
    if len(tiff.series) != 1:
        return "", ()
    series = tiff.series[0]
    inner = len(first.axes)
    axes, lengths = series.axes[:-inner], tuple(series.shape[:-inner])
    if series.axes[-inner:] != first.axes or math.prod(lengths) != count:
        return "", ()
    return axes, lengths
