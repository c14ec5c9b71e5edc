"""The data term of a blur whose borders nobody knows: against dense solves, and what it costs."""

import warnings
from types import SimpleNamespace

import pytest
import torch

from proxlab.operators import deblur, gaussian_kernel
from proxlab.operators.blur import PaddedBlur
from proxlab.operators.contract import Accuracy
from proxlab.operators.data_terms.circular import CircularData
from proxlab.operators.data_terms.valid import ValidData
from proxlab.operators.noise import Noise, Weights
from proxlab.restoration.data_terms import data_term
from tests.images.pictures import image, relative

B, C, H, W = 3, 2, 6, 7
"""Of the measurement."""
KERNELS = {
    "one": image(1, 1, 3, 5, seed=9) / 8,
    "row": image(1, 1, 1, 5, seed=9) / 3,
    "signed": image(1, 1, 5, 3, seed=9) - 0.4,
    "each image": image(B, 1, 3, 3, seed=8) / 5,
    "each channel": image(1, C, 3, 3, seed=8) / 5,
}
WEIGHT = torch.tensor([4.0, 100.0, 2500.0], dtype=torch.float64)
TAU = torch.tensor([0.002, 0.1, 0.3])


def problem(name, weighted, tol=1e-12, dtype=torch.float64, max_steps=500):
    """A term, A as dense matrices [B, m, n] by torch's own convolution, and v to take a prox at."""
    kernel, y = KERNELS[name], image(B, C, H, W, seed=4)
    entry = (image(B, C, H, W, seed=6) > 0.3) * (0.1 + image(B, C, H, W, seed=7))
    entry = entry / entry.mean((1, 2, 3), keepdim=True)
    size = (H + kernel.shape[2] - 1, W + kernel.shape[3] - 1)
    units = torch.eye(C * size[0] * size[1], dtype=torch.float64).view(-1, C, *size)
    flipped = kernel.flip(2, 3).expand(B, C, -1, -1)
    A = torch.stack(
        [
            torch.nn.functional.conv2d(units, each[:, None], groups=C).flatten(1).mT
            for each in flipped
        ]
    )
    weights = Weights(WEIGHT, entry.to(dtype) if weighted else None)
    f = ValidData(y.to(dtype), kernel, weights, Accuracy(tol, max_steps))
    D = entry if weighted else torch.ones_like(entry)
    return SimpleNamespace(f=f, A=A, y=y, D=D, v=image(B, C, *size, seed=5))


def dense_prox(p, s):
    """(I + s A^T W A)^-1 (v + s A^T W y), s [B]; and the right-hand side's norm."""
    s, v = s.view(-1, 1, 1), p.v.flatten(1)[..., None]
    back = s * p.A.mT * p.D.flatten(1)[:, None]
    right = v + back @ p.y.flatten(1)[..., None]
    matrix = torch.eye(v.shape[1], dtype=v.dtype) + back @ p.A
    return torch.linalg.solve(matrix, right).view_as(p.v), right.flatten(1).norm(dim=1)


def error(p, tau=TAU):
    """|x - prox| over |v + s A^T W y|, [B]."""
    exact, size = dense_prox(p, tau * WEIGHT)
    return (p.f.prox(p.v, tau) - exact).flatten(1).norm(dim=1) / size


everywhere = pytest.mark.parametrize("name", KERNELS)
both = pytest.mark.parametrize("weighted", [False, True])


@everywhere
@both
def test_prox_is_the_dense_solution(name, weighted):
    assert (error(problem(name, weighted)) < 1e-12).all()
    assert (error(problem(name, weighted), torch.tensor([0.0, 1e-6, 0.05])) < 1e-12).all()


def leaking(monkeypatch):
    """The convolution wraps around: the frame on one side blurs into what lies on the other."""

    def misfit(f, x):
        spectrum = torch.fft.rfft2(KERNELS["one"], s=x.shape[2:])
        blurred = torch.fft.irfft2(spectrum * torch.fft.rfft2(x), s=x.shape[2:])
        return f.seen - f._weighted(blurred[..., :H, :W])

    monkeypatch.setattr(ValidData, "_misfit", misfit)


