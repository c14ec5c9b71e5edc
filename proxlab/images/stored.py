"""Images that stay on disk: a sequence that reads what is asked for and keeps the most recent."""

import copy
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from threading import Lock
from typing import overload

import torch
from torch import Tensor

from proxlab.images.reading import READABLE, images_in, list_images, read_image, read_shape
from proxlab.images.shards import ImageFile, find_shards, list_members

IN_MEMORY = 2 * 2**30
"""Bytes of decoded images up to which all are read at once; of more, so many bytes are kept."""
IN_SHARDS = tuple(suffix for suffix in READABLE if suffix != ".dcm")
"""Suffixes of the images that are looked for in shards."""


def read_levels(path: ImageFile, gray: bool) -> Tensor:
    """An image file as levels 0 .. 255, uint8: [H, W] if `gray`, else [3, H, W].

    Raises as `read_image`, and ValueError if it is gray and to be in colour.
    """
    pixels = read_image(path, gray=gray or None).pixels[0]
    _check_colours(path, len(pixels), gray)
    levels = (pixels * 255).round().to(torch.uint8)
    return levels[0] if gray else levels


class RecentImages:
    """Cache of images by key, of at most so many bytes; the longest unused is dropped first.

    Any thread may use it. Raises ValueError for fewer than 0 bytes.
    """

    def __init__(self, most: int):
        if most < 0:
            raise ValueError(f"a cache holds at least 0 bytes, got {most}")
        self.most = most
        self.held = 0
        """Bytes held now."""
        self._images: OrderedDict[object, Tensor] = OrderedDict()
        self._lock = Lock()

    def get(self, key: object) -> Tensor | None:
        """The image of that key, now the last used; None if it is not held."""
        with self._lock:
            if key not in self._images:
                return None
            self._images.move_to_end(key)
            return self._images[key]

    def put(self, key: object, image: Tensor) -> None:
        """Keep the image, unless it is larger than the whole cache or there already."""
        with self._lock:
            if image.nbytes > self.most or key in self._images:
                return
            while self.held + image.nbytes > self.most:
                self.held -= self._images.popitem(last=False)[1].nbytes
            self._images[key] = image
            self.held += image.nbytes


class StoredImages(Sequence[Tensor]):
    """Image files as `read_levels` reads them, one at a time and whenever it is asked for.

    `shapes` are known from the start, by the headers. This sequence and all its parts together keep
    the most recent images, `most` bytes of them; an image must not be changed in place. Raises as
    `read_levels`: at once for what a header shows, for the rest when an image is read.
    """

    def __init__(self, files: Iterable[ImageFile], gray: bool, most: int):
        self.files = tuple(files)
        self.gray = gray
        self.cache = RecentImages(most)
        self.shapes = [self._shape(path) for path in self.files]

    def _shape(self, path: ImageFile) -> tuple[int, ...]:
        channels, *sides = read_shape(path)
        _check_colours(path, channels, self.gray)
        return tuple(sides) if self.gray else (channels, *sides)

    @property
    def nbytes(self) -> int:
        """Bytes of all images, decoded."""
        return sum(torch.Size(shape).numel() for shape in self.shapes)

    def __len__(self) -> int:
        return len(self.files)

    @overload
    def __getitem__(self, index: int) -> Tensor: ...
    @overload
    def __getitem__(self, index: slice) -> "StoredImages": ...
    def __getitem__(self, index: int | slice) -> "Tensor | StoredImages":
        if isinstance(index, slice):
            return self.part(range(len(self))[index])
        path = self.files[index]
        image = self.cache.get(path)
        if image is None:
            image = read_levels(path, self.gray)
            if image.shape != self.shapes[index]:
                raise ValueError(
                    f"{path} is {list(image.shape)}, but {list(self.shapes[index])} by its header "
                    "or when it was looked at first; save it anew, and start again"
                )
            self.cache.put(path, image)
        return image

    def part(self, indices: Iterable[int]) -> "StoredImages":
        """The images of these numbers in that order, with the same cache."""
        chosen, part = list(indices), copy.copy(self)
        part.files = tuple(self.files[i] for i in chosen)
        part.shapes = [self.shapes[i] for i in chosen]
        return part


def _check_colours(path: ImageFile, channels: int, gray: bool) -> None:
    if channels != 3 and not gray:
        raise ValueError(f"{path} is gray; remove it, or use a gray model for this folder")


def open_gray(place: str | Path) -> Sequence[Tensor]:
    """The photographs of a folder or of tar shards as gray levels 0 .. 255, uint8 [H, W], by name.

    place: a folder of images, a folder of .tar shards, one .tar, or a pattern of them. Up to
    IN_MEMORY bytes they are a list, so that a damaged file is found at once and not after hours of
    training; beyond that they are `StoredImages`. Which of the two it is changes no training by a
    bit. Raises ValueError for another place, and as `list_images`, `list_members`, `read_image`.
    """
    return _open(find_photographs(place), gray=True)


def open_color(place: str | Path) -> Sequence[Tensor]:
    """The photographs in colour, uint8 [3, H, W], else as `open_gray`.

    Raises ValueError for a gray image too.
    """
    return _open(find_photographs(place), gray=False)


def open_tree(gray: bool) -> Callable[[str | Path], Sequence[Tensor]]:
    """The door to photographs of a folder with all its subfolders, else as `open_gray`.

    Subfolders may be classes; what they are called is nowhere kept.
    """
    return lambda place: _open(find_tree(place), gray)


def find_tree(place: str | Path) -> Sequence[ImageFile]:
    """The image files of a folder and of its subfolders, by path; of tar shards as they lie there.

    Hidden folders are left out. Raises as `find_photographs`, and ValueError for a folder without
    an image in it or below it.
    """
    place = Path(place)
    if not place.is_dir() or find_shards(place):
        return find_photographs(place)
    folders = [place, *sorted(p for p in place.rglob("*") if p.is_dir())]
    shown = [p for p in folders if not any(n.startswith(".") for n in p.relative_to(place).parts)]
    found = [path for folder in shown for path in images_in(folder)]
    if not found:
        raise ValueError(
            f"{place} and its subfolders hold no image; looked for {', '.join(READABLE)}"
        )
    return sorted(found)


def find_photographs(place: str | Path) -> Sequence[ImageFile]:
    """The image files of a folder by name, or of tar shards, in the order in which they lie there.

    Raises as `open_gray`, except for what only the images themselves show.
    """
    place = Path(place)
    shards = find_shards(place)
    if not shards:
        return list_images(place)
    if place.is_dir() and any(p.suffix.lower() in READABLE for p in place.iterdir()):
        raise ValueError(f"{place} holds images and .tar shards; move either to another folder")
    return [member for shard in shards for member in list_members(shard, IN_SHARDS)]


def _open(files: Iterable[ImageFile], gray: bool) -> Sequence[Tensor]:
    images = StoredImages(files, gray, IN_MEMORY)
    if images.nbytes > IN_MEMORY:
        return images
    return [read_levels(path, gray) for path in images.files]
