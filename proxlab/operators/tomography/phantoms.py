"""Ellipses and Gaussian blobs whose sinograms are known in closed form, beside their pixels.

Projectors are tested against these. They are written from the geometry in the docstring of the
file `scan` and from nothing else of the package: rays are put through points in the plane and
handed to formulas for line integrals.
"""

from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch

from proxlab.operators.tomography.scan import FanBeam, Scan


@dataclass(frozen=True)
class Ellipse:
    """`value` inside, zero outside; `half` are half axes, the first turned by `turn` degrees."""

    value: float
    x: float
    y: float
    half: tuple[float, float]
    turn: float = 0.0

    def at(self, x, y):
        """The value at points x, y."""
        a, b = _turned(x - self.x, y - self.y, self.turn)
        return self.value * ((a / self.half[0]) ** 2 + (b / self.half[1]) ** 2 <= 1)

    def integral(self, nx, ny, c):
        """The integral along lines nx x + ny y = c, nx^2 + ny^2 = 1. [Kak88, eq. 3.6]"""
        width, offset = _across(self, nx, ny, c)
        chord = 2 * self.half[0] * self.half[1] * np.sqrt(np.clip(width**2 - offset**2, 0, None))
        return self.value * chord / width**2


@dataclass(frozen=True)
class Blob:
    """value exp(-(a / half_0)^2 / 2 - (b / half_1)^2 / 2): a Gaussian, `half` are deviations."""

    value: float
    x: float
    y: float
    half: tuple[float, float]
    turn: float = 0.0

    def at(self, x, y):
        """The value at points x, y."""
        a, b = _turned(x - self.x, y - self.y, self.turn)
        return self.value * np.exp(-((a / self.half[0]) ** 2 + (b / self.half[1]) ** 2) / 2)

    def integral(self, nx, ny, c):
        """The integral along lines: a marginal of a Gaussian is a Gaussian."""
        width, offset = _across(self, nx, ny, c)
        mass = self.value * np.sqrt(2 * np.pi) * self.half[0] * self.half[1]
        return mass / width * np.exp(-((offset / width) ** 2) / 2)


def disks(radius: float) -> list[Ellipse]:
    """Three ellipses without any symmetry, within a circle about 0."""
    shapes = [
        (1.0, 0.05, -0.1, (0.75, 0.6), 25.0),
        (-0.4, -0.2, 0.15, (0.3, 0.2), -40.0),
        (0.8, 0.4, -0.2, (0.2, 0.12), 70.0),
    ]
    return [
        Ellipse(v, x * radius, y * radius, (a * radius, b * radius), t)
        for v, x, y, (a, b), t in shapes
    ]


def blobs(radius: float) -> list[Blob]:
    """Two blobs without any symmetry, below 1e-7 outside a circle about 0."""
    shapes = [(1.0, 0.1, -0.15, (0.14, 0.1), 20.0), (0.6, -0.25, 0.2, (0.08, 0.1), 50.0)]
    return [
        Blob(v, x * radius, y * radius, (a * radius, b * radius), t)
        for v, x, y, (a, b), t in shapes
    ]


def pixels(shapes, scan: Scan, samples: int = 8) -> torch.Tensor:
    """Means over pixels of the sum of shapes, [1, 1, H, W] in float64."""
    inner = (np.arange(samples) + 0.5) / samples - 0.5
    x = np.arange(scan.width)[:, None] - (scan.width - 1) / 2 + inner
    y = (scan.height - 1) / 2 - np.arange(scan.height)[:, None] + inner
    x, y = x.ravel() * scan.pixel_spacing, y.ravel()[:, None] * scan.pixel_spacing
    fine = reduce(np.add, (shape.at(x, y) for shape in shapes))
    fine = fine.reshape(scan.height, samples, scan.width, samples).mean((1, 3))
    return torch.from_numpy(fine)[None, None]


def sinogram(shapes, scan: Scan, samples: int = 16) -> torch.Tensor:
    """Means over detectors of the line integrals through shapes, [1, 1, V, D] in float64."""
    count = scan.detectors * samples
    u = (np.arange(count) + 0.5 - count / 2) * scan.detector_spacing / samples
    u = u + scan.detector_offset
    views = [sum(s.integral(*line) for s in shapes) for line in lines(scan, u)]
    mean = np.stack(views).reshape(len(views), scan.detectors, samples).mean(2)
    return torch.from_numpy(mean)[None, None]


def lines(scan: Scan, u: np.ndarray):
    """The rays that end at u as lines nx x + ny y = c, one (nx, ny, c) a view."""
    axis = np.array(scan.axis)
    for theta in np.radians(scan.angles):
        n, m = np.array([np.cos(theta), np.sin(theta)]), np.array([-np.sin(theta), np.cos(theta)])
        if isinstance(scan.beam, FanBeam):
            source = axis - scan.beam.source_to_axis * m
            ends = source + scan.beam.source_to_detector * m + u[:, None] * n
            along = ends - source
            normal = np.stack([along[:, 1], -along[:, 0]], 1)
            normal /= np.linalg.norm(normal, axis=1, keepdims=True)
            yield normal[:, 0], normal[:, 1], normal @ source
        else:
            yield np.full_like(u, n[0]), np.full_like(u, n[1]), u + n @ axis


def _turned(x, y, degrees):
    """Coordinates along axes that are turned by degrees."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return cos * x + sin * y, cos * y - sin * x


def _across(shape, nx, ny, c):
    """Half width of the shape across a line, and how far the line passes from its centre."""
    a, b = _turned(nx, ny, shape.turn)
    return np.hypot(shape.half[0] * a, shape.half[1] * b), c - nx * shape.x - ny * shape.y
