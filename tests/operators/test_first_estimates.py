"""The first estimate of operators that bring none: what is not seen is interpolated."""

import math

import pytest
import torch
from deepinv import physics as dp

from proxlab.operators import first_estimates
from proxlab.operators.first_estimates import Smoothing, best_multiple, smooth_least_squares
from tests.images.pictures import image, relative

H, W = 10, 12
MASK = (image(H, W, seed=1) > 0.6).double()
MATRIX = image(30, H * W, seed=2) - 0.5


def columns(side=16, noise=None):
    """x[..., ::2], as a user writes it."""

    def adjoint(y):
        x = y.new_zeros(*y.shape[:-1], side)
        x[..., ::2] = y
        return x

    op = dp.LinearPhysics(A=lambda x: x[..., ::2], A_adjoint=adjoint)
    if noise is not None:
        op.set_noise_model(dp.GaussianNoise(noise))
    return op


OPERATORS = {
    "columns": columns(W),
    "mask": dp.LinearPhysics(A=lambda x: MASK * x, A_adjoint=lambda y: MASK * y),
    "vectors": dp.LinearPhysics(
        A=lambda x: x.flatten(1) @ MATRIX.T, A_adjoint=lambda y: (y @ MATRIX).view(-1, 1, H, W)
    ),
}
everywhere = pytest.mark.parametrize("name", OPERATORS)


def smooth_picture(*shape):
    """Two waves around a half, [2, 1, *shape]."""
    waves = [torch.linspace(0, 1.5 * math.pi, n, dtype=torch.float64).cos() for n in shape]
    wave = waves[0][:, None] * waves[1]
    return torch.stack([0.5 + 0.3 * wave, 0.6 - 0.2 * wave])[:, None]


def test_what_is_not_seen_is_interpolated():
    x, op = smooth_picture(24, 32), columns(32)
    got = smooth_least_squares(op.A(x), op)
    assert relative(got, x) < 0.015  # measured 0.0105
    black = best_multiple(op.A(x), op, op.A_adjoint(op.A(x)))
    assert relative(black, x) > 0.6  # what it was before: A^T y, every second column zero


@everywhere
def test_many_steps_lead_to_the_dense_solution(name, monkeypatch):
    """x = c + M A^T (A M A^T)^+ (y - A c), M = S^2: least squares of least |z|."""
    op, x = OPERATORS[name], image(1, 1, H, W, seed=3)
    units = torch.eye(H * W, dtype=x.dtype).view(-1, 1, H, W)
    a, s = op.A(units).flatten(1).T, Smoothing(x)(units).flatten(1).T
    y = op.A(x)
    constant = a.sum(1) @ y.flatten() / a.sum(1).square().sum()
    rest = y.flatten() - constant * a.sum(1)
    z = torch.linalg.pinv(a @ s, rtol=1e-9) @ rest
    dense = (constant + s @ z).view(1, 1, H, W)
    monkeypatch.setattr(first_estimates, "LEAST_SQUARES_STEPS", 500)
    assert relative(smooth_least_squares(y, op), dense) < 1e-5
    plain = (constant + torch.linalg.pinv(a) @ rest).view(1, 1, H, W)
    assert relative(plain, dense) > 0.05  # without S


def test_smoothing_is_the_filter_that_it_says():
    units = torch.eye(H * W, dtype=torch.float64).view(-1, 1, H, W)
    s = Smoothing(units)(units).flatten(1)
    assert (s - s.T).abs().max() < 1e-14
    values = torch.linalg.eigvalsh(s)
    assert values[0] > 0 and values[-1] == pytest.approx(1)
    i, j = torch.arange(H).double()[:, None], torch.arange(W).double()
    wave = (math.pi * 2 * (i + 0.5) / H).cos() * (math.pi * 3 * (j + 0.5) / W).cos()
    energy = (2 / (2 * H)) ** 2 + (3 / (2 * W)) ** 2
    gain = (1 + energy / first_estimates.CORNER**2) ** -0.5
    assert relative(Smoothing(wave[None, None])(wave[None, None]), gain * wave[None, None]) < 1e-13


def test_it_stops_at_the_noise(monkeypatch):
    x, calls = smooth_picture(12, 16), []
    y = columns().A(x) + 0.05 * torch.randn(2, 1, 12, 8, generator=torch.Generator().manual_seed(0))
    for noise in (0.05, None):
        op = columns(noise=noise)
        there = op.A
        op.A = lambda x, there=there: (calls.append(1), there(x))[1]
        got = smooth_least_squares(y, op)
        calls.append(0)
        misfit = (there(got) - y).square().mean((1, 2, 3)).sqrt()
        assert (misfit < 0.05).all() and (noise is None or (misfit > 0.03).all())
    assert calls.index(0) < len(calls) - calls.index(0) - 2  # fewer products where noise is told


@everywhere
def test_each_image_is_by_itself_and_nothing_gives_nothing(name):
    op, x = OPERATORS[name], image(3, 1, H, W, seed=4)
    y = op.A(torch.cat([x[:1], 1e-6 * x[1:2], 0 * x[2:]]))
    got = smooth_least_squares(y, op)
    assert torch.equal(got[2], 0 * x[2]) and got.isfinite().all()
    for i in (0, 1):
        assert relative(got[i : i + 1], smooth_least_squares(y[i : i + 1], op)) < 1e-4
    single = smooth_least_squares(y.float(), op) if name == "columns" else got.float()
    assert single.dtype == torch.float32 and relative(single[:2].double(), got[:2]) < 0.01


def test_an_adjoint_that_sees_nothing_of_y_gives_zero():
    op = dp.LinearPhysics(A=lambda x: MASK * x, A_adjoint=lambda y: MASK * y)
    assert torch.equal(smooth_least_squares((1 - MASK)[None, None], op), torch.zeros(1, 1, H, W))


@pytest.mark.parametrize("wrong", [-1.0, 3.0])
def test_an_adjoint_that_is_none_does_no_harm(wrong):
    op = dp.LinearPhysics(A=lambda x: MASK * x, A_adjoint=lambda y: wrong * MASK * y.flip(-1))
    x = image(2, 1, H, W)
    got, y = smooth_least_squares(op.A(x), op), op.A(x)
    constant = op.A(best_multiple(y, op, torch.ones_like(x)))
    assert got.isfinite().all()
    assert ((op.A(got) - y).norm() <= (constant - y).norm() * (1 + 1e-12)).all()


def test_images_of_other_shapes():
    line = dp.LinearPhysics(A=lambda x: x[:, ::2], A_adjoint=lambda y: y.repeat_interleave(2, 1))
    assert smooth_least_squares(image(2, 4), line).shape == (2, 8)
    volume = dp.LinearPhysics(A=lambda x: 2 * x, A_adjoint=lambda y: 2 * y)
    x = 0.5 + 0.0 * image(1, 1, 4, 5, 6)
    assert relative(smooth_least_squares(2 * x, volume), x) < 1e-12
