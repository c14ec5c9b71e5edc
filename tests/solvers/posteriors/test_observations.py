"""Draws given a measurement: how far they may be from exact ones, and what they cost."""

import pytest
import torch
from torch import Tensor

from solvers import LinearObservation
from solvers.posteriors.covariances import Applied

f64 = torch.float64
DIMENSION, MEASURED = 40, 25


def problem():
    generator = torch.Generator().manual_seed(0)
    A = torch.randn(MEASURED, DIMENSION, generator=generator, dtype=f64)
    root = torch.randn(DIMENSION, DIMENSION, generator=generator, dtype=f64) / DIMENSION**0.5
    variance = torch.logspace(-1, 0, MEASURED, dtype=f64)
    y = torch.randn(3, MEASURED, generator=generator, dtype=f64)
    return A, root @ root.T, variance, y


def observation(tol: float, calls: list | None = None) -> LinearObservation:
    A, _, variance, y = problem()

    def forward(x: Tensor) -> Tensor:
        if calls is not None:
            calls.append(len(x))
        return x @ A.T

    return LinearObservation(forward, lambda w: w @ A, y, variance, tol=tol)


def drawn(by: LinearObservation) -> Tensor:
    _, C, _, _ = problem()
    zero = torch.zeros(3, DIMENSION, dtype=f64)
    return by.draw(zero, Applied(lambda u: u @ C, DIMENSION), torch.zeros_like)


def deviations(x: Tensor) -> Tensor:
    """Distance from the exact draw in deviations of the posterior, for each entry of y."""
    A, C, variance, y = problem()
    precision = torch.linalg.inv(C) + A.T @ (A / variance[:, None])
    exact = torch.linalg.solve(precision, A.T @ (y / variance).T).T
    error = x - exact
    return (((error @ precision) * error).sum(1) / MEASURED).sqrt()


@pytest.mark.parametrize("tol", [0.5, 0.1, 1e-3])
def test_a_draw_errs_by_no_more_deviations_than_it_says(tol):
    assert (deviations(drawn(observation(tol))) <= tol).all()
    assert (deviations(drawn(observation(30 * tol))) > tol).any()


def test_a_looser_draw_costs_less_and_no_product_is_made_twice():
    costs = []
    for tol in (1.0, 0.1, 1e-6):
        calls, by = [], observation(tol)
        drawn(observation(tol, calls))
        drawn(by)
        # and A of the mean, of z and C z, and of the answer at the end
        assert by.products + 4 <= len(calls) <= by.products + 5
        costs.append(by.products)
    assert costs == sorted(costs) and costs[0] < costs[-1] / 2


def test_an_image_is_drawn_as_it_is_alone():
    by = observation(0.1)
    together = drawn(by)
    by.y = by.y[2:]
    _, C, _, _ = problem()
    alone = by.draw(
        torch.zeros(1, DIMENSION, dtype=f64), Applied(lambda u: u @ C, DIMENSION), torch.zeros_like
    )
    torch.testing.assert_close(alone, together[2:], rtol=1e-4, atol=1e-5)
