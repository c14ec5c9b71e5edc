"""Pictures of where a restoration is wrong: the size of its error in each pixel, by colour.

All maps of a measurement share one scale, so that they compare. It ends where the error of the
worst restoration does but for one pixel in a hundred; larger errors have the last colour.
"""

import math
from collections.abc import Sequence
from functools import cache

import numpy as np

SHARE = 0.99
"""Share of a restoration's pixels whose errors are told apart."""
STEPS = (1, 2, 5, 10)
"""Numbers that a scale may end at, times a power of ten."""
FINEST = 0.02
"""Least end of a scale: the files that errors are read from have steps of 1/255."""
STOPS = 9
"""Number of colours that the page is given to draw the scale with."""


def scale_end(errors: Sequence[np.ndarray]) -> float:
    """End of the scale for errors [H, W] of several restorations: 1, 2 or 5 times a power of 10."""
    largest = max(float(np.quantile(np.abs(error), SHARE)) for error in errors)
    if largest <= FINEST:
        return FINEST
    power = 10.0 ** math.floor(math.log10(largest))
    return next(power * step for step in STEPS if power * step >= largest * (1 - 1e-12))


def coloured(error: np.ndarray, end: float) -> np.ndarray:
    """Colours [H, W, 3], uint8, of the sizes of errors [H, W] on a scale from 0 to `end`."""
    shares = np.clip(np.abs(error) / end, 0, 1)
    return _palette()[np.rint(255 * shares).astype(int)]


def scale_colours() -> list[str]:
    """Colours of the scale from 0 to its end, for CSS."""
    picked = _palette()[np.linspace(0, 255, STOPS).round().astype(int)]
    return [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in picked.tolist()]


@cache
def _palette() -> np.ndarray:
    """256 colours, uint8: dark where there is no error, bright where it is large."""
    from matplotlib import colormaps

    return np.rint(255 * colormaps["inferno"](np.arange(256))[:, :3]).astype(np.uint8)
