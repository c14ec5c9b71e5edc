"""Distances between samples against closed forms and scipy, and mistakes they must not make."""

import sys
from math import dist, exp

import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.stats import wasserstein_distance

from proxlab.diffusion.distances import mmd, sliced_wasserstein, wasserstein

pytest.importorskip("ot", reason="POT is not installed")


def cloud(n, d, seed=0):
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_a_shift_costs_its_length():
    x, shift = cloud(200, 3), torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    for p in (1, 2):
        assert wasserstein(x, x + shift, p) == pytest.approx(float(shift.norm()), rel=1e-9)
    assert wasserstein(x, x[torch.randperm(200)], 2) < 1e-9
    # Squared distances that are never rooted would pass for a shift of 1, and not here.
    assert abs(wasserstein(x, x + shift, 2) - float(shift.square().sum())) > 1


@pytest.mark.parametrize("n, m", [(80, 80), (50, 90)])
def test_on_the_line_it_is_that_of_scipy(n, m):
    x, y = cloud(n, 1), 2 * cloud(m, 1, seed=1) + 1
    a, b = cloud(n, 1, seed=2)[:, 0].softmax(0), cloud(m, 1, seed=3)[:, 0].softmax(0)
    known = wasserstein_distance(x[:, 0], y[:, 0], a, b)
    assert wasserstein(x, y, 1, a, b) == pytest.approx(known, rel=1e-9)
    assert abs(wasserstein(x, y, 1) - known) > 1e-3  # weights that are ignored are seen


@pytest.mark.parametrize("p", [1, 2])
def test_of_equal_weights_it_is_the_best_assignment(p):
    x, y = cloud(60, 2), cloud(60, 2, seed=1) * 0.5
    costs = torch.cdist(x, y).pow(p).numpy()
    best = costs[linear_sum_assignment(costs)].mean() ** (1 / p)
    assert wasserstein(x, y, p) == pytest.approx(best, rel=1e-9)
    assert costs.diagonal().mean() ** (1 / p) > best + 0.1


def test_a_sliced_shift_is_the_root_of_the_mean_square():
    x, shift = cloud(300, 2), torch.tensor([3.0, 4.0], dtype=torch.float64)
    # E <u, s>^2 = |s|^2 / d for directions u on the sphere.
    found = sliced_wasserstein(x, x + shift, 500, 0)
    assert found == pytest.approx(5 / 2**0.5, rel=0.05)
    assert found == sliced_wasserstein(x, x + shift, 500, 0)
    assert found < wasserstein(x, x + shift, 2) * 0.9


def test_mmd_is_the_double_sum_and_that_of_gaussians():
    x, y = cloud(40, 2), cloud(30, 2, seed=1) + 1

    def mean(a, b):
        pairs = [(p, q) for p in a.tolist() for q in b.tolist()]
        return sum(exp(-(dist(p, q) ** 2) / (2 * 0.7**2)) for p, q in pairs) / len(pairs)

    known = (mean(x, x) + mean(y, y) - 2 * mean(x, y)) ** 0.5
    assert mmd(x, y, 0.7) == pytest.approx(known, rel=1e-9)
    assert mmd(x, x, 0.7) == 0
    # N(0, 1) and N(2, 1) on the line: E k = (b / c) exp(-m^2 / (2 c^2)) with c^2 = b^2 + 2.
    b, c = 1.0, 3**0.5
    known = (2 * b / c * (1 - exp(-4 / (2 * c**2)))) ** 0.5
    assert mmd(cloud(1500, 1), cloud(1500, 1, seed=1) + 2, b) == pytest.approx(known, rel=0.05)
    assert abs(mmd(x, y, 0.7) - mmd(x, y, 0.7 * 2**0.5)) > 0.01  # a kernel without the 2 is seen


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda x: wasserstein(x, x, 3), "p = 1 and p = 2, got 3"),
        (lambda x: wasserstein(x, x[:, :1]), r"rows \[N, d\]"),
        (lambda x: wasserstein(x, x, 1, x[:, 0]), "a sum of 1"),
        (lambda x: sliced_wasserstein(x, x, 0), "counted from 1"),
        (lambda x: mmd(x, x, 0.0), "bandwidth of a kernel is positive"),
    ],
)
def test_nonsense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make(cloud(5, 2))


def test_without_pot_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ot", None)
    with pytest.raises(ValueError, match=r'pip install "proxlab\[benches\]"'):
        wasserstein(cloud(5, 2), cloud(5, 2))
