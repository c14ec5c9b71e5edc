"""Data terms of counts: prox, value and gradient belong together, whatever the operator."""

import warnings
from dataclasses import replace

import deepinv
import pytest
import torch

from proxlab import operators
from proxlab.operators.contract import Accuracy
from proxlab.operators.counts.data_terms import BlurredCounts, MaskedCounts
from proxlab.operators.data_term_checks import check_data_term
from proxlab.operators.foreign import as_operator
from proxlab.restoration.data_terms import data_term

CAMERA = operators.CameraNoise(1 / 20, read=0.02)


def kernel():
    return operators.gaussian_kernel(0.8)


OPERATORS = {
    "mask": (lambda: operators.inpaint(mask(), CAMERA), MaskedCounts),
    "deepinv mask": (lambda: deepinv_mask(), MaskedCounts),
    "denoising": (
        lambda: deepinv.physics.Denoising(deepinv.physics.PoissonNoise(0.05)),
        MaskedCounts,
    ),
    "blur": (lambda: operators.deblur(kernel(), CAMERA), BlurredCounts),
    "mirrored blur": (lambda: operators.deblur(kernel(), CAMERA, "reflect"), BlurredCounts),
    "deepinv blur": (lambda: deepinv_blur(), BlurredCounts),
}


def mask():
    return operators.random_mask((12, 12), 0.4, torch.Generator().manual_seed(1))


def deepinv_mask():
    noise = deepinv.physics.PoissonGaussianNoise(0.05, 0.02, clip_positive=True)
    return deepinv.physics.Inpainting((1, 12, 12), mask()[None].float(), noise_model=noise)


def deepinv_blur():
    noise = deepinv.physics.PoissonNoise(0.05, clip_positive=True)
    return deepinv.physics.Blur(kernel()[None, None].float(), "circular", noise_model=noise)


def scene(name):
    op = OPERATORS[name][0]()
    x = torch.rand(2, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(3)
    return op, x, op(x)


@pytest.mark.parametrize("name", OPERATORS)
def test_prox_value_and_gradient_belong_together(name):
    op, x, y = scene(name)
    f = data_term(y, op, tol=1e-6)
    assert isinstance(f, OPERATORS[name][1])
    for tau in (1e-4, torch.tensor([0.001, 0.01])):
        p = f.prox(x, tau)
        t = tau.view(-1, 1, 1, 1) if isinstance(tau, torch.Tensor) else tau
        assert (p - x + t * f.grad(p)).norm() < 1e-5 * x.norm()
    z = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(f.value(z).sum(), z)
    torch.testing.assert_close(f.grad(x), slope, rtol=1e-3, atol=1e-2)
    assert f.stopped_short in ([], ())


@pytest.mark.parametrize("name", OPERATORS)
def test_the_bound_on_curvature_holds(name):
    op, x, y = scene(name)
    f = data_term(y, op)
    L = f.lipschitz()
    other = x + 0.3 * torch.randn(2, 1, 12, 12)
    e, d = f.grad(x) - f.grad(other), x - other
    assert (e.square().flatten(1).sum(1) <= L * (e * d).flatten(1).sum(1) * 1.001).all()
    dark = torch.full_like(x, -5.0)  # where E bends most
    steep = (f.grad(dark) - f.grad(dark - 0.1)).flatten(1).norm(dim=1) / (0.1 * 12)
    assert (steep <= L * 1.001).all() and (steep > 0.3 * L).all()


class Halved(BlurredCounts):
    """A term that takes half of its gradient."""

    def grad(self, x):
        return super().grad(x) / 2


def test_the_check_before_a_run_sees_a_wrong_term():
    op, x, y = scene("mask")
    f = data_term(y, op)
    y = as_operator(op).usable(y)
    assert check_data_term(f, op, y, x) == ""
    wrong = replace(f, mask=1 - f.mask)
    assert "has a value that differs from that of the likelihood" in check_data_term(
        wrong, op, y, x
    )
    op, x, y = scene("blur")
    f = data_term(y, op)
    assert check_data_term(f, op, y, x) == ""
    wrong = Halved(f.likelihood, f.floor, f.op, f.bound, Accuracy())
    assert "has a gradient that differs from that of the" in check_data_term(wrong, op, y, x)


@pytest.mark.parametrize("name", OPERATORS)
def test_selected_images_are_as_alone(name):
    op, x, y = scene(name)
    f, one = data_term(y, op, tol=1e-6), torch.tensor([1])
    both = f.prox(x, 0.01)
    torch.testing.assert_close(f.select(one).prox(x[1:], 0.01), both[1:], atol=1e-5, rtol=0)
    torch.testing.assert_close(f.select(one).value(x[1:]), f.value(x)[1:])


def test_a_mask_by_newton_s_method_is_its_closed_form():
    op, x, y = (one.double() for one in scene("mask"))  # for float32 has its rounding
    closed = data_term(y, op)
    seen = op.mask

    def product(x, **kwargs):
        return seen * x

    plain = deepinv.physics.LinearPhysics(A=product, A_adjoint=product, noise_model=CAMERA)
    newton = data_term(as_operator(op).usable(y), plain, tol=1e-7)
    assert isinstance(newton, BlurredCounts)
    for tau in (1e-3, 0.1):
        torch.testing.assert_close(newton.prox(x, tau), closed.prox(x, tau), atol=1e-5, rtol=0)


def test_unseen_pixels_keep_what_they_are():
    op, x, y = scene("mask")
    p = data_term(y, op).prox(x, 0.1)
    hidden = (op.mask == 0).expand_as(x)
    assert torch.equal(p[hidden], x[hidden]) and not torch.equal(p, x)
    f = data_term(y, op)
    below, m = f.prox(-x, 0.1), float(f.likelihood.smoothing[0])
    torch.testing.assert_close(below[:1][hidden[:1]], -x[:1][hidden[:1]] / (1 + 0.025 / m))
    assert not torch.equal(data_term(y, op).prox(-x, 0.1), -x)


@pytest.mark.parametrize("name", ["mask", "blur"])
def test_light_is_pushed_above_zero(name):
    op, x, y = scene(name)
    f = data_term(0 * y, op)
    far = f.prox(-x, 1e6)
    assert float(far.min()) > -1e-3 and float(f.value(-x)[0]) > 10 * float(f.value(0 * x)[0] + 1)


def test_an_image_with_nan_spoils_no_other():
    op, x, y = scene("blur")
    spoilt = x.clone()
    spoilt[0, 0, 0, 0] = torch.nan
    f = data_term(y, op)
    p = f.prox(spoilt, 0.01)
    assert p[0].isnan().all()
    torch.testing.assert_close(p[1:], data_term(y, op).prox(x, 0.01)[1:], atol=1e-4, rtol=0)
    torch.testing.assert_close(f.prox(x, 0.01), data_term(y, op).prox(x, 0.01), atol=1e-4, rtol=0)


def test_a_prox_that_stops_short_says_so_once():
    op, x, y = scene("blur")
    f = data_term(y, op, tol=1e-7, max_steps=1)
    with pytest.warns(UserWarning, match="stopped short"):
        f.prox(x, 10.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        f.prox(x + 1, 10.0)
    assert f.stopped_short[0].images == (0, 1) and f.stopped_short[0].residual > f.tol


def test_a_gaussian_is_taken_where_one_is_told_but_not_for_photons():
    op, _x, y = scene("blur")
    assert not isinstance(data_term(y, op, noise=0.1), BlurredCounts)
    op.noise_model = deepinv.physics.PoissonNoise(0.05, normalize=False)
    with pytest.raises(ValueError, match="in photons"):
        data_term(y, op, noise=0.1)