def shifted(monkeypatch):
    """y read one row too high."""
    misfit = ValidData._misfit
    monkeypatch.setattr(ValidData, "_misfit", lambda f, x: misfit(f, x.roll(1, 2)))


def not_adjoint(monkeypatch):
    """A where its adjoint belongs: the kernel is not flipped."""
    adjoint = ValidData._adjoint
    monkeypatch.setattr(ValidData, "_adjoint", lambda f, t: adjoint(f, t).flip(2, 3))


def weighted_once(monkeypatch):
    """D forgotten on one side of A A^T."""
    monkeypatch.setattr(ValidData, "_gram", lambda f, t: f._convolved(f.power, f._weighted(t)))


@pytest.mark.parametrize("mistake", [leaking, shifted, not_adjoint, weighted_once])
def test_that_check_catches_planted_mistakes(mistake, monkeypatch):
    mistake(monkeypatch)
    p = problem("one", weighted=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it may not come to an end
        assert (error(p) > 1e-4).any()


@everywhere
@both
@pytest.mark.parametrize("tol", [1e-1, 1e-3, 1e-6])
def test_the_prox_is_as_near_as_tol_says(name, weighted, tol):
    for tau in (TAU, TAU / 30, 30 * TAU):
        assert (error(problem(name, weighted, tol), tau) <= tol).all()


def test_that_check_catches_a_bound_that_is_none(monkeypatch):
    follows = ValidData._follows
    monkeypatch.setattr(ValidData, "_follows", lambda f, s: follows(f, s) / 1e4)
    assert (error(problem("one", False, 1e-3)) > 1e-3).any()


@everywhere
@both
def test_value_grad_and_bound_are_those_of_the_definition(name, weighted):
    p = problem(name, weighted)
    r = (p.A @ p.v.flatten(1)[..., None])[..., 0] - p.y.flatten(1)
    D = p.D.flatten(1)
    assert torch.allclose(p.f.value(p.v), WEIGHT * (D * r * r).sum(1) / 2, rtol=1e-12)
    slope = WEIGHT[:, None] * (p.A.mT @ (D * r)[..., None])[..., 0]
    assert relative(p.f.grad(p.v), slope.view_as(p.v)) < 1e-12
    exact = WEIGHT * torch.linalg.eigvalsh(p.A.mT * D[:, None] @ p.A)[:, -1]
    ratio = p.f.lipschitz() / exact
    assert (ratio > 1 - 1e-12).all() and (ratio < 1.06).all()


@both
def test_its_value_comes_with_a_prox_however_loose(weighted):
    p = problem("one", weighted, tol=0.1)
    x, value = p.f.prox_and_value(p.v, TAU)
    assert torch.allclose(value, p.f.value(x), rtol=1e-12)
    assert (value / p.f.value(p.v) - 1).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["one", "each image"])
@both
def test_each_image_is_by_itself(name, weighted):
    p, chosen = problem(name, weighted, tol=1e-13), torch.tensor([2, 0])
    whole = p.f.prox(p.v, TAU)  # leaves a warm start
    part = p.f.select(chosen)
    for got, at in [(part, chosen), (part.select(torch.tensor([1])), slice(0, 1))]:
        assert relative(got.prox(p.v[at], TAU[at]), whole[at]) < 1e-11
        assert relative(got.grad(p.v[at]), p.f.grad(p.v)[at]) < 1e-13
        assert torch.allclose(got.value(p.v[at]), p.f.value(p.v)[at], rtol=1e-13)
    spoilt = p.v.clone()
    spoilt[1, 0, 2, 2] = torch.nan
    found = problem(name, weighted, tol=1e-13).f.prox(spoilt, TAU)
    assert found[1].isnan().all() and relative(found[chosen], whole[chosen]) < 1e-11


def scene(side=48, dtype=torch.float32):
    """A blurred smooth image with an edge, and its operator."""
    line = torch.linspace(0, 1, side, dtype=dtype)
    x = (0.5 * line + 0.4 * (line[:, None] > 0.6))[None, None] + 0.05 * image(1, 1, side, side)
    op = deblur(gaussian_kernel(1.6), 0.01, "valid")
    return op, op(x.to(dtype), generator=torch.Generator().manual_seed(0))


