"""Stacks out: the pages of a TIFF, restored one after the other, as a TIFF of the same pages."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from torch import Tensor

from proxlab.images.decoders.metadata import Metadata
from proxlab.images.decoders.pages import Page
from proxlab.images.decoders.tiff_layout import Layout
from proxlab.images.decoders.tiff_tags import read_tags
from proxlab.images.decoders.tiff_writing import TiffPages, tiff_file
from proxlab.images.files import writing
from proxlab.images.image_writing import stored_as
from proxlab.images.reading import Scale


class StackWriter:
    """Pages that are written in the order of their file, each with the tags that it had there."""

    def __init__(self, path: Path, tiff: TiffPages, bits: int, scale: Scale | None):
        self._path, self._tiff = path, tiff
        self._bits, self._scale = bits, scale

    def add(self, page: Page, pixels: Tensor) -> float:
        """Write pixels [1, C, H, W] as the page that they were made of; the fraction clipped."""
        array, clipped = stored_as(self._path, pixels, self._bits, self._scale)
        tags = read_tags(page, array.shape[:2], whole=True)
        profile = Metadata(profile=tags.profile).for_channels(pixels.shape[-3]).profile
        self._tiff.add(array, tags._replace(profile=profile))
        return clipped


@contextlib.contextmanager
def writing_stack(
    path: Path, layout: Layout, values: int, bits: int, scale: Scale | None, overwrite: bool
) -> Iterator[StackWriter]:
    """A writer of the pages of a TIFF that has that layout, whole or not at all.

    values: numbers in all pages together, so that a full disk is known at once; bits, scale and
    overwrite: as of `write_image`. The axes, the pixel size and what else the file says of itself
    are those of the file that the pages came from. Raises as `files.writing`.
    """
    nbytes = values * np.dtype(f"u{bits // 8}").itemsize
    with (
        writing(path, overwrite) as temporary,
        tiff_file(temporary, nbytes, layout.order, layout.big) as tiff,
    ):
        yield StackWriter(path, tiff, bits, scale)
