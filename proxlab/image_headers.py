"""How large an image file is and whether it has colours, without decoding its pixels."""

from proxlab.decoder_failures import decoding
from proxlab.image_formats import open_picture
from proxlab.images import READABLE, existing, read_image
from proxlab.shards import ImageFile, Member

_CHANNELS = {"1": 1, "L": 1, "LA": 1, "I;16": 1, "RGB": 3, "RGBA": 3}
"""Pillow's modes whose channels are known before the pixels are."""


def read_shape(path: ImageFile) -> tuple[int, int, int]:
    """(C, H, W) of what `read_image` gives: by the header of a PNG or JPEG file.

    Palettes, TIFF, npy and DICOM are decoded for it. Raises as `read_image`, as far as a header
    shows the fault.
    """
    if not isinstance(path, Member):
        existing(path, READABLE)
    if path.suffix.lower() in (".png", ".jpg", ".jpeg"):
        with decoding(path), open_picture(path) as image:
            mode, kind, (width, height) = image.mode, image.format, image.size
            # Pillow would decode a whole PNG to look for an orientation behind its pixels.
            known = kind != "PNG" or "exif" in image.info
            turn = image.getexif().get(0x0112, 1) if known else 1
        if kind != "TIFF" and mode in _CHANNELS:
            sides = (width, height) if turn in (5, 6, 7, 8) else (height, width)
            return _CHANNELS[mode], *sides
    return tuple(read_image(path).pixels.shape[1:])
