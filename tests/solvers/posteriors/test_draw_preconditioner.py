"""The preconditioner of a draw: which basis it takes, how near it comes, and what it saves."""

import pytest
import torch
from torch import Tensor

from solvers import LinearObservation
from solvers.posteriors import observations
from solvers.posteriors.covariances import Root, Stationary
from solvers.posteriors.preconditioner import preconditioner

f64 = torch.float64
SIDE, VARIANCE, NOISE = 32, 0.04, 0.02
MASK = (torch.rand(SIDE, SIDE, generator=torch.Generator().manual_seed(0)) < 0.5).to(f64)
FREQUENCY = (
    torch.fft.fftfreq(SIDE, dtype=f64)[:, None].square() + torch.fft.rfftfreq(SIDE).square()
).sqrt()
BLUR = torch.exp(-30 * FREQUENCY.square())
ACROSS = VARIANCE * 10 ** torch.linspace(-2, 0.5, SIDE, dtype=f64)


class Uneven:
    """Pixels that are independent, of variances that rise from left to right."""

    def product(self, u: Tensor, /) -> Tensor:
        return ACROSS * u

    def root(self, z: Tensor) -> Root:
        return Root(ACROSS.sqrt() * z, ACROSS * z)


PHOTOGRAPHS = Stationary(VARIANCE / (1 + (8 * FREQUENCY) ** 2))


def masked(x: Tensor) -> Tensor:
    return MASK * x


def blurred(x: Tensor) -> Tensor:
    return torch.fft.irfft2(BLUR * torch.fft.rfft2(x), s=x.shape[-2:])


def white(count: int = 3, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 1, SIDE, SIDE, generator=generator, dtype=f64)


def made(A, matrix, z: Tensor):
    return preconditioner(A(z) / NOISE, A(matrix.product(z)) / NOISE)


def inverse(A, matrix):
    """(I + A C A^T / s^2)^-1 where A and C are diagonal together: exact."""
    if A is masked:
        return lambda r: r / (1 + MASK * ACROSS / NOISE**2)
    power = 1 + BLUR.square() * matrix.power / NOISE**2
    return lambda r: torch.fft.irfft2(torch.fft.rfft2(r) / power, s=r.shape[-2:])


@pytest.mark.parametrize("A, matrix", [(masked, Uneven()), (blurred, PHOTOGRAPHS)])
def test_it_is_about_the_inverse_where_one_basis_fits(A, matrix):
    z, r = white(), white(seed=2)
    near, exact = made(A, matrix, z)(r), inverse(A, matrix)(r)
    assert (near - exact).norm() / exact.norm() < 0.12
    # planted: the noise of another draw says nothing of this one
    other = preconditioner(A(z) / NOISE, A(matrix.product(white(seed=3))) / NOISE)(r)
    assert (other - exact).norm() / exact.norm() > 0.25


@pytest.mark.parametrize("A, matrix", [(masked, Uneven()), (blurred, PHOTOGRAPHS)])
def test_it_is_linear_symmetric_and_positive(A, matrix):
    apply, u, v = made(A, matrix, white()), white(seed=4), white(seed=5)
    torch.testing.assert_close(apply(u + 2 * v), apply(u) + 2 * apply(v))
    inner = (u * apply(v)).flatten(1).sum(1)
    torch.testing.assert_close(inner, (v * apply(u)).flatten(1).sum(1))
    assert ((u * apply(u)).flatten(1).sum(1) > 0).all()


def test_each_image_has_its_own():
    together = made(blurred, PHOTOGRAPHS, white())(white(seed=2))
    alone = made(blurred, PHOTOGRAPHS, white()[1:2])(white(seed=2)[1:2])
    torch.testing.assert_close(together[1:2], alone)


def drawn(A, matrix, tol: float = 0.1) -> tuple[Tensor, int]:
    truth = white(2, seed=6) * VARIANCE**0.5
    y = A(truth) + NOISE * white(2, seed=7)
    by = LinearObservation(A, A, y, NOISE**2, tol=tol)
    noise = iter((white(2, seed=8), white(2, seed=9)))
    return by.draw(torch.zeros_like(y), matrix, lambda like: next(noise)), by.products


@pytest.mark.parametrize(
    "A, matrix, share",
    [
        (masked, Uneven(), 0.5),
        (blurred, PHOTOGRAPHS, 0.5),
        (masked, PHOTOGRAPHS, 1),
    ],
)
def test_draws_are_the_same_and_cost_less(A, matrix, share, monkeypatch):
    near, costs = drawn(A, matrix)
    exact, _ = drawn(A, matrix, tol=1e-8)
    monkeypatch.setattr(observations, "preconditioner", lambda *_: None)
    plain, before = drawn(A, matrix)
    same, _ = drawn(A, matrix, tol=1e-8)
    assert costs <= share * before
    torch.testing.assert_close(exact, same, rtol=1e-5, atol=1e-7)  # the system is the same
    assert (exact - near).norm() < 2 * (exact - plain).norm()  # and so is its accuracy


@pytest.mark.parametrize("shape", [(7,), (5, 6), (2, 1, 9), (1, 2, 3, 4)])
def test_measurements_of_any_shape_have_one(shape):
    z = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    r = preconditioner(z, 3 * z)(z)
    assert r.shape == z.shape and r.isfinite().all()
    nothing = preconditioner(0 * z, 0 * z)(z)
    torch.testing.assert_close(nothing, z)
