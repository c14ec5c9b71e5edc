"""The Laplace spread: exact where the objective is a quadratic."""

import pytest
import torch
from torch import Tensor

import proxlab
from proxlab import operators
from proxlab.posteriors.laplace import laplace_spread
from proxlab.priors.contract import Capabilities

SIGMA, NOISE = 0.1, 0.05
ROOT = torch.randn(9, 9, generator=torch.Generator().manual_seed(0)).double() / 9
STIFF = torch.eye(9).double() + 4 * ROOT @ ROOT.T
"""Hessian of R_sigma over sigma^2, of images of 3 x 3 pixels."""


class Quadratic:
    """R_sigma(x) = sigma^2 <x, STIFF x> / 2."""

    name, sigma_range = "quadratic", (0.0, 1.0)
    capabilities = Capabilities(exact=True)

    def prox(self, v: Tensor, sigma: float | Tensor) -> Tensor:
        """(1 + sigma^2 STIFF)^-1 v."""
        s2 = torch.as_tensor(sigma).to(v).view(-1, 1, 1) ** 2
        systems = torch.eye(9).double() + s2 * STIFF
        return torch.linalg.solve(systems, v.reshape(-1, 9, 1)).view_as(v)


def problem():
    mask = torch.ones(3, 3).double()
    mask[0, :2] = 0
    op = operators.inpaint(mask, noise=NOISE)
    y = op(torch.rand(2, 1, 3, 3, generator=torch.Generator().manual_seed(1)).double())
    return op, y, proxlab.restore(y, op, Quadratic(), sigma=SIGMA, tol=1e-9)


def exact(op, weight: float = 1.0) -> Tensor:
    seen = torch.diag(op.mask.flatten().double()) / NOISE**2
    return torch.linalg.inv(seen + weight * STIFF).diagonal().sqrt()


def test_of_a_quadratic_it_is_the_posteriors_deviation():
    op, y, result = problem()
    found = laplace_spread(result, y, op, Quadratic(), probes=162).flatten(1)
    assert (found / exact(op) - 1).abs().max() < 0.03
    assert (found / exact(op, weight=2.0) - 1).abs().max() > 0.1


def test_the_weight_is_that_of_the_prior():
    op, y, _ = problem()
    result = proxlab.restore(y, op, Quadratic(), sigma=SIGMA, weight=2.0, tol=1e-9)
    found = laplace_spread(result, y, op, Quadratic(), weight=2.0, probes=162).flatten(1)
    assert (found / exact(op, weight=2.0) - 1).abs().max() < 0.03


def test_what_has_no_curvature_is_refused():
    op, y, result = problem()
    with pytest.raises(ValueError, match="tv has no Laplace spread"):
        laplace_spread(result, y, op, proxlab.load("tv"))
    with pytest.raises(ValueError, match="at least 2 probes, got 1"):
        laplace_spread(result, y, op, Quadratic(), probes=1)
