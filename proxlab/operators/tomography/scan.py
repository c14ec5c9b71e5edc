"""The geometry of a CT scan: the grid of pixels, the views, the detector, parallel or fan beam.

Lengths have one unit of the user's choice, which line integrals then have too. Pixel [i, j] has its
centre at x = (j - (W - 1) / 2) d, y = ((H - 1) / 2 - i) d: x to the right, y up, the middle of the
image at 0. In view theta the detector lies along n = (cos theta, sin theta), its coordinate u is
zero where the central ray meets it; rays run along (-sin theta, cos theta).
"""

import math
from dataclasses import dataclass

import numpy as np

Array = np.ndarray
TWICE = 1e-6
"""Degrees within which two views are one."""
SEEMS_RADIANS = 8
"""Number of angles from which all within a full turn in radians are taken for radians."""


@dataclass(frozen=True)
class ParallelBeam:
    """All rays of a view have one direction: u = n . p, p the pixel from the axis."""

    turn = 180.0
    """Degrees after which views repeat, mirrored."""

    def detector(self, along: Array, forth: Array) -> Array:
        """u where the ray through a point meets the detector.

        `along` and `forth` are the point's coordinates from the axis, along the detector and along
        the central ray.
        """
        return along

    def spread(self, along: Array, forth: Array) -> Array:
        """Change of u with the distance across rays at a point."""
        return np.ones_like(along)

    def rays(self, u: Array) -> tuple[Array, Array, Array]:
        """Lines a * along + b * forth = c, a^2 + b^2 = 1, of the rays that end at u."""
        return np.ones_like(u), np.zeros_like(u), u


@dataclass(frozen=True)
class FanBeam:
    """Rays from a point to a flat detector, at right angles to the ray through the axis."""

    source_to_axis: float
    source_to_detector: float
    turn = 360.0

    def __post_init__(self):
        for name in ("source_to_axis", "source_to_detector"):
            _positive(f"{name} of a fan beam", getattr(self, name))

    def detector(self, along: Array, forth: Array) -> Array:
        return self.source_to_detector * along / (forth + self.source_to_axis)

    def spread(self, along: Array, forth: Array) -> Array:
        depth = forth + self.source_to_axis
        return self.source_to_detector * np.hypot(along, depth) / depth**2

    def rays(self, u: Array) -> tuple[Array, Array, Array]:
        length = np.hypot(u, self.source_to_detector)
        return self.source_to_detector / length, -u / length, self.source_to_axis * u / length


@dataclass(frozen=True)
class Scan:
    """A grid of H x W square pixels, and the views of it."""

    height: int
    width: int
    angles: tuple[float, ...]
    """Degrees, rising."""
    detectors: int
    detector_spacing: float = 1.0
    pixel_spacing: float = 1.0
    axis: tuple[float, float] = (0.0, 0.0)
    """x and y of the axis of rotation, from the middle of the image."""
    beam: ParallelBeam | FanBeam = ParallelBeam()

    def __post_init__(self):
        for name in ("height", "width", "detectors"):
            count = getattr(self, name)
            if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 1:
                raise ValueError(f"{name} of a scan is a whole number from 1 on, got {count}")
        _positive("detector_spacing", self.detector_spacing)
        _positive("pixel_spacing", self.pixel_spacing)
        object.__setattr__(self, "axis", _point("axis", self.axis))
        object.__setattr__(self, "angles", checked_angles(self.angles, self.beam.turn))
        if isinstance(self.beam, FanBeam):
            reach = self.radius
            if reach >= self.beam.source_to_axis:
                raise ValueError(
                    f"the source, {self.beam.source_to_axis:g} from the axis, would pass through "
                    f"the image, which reaches to {reach:g}; are all lengths in one unit?"
                )

    @property
    def radius(self) -> float:
        """Radius of the circle about the axis that holds the image."""
        halves = (n * self.pixel_spacing / 2 for n in (self.width, self.height))
        return math.hypot(*(abs(a) + half for a, half in zip(self.axis, halves, strict=True)))

    def edges(self) -> Array:
        """u between detectors, [detectors + 1]."""
        return (np.arange(self.detectors + 1) - self.detectors / 2) * self.detector_spacing

    def grid(self, view: int) -> tuple[Array, Array]:
        """Pixel centres along the detector and along the central ray, from the axis, each [H W]."""
        x = (np.arange(self.width) - (self.width - 1) / 2) * self.pixel_spacing - self.axis[0]
        y = ((self.height - 1) / 2 - np.arange(self.height)) * self.pixel_spacing - self.axis[1]
        cos, sin = direction(self.angles[view])
        along = cos * x + sin * y[:, None]
        return along.ravel(), (cos * y[:, None] - sin * x).ravel()


