"""INPUT of `proxlab restore` as it was read, and the measurement that it becomes."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from proxlab.images import LoadedImage


def _whole(x: Tensor) -> Tensor:
    """x itself."""
    return x


class Measurement(NamedTuple):
    """y = op(x) + noise."""

    y: Tensor
    op: LinearPhysics
    clean: Tensor | None = None
    """x [1, C, H, W], where it is known: the measurement was simulated."""
    plain: Tensor | None = None
    """The image that a result is compared with, of the size of `clean`: y, or an estimate."""
    plain_is: str = ""
    """Estimator of `plain`, in words for a reader; empty if it is y."""
    noise: float | None = None
    """Standard deviation of y, if the operator's own is not to be taken."""
    notes: tuple[str, ...] = ()
    """Sentences on what was estimated or assumed of the operator."""
    kept: Callable[[Tensor], Tensor] = _whole
    """Part of a restored image [..., H, W] that is shown and written: what y saw of it."""
    estimated: float | None = None
    """Standard deviation that nobody told, read off y; None if it was told."""


def _nothing(measurement: Measurement) -> None:
    """Writes no further file."""


class Source(NamedTuple):
    """INPUT, read as one problem takes it."""

    image: LoadedImage | None
    """INPUT as an image; None if it is none, as a sinogram."""
    measure: Callable[[torch.Generator], Measurement]
    """Takes the measurement from INPUT, or simulates it. Raises ValueError for what cannot be."""
    grows: bool = False
    """True if the restored image is larger than INPUT."""
    hint: str = ""
    """A sentence on how INPUT may have been meant otherwise, empty without a doubt."""
    files: Mapping[str, Path] = {}
    """Further files to be written, by what a message calls them."""
    keep: Callable[[Measurement], None] = _nothing
    """Writes them."""
    again: Callable[[LinearPhysics, torch.Generator], Measurement] | None = None
    """Function like `measure`, by an operator that is there already, that of an earlier page of a
    stack; None for a problem that takes one image alone."""

    def channels(self) -> int:
        """Channels of the image; 1 where INPUT is none."""
        return 1 if self.image is None else self.image.pixels.shape[1]
