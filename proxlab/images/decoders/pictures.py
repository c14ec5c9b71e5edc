"""Pictures that Pillow reads: PNG, JPEG, and TIFF of at most 8 bits a channel."""

import contextlib
from collections.abc import Iterator
from typing import Any

from proxlab.images.admission import check_values
from proxlab.images.shards import ImageFile


@contextlib.contextmanager
def open_picture(path: ImageFile, kind: str) -> Iterator[Any]:
    """A PNG, JPEG or TIFF file as Pillow's image, of which only the header is read yet.

    Raises ValueError for one of more than `admission.MOST_VALUES` values.
    """
    from PIL.JpegImagePlugin import JpegImageFile
    from PIL.PngImagePlugin import PngImageFile
    from PIL.TiffImagePlugin import TiffImageFile

    # Not Image.open, which decides on the size first, by limits of its own.
    readers = {".png": PngImageFile, ".tif": TiffImageFile, ".tiff": TiffImageFile}
    with path.open("rb") as file, readers.get(kind, JpegImageFile)(file) as image:
        check_values(path, (image.height, image.width, len(image.getbands())))
        yield image
