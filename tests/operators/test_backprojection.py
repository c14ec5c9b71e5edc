"""Filtered back-projection and least squares against images and filters in closed form."""

import math

import numpy as np
import pytest
import torch

from proxlab.operators import ct
from proxlab.operators.tomography import backprojection
from proxlab.operators.tomography.phantoms import Ellipse, blobs, pixels, sinogram
from tests.images.pictures import image, relative

FAN = (4.0, 7.0)
KINDS = {"parallel": (None, False), "matched": (None, True), "fan": (FAN, False)}
kinds = pytest.mark.parametrize("kind", KINDS)


def operator(fan=None, n=64, angles=None, axis=(0.05, -0.03), detectors=None):
    """A scan of [-1, 1]^2, sampled well unless told otherwise."""
    d = 2 / n
    return ct(
        n,
        angles if angles is not None else 120 if fan else 90,
        detectors=detectors or round(1.6 * n),
        detector_spacing=1.8 * d if fan else d,
        pixel_spacing=d,
        axis=axis,
        fan=fan,
    )


def error(op, shapes=None, change=lambda y: y, **wanted):
    """Error of the image from the exact sinogram, and that image."""
    shapes = shapes or blobs(0.7)
    made = op.A_dagger(change(sinogram(shapes, op.scan)), **wanted)
    return relative(made, pixels(shapes, op.scan)), made


@kinds
def test_smooth_images_come_back(kind):
    fan, matched = KINDS[kind]
    coarse, fine = (error(operator(fan, n), matched=matched)[0] for n in (32, 64))
    assert fine < 0.025 and coarse > 3 * fine  # measured 0.022 and, of order 2, 3.4


@kinds
def test_a_sinogram_of_another_geometry_is_seen(kind):
    fan, matched = KINDS[kind]
    op, moved = operator(fan), operator(fan, axis=(0.05 + 1 / 64, -0.03))
    y = sinogram(blobs(0.7), moved.scan)
    assert error(op, change=lambda _: y, matched=matched)[0] > 0.06
    assert error(op, change=lambda y: y.flip(-1), matched=matched)[0] > 0.5
    assert error(op, change=lambda y: y.flip(-2), matched=matched)[0] > 0.5


def test_both_backprojections_have_one_scale_whatever_the_spacings():
    op = ct(40, 60, pixel_spacing=0.5, detector_spacing=0.3)
    x = pixels(blobs(8.0), op.scan)
    y = sinogram(blobs(8.0), op.scan)
    for matched in (False, True):
        assert relative(op.A_dagger(y, matched=matched), x) < 0.02  # measured 0.004 and 0.015


def test_a_near_fan_needs_its_weights(monkeypatch):
    near, middle = operator((1.6, 3.0)), (..., slice(16, 48), slice(16, 48))
    right = pixels(blobs(0.7), near.scan)[middle]
    assert relative(error(near)[1][middle], right) < 0.022  # measured 0.018
    monkeypatch.setattr(backprojection, "_depth_weight", lambda beam, forth: np.ones_like(forth))
    assert relative(error(near)[1][middle], right) > 0.028


def level(kind):
    """Within a disk of value 1."""
    fan, matched = KINDS[kind]
    op = operator(fan, n=48)
    _, made = error(op, [Ellipse(1.0, 0.1, 0.0, (0.8, 0.8))], matched=matched)
    return made[..., 16:32, 16:32].mean().item()


@kinds
def test_the_mean_is_kept(kind):
    assert level(kind) == pytest.approx(1, abs=1e-3)  # measured 1e-4


@kinds
def test_a_ramp_that_is_sampled_in_frequency_loses_the_mean(kind, monkeypatch):
    def wrong(y, spacing, window):
        ramp = torch.fft.rfftfreq(y.shape[-1], dtype=y.dtype) / spacing
        return torch.fft.irfft(torch.fft.rfft(y) * ramp, y.shape[-1])

    monkeypatch.setattr(backprojection, "_filter", wrong)
    assert abs(level(kind) - 1) > 0.02


def ramp(n):
    """[Kak88, eq. 61] for a spacing of 1."""
    return np.where(n % 2 == 1, -1 / (math.pi * np.maximum(abs(n), 1)) ** 2, (n == 0) / 4)


WINDOWED = {
    "ramp": ramp,
    "shepp-logan": lambda n: -2 / (math.pi**2 * (4 * n**2 - 1)),
    "hann": lambda n: ramp(n) / 2 + (ramp(n - 1) + ramp(n + 1)) / 4,
}


def response(window):
    """To one detector in one view, of which each row of the image is pi times the filter."""
    op = ct(63, [0], detectors=63)
    y = torch.zeros(1, 1, 1, 63, dtype=torch.float64)
    y[..., 31] = 1
    return op.A_dagger(y, window=window)[0, 0].numpy() / math.pi


