"""Images of a fluorescence microscope, made or stained, and photographs: what counts are drawn of.

A fluorescence image is bright structures on black, of which a photograph has none. scikit-image's
own are stained tissue and a field of galaxies, which is as dark and as sparse.
"""

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from proxlab import operators
from proxlab.images.data_sets import find_data
from proxlab.images.reading import read_image

SIDE = 96
SUPPORT = 5
"""Half of the nuclei, a third of the filaments of a scene."""
FLOOR = 0.02
"""Light where nothing glows, of the brightest."""


def scenes(photographs: int) -> dict[str, Tensor]:
    """Images [1, 1, 96, 96] in [0, 1] by name; of Set12 so many, where PROXLAB_DATA has it."""
    found = {
        "nuclei": nuclei(0),
        "nuclei 2": nuclei(1),
        "filaments": filaments(0),
        "filaments 2": filaments(1),
        "stain": stain(),
        "fibres": fibres(300, 40),
        "galaxies": galaxies(452, 388),
    }
    for number in range(1, photographs + 1):
        x = read_image(Path(find_data(f"set12/{number:02d}.png"))).pixels
        found[f"Set12 {number}"] = _middle(x, SIDE)
    return found


def others() -> dict[str, Tensor]:
    """Images of the same kinds, none of which is among `scenes`: to choose a number by."""
    return {
        "nuclei 3": nuclei(2),
        "nuclei 4": nuclei(3),
        "filaments 3": filaments(2),
        "stain 2": stain(middle=False),
        "fibres 2": fibres(208, 208),
        "galaxies 2": galaxies(300, 100),
    }


def nuclei(seed: int) -> Tensor:
    """Ellipses with grains of chromatin and dark nucleoli, of different brightness, on black."""
    draw = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE].astype(float)
    image = np.full((SIDE, SIDE), FLOOR)
    grain = _smooth(draw.standard_normal((SIDE, SIDE)), 1.5)
    grain = np.clip(1 + 0.35 * grain / grain.std(), 0.2, 2)
    for _ in range(2 * SUPPORT):
        cy, cx = draw.uniform(0, SIDE, 2)
        a, b, turn = draw.uniform(7, 14), draw.uniform(6, 10), draw.uniform(0, math.pi)
        u = (x - cx) * math.cos(turn) + (y - cy) * math.sin(turn)
        v = (y - cy) * math.cos(turn) - (x - cx) * math.sin(turn)
        body = 1 / (1 + np.exp(6 * (np.hypot(u / a, v / b) - 1)))
        hole = np.exp(-((u - a / 3) ** 2 + v**2) / 6)
        image = np.maximum(image, draw.uniform(0.15, 0.7) * body * grain * (1 - 0.6 * hole))
    return _tensor(image)


def filaments(seed: int) -> Tensor:
    """Curved lines of a pixel's width, of different brightness, on a faint glow."""
    draw = np.random.default_rng(seed)
    image = np.zeros((SIDE, SIDE))
    for _ in range(3 * SUPPORT):
        at, angle = draw.uniform(0, SIDE, 2), draw.uniform(0, 2 * math.pi)
        bend, bright = 0.0, draw.uniform(0.3, 1)
        for _ in range(4 * SIDE):
            bend = 0.95 * bend + draw.normal(0, 0.01)
            angle += bend
            at = at + 0.5 * np.array([math.sin(angle), math.cos(angle)])
            row, column = np.round(at).astype(int)
            if 0 <= row < SIDE and 0 <= column < SIDE:
                image[row, column] = max(image[row, column], bright)
    lines, glow = _smooth(image, 0.7), _smooth(image, 8.0)
    return _tensor(FLOOR + 1.6 * lines + 0.4 * glow)


def stain(middle: bool = True) -> Tensor:
    """The haematoxylin of scikit-image's stained colon: nuclei bright, the rest dark.

    Its middle, or its upper left corner.
    """
    x = _tensor(_glowing(_dye(0), 20, 99.8))
    return _middle(x, SIDE) if middle else x[..., :SIDE, :SIDE]


def fibres(left: int, top: int) -> Tensor:
    """The brown dye of the same colon from that pixel on: thin bright fibres, and much black."""
    x = _tensor(_glowing(_dye(2), 40, 99.8))
    return x[..., top : top + SIDE, left : left + SIDE]


def galaxies(left: int, top: int) -> Tensor:
    """Of Hubble's deep field from that pixel on: bright spots on black, nine tenths of it dark."""
    from skimage.color import rgb2gray
    from skimage.data import hubble_deep_field

    x = _tensor(_glowing(rgb2gray(hubble_deep_field()), 30, 99.9))
    return x[..., top : top + SIDE, left : left + SIDE]


def _dye(number: int) -> np.ndarray:
    """Amount of one dye of scikit-image's stained colon, [512, 512]."""
    from skimage.color import rgb2hed
    from skimage.data import immunohistochemistry

    return rgb2hed(immunohistochemistry())[..., number]


def _glowing(amount: np.ndarray, dark: float, bright: float) -> np.ndarray:
    """`FLOOR` up to the one percentile, 1 above it at the other."""
    low, high = np.percentile(amount, [dark, bright])
    return FLOOR + (amount - low).clip(0) / (high - low)


def _smooth(image: np.ndarray, sigma: float) -> np.ndarray:
    op = operators.deblur(operators.gaussian_kernel(sigma))
    return op.A(torch.from_numpy(image)[None, None])[0, 0].numpy()


def _tensor(image: np.ndarray) -> Tensor:
    return torch.from_numpy(image.clip(0, 1)).float()[None, None]


def _middle(x: Tensor, side: int) -> Tensor:
    top, left = ((n - side) // 2 for n in x.shape[-2:])
    return x[..., top : top + side, left : left + side]
