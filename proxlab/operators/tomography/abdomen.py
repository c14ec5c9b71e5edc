"""Drawn slice of an abdomen in Hounsfield units, for scans where no patient's slice is at hand.

Ellipses are painted one over the other, with the usual values of tissue, and blurred as a scanner
blurs. That matters: where edges are sharp to the pixel, total variation is ahead of any prior that
has learned from slices of patients, whose edges never are.
"""

from math import atan2, cos, degrees, radians, sin
from typing import NamedTuple

import numpy as np
import torch

from proxlab.operators.tomography.phantoms import Ellipse

AIR = -1000.0
"""Hounsfield units around the body."""
SIDE = 256
"""Lengths below are in pixels of an image of this side; others are scaled."""
SHARPNESS = 0.7
"""Standard deviation of the blur, pixels of the image."""
SAMPLES = 4
"""Samples of a pixel, each way."""


class Organ(NamedTuple):
    """An ellipse of one tissue."""

    hu: float
    x: float
    y: float
    half: tuple[float, float]
    """Half axes."""
    turn: float = 0.0
    """Degrees, counter-clockwise."""


TISSUES = [
    # fat under the skin, muscle, fat within
    Organ(-100, 0, 0, (118, 90)),
    Organ(55, 0, 0, (109, 81)),
    Organ(-105, 0, 2, (101, 72)),
    # stomach and the gas in it
    Organ(20, 32, 36, (36, 23), -15),
    Organ(-1000, 33, 43, (25, 10), -8),
    # liver of two lobes, three vessels, two dark lesions and a bright one
    Organ(110, -44, 9, (50, 56), 10),
    Organ(112, -6, 34, (26, 16), -20),
    Organ(170, -40, 22, (17, 2.6), 35),
    Organ(170, -34, 2, (16, 2.2), -25),
    Organ(170, -58, 5, (10, 1.6), 60),
    Organ(45, -66, 26, (9, 8)),
    Organ(70, -36, -24, (5, 5)),
    Organ(150, -72, -10, (3.5, 3.5)),
    # spleen, pancreas, aorta with contrast medium, vena cava
    Organ(120, 78, -12, (15, 30), 20),
    Organ(85, 22, 3, (17, 8), 12),
    Organ(205, 9, -29, (9, 9)),
    Organ(60, -16, -32, (8, 6)),
    # kidneys
    Organ(160, 48, -40, (14, 19), -25),
    Organ(30, 48, -40, (6, 10), -25),
    Organ(160, -52, -52, (12, 14), 25),
    Organ(30, -52, -52, (5, 7), 25),
    # muscles of the back, vertebra, the canal in it
    Organ(58, -24, -56, (10, 9)),
    Organ(58, 24, -56, (10, 9)),
    Organ(750, -13, -64, (11, 3), 25),
    Organ(750, 13, -64, (11, 3), -25),
    Organ(750, 0, -71, (3.5, 10)),
    Organ(700, 0, -51, (15, 12)),
    Organ(210, 0, -51, (12.5, 9.5)),
    Organ(30, 0, -64.5, (5, 3.6)),
]
"""From the back to the front of what is painted; x points right, y up, from the middle."""
RIBS = (20, 50, 80, 110, 140, 165, 200, 225, 315, 340)
"""Places of the ribs on their ellipse, degrees."""


def abdomen(side: int) -> torch.Tensor:
    """The slice in Hounsfield units, float64 [1, 1, side, side].

    hu = abdomen(256)
    x = ((hu + 1024) / 4095).float()  # as the priors of slices take it
    """
    from scipy.ndimage import gaussian_filter

    fine = ((np.arange(side * SAMPLES) + 0.5) / SAMPLES - side / 2) * SIDE / side
    x, y = fine, -fine[:, None]
    hu = np.full((len(fine), len(fine)), AIR)
    for organ in [*TISSUES, *_ribs()]:
        inside = Ellipse(1.0, *organ[1:]).at(x, y) > 0
        hu[inside] = organ.hu
    mean = hu.reshape(side, SAMPLES, side, SAMPLES).mean((1, 3))
    return torch.from_numpy(gaussian_filter(mean, SHARPNESS))[None, None]


def _ribs() -> list[Organ]:
    """Ribs, dense at the rim and spongy within."""
    found = []
    for place in map(radians, RIBS):
        x, y = 105 * cos(place), 77 * sin(place)
        along = degrees(atan2(77 * cos(place), -105 * sin(place)))
        found += [Organ(600, x, y, (8, 3), along), Organ(250, x, y, (6, 1.4), along)]
    return found
