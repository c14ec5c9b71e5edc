"""Problems of `proxlab demo`: a photograph measured in three ways, and a scan of an abdomen.

The photograph ships with scikit-image; the abdomen is drawn, in Hounsfield units, since no
patient's slice ships with anything that this package needs.
"""

from typing import NamedTuple

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from proxlab import operators
from proxlab.images.reading import HOUNSFIELD
from proxlab.operators.tomography.abdomen import abdomen
from proxlab.operators.tomography.operator import Tomography

PHOTOGRAPH = (0.0, 1.0)
"""Values of a photograph that are drawn black and white."""
SOFT_TISSUE = (-160.0, 240.0)
"""The same of a slice, Hounsfield units: the window in which radiologists look at organs."""


class Scene(NamedTuple):
    """An image, how it is measured, and the learned prior that restores it."""

    name: str
    about: str
    """Heading in the figure: how it was measured."""
    truth: Tensor
    """[1, 1, H, W]."""
    op: LinearPhysics
    prior: str = "lpn-gray"

    @property
    def is_scan(self) -> bool:
        """Whether the measurement is a sinogram."""
        return isinstance(self.op, Tomography)

    @property
    def window(self) -> tuple[float, float]:
        """Image values that are drawn black and white."""
        if not self.is_scan:
            return PHOTOGRAPH
        low, high = (float(in_image_units(torch.tensor(hu))) for hu in SOFT_TISSUE)
        return low, high

    def plain(self, y: Tensor) -> Tensor:
        """Image without a prior: the measurement itself, or its filtered back-projection."""
        return self.op.A_dagger(y, window="hann") if isinstance(self.op, Tomography) else y

    def soft_error(self, x: Tensor) -> float:
        """Root mean square error of a slice in Hounsfield units, where the truth is soft tissue."""
        low, high = self.window
        soft = (self.truth > low) & (self.truth < high)
        error = (x - self.truth)[soft].double().square().mean().sqrt()
        return float(error) * (HOUNSFIELD[1] - HOUNSFIELD[0])


def in_image_units(hu: Tensor) -> Tensor:
    """Hounsfield units as priors of slices take them."""
    return (hu - HOUNSFIELD[0]) / (HOUNSFIELD[1] - HOUNSFIELD[0])


def scenes(crop: int) -> list[Scene]:
    """The four problems; crop: side of the images, pixels.

    The slice has the prior that is best on it of those that ship for slices
    (docs/measured/ct.md); its run is certified.
    """
    from skimage.data import camera

    photo = torch.from_numpy(camera()).float()[None, None] / 255
    photo = photo[..., 60 : 60 + crop, 130 : 130 + crop]
    generator = torch.Generator().manual_seed(0)
    mask = operators.random_mask((crop, crop), 0.5, generator)
    return [
        Scene(
            "blur",
            "A photograph blurred by 2 pixels, noise 0.01",
            photo,
            operators.deblur(operators.gaussian_kernel(2.0), noise=0.01),
        ),
        Scene(
            "noisy blur",
            "The same blurred by 1.2 pixels, noise 0.05",
            photo,
            operators.deblur(operators.gaussian_kernel(1.2), noise=0.05),
        ),
        Scene(
            "half missing",
            "Half of its pixels missing, noise 0.01",
            photo,
            operators.inpaint(mask, noise=0.01),
        ),
        Scene(
            "CT, 40 views",
            "A drawn abdomen in CT from 40 views, noise 0.3; soft-tissue window, -160 to 240 HU",
            in_image_units(abdomen(crop)).float(),
            operators.ct(crop, 40, noise=0.3),
            "lpn-ct",
        ),
    ]
