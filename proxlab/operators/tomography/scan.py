"""The geometry of a CT scan: the grid of pixels, the views, the detector, parallel or fan beam.

Lengths have one unit of the user's choice, which line integrals then have too. Pixel [i, j] has its
centre at x = (j - (W - 1) / 2) d, y = ((H - 1) / 2 - i) d: x to the right, y up, the middle of the
image at 0. In view theta the detector lies along n = (cos theta, sin theta), its coordinate u is
zero where the central ray, that through the axis, meets it; rays run along (-sin theta, cos theta).
Detector i of D covers u from (i - D / 2) s + c to (i + 1 - D / 2) s + c, s its spacing and c the
detector's offset: the axis is seen at index (D - 1) / 2 - c / s, from 0 on, in every view, which is
what gridrec of tomopy calls `center`.
"""

import math
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from proxlab.operators.arguments import listed, real, said, whole

Array = np.ndarray
MOST = 10**6
"""Rows, columns, detectors or views, at most: of more no matrix fits into any memory."""
LONGEST = 1e30
"""Largest length, in any unit, and one over the smallest: beyond, products overflow."""
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
    """Rays from a point to a flat detector, at right angles to the ray through the axis.

    Both distances are from the source, in the unit of the pixel spacing; u is a place on the
    detector. Raises ValueError for a length that is not positive and finite.

    >>> fan = proxlab.operators.FanBeam(source_to_axis=200.0, source_to_detector=400.0)
    >>> fan.detector(np.array([10.0]), np.array([0.0]))   # at the axis all is twice as large
    array([20.])
    >>> fan.spread(np.array([0.0]), np.array([0.0]))
    array([2.])
    >>> fan.rays(np.array([0.0]))   # 1 * along - 0 * forth = 0: the middle sees the axis
    (array([1.]), array([-0.]), array([0.]))
    >>> proxlab.operators.ct(32, angles=60, fan=fan).A(torch.ones(1, 1, 32, 32)).shape
    torch.Size([1, 1, 60, 92])
    """

    source_to_axis: float
    source_to_detector: float
    turn = 360.0

    def __post_init__(self):
        to_axis = _positive("source_to_axis of a fan beam", self.source_to_axis)
        to_detector = _positive("source_to_detector of a fan beam", self.source_to_detector)
        object.__setattr__(self, "source_to_axis", to_axis)
        object.__setattr__(self, "source_to_detector", to_detector)

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
    """Degrees, in the order of the views."""
    detectors: int
    detector_spacing: float = 1.0
    pixel_spacing: float = 1.0
    axis: tuple[float, float] = (0.0, 0.0)
    """x and y of the axis of rotation, from the middle of the image."""
    beam: ParallelBeam | FanBeam = ParallelBeam()
    detector_offset: float = 0.0
    """c, u in the middle of the detector: how far that is from where the axis is seen."""

    def __post_init__(self):
        counts = {"height": self.height, "width": self.width, "detectors": self.detectors}
        for name, count in counts.items():
            object.__setattr__(self, name, _count(f"{name} of a scan", count))
        spacings = {"detector_spacing": self.detector_spacing, "pixel_spacing": self.pixel_spacing}
        for name, length in spacings.items():
            object.__setattr__(self, name, _positive(name, length))
        offset = real(self.detector_offset)
        if not abs(offset) <= MOST * self.detector_spacing:
            raise ValueError(
                "detector_offset is the way from where the axis is seen to the detector's middle, "
                f"at most {MOST} detectors, got {said(self.detector_offset)}"
            )
        object.__setattr__(self, "detector_offset", offset)
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
        steps = np.arange(self.detectors + 1) - self.detectors / 2
        return steps * self.detector_spacing + self.detector_offset

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
    if whole(count) < 1:
        raise ValueError(f"a scan has at least one view, got angles={said(count)}")
    if count > MOST:
        raise ValueError(f"a scan has at most {MOST} views, got angles={said(count)}")
    return tuple(turn * k / count for k in range(count))


def enough_detectors(scan: Scan) -> int:
    """Number of detectors that see the whole image of this scan from every side."""
    reach, beam = scan.radius, scan.beam
    if isinstance(beam, FanBeam):
        reach *= beam.source_to_detector / math.sqrt(beam.source_to_axis**2 - reach**2)
    return max(1, math.ceil(2 * (reach + abs(scan.detector_offset)) / scan.detector_spacing))


def check_degrees(angles: object) -> None:
    """ValueError for many angles within one turn in radians, which degrees rarely are."""
    flat = _numbers(angles).ravel()
    if flat.size >= SEEMS_RADIANS and flat.min() >= -2 * math.pi and flat.max() <= 2 * math.pi:
        raise ValueError(
            f"{flat.size} angles from {flat.min():.3g} to {flat.max():.3g} seem to be in radians; "
            "they are wanted in degrees, numpy.degrees(angles)"
        )


def checked_angles(angles: object, turn: float) -> tuple[float, ...]:
    """The angles as a tuple; ValueError unless they are finite, different degrees, in any order."""
    flat = _numbers(angles)
    if flat.ndim != 1 or flat.size == 0:
        raise ValueError(f"angles are a list of degrees, got an array of shape {flat.shape}")
    if flat.size > MOST:
        raise ValueError(f"a scan has at most {MOST} views, got {flat.size} angles")
    strange = int((~np.isfinite(flat)).sum())
    if strange:
        raise ValueError(f"{strange} of {flat.size} angles are NaN or infinite")
    # Who turns by more than half a turn with parallel beams sees lines again from behind.
    again = turn == 180.0 and flat.max() - flat.min() > turn
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


def _numbers(angles: object) -> Array:
    """Angles as float64; ValueError unless they are real numbers in an array or a sequence."""
    if isinstance(angles, Tensor):
        angles = angles.detach().cpu()
    try:
        found = np.asarray(angles)
        if found.dtype.kind in "iuf":
            return found.astype(np.float64)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # whatever numpy makes of it
        pass
    raise ValueError(f"angles are a list of degrees, got {type(angles).__name__} {said(angles)}")


def _point(name: str, place: object) -> tuple[float, float]:
    parts = [real(part) for part in listed(place)]
    if len(parts) != 2 or not all(abs(part) <= LONGEST for part in parts):
        raise ValueError(f"{name} is the place of the axis of rotation, (x, y), got {said(place)}")
    return parts[0], parts[1]


def _positive(name: str, length: float) -> float:
    if not 0 < real(length) < math.inf:
        raise ValueError(f"{name} is a length, positive and finite, got {said(length)}")
    if not 1 / LONGEST <= real(length) <= LONGEST:
        raise ValueError(f"{name} lies between {1 / LONGEST:g} and {LONGEST:g}, got {said(length)}")
    return real(length)


def _count(name: str, count: int) -> int:
    if whole(count) < 1:
        raise ValueError(f"{name} is a whole number from 1 on, got {said(count)}")
    if count > MOST:
        raise ValueError(f"{name} is at most {MOST}, got {said(count)}")
    return whole(count)
