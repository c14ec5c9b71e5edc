"""Sinograms in the conventions of other libraries, reconstructed upright, centred and in scale.

What ASTRA and tomopy write is computed here by hand, from the geometry that they document or, of
tomopy, that its source has: line integrals of two Gaussian blobs, one above and right of the axis.
"""

import numpy as np
import pytest
import torch
from skimage.transform import radon

from proxlab import metrics
from proxlab.operators import ct
from proxlab.operators.tomography.abdomen import abdomen

N, VIEWS, D = 40, 60, 64
BLOBS = ((7.3, 9.1, 2.0, 1.0), (-8.6, -3.2, 1.6, 0.7))
"""x to the right and y up from the axis, width, height."""


def picture(middle=(0.0, 0.0), pixel=1.0):
    """The blobs at the pixel centres of N x N, the axis at x, y from the image's middle."""
    grid = (np.arange(N) - (N - 1) / 2) * pixel
    x, y = grid - middle[0], -grid[:, None] - middle[1]
    parts = (h * np.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * s * s)) for a, b, s, h in BLOBS)
    return torch.from_numpy(sum(parts)).float()[None, None]


def integral(point, along):
    """Line integral of the blobs through a point [2, ...] along a direction [2, ...]."""
    along = along / np.hypot(*along)
    normal = -along[1], along[0]
    total = 0.0
    for a, b, s, h in BLOBS:
        off = normal[0] * (point[0] - a) + normal[1] * (point[1] - b)
        total = total + h * s * np.sqrt(2 * np.pi) * np.exp(-(off**2) / (2 * s * s))
    return total


def psnr(op, sinogram, x):
    y = torch.as_tensor(np.ascontiguousarray(sinogram)).float()[None, None]
    return float(metrics.psnr(op.A_dagger(y, least_squares=True, max_steps=60), x))


def astra_parallel(angles, spacing, count):
    """create_proj_geom('parallel', spacing, count, angles): rays (sin, -cos) to (cos, sin)."""
    t, i = angles[:, None], np.arange(count) - (count - 1) / 2
    along = np.stack(np.broadcast_arrays(np.sin(t), -np.cos(t), i)[:2])
    return integral(np.stack([i * spacing * np.cos(t), i * spacing * np.sin(t)]), along)


def astra_fanflat(angles, spacing, count, source, detector):
    """create_proj_geom('fanflat', spacing, count, angles, source, detector): from the origin."""
    t, i = angles[:, None], (np.arange(count) - (count - 1) / 2) * spacing
    start = np.stack([np.sin(t) * source + 0 * i, -np.cos(t) * source + 0 * i])
    end = np.stack([-np.sin(t) * detector + i * np.cos(t), np.cos(t) * detector + i * np.sin(t)])
    return integral(start, end - start)


def tomopy_project(angles, center, count):
    """libtomo's project: source (xi, yi) turned by the angle, x down the rows, y along them.

    yi = (1 - count) / 2 + d + mov, mov = (count - 1) / 2 - center + 1 / 2.
    """
    t, d = angles[:, None], np.arange(count)
    yi = (1 - count) / 2 + d + ((count - 1) / 2 - center + 0.5)
    down, right = -yi * np.sin(t), yi * np.cos(t)  # a point of the ray
    along = np.stack(np.broadcast_arrays(np.sin(t), -np.cos(t), yi)[:2])  # cos down, sin right
    return integral(np.stack([right, -down]), along)


ANGLES = np.linspace(0, np.pi, VIEWS, endpoint=False)


def test_astra_parallel():
    sinogram = astra_parallel(ANGLES, 0.8, D)
    right = ct(N, np.degrees(ANGLES), detectors=D, detector_spacing=0.8)
    assert psnr(right, sinogram, picture()) > 45
    mirrored = ct(N, np.degrees(-ANGLES[::-1]), detectors=D, detector_spacing=0.8)
    assert psnr(mirrored, sinogram[::-1], picture()) < 25  # planted: angles the other way round
    scaled = ct(N, np.degrees(ANGLES), detectors=D, detector_spacing=0.88)
    assert psnr(scaled, sinogram, picture()) < 30


def test_astra_fan():
    angles = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    sinogram = astra_fanflat(angles, 1.5, D, 100.0, 60.0)
    x = picture()
    right = ct(N, np.degrees(angles), detectors=D, detector_spacing=1.5, fan=(100.0, 160.0))
    assert psnr(right, sinogram, x) > 38
    wrong = ct(N, np.degrees(angles), detectors=D, detector_spacing=1.5, fan=(100.0, 60.0))
    assert psnr(wrong, sinogram, x) < 27  # planted: the distance from the axis for the whole one


@pytest.mark.parametrize("center", [D / 2, 29.7, 35.2])
def test_tomopy(center):
    """One slice of [views, slices, detectors]; `project` has its centre at D / 2 - c."""
    sinogram = tomopy_project(ANGLES, center, D)
    right = ct(N, np.degrees(ANGLES), detectors=D, detector_offset=D / 2 - center)
    assert psnr(right, sinogram, picture()) > 38
    half = ct(N, np.degrees(ANGLES), detectors=D, detector_offset=(D - 1) / 2 - center)
    assert psnr(half, sinogram, picture()) < 33  # planted: half a detector off
    if center != D / 2:
        turned = ct(N, np.degrees(ANGLES), detectors=D, detector_offset=center - D / 2)
        assert psnr(turned, sinogram, picture()) < 25


@pytest.mark.parametrize("side", [40, 41])
def test_scikit_image(side):
    """[detectors, views], the axis at pixel N // 2 of the image and at index N // 2 of it."""
    x = ((abdomen(44) + 1024) / 4095).float()[..., :side, :side].clone()
    rows, columns = np.ogrid[:side, :side]
    inside = np.hypot(rows - side // 2, columns - side // 2) < side // 2 - 2
    x *= torch.from_numpy(inside)
    theta = np.linspace(0, 180, 120, endpoint=False)
    sinogram = radon(x[0, 0].numpy(), theta=theta, circle=True)
    half = (side // 2) - (side - 1) / 2  # 1/2 for even sides, else 0
    right = ct(side, theta, detectors=side, axis=(half, -half), detector_offset=-half)
    best = psnr(right, sinogram.T, x)
    assert best > 26
    mirrored = ct(side, -theta[::-1], detectors=side, axis=(half, -half), detector_offset=-half)
    assert psnr(mirrored, sinogram.T[::-1], x) < best - 5
    if half:
        centred = ct(side, theta, detectors=side)
        assert psnr(centred, sinogram.T, x) < best - 1
