"""The problems of a comparison: how an image of any size is measured.

A problem is a frozen dataclass whose fields, numbers, are what is compared and what a row records.
`operator` may draw from the generator (a mask), whose state is that of one case alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from deepinv.physics import LinearPhysics

from proxlab import operators
from proxlab.operators.tomography.operator import Tomography


class Problem(Protocol):
    """What `proxlab.compare` asks of a problem; any dataclass that has these will do."""

    name: str
    levels: tuple[float, ...]
    """Noise levels, units of the measurement, where the comparison names none."""

    def operator(
        self, shape: Sequence[int], noise: float, generator: torch.Generator
    ) -> LinearPhysics:
        """For images [.., H, W] = `shape`."""
        ...


@dataclass(frozen=True)
class Deblur:
    """A Gaussian blur, its boundary circular."""

    blur_sigma: float = 1.6
    """Pixels."""
    name: ClassVar[str] = "deblur"
    levels: ClassVar[tuple[float, ...]] = (0.01,)

    def operator(self, shape, noise, generator) -> LinearPhysics:
        return operators.deblur(operators.gaussian_kernel(self.blur_sigma), noise=noise)


@dataclass(frozen=True)
class Inpaint:
    """Pixels missing at random."""

    missing: float = 0.5
    """Fraction."""
    name: ClassVar[str] = "inpaint"
    levels: ClassVar[tuple[float, ...]] = (0.01,)

    def operator(self, shape, noise, generator) -> LinearPhysics:
        mask = operators.random_mask(shape[-2:], self.missing, generator)
        return operators.inpaint(mask, noise=noise)


@dataclass(frozen=True)
class Boxes:
    """Square boxes missing, one in each square of three times their side."""

    side: int = 32
    """Pixels."""
    name: ClassVar[str] = "boxes"
    levels: ClassVar[tuple[float, ...]] = (0.01,)

    def operator(self, shape, noise, generator) -> LinearPhysics:
        return operators.inpaint(operators.boxes_mask(shape[-2:], self.side), noise=noise)


@dataclass(frozen=True)
class SparseScan:
    """A parallel-beam CT scan; noise in the units of line integrals, pixels times grey levels."""

    views: int = 60
    """Over 180 degrees."""
    name: ClassVar[str] = "ct"
    levels: ClassVar[tuple[float, ...]] = (0.5,)

    def operator(self, shape, noise, generator) -> Tomography:
        return operators.ct(tuple(shape[-2:]), self.views, noise=noise)


PROBLEMS: dict[str, Problem] = {p.name: p for p in (Deblur(), Inpaint(), Boxes(), SparseScan())}
"""By the names that the command line knows."""