@pytest.mark.parametrize("window", WINDOWED)
def test_filters_are_their_closed_forms(window):
    for name, form in WINDOWED.items():
        gap = abs(response(window) - form(np.arange(63) - 31)).max()
        assert gap < 1e-4 if name == window else gap > 0.02


def test_windows_trade_noise_for_sharpness():
    op = operator(n=48)
    noise = image(1, 1, *op.A(image(1, 1, 48, 48)).shape[2:]) - 0.5
    sharp = [error(op, window=window)[0] for window in WINDOWED]
    loud = [op.A_dagger(noise, window=window).norm().item() for window in WINDOWED]
    assert sharp == sorted(sharp) and loud == sorted(loud, reverse=True)
    assert loud[0] > 1.1 * loud[1] > 1.1**2 * loud[2] and sharp[2] > 1.5 * sharp[1]


@pytest.mark.parametrize("matched", [False, True])
def test_views_from_behind_change_nothing(matched):
    half, whole = operator(angles=range(0, 180, 4)), operator(angles=range(0, 360, 4))
    closed = operator(angles=range(0, 361, 4))  # with 0 once more
    y = sinogram(blobs(0.7), half.scan) + 0.1 * image(1, 1, 45, half.scan.detectors)
    right, both = half.A_dagger(y, matched=matched), torch.cat([y, y.flip(-1)], 2)
    assert relative(whole.A_dagger(both, matched=matched), right) < 1e-13
    ends = torch.cat([both, y[:, :, :1]], 2)
    assert relative(closed.A_dagger(ends, matched=matched), right) < 1e-13
    assert relative(whole.A_dagger(torch.cat([y, y], 2), matched=matched), right) > 0.1


@pytest.mark.parametrize("most", [200, 270, 340, 540])
def test_views_of_more_than_half_a_turn_keep_the_level(most):
    assert error(operator(angles=range(0, most, 2)))[0] < 0.1


@pytest.mark.parametrize("fan", [None, FAN])
def test_detectors_that_see_a_part_of_the_image_only(fan):
    op = operator(fan, detectors=40)
    y = sinogram(blobs(0.5), op.scan)
    right = op.A_dagger(y)
    assert relative(op.A_dagger(y.float()).double(), right) < 1e-5


def uneven():
    return operator(angles=np.sort(np.random.default_rng(0).uniform(0, 180, 120)))


def test_uneven_views_weigh_what_they_stand_for(monkeypatch):
    assert error(uneven())[0] < 0.045  # measured 0.033
    monkeypatch.setattr(backprojection, "_view_weights", lambda scan: np.full(120, math.pi / 120))
    assert error(uneven())[0] > 0.1


@pytest.mark.parametrize("angles", [range(0, 60, 2), range(30, 150, 2), [0, 1, 2, 3], [45]])
def test_a_limited_angle_does_not_blow_up(angles):
    op = operator(angles=angles)
    off, made = error(op)
    assert made.abs().max() < 1.5 and (off < 1 or len(angles) == 1)


@kinds
def test_batches_and_single_precision(kind):
    fan, matched = KINDS[kind]
    op = operator(fan, n=24, angles=12)
    y = image(3, 2, 12, op.scan.detectors)
    made = op.A_dagger(y, matched=matched)
    assert made.shape == (3, 2, 24, 24)
    assert relative(made[1:2, 1:], op.A_dagger(y[1:2, 1:], matched=matched)) < 1e-14
    single = op.A_dagger(y.float(), matched=matched)
    assert single.dtype == torch.float32 and relative(single.double(), made) < 1e-5


@pytest.mark.parametrize("fan", [None, (8, 11)])
@pytest.mark.parametrize("angles", [3, 12])
def test_least_squares_is_the_dense_solution_of_least_norm(fan, angles):
    op = ct((5, 4), angles, fan=fan, detectors=7)
    a = op.A(torch.eye(20, dtype=torch.float64).view(20, 1, 5, 4)).flatten(1).T
    y = image(2, 1, angles, 7)
    dense = (torch.linalg.pinv(a, rtol=1e-9) @ y.flatten(1).T).T.view(2, 1, 5, 4)
    made = op.A_dagger(y, least_squares=True, tol=1e-13, max_steps=2000)
    assert relative(made, dense) < 1e-6
    with pytest.warns(UserWarning, match="stopped after 3 steps at a relative residual"):
        assert relative(op.A_dagger(y, least_squares=True, max_steps=3), dense) > 1e-3


def test_least_squares_fits_few_views_better_than_filtering():
    op = operator(n=32, angles=12)
    y = op.A(pixels(blobs(0.7), op.scan))
    fitted = op.A_dagger(y, least_squares=True, tol=1e-5)
    assert relative(op.A(fitted), y) < 1e-3 and relative(op.A(op.A_dagger(y)), y) > 0.03
