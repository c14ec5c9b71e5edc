"""Data terms against dense solves, loops and autograd, whatever the operator."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from deepinv import physics as dp

from proxlab.operators import deblur, inpaint
from proxlab.operators.contract import Missed
from proxlab.restoration.data_terms import CircularData, LinearData, MaskData, ValidData, data_term
from solvers import linear_systems
from tests.images.pictures import image, relative

B, C, H, W = 3, 2, 6, 7
KERNEL = image(3, 5, seed=9)
KERNEL /= KERNEL.sum()
MASK, MASKS = image(H, W, seed=1) > 0.5, image(C, H, W, seed=2) > 0.5
EACH = image(B, 1, 3, 3, seed=8)
FOREIGN = dict(filter=KERNEL[None, None], noise_model=dp.GaussianNoise(0.1))
OPERATORS = {
    "circular": (lambda: deblur(KERNEL, 0.1), CircularData),
    "mask": (lambda: inpaint(MASK, 0.1), MaskData),
    "mask per channel": (lambda: inpaint(MASKS, 0.1), MaskData),
    "valid": (lambda: deblur(KERNEL, 0.1, "valid"), ValidData),
    "reflect": (lambda: deblur(KERNEL, 0.1, "reflect"), LinearData),
    "deepinv circular": (lambda: dp.Blur(padding="circular", **FOREIGN), CircularData),
    "deepinv fft": (lambda: dp.BlurFFT((C, H, W), **FOREIGN), CircularData),
    "deepinv blur for each image": (lambda: dp.Blur(EACH), LinearData),
    "deepinv fft for each image": (lambda: dp.Blur(EACH, padding="circular"), CircularData),
    "deepinv mask for each image": (lambda: dp.Inpainting((C, H, W), image(B, C, H, W)), MaskData),
    "deepinv denoising": (lambda: dp.Denoising(dp.GaussianNoise(0.1)), MaskData),
}
TAU = torch.tensor([0.002, 0.1, 3.0])
NOISE = torch.tensor([0.5, 0.1, 0.02])


def problem(name, noise=NOISE, tol=1e-13, dtype=torch.float64):
    """A term, its operator also as dense matrices [B, m, n], y = A x + noise, v to take it at."""
    make, kind = OPERATORS[name]
    op, x = make(), image(B, C, H, W, seed=3)
    y = op.A(x) + 0.1 * image(*op.A(x).shape, seed=4)
    y = y * (op.mask != 0) if kind is MaskData else y
    units = torch.eye(C * H * W, dtype=x.dtype).view(-1, 1, C, H, W).expand(-1, B, -1, -1, -1)
    A = torch.stack([op.A(e).flatten(1) for e in units], 2)
    f = data_term(y.to(dtype), op, noise=noise, tol=tol)
    assert isinstance(f, kind)
    return SimpleNamespace(f=f, op=op, A=A, y=y, x=x, v=image(B, C, H, W, seed=5))


def dense_prox(p, v, s):
    """(I + s A^T A)^-1 (v + s A^T y), s [B]."""
    s, right = s.view(-1, 1, 1), v.flatten(1)[..., None]
    matrix = torch.eye(right.shape[1], dtype=v.dtype) + s * p.A.mT @ p.A
    return torch.linalg.solve(matrix, right + s * p.A.mT @ p.y.flatten(1)[..., None]).view_as(v)


everywhere = pytest.mark.parametrize("name", OPERATORS)


@everywhere
def test_prox_is_the_dense_solution(name):
    p, w = problem(name), NOISE.double() ** -2
    assert relative(p.f.prox(p.v, TAU), dense_prox(p, p.v, TAU * w)) < 1e-10
    assert relative(p.f.prox(p.v, 0.3), dense_prox(p, p.v, 0.3 * w)) < 1e-10
    assert torch.equal(p.f.prox(p.v, 0.0), p.v)
    for forgotten in (TAU.double(), w, TAU * w / 2):
        assert relative(p.f.prox(p.v, TAU), dense_prox(p, p.v, forgotten)) > 1e-3


@pytest.mark.parametrize("name", [name for name in OPERATORS if "deepinv" not in name])
def test_prox_in_float32(name):
    p = problem(name, tol=1e-5, dtype=torch.float32)
    exact, got = dense_prox(p, p.v, 0.01 * NOISE.double() ** -2), p.f.prox(p.v.float(), 0.01)
    assert got.dtype == torch.float32 and relative(got.double(), exact) < 1e-4


@everywhere
def test_value_is_the_sum_of_its_definition_and_grad_its_derivative(name):
    p = problem(name)
    w, x = NOISE.double() ** -2, p.v.clone().requires_grad_()
    value = p.f.value(x)
    assert value.dtype == torch.float64 and value.shape == (B,)
    for b in range(B):
        r = (p.A[b] @ p.v[b].flatten() - p.y[b].flatten()).tolist()
        assert value[b].item() == pytest.approx(w[b].item() * sum(e * e for e in r) / 2, rel=1e-12)
    (slope,) = torch.autograd.grad(value.sum(), x)
    assert relative(p.f.grad(p.v), slope) < 1e-12
    assert relative(data_term(p.y, p.op, noise=1.0).grad(p.v), slope) > 0.1  # a forgotten weight


@everywhere
def test_no_rival_beats_the_prox(name):
    p = problem(name)
    best, wrong = p.f.prox(p.v, TAU), p.f.prox(p.v, 1.1 * TAU)

    def objective(x):
        return (x - p.v).square().flatten(1).sum(1) / 2 + TAU * p.f.value(x)

    rivals = [p.v, p.x, 0 * p.v, wrong, p.f.prox(p.v, TAU / 2)]
    rivals += [best + 10 ** (-k / 4) * (image(B, C, H, W, seed=k) - 0.5) for k in range(20)]
    assert all((objective(best) <= objective(r) * (1 + 1e-13)).all() for r in rivals)
    assert (objective(wrong) > objective(best)).all()


@everywhere
def test_each_image_is_by_itself(name):
    p, chosen = problem(name, tol=1e-12), torch.tensor([2, 0])
    p.f.prox(p.v, TAU)  # leaves a warm start
    part = p.f.select(chosen)
    for got, at in [(part, chosen), (part.select(torch.tensor([1])), slice(0, 1))]:
        assert relative(got.prox(p.v[at], TAU[at]), p.f.prox(p.v, TAU)[at]) < 1e-10
        assert relative(got.grad(p.v[at]), p.f.grad(p.v)[at]) < 1e-14
        assert got.value(p.v[at]).tolist() == pytest.approx(p.f.value(p.v)[at].tolist(), rel=1e-14)
        assert got.lipschitz().tolist() == pytest.approx(p.f.lipschitz()[at].tolist(), rel=1e-3)
    assert relative(part.prox(p.v[chosen], TAU[:2]), p.f.prox(p.v, TAU)[chosen]) > 1e-3
    if "each" not in name:
        alone = data_term(p.y[:1], p.op, noise=NOISE[:1], tol=1e-12)
        assert relative(alone.prox(p.v[:1], TAU[:1]), p.f.prox(p.v, TAU)[:1]) < 1e-10


@everywhere
def test_lipschitz_is_the_largest_eigenvalue(name):
    p = problem(name)
    exact = NOISE.double() ** -2 * torch.linalg.eigvalsh(p.A.mT @ p.A)[:, -1]
    ratio = p.f.lipschitz() / exact
    assert (ratio > 1 - 1e-12).all() and (ratio < 1.055).all()


@pytest.mark.parametrize("name", ["circular", "mask", "valid", "reflect"])
def test_deepinv_finds_the_same_prox(name):
    p = problem(name, noise=None)
    other = p.op.prox_l2(p.v, p.y, 0.02 / 0.1**2, solver="lsqr", max_iter=500, tol=1e-13)
    assert relative(p.f.prox(p.v, 0.02), other) < 1e-10


def test_weights():
    op, y = deblur(KERNEL, 0.05), image(B, C, H, W)
    assert data_term(y, op).weight.tolist() == pytest.approx([400] * B, rel=1e-14)
    assert data_term(y, op, strength=0.5).weight.tolist() == pytest.approx([200] * B, rel=1e-14)
    assert data_term(y, op, noise=2.0).weight.tolist() == [0.25] * B
    assert data_term(y, deblur(KERNEL)).weight.tolist() == [1] * B
    op.noise_model = dp.UniformNoise()  # of no single level
    assert data_term(y, op, strength=EACH[:, 0, 0, 0]).weight.tolist() == EACH[:, 0, 0, 0].tolist()
    f = data_term(torch.where(MASK, y, torch.nan), inpaint(MASK))
    assert (f.value(y) == 0).all() and torch.equal(f.prox(y, 1.0), y)


def test_columns_of_even_width_and_images_of_mean_zero_are_counted_right():
    y = image(2, 1, 5, 8)  # the width in OPERATORS is odd
    misfit = (OP.A(y / 3) - y).square().flatten(1).sum(1) / 2
    assert data_term(y, OP, noise=1.0).value(y / 3).tolist() == pytest.approx(misfit.tolist())
    slope = dp.LinearPhysics(A=lambda x: x.roll(1, 3) - x, A_adjoint=lambda y: y.roll(-1, 3) - y)
    assert all(4 <= bound < 4.22 for bound in data_term(y, slope).lipschitz().tolist())


def test_a_warm_start_is_cheaper_and_changes_nothing():
    p = problem("reflect", tol=1e-9)
    calls, plain = [], p.op.A
    p.op.A = lambda x: (calls.append(len(x)), plain(x))[1]
    p.f.prox(p.v, 0.01)
    cold, near = len(calls), p.v + 1e-5 * image(B, C, H, W, seed=6)
    part = p.f.select(torch.tensor([1, 2]))  # takes the warm start along
    part.prox(near[1:], 0.01)
    again = len(calls)
    warm = p.f.prox(near, 0.01)
    assert max(again - cold, len(calls) - again) < 0.7 * cold
    assert relative(warm, data_term(p.y, p.op, noise=NOISE, tol=1e-9).prox(near, 0.01)) < 1e-7
    assert (p.op.tol, p.op.max_iter, p.op.solver) == (1e-4, 50, "lsqr")  # deepinv's would stay


def test_its_value_comes_with_the_prox(monkeypatch):
    p = problem("reflect", tol=1e-6)
    x, value = p.f.prox_and_value(p.v, TAU)
    assert value.tolist() == pytest.approx(p.f.value(x).tolist(), rel=1e-12)
    assert (value / p.f.value(p.v) - 1).abs().min() > 1e-3
    assert torch.equal(x, data_term(p.y, p.op, noise=NOISE, tol=1e-6).prox(p.v, TAU))
    # an image whose sweep made it worse keeps its start, and the value of its start
    short = data_term(p.y, p.op, noise=NOISE, tol=1e-13, max_steps=1)
    short.stopped_short.append(Missed(1.0, (0,)))  # said before
    sweep = linear_systems._sweep

    def worse(*args):
        x, steps = sweep(*args)
        return torch.cat([x[:1] + 100, x[1:]]), steps

    monkeypatch.setattr(linear_systems, "_sweep", worse)
    x, value = short.prox_and_value(p.v, TAU)
    assert torch.equal(x[0], p.v[0]) and not torch.equal(x[1], p.v[1])
    assert value.tolist() == pytest.approx(short.value(x).tolist(), rel=1e-12)


def test_a_start_that_is_good_enough_costs_one_product_each_way():
    p, calls = problem("reflect", tol=1e-6), []
    there, back = p.op.A, p.op.A_adjoint
    p.op.A = lambda x: (calls.append("A"), there(x))[1]
    p.op.A_adjoint = lambda y: (calls.append("A^T"), back(y))[1]
    p.f.prox(p.v, 0.01)
    calls.clear()
    p.f.prox_and_value(p.v, 0.01)
    assert calls == ["A", "A^T"]


def test_what_the_operator_does_not_see_stays_exactly_however_loose_tol_is():
    mask = inpaint(MASK, 0.01)
    op = dp.LinearPhysics(A=mask.A, A_adjoint=mask.A_adjoint, noise_model=dp.GaussianNoise(0.01))
    f = data_term(mask.A(image(B, C, H, W)), op, tol=0.5)
    for v in (image(B, C, H, W, seed=seed) for seed in range(3)):
        assert torch.equal(f.prox(v, 1.0)[..., ~MASK], v[..., ~MASK])


def test_stopping_short_is_said_once_and_counted():
    p = problem("reflect")
    f = data_term(p.y, p.op, noise=0.001, tol=1e-12, max_steps=3)
    with pytest.warns(UserWarning, match="stopped short of tol = 1e-12.*after 3 steps.*max_steps"):
        f.prox(p.v, 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        f.select(torch.tensor([1])).prox(p.v[1:2], 1.0)
        data_term(p.y, p.op, tol=1e-12).prox(p.v, 0.1)
    assert {m.images: m.residual > 1e-12 for m in f.stopped_short} == {(0, 1, 2): True, (1,): True}
    single = data_term(p.y.float(), p.op, noise=1e-3, tol=1e-12)
    with pytest.warns(UserWarning, match="because of rounding in torch.float32"):
        single.prox(p.v.float(), 1.0)


Y, OP = image(B, C, H, W), deblur(KERNEL, 0.1)
BAD = [
    (lambda: data_term(Y, dp.Physics()), TypeError, "deepinv LinearPhysics, got Physics"),
    (lambda: data_term(np.ones((1, 1, 6, 7)), OP), TypeError, "got ndarray"),
    (lambda: data_term(Y.to(torch.complex64), OP), TypeError, "got torch.complex64"),
    (lambda: data_term(Y / (Y > 0.01), OP), ValueError, "measurements are NaN or infinite"),
    (lambda: data_term(Y, OP, noise=0), ValueError, "noise is positive and finite, got 0"),
    (lambda: data_term(Y, OP, noise=torch.ones(2)), ValueError, r"B = 3, got \[2\]"),
    (lambda: data_term(Y, OP, 1.0, -1), ValueError, "strength is positive and finite, got -1"),
    (lambda: data_term(Y, OP, tol=0), ValueError, "0 < tol < 1, got 0"),
    (lambda: data_term(Y, OP, max_steps=0), ValueError, "max_steps >= 1, got 0"),
    (lambda: data_term(Y[..., 1:], inpaint(MASK)), ValueError, "the image has"),
    (lambda: data_term(Y, OP).value(Y[:1]), ValueError, r"images \[3, 2, 6, 7\], got \[1, 2"),
    (lambda: data_term(Y, OP).prox(Y, torch.ones(2)), ValueError, r"B = 3, got \[2\]"),
    (lambda: data_term(Y, OP).prox(Y, -1.0), ValueError, "tau >= 0, got -1"),
]


@pytest.mark.parametrize("call, error, message", BAD, ids=[message for _, _, message in BAD])
def test_bad_input_is_refused_in_a_sentence(call, error, message):
    with pytest.raises(error, match=message):
        call()
