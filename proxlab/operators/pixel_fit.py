"""A shape with sharp edges, moved by a fraction of a pixel: fitted on finer pixels, not resampled.

Pixels are too coarse for a thin line or the rim of a disc: what they hold has frequencies above
half a cycle a pixel folded into it, and a Fourier shift by a fraction turns each as if it were in
its place. The line rings, an eighth of its light below zero, and cutting that off widens it. What
holds wherever pixels lie is that they are means of something that is not negative.
"""

import numpy as np
from scipy import sparse

FINE = 3
"""Cells along each side of a pixel."""
SMOOTH = 0.004 / FINE**2
"""Weight of the squared differences of cells against the squared misfit of pixels."""
STEPS = 200
"""Steps of the fit; after them kernels change by less than 1e-3 of their sum."""


def shape_behind(frames: np.ndarray, fractions: np.ndarray) -> np.ndarray:
    """Means over pixels [h, w] of the shape, not negative, whose means over moved pixels are given.

    frames: [N, h, w], h and w odd, without background; fractions: [N, 2], pixels down and right of
    the middle pixel's centre at which each frame has its centre. Least squares in the brightness of
    cells, FINE of them along a pixel, which are not negative and differ little from their
    neighbours, by accelerated projected gradients [Beck17, Ch. 10.7].
    """
    sides = frames.shape[1:]
    moved = [[_means(n, off) for n, off in zip(sides, of, strict=True)] for of in fractions]
    down, right = (_means(n, 0.0) for n in sides)
    cells = np.zeros([FINE * n for n in sides])
    ahead, momentum = cells, 1.0
    for _ in range(STEPS):
        rise = SMOOTH * _roughness(ahead)
        for (rows, columns), frame in zip(moved, frames, strict=True):
            misfit = (columns @ (rows @ ahead).T).T - frame
            rise += (columns.T @ (rows.T @ misfit).T).T / len(frames)
        # a mean over FINE x FINE cells has a squared norm of at most 1 / FINE^2
        next_cells = (ahead - rise / (FINE**-2 + 8 * SMOOTH)).clip(min=0)
        grown = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = next_cells + (momentum - 1) / grown * (next_cells - cells)
        cells, momentum = next_cells, grown
    return (right @ (down @ cells).T).T


def _means(pixels: int, off: float) -> sparse.csr_array:
    """Means over pixels of cells along a line, [pixels, FINE * pixels], the cells moved by off."""
    ends = (np.arange(FINE * pixels + 1) - FINE * pixels / 2) / FINE + off
    rims = np.arange(pixels + 1) - pixels / 2
    first = np.maximum(ends[None, :-1], rims[:-1, None])
    last = np.minimum(ends[None, 1:], rims[1:, None])
    return sparse.csr_array((last - first).clip(min=0))


def _roughness(cells: np.ndarray) -> np.ndarray:
    """Gradient of half the squared differences of neighbours."""
    found = np.zeros_like(cells)
    for axis in (0, 1):
        steps = np.diff(cells, axis=axis)
        found -= np.diff(steps, axis=axis, prepend=0.0, append=0.0)
    return found