def direction(angle: float) -> tuple[float, float]:
    """cos and sin of degrees, exact at right angles."""
    quarter, rest = divmod(angle, 90.0)
    c, s = math.cos(math.radians(rest)), math.sin(math.radians(rest))
    return ((c, s), (-s, c), (-c, -s), (s, -c))[int(quarter) % 4]


def even_angles(count: int, turn: float) -> tuple[float, ...]:
    """`count` angles over a turn, in degrees, from 0 on."""
    if isinstance(count, bool) or count < 1:
        raise ValueError(f"a scan has at least one view, got angles={count}")
    return tuple(turn * k / count for k in range(count))


def enough_detectors(scan: Scan) -> int:
    """Number of detectors that see the whole image of this scan from every side."""
    reach, beam = scan.radius, scan.beam
    if isinstance(beam, FanBeam):
        reach *= beam.source_to_detector / math.sqrt(beam.source_to_axis**2 - reach**2)
    return max(1, math.ceil(2 * reach / scan.detector_spacing))


def check_degrees(angles: object) -> None:
    """ValueError for many angles within one turn in radians, which degrees rarely are."""
    flat = np.asarray(angles, dtype=np.float64).ravel()
    if flat.size >= SEEMS_RADIANS and flat.min() >= -2 * math.pi and flat.max() <= 2 * math.pi:
        raise ValueError(
            f"{flat.size} angles from {flat.min():.3g} to {flat.max():.3g} seem to be in radians; "
            "they are wanted in degrees, numpy.degrees(angles)"
        )


def checked_angles(angles: object, turn: float) -> tuple[float, ...]:
    """The angles as a tuple; ValueError unless they are finite, rising, different degrees."""
    flat = np.asarray(angles, dtype=np.float64)
    if flat.ndim != 1 or flat.size == 0:
        raise ValueError(f"angles are a list of degrees, got an array of shape {flat.shape}")
    strange = int((~np.isfinite(flat)).sum())
    if strange:
        raise ValueError(f"{strange} of {flat.size} angles are NaN or infinite")
    steps = np.diff(flat)
    if (steps < 0).any():
        at = int(np.argmax(steps < 0))
        raise ValueError(
            f"angles rise, got {flat[at]:g} before {flat[at + 1]:g}; sort them and the rows of the "
            "sinogram alike"
        )
    # Who turns by more than half a turn with parallel beams sees lines again from behind.
    again = turn == 180.0 and flat[-1] - flat[0] > turn
    period = math.inf if again else turn
    folded = flat if again else np.mod(flat, period)
    order = np.argsort(folded, kind="stable")
    gaps = np.diff(folded[order], append=folded[order[0]] + period)
    if (gaps < TWICE).any():
        at = np.roll(order, -1)[int(np.argmin(gaps))]
        raise ValueError(
            f"the view at {flat[at]:g} degrees is there twice (views repeat after {turn:g}); leave "
            "one out"
        )
    return tuple(flat.tolist())


def _point(name: str, place: object) -> tuple[float, float]:
    try:
        x, y = (float(part) for part in place)  # type: ignore[union-attr]
    except (TypeError, ValueError):
        x = y = math.nan
    if not (math.isfinite(x) and math.isfinite(y)):
        raise ValueError(f"{name} is the place of the axis of rotation, (x, y), got {place}")
    return x, y


def _positive(name: str, length: float) -> None:
    number = isinstance(length, (int, float, np.number)) and not isinstance(length, bool)
    if not (number and 0 < length < math.inf):
        raise ValueError(f"{name} is a length, positive and finite, got {length}")
