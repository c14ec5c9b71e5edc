"""Densities with closed forms: samples, prox and posterior mean against brute force."""

import pytest
import torch

from proxlab.priors.exact.densities import Gaussian, GaussianMixture, Laplace, sample

PAIR = GaussianMixture((0.6, 0.4), ((-4.0,), (4.0,)), (2.0, 1.0))
PLANE = GaussianMixture((0.4, 0.35, 0.25), ((-3.0, -2.0), (3.0, -2.0), (0.0, 3.5)), (2.0, 1.0, 0.7))
LINE = [Laplace(0.7), Gaussian(1.0, 2.0), PAIR]
GRID = torch.linspace(-30, 30, 60001, dtype=torch.float64)[:, None]
V = torch.linspace(-9, 9, 61, dtype=torch.float64)[:, None] + 0.013


def cost(density, x, v, tau):
    return (x - v).square().sum(-1) / 2 + tau * density.neg_log_density(x)


def prox_gap(density, prox, tau):
    """Largest excess of F at the prox of the points V over the best of 60001 rivals of each."""
    rivals = GRID.square()[:, 0] / 2 + tau * density.neg_log_density(GRID)
    best = (rivals - V * GRID[:, 0]).amin(1) + V.square()[:, 0] / 2
    return float((cost(density, prox(V, tau), V, tau) - best).max())


@pytest.mark.parametrize("tau", [0.05, 1.0, 9.0])
@pytest.mark.parametrize("density", LINE, ids=repr)
def test_no_rival_beats_the_prox(density, tau):
    assert prox_gap(density, density.prox, tau) < 1e-9


def test_a_wrong_prox_is_caught():
    assert prox_gap(Laplace(0.7), lambda v, tau: Laplace(0.75).prox(v, tau), 1.0) > 1e-3
    nearest = GaussianMixture((1.0,), ((-4.0,),), (2.0,))
    assert prox_gap(PAIR, nearest.prox, 1.0) > 1e-3


@pytest.mark.parametrize("tau", [0.3, 4.0])
def test_no_rival_in_the_plane_beats_the_prox(tau):
    axis = torch.linspace(-8, 8, 161, dtype=torch.float64)
    rivals = torch.cartesian_prod(axis, axis)
    v = 5 * torch.randn(40, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x = PLANE.prox(v, tau)
    best = cost(PLANE, rivals[None], v[:, None], tau).amin(1)
    assert float((cost(PLANE, x, v, tau) - best).max()) < 1e-9
    x.requires_grad_()
    (grad,) = torch.autograd.grad(cost(PLANE, x, v, tau).sum(), x)
    assert float(grad.abs().max()) < 1e-8


def test_one_component_is_a_gaussian():
    one, mixture = Gaussian(1.0, 2.0), GaussianMixture((1.0,), ((1.0,),), (2.0,))
    for f in (lambda d: d.neg_log_density(V), lambda d: d.prox(V, 0.7)):
        torch.testing.assert_close(f(mixture), f(one))
    torch.testing.assert_close(mixture.posterior_mean(V, 1.5), one.posterior_mean(V, 1.5))


@pytest.mark.parametrize("density", LINE, ids=repr)
def test_density_and_posterior_mean_by_quadrature(density):
    p = (-density.neg_log_density(GRID)).exp()
    assert float(p.sum() * 1e-3) == pytest.approx(1, abs=1e-6)
    weight = p * (-(GRID[:, 0] - V).square() / (2 * 1.5**2)).exp()
    mean = (weight @ GRID) / weight.sum(1, keepdim=True)
    torch.testing.assert_close(density.posterior_mean(V, 1.5), mean, rtol=0, atol=1e-5)


@pytest.mark.parametrize("density", [*LINE, PLANE], ids=repr)
def test_samples_follow_the_density(density):
    x = sample(density, 100_000, torch.Generator().manual_seed(0))
    assert x.shape == (100_000, density.dimension)
    # The mean of |x - c|^2 over samples against the same by the density, on a grid.
    if density.dimension == 1:
        points, area = GRID, 1e-3
    else:
        axis = torch.linspace(-12, 12, 241, dtype=torch.float64)
        points, area = torch.cartesian_prod(axis, axis), 0.01
    p = area * (-density.neg_log_density(points)).exp()
    for centre in (0.0, 2.0):
        near = [(-(a - centre).square().sum(1)).exp() for a in (points, x)]
        assert float(near[1].mean()) == pytest.approx(float(p @ near[0]), abs=0.005)
    again = sample(density, 100_000, torch.Generator().manual_seed(0))
    assert torch.equal(x, again)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Laplace(0.0), "positive and finite"),
        (lambda: Gaussian(0.0, -1.0), "positive and finite"),
        (lambda: GaussianMixture((0.6, 0.6), ((0.0,), (1.0,)), (1.0, 1.0)), "add up to 1"),
        (lambda: GaussianMixture((1.0,), ((0.0,), (1.0,)), (1.0, 1.0)), "as many weights"),
        (lambda: GaussianMixture((1.0,), ((0.0, 0.0, 0.0),), (1.0,)), "1 or all of 2"),
    ],
)
def test_nonsense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
