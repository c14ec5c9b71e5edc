"""CT projector against closed forms, slow twins, and what turns and shifts do to a scan."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from proxlab.operators import ct
from proxlab.operators.tomography import footprints, projection_matrix, symmetry
from proxlab.operators.tomography.phantoms import blobs, disks, lines, pixels, sinogram
from tests.images.pictures import image, relative

VIEWS = {"parallel": (3, 41.5, 90, 158), "fan": (0, 47, 133.5, 250, 301)}
FAN = {"parallel": None, "fan": (20.0, 31.0)}
EVERY = [(beam, model) for beam in FAN for model in ("strip", "line")]
everywhere = pytest.mark.parametrize("beam, model", EVERY)


def small(beam, model, size=(9, 7), axis=(0.6, -0.4), turned=0.0, **more):
    """A rectangular image, axis off its middle, few views: nothing symmetric about it."""
    spacings = dict(detectors=14, detector_spacing=1.3, pixel_spacing=1.1) | more
    angles = [angle + turned for angle in VIEWS[beam]]
    return ct(size, angles, fan=FAN[beam], axis=axis, model=model, **spacings)


def dense(op, dtype=torch.float64):
    """[V D, H W], column by column."""
    h, w = op.scan.height, op.scan.width
    return op.A(torch.eye(h * w, dtype=dtype).view(h * w, 1, h, w)).flatten(1).T


def errors(beam, model, shapes, moved=0.0):
    """Errors of sinograms against the closed form, at 32, 64 and 128 pixels across [-1, 1]."""
    found = []
    for n in (32, 64, 128):
        d = 2 / n
        spacing, far = (d, None) if beam == "parallel" else (1.9 * d, (4.0, 7.0))
        geometry = dict(detectors=round(1.2 * n), detector_spacing=spacing, pixel_spacing=d)
        op = ct((n, 3 * n // 4), 14, axis=(0.11, -0.07), model=model, fan=far, **geometry)
        other = replace(op.scan, axis=(0.11 + moved * d, -0.07 + moved * d))
        found.append(relative(op.A(pixels(shapes, op.scan)), sinogram(shapes, other)))
    return found


@everywhere
def test_closed_forms(beam, model):
    rough, smooth = errors(beam, model, disks(0.7)), errors(beam, model, blobs(0.7))
    assert rough[2] < 0.0075 and smooth[2] < 0.004  # measured 0.0057 and 0.0029 at most
    assert rough[0] > 1.4 * rough[1] > 1.4**2 * rough[2]  # order 1, measured 1.57 or more
    assert smooth[0] > 3 * smooth[1] > 3**2 * smooth[2]  # order 2, measured 3.5 or more


@everywhere
def test_half_a_pixel_is_seen(beam, model):
    assert errors(beam, model, disks(0.7), moved=0.5)[2] > 0.025
    assert errors(beam, model, blobs(0.7), moved=0.5)[2] > 0.05


def clipped(polygon, n, c):
    """The part of a convex polygon where n . p <= c. [Sutherland and Hodgman]"""
    kept = []
    for p, q in zip(polygon, polygon[1:] + polygon[:1], strict=True):
        before, after = (n[0] * a + n[1] * b - c for a, b in (p, q))
        if before <= 0:
            kept.append(p)
        if before * after < 0:
            t = before / (before - after)
            kept.append((p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1])))
    return kept


def area(polygon):
    pairs = zip(polygon, polygon[1:] + polygon[:1], strict=True)
    return abs(sum(a * d - b * c for (a, b), (c, d) in pairs)) / 2


def corners(scan):
    """Corners of every pixel, row by row."""
    d, h, w = scan.pixel_spacing, scan.height, scan.width
    for i in range(h):
        for j in range(w):
            x, y = (j - w / 2) * d, (h / 2 - i) * d
            yield [(x, y), (x + d, y), (x + d, y - d), (x, y - d)]


def clipping(scan):
    """Parallel strips by cutting polygons, [V D, H W]."""
    rows, s = [], scan.detector_spacing
    for t in np.radians(scan.angles):
        n = np.cos(t), np.sin(t)
        for k in range(scan.detectors):
            low = (k - scan.detectors / 2) * s + n[0] * scan.axis[0] + n[1] * scan.axis[1]
            ahead = [clipped(square, n, low + s) for square in corners(scan)]
            rows.append([area(clipped(p, (-n[0], -n[1]), -low)) / s for p in ahead])
    return torch.tensor(rows, dtype=torch.float64)


def chords(scan, samples=200):
    """Strips of any beam by the mean length of many rays within each pixel, [V D, H W]."""
    u = np.arange(scan.detectors * samples) + 0.5 - scan.detectors * samples / 2
    boxes = np.array([(q[0], q[2]) for q in map(list, corners(scan))])  # upper left, lower right
    rows = []
    for nx, ny, c in lines(scan, u * scan.detector_spacing / samples):
        point, step = np.stack([nx * c, ny * c]), np.stack([-ny, nx])
        ends = (boxes[:, :, :, None] - point) / step  # where rays cross the sides of pixels
        enter, leave = ends.min(1).max(1), ends.max(1).min(1)
        rows.append(np.clip(leave - enter, 0, None).reshape(len(boxes), -1, samples).mean(2).T)
    return torch.from_numpy(np.concatenate(rows))


def tents(scan):
    """Joseph's rays: a tent about the ray, as high as its way through a row of pixels."""
    squares = np.array(list(corners(scan))).mean(1)
    u = (np.arange(scan.detectors) + 0.5 - scan.detectors / 2) * scan.detector_spacing
    rows = []
    for nx, ny, c in lines(scan, u):
        most = np.maximum(abs(nx), abs(ny)) * scan.pixel_spacing
        far = abs(np.outer(nx, squares[:, 0]) + np.outer(ny, squares[:, 1]) - c[:, None])
        rows.append(scan.pixel_spacing**2 / most[:, None] * np.clip(1 - far / most[:, None], 0, 1))
    return torch.from_numpy(np.concatenate(rows))


