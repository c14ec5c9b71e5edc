"""Counting noise: its variance, its empty rays, and the data term that it weights."""

import math

import pytest
import torch

from proxlab import operators
from proxlab.jobs import restore
from proxlab.operators import PhotonCounts
from proxlab.restoration.data_terms import data_term


def draw(seed: int, x: torch.Tensor, model: PhotonCounts) -> torch.Tensor:
    return model(x, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("integral", [0.0, 10.0, 40.0])
def test_precision_is_one_over_the_variance(integral):
    model = PhotonCounts(1e5, 0.06)
    x = torch.full((1, 1, 100, 200), integral, dtype=torch.float64)
    y = draw(0, x, model)
    right = 0.06**2 * 1e5 * math.exp(-0.06 * integral)
    assert float(model.precision(x)[0, 0, 0, 0]) == pytest.approx(right)
    assert float(y.var() * right) == pytest.approx(1, abs=0.04)
    assert abs(float(y.mean()) - integral) < 5 / math.sqrt(right * y.numel())


def test_rays_without_a_photon_stay_numbers():
    model = PhotonCounts(10, 1.0)
    y = draw(0, torch.full((1, 1, 4, 4), 50.0), model)
    assert y.isfinite().all() and (y == y[0, 0, 0, 0]).all()
    assert float(y[0, 0, 0, 0]) == pytest.approx(math.log(10 / 0.5))
    assert (model.precision(y) > 0).all()


def test_the_generator_alone_decides():
    model, x = PhotonCounts(100, 0.1), torch.rand(1, 1, 6, 5)
    assert torch.equal(draw(3, x, model), draw(3, x, model))
    assert not torch.equal(draw(3, x, model), draw(4, x, model))
    assert draw(3, x, model).dtype == torch.float32


@pytest.mark.parametrize("photons, attenuation", [(0, 1.0), (1e5, -1.0), (math.nan, 1.0)])
def test_nonsense_is_refused(photons, attenuation):
    with pytest.raises(ValueError, match="positive and finite, got"):
        PhotonCounts(photons, attenuation)


def scene():
    """A tiny scan, its dense matrix, measurements of two images of which the rays see much."""
    op = operators.ct(5, 4, noise=PhotonCounts(200, 0.6))
    eye = torch.eye(25, dtype=torch.float64).view(25, 1, 5, 5)
    A = op.A(eye).flatten(1).T
    x = torch.rand(2, 1, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return op, A, op(x, generator=torch.Generator().manual_seed(1))


def dense(A, y, W, v, tau):
    """(I + tau A^T W A)^-1 (v + tau A^T W y), each image."""
    solved = []
    for b in range(len(y)):
        w, data, start = W[b].flatten(), y[b].flatten(), v[b].flatten()
        left = torch.eye(A.shape[1]).to(A) + tau * A.T @ (w[:, None] * A)
        solved.append(torch.linalg.solve(left, start + tau * A.T @ (w * data)))
    return torch.stack(solved).view_as(v)


def test_the_weighted_prox_is_that_of_a_dense_solve():
    op, A, y = scene()
    v, tau = torch.full((2, 1, 5, 5), 0.3, dtype=torch.float64), 0.02
    W = op.noise_model.precision(y)
    x = data_term(y, op, tol=1e-12).prox(v, tau)
    assert (x - dense(A, y, W, v, tau)).norm() < 1e-9 * x.norm()
    flat = W.flatten(1).mean(1).view(-1, 1, 1, 1).expand_as(W)
    assert (x - dense(A, y, flat, v, tau)).norm() > 1e-3 * x.norm()  # weights matter here


def test_value_and_gradient_belong_together():
    op, A, y = scene()
    f, W = data_term(y, op), op.noise_model.precision(y)
    x = torch.full((2, 1, 5, 5), 0.4, dtype=torch.float64, requires_grad=True)
    r = x.flatten(1) @ A.T - y.flatten(1)
    torch.testing.assert_close(f.value(x), (W.flatten(1) * r**2).sum(1) / 2)
    (slope,) = torch.autograd.grad(f.value(x).sum(), x)
    torch.testing.assert_close(f.grad(x.detach()), slope)


def test_selected_images_keep_their_weights():
    op, _, y = scene()
    f = data_term(y, op, tol=1e-12)
    v = torch.full((2, 1, 5, 5), 0.3, dtype=torch.float64)
    torch.testing.assert_close(f.select(torch.tensor([1])).prox(v[1:], 0.02), f.prox(v, 0.02)[1:])


def test_restore_takes_the_weights_of_the_counts():
    op, _, y = scene()

    class Nothing:
        exact = convex = True

        def prox(self, v, sigma):
            return v

        def prox_and_value(self, v, sigma):
            return v, v.new_zeros(len(v))

    told = restore(y, op, Nothing(), "pgd", sigma=0.05, steps=30)
    f = data_term(y, op)
    assert float(told.trace.data_misfit[-1, 0]) == pytest.approx(float(f.value(told.image)[0]))


def test_counts_are_weighted_where_a_prox_has_a_closed_form_too():
    op = operators.inpaint(torch.ones(4, 5), noise=0.1)
    op.noise_model = PhotonCounts(200, 0.6)
    y = op(torch.rand(1, 1, 4, 5, generator=torch.Generator().manual_seed(0)).double())
    f, W = data_term(y, op, tol=1e-12), op.noise_model.precision(y)
    v = torch.full_like(y, 0.3)
    torch.testing.assert_close(f.prox(v, 0.02), (v + 0.02 * W * y) / (1 + 0.02 * W))
