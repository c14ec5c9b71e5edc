"""One bright spot on a background: where it is, how far it reaches, or why it is none."""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

SMOOTHING = 1.0
"""Pixels of the Gaussian by which a picture is smoothed before it is asked what is bright."""
QUIETED = 1 / (2 * np.sqrt(np.pi) * SMOOTHING)
"""Noise of the smoothed picture over that of the picture."""
QUIETED_STRIP = np.sqrt(QUIETED / 2)
"""The same of the mean of two rows, smoothed along them."""
SEEN = 6.0
"""Noises above the background from which on there is a spot at all."""
BRIGHT, FAINT = 4.0, 2e-3
"""Noises above the background, and share of the peak, from which on a pixel is of the spot."""
CUT_OFF = 0.02
"""Share of the peak that, two pixels from the rim, says that the spot goes on behind it."""
GAP, MORE = 2, 2
"""Pixels by which parts of a spot are widened to be joined, and by which its support is."""
SECOND = 0.05
"""Brightness and light of another spot, over those of the brightest, from which on it is no
speck."""
FULL = tuple(2.0**bits - 1 for bits in (8, 10, 12, 14, 16))
"""Largest values that cameras count."""
MEDIAN = 0.6744897501960817
"""Median of the absolute value of a standard normal number."""


class Spot(NamedTuple):
    """The spot of a frame."""

    signal: np.ndarray
    """[H, W] without background and specks."""
    background: float
    noise: float
    """Standard deviation of the pixels of the rim, by differences of neighbours."""
    centre: np.ndarray
    """Centre of mass, row and column."""
    light: float
    """Sum over the support."""
    specks: float
    """Sum over what was left out."""
    width: float
    """Width of the Gaussian that is as compact, pixels."""


class Outline(NamedTuple):
    """Places of a picture, bool [H, W]."""

    support: np.ndarray
    """The spot and a margin around it."""
    core: np.ndarray
    """True where the spot is brighter than the noise."""
    specks: np.ndarray
    """True where anything else is, and on a margin around it."""


def find_spot(name: str, frame: np.ndarray) -> Spot:
    """The one bright spot of a frame [H, W]; ValueError, in which it has that name, for others."""
    background, noise = _background(frame)
    signal = frame - background
    smooth = ndimage.gaussian_filter(signal, SMOOTHING)
    peak, depth = smooth.max(), -smooth.min()
    if max(peak, depth) <= SEEN * QUIETED * noise:
        raise ValueError(
            f"{name} shows no spot above its noise of {noise:.3g}; expose longer, or average more"
        )
    if depth > peak:
        raise ValueError(
            f"{name} is darker than its background of {background:.3g}; a PSF is bright on dark: "
            "pass its negative"
        )
    _check_alone(name, signal, smooth > max(BRIGHT * QUIETED * noise, SECOND * peak))
    found = outlined(signal, noise)
    light = float(signal[found.support].sum())
    centre = np.array(ndimage.center_of_mass(np.where(found.support, signal, 0)))
    _check_inside(name, np.where(found.core, signal, 0), noise)
    alone = np.where(found.specks, 0.0, signal)
    width = equal_width(np.where(found.support, signal, 0), noise**2 * found.support.sum())
    specks = float(signal[found.specks].sum())
    return Spot(alone, background, noise, centre, light, specks, width)


def outlined(signal: np.ndarray, noise: float) -> Outline:
    """Which pixels are of the spot with the most light, and which of specks.

    Parts with small gaps between them are one spot, and so is a ring around it.
    """
    smooth = ndimage.gaussian_filter(signal, SMOOTHING)
    bright = smooth > max(BRIGHT * QUIETED * noise, FAINT * smooth.max())
    parts, numbers = _parts(bright)
    light = np.asarray(ndimage.sum_labels(signal * bright, parts, numbers))
    most = int(light.argmax()) + 1
    middle = ndimage.center_of_mass(smooth * bright, parts, most)
    boxes = ndimage.find_objects(parts)
    around = (all(s.start <= c < s.stop for s, c in zip(box, middle, strict=True)) for box in boxes)
    mine = [most, *(int(n) for n, ring in zip(numbers, around, strict=True) if ring)]
    belongs = np.isin(parts, mine)
    core = ndimage.binary_fill_holes(belongs & bright)
    assert core is not None
    specks = _widened((parts > 0) & ~belongs & bright, MORE)
    support = _widened(core, MORE) & ~specks
    return Outline(support, core, specks & ~support)