def test_the_preconditioner_saves_steps_and_changes_nothing(monkeypatch):
    op, y = scene()
    v, counts, found = op.first_estimate(y), [], []
    for near in (ValidData._inverse, lambda *_: None):
        monkeypatch.setattr(ValidData, "_inverse", near)
        f = data_term(y, op, tol=1e-6)
        found.append(f.prox(v, 200 / float(f.weight)))
        counts.append(f.inner_steps)
        assert not f.stopped_short
    assert counts[0] < counts[1] / 2
    assert relative(*found) < 2e-6 * 201  # tol |v + s A^T y| each


def test_a_warm_start_is_cheaper():
    op, y = scene()
    f, v = data_term(y, op), op.first_estimate(y)
    f.prox(v, 1 / float(f.weight))
    cold = f.inner_steps
    f.prox(v + 1e-4 * image(*v.shape, dtype=v.dtype), 1 / float(f.weight))
    assert 0 < f.inner_steps - cold < cold
    part = f.select(torch.tensor([0]))
    part.prox(v + 1e-4 * image(*v.shape, dtype=v.dtype), 1 / float(f.weight))
    assert part.inner_steps == 0


def test_stopping_short_is_said_once_and_counted():
    p = problem("one", False, max_steps=1)
    with pytest.warns(UserWarning, match="stopped short of tol = 1e-12.*after 1 steps.*max_steps"):
        p.f.prox(p.v, TAU)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        p.f.select(torch.tensor([1])).prox(p.v[1:2], TAU[1:2])
    assert [m.images for m in p.f.stopped_short][1:] == [(1,)]
    single = problem("one", False, dtype=torch.float32)
    with pytest.warns(UserWarning, match="because of rounding in torch.float32"):
        single.f.prox(single.v.float(), 0.3)


def far_influence(make, y):
    """How much the left half of a prox changes with the measurement's right edge."""
    other = y.clone()
    other[..., -4:] += 0.5
    ends = []
    for each in (y, other):
        f, start = make(each)
        ends.append(f.prox(start, 100 / float(f.weight))[..., : y.shape[3] // 2])
    return float((ends[0] - ends[1]).abs().max())


def test_no_edge_blurs_into_the_opposite_one():
    op, y = scene()
    around = deblur(gaussian_kernel(1.6), 0.01)
    start = op.first_estimate(y)  # the same for both: what differs is the measurement alone
    assert far_influence(lambda y: (data_term(y, op), start), y) < 1e-3
    wrapped = far_influence(lambda y: (data_term(y, around), around.first_estimate(y * 0)), y)
    assert isinstance(data_term(y, around), CircularData) and wrapped > 0.05


def test_inside_is_where_the_measurement_was_seen():
    x = torch.zeros(1, 1, 12, 13)
    x[..., 5, 6] = 1
    for size in ((3, 5), (1, 5), (7, 1)):
        kernel = torch.zeros(size)
        kernel[size[0] // 2, size[1] // 2] = 1  # blurs nothing, so y is x where it was seen
        op = deblur(kernel, boundary="valid")
        y = op.A(x)
        assert op.inside(x).shape == y.shape and torch.allclose(op.inside(x), y, atol=1e-6)
        assert not torch.allclose(op.inside(x.roll(1, 3)), y, atol=1e-6)
    for boundary in ("circular", "reflect"):
        assert deblur(gaussian_kernel(0.5), boundary=boundary).inside(x) is x


def test_a_filter_of_each_image_goes_through_the_operator():
    op = PaddedBlur(KERNELS["each image"], "valid", Noise(0.1))
    y = op.A(image(B, 1, H + 2, W + 2))
    f = data_term(y, op, tol=1e-12)
    x = f.prox(image(B, 1, H + 2, W + 2, seed=1), 0.1)
    v = image(B, 1, H + 2, W + 2, seed=1)
    gap = x - v + 0.1 * 100 * op.A_adjoint(op.A(x) - y)
    assert relative(gap + v, v) < 1e-9
