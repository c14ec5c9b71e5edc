"""The rows of a projection matrix: what each pixel adds to each detector in one view.

The strip: a detector measures the mean over its width of the line integrals that end on it. Of a
square pixel of value 1 that is the area that the strip of the detector's rays cuts from it, over
the strip's width. In a parallel beam this is exact; in a fan the rays of a strip spread, which is
taken into account at the pixel's centre (an error of the order of pixel over distance, squared,
once neighbours are summed).

The line: the integral along the one ray that ends in the detector's middle, of the image
interpolated linearly between pixel centres across the ray. [Joseph82]
"""

import numpy as np
from scipy.sparse import csr_matrix

from proxlab.operators.tomography.scan import Array, Scan, direction

NOTHING = 1e-9
"""Share of a pixel's area below which an entry is rounding."""


def strips(scan: Scan, view: int) -> csr_matrix:
    """Exact footprints in one view, [detectors, H W] in float64."""
    along, forth = scan.grid(view)
    beam, edges, d = scan.beam, scan.edges(), scan.pixel_spacing
    # The first detector that a pixel reaches is that of one of its corners.
    cos, sin = (d / 2 * part for part in direction(scan.angles[view]))
    corners = [(cos + sin, cos - sin), (cos - sin, -cos - sin)]
    corners += [(-a, -b) for a, b in corners]
    ends = [beam.detector(along + a, forth + b) for a, b in corners]
    first = np.floor((np.minimum.reduce(ends) - edges[0]) / scan.detector_spacing).astype(np.int64)
    last = np.floor((np.maximum.reduce(ends) - edges[0]) / scan.detector_spacing).astype(np.int64)
    many = int((last - first).max()) + 1
    weight = d * d / scan.detector_spacing * beam.spread(along, forth)
    values = np.empty((many, len(along)))
    below = np.zeros_like(along)
    for k in range(many):
        u = edges[0] + (first + k + 1) * scan.detector_spacing
        up_to = _area_below(along, forth, beam.rays(u), (cos, sin), d)
        values[k] = (up_to - below) * weight
        below = up_to
    bins = first + np.arange(many)[:, None]
    kept = (values > NOTHING * weight) & (bins >= 0) & (bins < scan.detectors)
    pixels = np.broadcast_to(np.arange(len(along)), bins.shape)
    return _matrix(scan, values, bins, pixels, kept)


def lines(scan: Scan, view: int) -> csr_matrix:
    """Line integrals in one view by linear interpolation, [detectors, H W]. [Joseph82, Sec. II]"""
    edges, d = scan.edges(), scan.pixel_spacing
    a, b, c = scan.beam.rays((edges[1:] + edges[:-1]) / 2)
    cos, sin = direction(scan.angles[view])
    # The same lines by x and y: nx x + ny y = c.
    nx, ny = a * cos - b * sin, a * sin + b * cos
    c = c + nx * scan.axis[0] + ny * scan.axis[1]
    steep = np.abs(nx) >= np.abs(ny)  # across x: one point in each row of pixels
    found = []
    for chosen, count, other in (
        (steep, scan.height, scan.width),
        (~steep, scan.width, scan.height),
    ):
        rows = np.flatnonzero(chosen)
        i = np.arange(count)
        major = (i - (count - 1) / 2) * d * (-1 if chosen is steep else 1)
        n_major, n_minor = (ny, nx) if chosen is steep else (nx, ny)
        n_major, n_minor = n_major[rows, None], n_minor[rows, None]
        place = (c[rows, None] - n_major * major) / n_minor / d
        place = place * (1 if chosen is steep else -1) + (other - 1) / 2
        length = np.broadcast_to(d / np.abs(n_minor), place.shape)
        low = np.floor(place).astype(np.int64)
        for j, share in ((low, 1 - (place - low)), (low + 1, place - low)):
            pixel = i * other + j if chosen is steep else j * count + i
            inside = (j >= 0) & (j < other) & (share > NOTHING)
            bins = np.broadcast_to(rows[:, None], pixel.shape)
            found.append((share * length, bins, pixel, inside))
    parts = ([part[k].ravel() for part in found] for k in range(4))
    return _matrix(scan, *(np.concatenate(part) for part in parts))


def _area_below(
    along: Array, forth: Array, rays: tuple[Array, Array, Array], half: tuple, d: float
) -> Array:
    """The part of each pixel that lies on the side of its ray where u is less.

    Across the ray a square is as wide as the sum of two intervals, so its area up to t is the
    integral of a trapezoid.
    """
    a, b, c = rays
    t = (c - a * along - b * forth) / d
    cos, sin = half
    one, two = np.abs(a * cos - b * sin) * 2 / d, np.abs(a * sin + b * cos) * 2 / d
    high, low = np.maximum(one, two), np.minimum(one, two)
    far = np.abs(t)
    rest = np.clip((high + low) / 2 - far, 0, None)
    outer = 1 - rest**2 / (2 * high * np.maximum(low, 1e-300))
    half_area = np.where(far <= (high - low) / 2, 0.5 + far / high, outer)
    return np.where(t >= 0, half_area, 1 - half_area)


def _matrix(scan: Scan, values: Array, bins: Array, pixels: Array, kept: Array) -> csr_matrix:
    shape = (scan.detectors, scan.height * scan.width)
    made = csr_matrix((values[kept], (bins[kept], pixels[kept])), shape=shape)
    made.sort_indices()
    return made