def equal_width(signal: np.ndarray, of_noise: float) -> float:
    """Width of the Gaussian with the same sum^2 / sum of squares, pixels.

    of_noise: what noise adds to the sum of squares. Unlike a second moment it asks little of tails.
    """
    power = max(float((signal**2).sum()) - of_noise, 1e-12 * float((signal**2).sum()))
    return float(np.sqrt(signal.sum() ** 2 / power / (4 * np.pi)))


def check_saturation(name: str, frame: np.ndarray) -> None:
    """ValueError for a frame of counts with a plateau at the largest that a camera counts."""
    top, whole = frame.max(), bool((frame == frame.round()).all())
    plateau = int((frame == top).sum())
    if whole and top in FULL and plateau > 4:
        raise ValueError(
            f"{name} is saturated: {plateau} pixels hold {top:g}, the largest value that a camera "
            "counts; measure it with a shorter exposure (a kernel that was drawn is no measured "
            "PSF: pass it as it is, with normalize=True)"
        )


def _background(frame: np.ndarray) -> tuple[float, float]:
    """Level and noise of the rim, an eighth of the shorter side wide."""
    width = max(2, min(frame.shape) // 8)
    inner = np.zeros(frame.shape, bool)
    inner[width:-width, width:-width] = True
    rim = frame[~inner]
    level = np.median(rim)
    # Differences across, which a slope of the background or a spot's halo has not.
    across = np.diff(np.diff(frame, axis=0), axis=1) / 2
    noise = np.median(np.abs(across[~inner[1:, 1:]])) / MEDIAN
    if (frame == frame.round()).all():
        noise = max(noise, 0.5)  # counts of a dark rim, most of which are the same
    near = rim[np.abs(rim - level) <= 3 * noise]  # the median of counts is a whole number
    return float(near.mean() if near.size else level), float(noise)


def _check_alone(name: str, signal: np.ndarray, bright: np.ndarray) -> None:
    """ValueError for several bright parts with gaps between them."""
    parts, numbers = _parts(bright)
    light = np.asarray(ndimage.sum_labels(signal * bright, parts, numbers))
    first, *others = np.argsort(-light)
    others = [n for n in others if light[n] > SECOND * light[first]]
    if others:
        n = int(others[0])
        here, there = ndimage.center_of_mass(signal * bright, parts, [first + 1, n + 1])
        raise ValueError(
            f"{name} shows {len(others) + 1} spots, the second with "
            f"{100 * light[n] / light[first]:.0f} % of the light of the first and "
            f"{np.hypot(*np.subtract(here, there)):.1f} pixels away; cut out one"
        )


def _check_inside(name: str, signal: np.ndarray, noise: float) -> None:
    """ValueError if the spot is still bright in the two outermost rows or columns."""
    sides = {
        "top": signal[:2],
        "bottom": signal[-2:],
        "left": signal[:, :2].T,
        "right": signal[:, -2:].T,
    }
    level = max(SEEN * QUIETED_STRIP * noise, CUT_OFF * signal.max())
    strips = {side: ndimage.gaussian_filter1d(s.mean(0), SMOOTHING) for side, s in sides.items()}
    cut = [side for side, strip in strips.items() if strip.max() > level]
    if cut:
        raise ValueError(
            f"the spot of {name} reaches the rim ({', '.join(cut)}), and what lies behind it is "
            "not known; cut out more of the picture, with background around the spot"
        )


def _parts(bright: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The bright pixels, widened to join pieces, numbered by part from 1 on; and the numbers."""
    parts = np.zeros(bright.shape, np.int32)
    ndimage.label(_widened(bright, GAP), np.ones((3, 3)), output=parts)
    return parts, np.arange(1, parts.max() + 1)


def _widened(places: np.ndarray, by: int) -> np.ndarray:
    at = np.arange(-by, by + 1)
    disc = at[:, None] ** 2 + at**2 <= by**2 + 1
    return ndimage.binary_dilation(places, disc)
