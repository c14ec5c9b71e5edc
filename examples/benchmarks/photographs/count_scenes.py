"""Images of a fluorescence microscope, made or stained, and photographs: what counts are drawn of.

A fluorescence image is bright structures on black, of which a photograph has none.
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
    }
    for number in range(1, photographs + 1):
        x = read_image(Path(find_data(f"set12/{number:02d}.png"))).pixels
        found[f"Set12 {number}"] = _middle(x, SIDE)
    return found


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


def stain() -> Tensor:
    """The haematoxylin of scikit-image's stained colon: nuclei bright, the rest dark."""
    from skimage.color import rgb2hed
    from skimage.data import immunohistochemistry

    amount = rgb2hed(immunohistochemistry())[..., 0]
    low, high = np.percentile(amount, [20, 99.8])
    return _middle(_tensor(FLOOR + (amount - low).clip(0) / (high - low)), SIDE)


def _smooth(image: np.ndarray, sigma: float) -> np.ndarray:
    op = operators.deblur(operators.gaussian_kernel(sigma))
    return op.A(torch.from_numpy(image)[None, None])[0, 0].numpy()


def _tensor(image: np.ndarray) -> Tensor:
    return torch.from_numpy(image.clip(0, 1)).float()[None, None]


def _middle(x: Tensor, side: int) -> Tensor:
    top, left = ((n - side) // 2 for n in x.shape[-2:])
    return x[..., top : top + side, left : left + side]
