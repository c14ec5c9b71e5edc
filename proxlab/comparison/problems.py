"""The problems of a comparison: how an image of any size is measured.

A problem is a frozen dataclass. Its fields are numbers, which a row records. Its `operator` may
draw from the generator, a mask say; every case has a generator of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from deepinv.physics import LinearPhysics

from proxlab import operators
from proxlab.images import HOUNSFIELD
from proxlab.operators.tomography.operator import Tomography

WATER = 0.0193
"""Attenuation of water at 70 keV, 1 / mm."""
SPAN = HOUNSFIELD[1] - HOUNSFIELD[0]
"""Hounsfield units from black to white of a slice."""


class Problem(Protocol):
    """A way to measure images. Any dataclass that has these three will do."""

    @property
    def name(self) -> str:
        """Name of the problem in rows, tables and the names of folders."""
        ...

    @property
    def levels(self) -> tuple[float, ...]:
        """Noise levels where the comparison names none, in units of the measurement.

        Of `LowDose` they are photons.
        """
        ...

    def operator(
        self, shape: Sequence[int], noise: float, generator: torch.Generator
    ) -> LinearPhysics:
        """Operator for images of [H, W] pixels, the last two entries of `shape`.

        noise: standard deviation, units of the measurement; generator: source of all that is drawn.
        """
        ...


@runtime_checkable
class OfSlices(Protocol):
    """A problem whose images are slices of patients, read as `images.hounsfield` reads them.

    Rows then tell errors in Hounsfield units too, and of 16-bit files their values are taken for
    Hounsfield units + 1024, not for 0 to 65535.
    """

    @property
    def hounsfield(self) -> tuple[float, float]:
        """Hounsfield units of 0 and of 1."""
        ...


@dataclass(frozen=True)
class Deblur:
    """Gaussian blur with circular boundary."""

    blur_sigma: float = 1.6
    """Standard deviation of the Gaussian, pixels."""
    name = "deblur"
    levels = (0.01,)

    def operator(
        self, shape: Sequence[int], noise: float, generator: torch.Generator
    ) -> LinearPhysics:
        return operators.deblur(operators.gaussian_kernel(self.blur_sigma), noise=noise)


@dataclass(frozen=True)
class Inpaint:
    """Missing pixels, drawn at random."""

    missing: float = 0.5
    """Fraction of the pixels that is missing."""
    name = "inpaint"
    levels = (0.01,)

    def operator(
        self, shape: Sequence[int], noise: float, generator: torch.Generator
    ) -> LinearPhysics:
        mask = operators.random_mask(shape[-2:], self.missing, generator)
        return operators.inpaint(mask, noise=noise)


@dataclass(frozen=True)
class Boxes:
    """Missing square boxes, one in the middle of each square of three times their side."""

    side: int = 32
    """Side of a box, pixels."""
    name = "boxes"
    levels = (0.01,)

    def operator(
        self, shape: Sequence[int], noise: float, generator: torch.Generator
    ) -> LinearPhysics:
        return operators.inpaint(operators.boxes_mask(shape[-2:], self.side), noise=noise)


@dataclass(frozen=True)
class SparseScan:
    """Parallel-beam CT scan; noise is in units of line integrals, pixels times gray levels."""

    views: int = 60
    """Number of angles, even over 180 degrees."""
    name = "ct"
    levels = (0.5,)

    def operator(
        self, shape: Sequence[int], noise: float, generator: torch.Generator
    ) -> Tomography:
        height, width = shape[-2:]
        return operators.ct((height, width), self.views, noise=noise)


@dataclass(frozen=True)
class LowDose:
    """Parallel-beam CT scan of few photons; the noise is how many are sent along each ray.

    Images are slices, DICOM or 16-bit files of Hounsfield units + 1024, as wide as `field`: a dose
    of 20,000 leaves some hundred photons behind 30 cm of a patient. [Elbakri02]
    """

    views: int = 200
    """Number of angles, even over 180 degrees."""
    field: float = 350.0
    """Width of the image, mm."""
    name = "ct-low-dose"
    levels = (2e4,)
    hounsfield = HOUNSFIELD

    def operator(
        self, shape: Sequence[int], noise: float, generator: torch.Generator
    ) -> Tomography:
        height, width = shape[-2:]
        attenuation = WATER * SPAN / 1000 * self.field / width
        counts = operators.PhotonCounts(photons=noise, attenuation=attenuation)
        return operators.ct((height, width), self.views, counts)


PROBLEMS: dict[str, Problem] = {
    p.name: p for p in (Deblur(), Inpaint(), Boxes(), SparseScan(), LowDose())
}
"""Problems by the names that the command line knows."""
