"""Photographs to train on, wherever they lie: in a folder of image files or in tar shards."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from proxlab.images import READABLE, list_images
from proxlab.shards import ImageFile, find_shards, list_members
from proxlab.stored_images import StoredImages, read_levels

IN_MEMORY = 2 * 2**30
"""Bytes of decoded images up to which all are read at once; of more, what is kept in memory."""
IN_SHARDS = tuple(suffix for suffix in READABLE if suffix != ".dcm")


def open_gray(place: str | Path) -> Sequence[Tensor]:
    """The photographs of a folder or of tar shards as gray levels 0 .. 255, uint8 [H, W], by name.

    `place`: a folder of images, a folder of .tar shards, one .tar, or a pattern of them. Up to
    IN_MEMORY bytes they are a list, so that a damaged file is found at once and not after hours of
    training; beyond they are `StoredImages`. Which of the two changes no training by a bit.

    Raises ValueError for what is neither, and as `list_images`, `list_members`, `read_image`.
    """
    return _open(place, gray=True)


def open_color(place: str | Path) -> Sequence[Tensor]:
    """As `open_gray`, in colour [3, H, W]; also raises ValueError for a gray image."""
    return _open(place, gray=False)


def find_photographs(place: str | Path) -> list[ImageFile]:
    """The image files of a folder by name, or of tar shards, in the order in which they lie there.

    Raises as `open_gray`, but for what only the images themselves show.
    """
    place = Path(place)
    shards = find_shards(place)
    if not shards:
        return list_images(place)
    if place.is_dir() and any(p.suffix.lower() in READABLE for p in place.iterdir()):
        raise ValueError(f"{place} holds images and .tar shards; move either to another folder")
    return [member for shard in shards for member in list_members(shard, IN_SHARDS)]


def _open(place: str | Path, gray: bool) -> Sequence[Tensor]:
    images = StoredImages(find_photographs(place), gray, IN_MEMORY)
    if images.nbytes > IN_MEMORY:
        return images
    return [read_levels(path, gray) for path in images.files]
