"""Tags of a TIFF page that stay true of a page made of it, kept byte for byte.

A description that speaks of the size, as those of OME and of tifffile do, is told the new one; of a
page that leaves its stack, it no longer counts the others.
"""

import json
import re
from typing import Any, NamedTuple

import numpy as np

from proxlab.images.decoder_failures import decoding
from proxlab.images.decoders.pages import Page
from proxlab.images.shards import ImageFile

_DESCRIPTION, _SOFTWARE, _PROFILE, _COLOURS = 270, 305, 34675, 320
_ACROSS, _DOWN, _UNIT, _ORIENTATION = 282, 283, 296, 274
_IMAGEJ = (50838, 50839)
"""Labels, lookup tables and regions of an ImageJ stack, with an entry for each of its pages."""
_ALIKE = (
    *(269, 271, 272, 285, 286, 287, 297, 306, 315, 316),  # names, makers, places, dates
    *(318, 319, 700, 33432, 33723),  # white point, primaries, XMP, copyright, IPTC
    *(33550, 33922, 34264, 34735, 34736, 34737, 42112, 42113),  # GeoTIFF and GDAL
    51123,  # Micro-Manager
)
"""Tags that are taken as they are. Those that point to other places of a file are not among them,
as of Exif."""
_COUNTS = ("images", "channels", "slices", "frames", "hyperstack", "mode", "loop")
"""Lines of ImageJ's description that are about a stack."""
_INCHES = {2: 1.0, 3: 2.54}
"""Units of the resolution: inch and centimetre, and how many of the latter make an inch."""
_UNITS = (1, 2, 3, 4, 5)
"""None, inch, centimetre, millimetre, micrometre: all units that tifffile writes."""
_MOST_BYTES = 2**26
"""Bytes of the largest tag that is kept."""

Ratio = tuple[int, int] | float


class TiffTags(NamedTuple):
    """Tags of a TIFF page; as it is, none."""

    description: bytes | None = None
    software: bytes | None = None
    resolution: tuple[Ratio, Ratio] | None = None
    """Pixels per unit, across and down."""
    unit: int = 1
    """None, inch or centimetre: 1, 2 or 3."""
    profile: bytes | None = None
    """ICC profile."""
    colours: np.ndarray | None = None
    """Lookup table uint16 [3, 256] by which ImageJ shows gray in colours."""
    planes: bool = False
    """Whether colours lie in a plane each."""
    others: tuple[tuple[int, int, int, bytes, bool], ...] = ()
    """Further tags: number, type, count, bytes."""
    order: str = "<"
    """Order of these bytes."""

    @property
    def dpi(self) -> tuple[float, float] | None:
        """Pixels per inch, across and down; None where the unit is another."""
        if self.resolution is None or self.unit not in _INCHES:
            return None
        across, down = (
            (r[0] / r[1] if isinstance(r, tuple) else r) * _INCHES[self.unit]
            for r in self.resolution
        )
        return (across, down) if across > 0 and down > 0 else None


def read_tags(path: ImageFile, size: tuple[int, int], whole: bool = False) -> TiffTags:
    """Tags of the page of a TIFF that are true of an image [H, W] made of it too.

    whole: whether all pages of the stack that it belongs to stay together. Raises ValueError for a
    file that is damaged.
    """
    import tifffile

    with decoding(path), path.open("rb") as file, tifffile.TiffFile(file, _multifile=False) as tiff:
        first: Any = tiff.pages.first
        page = first
        if isinstance(path, Page):
            tiff.filehandle.seek(path.header)
            page = tifffile.TiffPage(tiff, index=path.number - 1)
        alone = isinstance(path, Page) and not whole
        # ImageJ says on the first page what the unit of all is
        told = _raw(file, first if alone and first.is_imagej else page, (_DESCRIPTION,))
        raw = _raw(file, page, (_SOFTWARE, _PROFILE, *_ALIKE, *(() if alone else _IMAGEJ)))
        profile = raw.pop(_PROFILE)[2] if _PROFILE in raw else None
        if isinstance(path, Page) and path.data is not None and path.number > 1 and whole:
            told, raw = {}, {}  # they are those of the first page, whose header this one shares
        description = told[_DESCRIPTION][2].rstrip(b"\0") if told else None
        software = raw.pop(_SOFTWARE)[2] if _SOFTWARE in raw else None
        resolution, unit = _resolution(page), _number(page, _UNIT, 2)
        return TiffTags(
            description=_adapted(description, first, size, alone) if description else None,
            software=software,
            resolution=resolution,
            unit=unit if resolution and unit in _UNITS else 1,
            profile=profile,
            colours=_colours(page) if first.is_imagej else None,
            planes=page.axes == "SYX",
            others=tuple((code, *value) for code, value in raw.items()),
            order=str(tiff.byteorder),
        )


