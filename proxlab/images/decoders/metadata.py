"""Remarks of an image file besides its pixels, as far as they stay true of a restored image.

That is the colour profile, the size of a pixel, EXIF, and of a TIFF who made it and its
description. The orientation is not among it: images are turned upright as they are read, and what
is written of them is upright without a tag. Neither is a preview, which shows the old pixels.
"""

import contextlib
from typing import Any, NamedTuple

from proxlab.images.decoder_failures import decoding
from proxlab.images.decoders.kinds import kind_of
from proxlab.images.decoders.pages import Page
from proxlab.images.decoders.pictures import open_picture
from proxlab.images.decoders.tiff_tags import TiffTags, read_tags
from proxlab.images.shards import ImageFile

_ORIENTATION, _EXIF_IFD, _SIZES = 0x0112, 0x8769, (0xA002, 0xA003)
_RESOLUTIONS = (0x011A, 0x011B)
"""EXIF tags: how a picture lies, where the camera's own tags are, its width and height; pixels per
unit across and down."""
_SIDEWAYS = (5, 6, 7, 8)
"""Orientations in which rows are stored as columns."""
_SPACES = {b"GRAY": 1, b"RGB ": 3}
"""Colour spaces of a profile, bytes 16 to 19, and their channels. [ICC.1, Sec. 7.2.6]"""


class Metadata(NamedTuple):
    """Remarks of an image file besides its pixels."""

    profile: bytes | None = None
    """ICC profile."""
    exif: bytes | None = None
    """EXIF as JPEG and PNG have it, of an upright image, without a preview."""
    dpi: tuple[float, float] | None = None
    """Pixels per inch, across and down."""
    tags: TiffTags | None = None
    """Tags of a TIFF."""

    def for_channels(self, channels: int) -> "Metadata":
        """The same for an image of 1 or 3 channels: without a profile for another number."""
        fits = self.profile is None or _SPACES.get(self.profile[16:20]) == channels
        return self if fits else self._replace(profile=None)

    def as_tags(self) -> TiffTags:
        """The tags of a TIFF that say it; EXIF cannot be among them."""
        if self.tags is not None:
            return self.tags._replace(profile=self.profile)
        return TiffTags(
            resolution=self.dpi, unit=1 if self.dpi is None else 2, profile=self.profile
        )


NOTHING = Metadata()


def read_metadata(path: ImageFile, size: tuple[int, int]) -> Metadata:
    """Remarks of an image file that are true of an image [H, W] made of it too.

    Of npy and DICOM that is nothing. What cannot be parsed is left out: nobody's image is lost for
    a broken remark in it. Raises ValueError for a file that cannot be opened at all, as `kind_of`
    and `decoding`.
    """
    kind = kind_of(path)
    if kind in (".tif", ".tiff"):
        tags = read_tags(path, size)
        return Metadata(profile=tags.profile, dpi=tags.dpi, tags=tags)
    if kind in (".png", ".jpg", ".jpeg") and not isinstance(path, Page):
        return _of_picture(path, kind, size)
    return NOTHING


def _of_picture(path: ImageFile, kind: str, size: tuple[int, int]) -> Metadata:
    with decoding(path), open_picture(path, kind) as image:
        if kind == ".png":
            image.load()  # some write the EXIF behind the pixels
        profile, dpi = image.info.get("icc_profile"), image.info.get("dpi")
        exif: Any = None
        turned = False
        with contextlib.suppress(Exception):  # of a parser of what cameras write
            exif = image.getexif()
            turned = exif.get(_ORIENTATION) in _SIDEWAYS
            exif = _upright(exif, turned, size)
        if dpi is not None and turned:
            dpi = dpi[::-1]
        if dpi is not None and not all(float(value) > 0 for value in dpi):
            dpi = None
        return Metadata(
            profile if isinstance(profile, bytes) and profile else None,
            exif if isinstance(exif, bytes) else None,
            (float(dpi[0]), float(dpi[1])) if dpi else None,
        )


def _upright(exif: Any, turned: bool, size: tuple[int, int]) -> bytes | None:
    """EXIF of the picture once it lies upright and has that size [H, W]; None if there is none."""
    if not exif:
        return None
    exif.pop(_ORIENTATION, None)
    camera = exif.get_ifd(_EXIF_IFD)
    for tag, length in zip(_SIZES, size[::-1], strict=True):
        if tag in camera:
            camera[tag] = length
    if turned and all(tag in exif for tag in _RESOLUTIONS):
        across, down = _RESOLUTIONS
        exif[across], exif[down] = exif[down], exif[across]
    return exif.tobytes() if len(exif) else None