@pytest.mark.parametrize("spacing", [0.35, 1.0, 2.7])
def test_strips_are_the_areas_of_polygons(spacing):
    op = small("parallel", "strip", (6, 5), detectors=6, detector_spacing=spacing)
    right = clipping(op.scan)
    assert (dense(op) - right).abs().max() < 1e-9
    moved = clipping(replace(op.scan, axis=(0.6, -0.41)))
    assert (dense(op) - moved).abs().max() > 1e-3


@pytest.mark.parametrize("spacing", [0.7, 1.6, 4.0])
def test_strips_of_a_fan_are_nearly_its_mean_rays(spacing):
    far = dict(size=(6, 5), detectors=6, detector_spacing=spacing)
    near, op = small("fan", "strip", **far), small("parallel", "strip", **far)
    assert (dense(op) - chords(op.scan)).abs().max() < 0.005  # 0.003, of so many samples
    right, moved = chords(near.scan), chords(replace(near.scan, axis=(0.5, -0.4)))
    assert (dense(near) - right).abs().max() < 0.01  # 0.0053, with the source 18 pixels off
    assert (dense(near) - right).sum(1).abs().max() < 0.01  # 0.0055 of 6.6
    assert (dense(near) - moved).abs().max() > 0.04


@pytest.mark.parametrize("spacing", [0.35, 1.0, 2.7])
@pytest.mark.parametrize("beam", FAN)
def test_lines_are_tents_about_their_rays(beam, spacing):
    op = small(beam, "line", (6, 5), detectors=9, detector_spacing=spacing)
    assert (dense(op) - tents(op.scan)).abs().max() < 1e-12
    moved = replace(op.scan, axis=(0.6, -0.41))
    assert (dense(op) - tents(moved)).abs().max() > 1e-3


@pytest.mark.parametrize("model", ["strip", "line"])
def test_a_distant_fan_is_parallel(model):
    x = image(2, 1, 9, 7)
    geometry = dict(angles=VIEWS["fan"], detectors=14, axis=(0.6, -0.4), model=model)
    far, near = (ct((9, 7), fan=(r, r), **geometry).A(x) for r in (1e7, 1e3))
    right = ct((9, 7), **geometry).A(x)
    assert relative(far, right) < 1e-5 and relative(near, right) > 1e-4


@everywhere
def test_the_image_turns_with_the_scan(beam, model):
    x = image(2, 1, 9, 7)
    y = small(beam, model).A(x)
    turned = small(beam, model, (7, 9), axis=(0.4, 0.6), turned=90)
    assert relative(turned.A(x.rot90(1, (2, 3))), y) < 1e-13
    assert relative(turned.A(x.rot90(-1, (2, 3))), y) > 0.01


@everywhere
def test_the_image_moves_with_the_axis(beam, model):
    x = torch.zeros(1, 1, 9, 7, dtype=torch.float64)
    x[..., 2:-2, 2:-1] = image(1, 1, 5, 4)
    moved = small(beam, model, axis=(0.6 - 1.1, -0.4 + 2 * 1.1)).A(x.roll((-2, -1), (2, 3)))
    assert relative(moved, small(beam, model).A(x)) < 1e-13
    assert relative(small(beam, model).A(x.roll((-2, -1), (2, 3))), moved) > 0.01


SYMMETRIC = {
    "parallel": dict(angles=12),
    "parallel, none at 0": dict(angles=[7.5 * k + 3.75 for k in range(24)]),
    "parallel, 45 and 180": dict(angles=[30, 45, 60, 90, 120, 135, 150, 180]),
    "fan": dict(angles=16, fan=(20.0, 31.0)),
    "fan from behind": dict(angles=range(-105, 240, 30), fan=(20.0, 31.0)),
}


def quarter_and_full(name, model, monkeypatch, size=9):
    """The gap between what a quarter of the matrix does and what all of it does."""
    scan = ct(size, detectors=15, model=model, **SYMMETRIC[name]).scan
    kind = getattr(footprints, model + "s"), torch.float64, torch.device("cpu")
    quarter = projection_matrix.ProjectionMatrix(scan, *kind)
    whole = symmetry.plan(replace(scan, axis=(1.0, 0.0)))
    monkeypatch.setattr(projection_matrix, "plan", lambda scan: whole)
    full = projection_matrix.ProjectionMatrix(scan, *kind)
    assert quarter.entries < 0.45 * full.entries and len(whole.stored) == len(scan.angles)
    x, y = image(5, size, size), image(5, len(scan.angles), 15, seed=1)
    there = relative(quarter.project(x), full.project(x))
    return max(there, relative(quarter.backproject(y), full.backproject(y)))


@pytest.mark.parametrize("size", [8, 9])
@pytest.mark.parametrize("model", ["strip", "line"])
@pytest.mark.parametrize("name", SYMMETRIC)
def test_a_quarter_of_the_matrix_does_what_all_of_it_does(name, model, size, monkeypatch):
    assert quarter_and_full(name, model, monkeypatch, size) < 1e-12


@pytest.mark.parametrize("name", SYMMETRIC)
def test_a_wrong_turn_is_seen(name, monkeypatch):
    for turns in ("MIRRORS", "QUARTERS"):
        first, second, third, fourth = getattr(symmetry, turns)
        monkeypatch.setattr(symmetry, turns, (first, second, fourth, third))
    assert quarter_and_full(name, "strip", monkeypatch) > 0.01