def _raw(file: Any, page: Any, codes: tuple[int, ...]) -> dict[int, tuple[int, int, bytes, bool]]:
    """Type, count and bytes of those of the tags that a page has, as tifffile writes them."""
    found = {}
    for code in codes:
        tag = page.tags.get(code)
        if tag is not None and tag.valuebytecount <= _MOST_BYTES:
            file.seek(tag.valueoffset)
            found[code] = (int(tag.dtype), int(tag.count), file.read(tag.valuebytecount), True)
    return found


def _resolution(page: Any) -> tuple[Ratio, Ratio] | None:
    """Pixels per unit of the page once it is upright; None without, or for 0 or 1 / 0."""
    found = []
    for code in (_ACROSS, _DOWN):
        tag = page.tags.get(code)
        value = None if tag is None else tag.value
        if isinstance(value, tuple) and len(value) == 2 and all(value):
            found.append(value)
        elif isinstance(value, int | float) and value > 0:
            found.append(float(value))
    if len(found) < 2:
        return None
    turned = _number(page, _ORIENTATION, 1) >= 5
    return (found[1], found[0]) if turned else (found[0], found[1])


def _number(page: Any, code: int, missing: int) -> int:
    tag = page.tags.get(code)
    return int(tag.value) if tag is not None and isinstance(tag.value, int) else missing


def _colours(page: Any) -> np.ndarray | None:
    table = page.colormap
    fits = table is not None and table.shape == (3, 256) and int(page.photometric) == 3
    return table if fits else None


def _adapted(description: bytes, page: Any, size: tuple[int, int], alone: bool) -> bytes | None:
    """The description, of pages of that size [H, W]; alone: of one of them without the others.

    page: the first of the file.
    """
    if page.is_imagej:
        if not alone:
            return description
        lines = description.split(b"\n")
        return b"\n".join(x for x in lines if x.split(b"=")[0].decode("latin1") not in _COUNTS)
    same = tuple(size) == (page.imagelength, page.imagewidth)
    if page.is_shaped:
        return None if alone else _told_shape(description, page, size)
    if page.is_ome:
        return None if alone else description if same else _told_ome(description, size)
    return description


def _told_shape(description: bytes, page: Any, size: tuple[int, int]) -> bytes | None:
    """tifffile's description, {"shape": [...]} in JSON, of pages of another size."""
    if page.samplesperpixel not in (1, 3):
        return None  # of the alpha channel that is dropped
    try:
        told = json.loads(description)
        shape, inner = list(told["shape"]), len(page.axes)
        rows = len(shape) - inner + page.axes.index("Y")
        shape[rows : rows + 2] = size
    except (ValueError, KeyError, TypeError):
        return None
    told["shape"] = shape
    told.pop("truncated", None)
    return json.dumps(told).encode("ascii")


def _told_ome(description: bytes, size: tuple[int, int]) -> bytes:
    """OME-XML of pages of another size. [OME 2016-06]"""
    for name, length in zip((b"SizeY", b"SizeX"), size, strict=True):
        description = re.sub(name + rb'="\d+"', name + b'="%d"' % length, description)
    return description
