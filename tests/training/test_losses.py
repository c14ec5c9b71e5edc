"""The losses: their minimisers, their units, and what gamma does."""

import pytest
import torch

from proxlab.training.losses import (
    ProximalMatching,
    balanced_absolute_error,
    balanced_squared_error,
)

ONE = torch.ones(1)


def constant_minimiser(loss, clean):
    """The number that a loss likes best for all of `clean` [B, 1, 1, 1], on a grid of 0.01."""
    grid = torch.arange(-1, 3, 0.01, dtype=clean.dtype)
    values = [float(loss(torch.full_like(clean, float(z)), clean, ONE)) for z in grid]
    return float(grid[torch.tensor(values).argmin()])


@pytest.fixture(scope="module")
def exponential():
    """Points whose mode is 0, median log 2, mean 1."""
    u = (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000
    return -u.log().view(-1, 1, 1, 1)


def test_mean_median_and_mode(exponential):
    sharp = ProximalMatching(0.05, growth=0)
    assert constant_minimiser(balanced_squared_error, exponential) == pytest.approx(1, abs=0.02)
    assert constant_minimiser(balanced_absolute_error, exponential) == pytest.approx(0.69, abs=0.02)
    assert 0 <= constant_minimiser(sharp, exponential) < 0.1


def test_a_large_gamma_is_the_squared_loss(exponential):
    assert constant_minimiser(ProximalMatching(50.0, growth=0), exponential) > 0.95


def test_gamma_is_an_error_per_pixel_that_grows_with_the_noise():
    loss, clean = ProximalMatching(0.04), torch.zeros(1, 1, 7, 9)
    for level, gamma in ((25, 0.04), (50, 0.04 * 2**0.6)):
        value = loss(torch.full_like(clean, gamma), clean, torch.tensor([level / 255]))
        assert float(value) == pytest.approx(1 - torch.e**-1)


def test_absolute_error_balances_levels():
    clean, error = torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8)
    at = [float(balanced_absolute_error(error, clean, torch.tensor([s / 255]))) for s in (25, 50)]
    assert at[0] / at[1] == pytest.approx(2**0.6)


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="positive, got 0"):
        ProximalMatching(0)
