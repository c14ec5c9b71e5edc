"""Gaussian mixtures against closed forms, scipy and quadrature, and mistakes these see."""

import pytest
import torch
from scipy.stats import multivariate_normal

from proxlab.priors.exact.mixtures import Mixture
from solvers.diffusion.schedule import VP
from tests.priors.exact.mixture_cases import KINDS, axes, build, generator, mixture


def places(p, seed=0):
    """Points where a prox is tried: around, at the means, half-way between them and nearly so."""
    v = 1.7 * torch.randn(40, p.dimension, dtype=torch.float64, generator=generator(seed))
    ties = (p.means[:-1] + p.means[1:]) / 2
    return torch.cat([v, p.means, ties, ties + 1e-3 * v[: len(ties)]]).clamp(-5.5, 5.5)


def test_density_is_that_of_scipy_and_the_score_its_gradient():
    for seed, (kind, d) in enumerate([("alike", 1), ("round", 2), ("full", 2), ("full", 5)]):
        p = mixture(kind, d, seed)
        x = p.draw(50, generator()).requires_grad_()
        full = p.covariances if kind == "full" else p.covariances[:, None, None] * torch.eye(d)
        known = sum(
            float(w) * multivariate_normal(m, c).pdf(x.detach().numpy())
            for w, m, c in zip(p.weights, p.means.numpy(), full.numpy(), strict=True)
        )
        found = p.log_density(x)
        torch.testing.assert_close(found.exp(), torch.from_numpy(known), rtol=1e-9, atol=0)
        (slope,) = torch.autograd.grad(found.sum(), x)
        torch.testing.assert_close(p.score(x), slope, rtol=1e-8, atol=1e-8)
        near = Mixture(p.weights, p.means, 1.01 * p.covariances)
        assert float((near.score(x.detach()) - slope).norm() / slope.norm()) > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_diffused_it_has_the_moments_of_diffused_samples(kind):
    p, t = mixture(kind, 2, size=0.5), 0.3
    a = float(VP().signal(t))
    q, x = p.at(t), p.draw(200_000, generator())
    x = a**0.5 * x + (1 - a) ** 0.5 * torch.randn(x.shape, dtype=x.dtype, generator=generator(1))
    for p_t, agrees in ((q, True), (p.at(0.35), False), (p, False)):
        off = max(
            float((p_t.mean() - x.mean(0)).abs().max()),
            float((p_t.covariance() - x.T.cov()).abs().max()),
        )
        assert (off < 0.01) is agrees
    # One Gaussian: a S + (1 - a) I; and E exp(i x) is that of samples, beyond second moments.
    one = Mixture(p.weights[:1] / p.weights[0], p.means[:1], p.covariances[:1])
    eye = torch.eye(2, dtype=torch.float64)
    torch.testing.assert_close(one.at(t).covariance(), a * one.covariance() + (1 - a) * eye)
    y = q.draw(200_000, generator(2))
    assert float(((2 * x).cos().mean(0) - (2 * y).cos().mean(0)).abs().max()) < 0.01
    assert p.at(0.0).means.equal(p.means) and p.at(0.0).covariances.equal(p.covariances)


@pytest.mark.parametrize("kind", KINDS)
def test_posterior_mean_by_quadrature(kind):
    for d in (1, 2):
        p, variance = mixture(kind, d, seed=d, size=0.6), 0.4
        grid, _ = axes(d, -7, 7, 20001 if d == 1 else 281)
        y = p.draw(20, generator())
        joint = p.log_density(grid) - torch.cdist(y, grid).square() / (2 * variance)
        known = joint.softmax(1) @ grid
        torch.testing.assert_close(p.posterior_mean(y, variance), known, rtol=0, atol=1e-6)
        assert float((p.posterior_mean(y, variance**0.5) - known).abs().max()) > 1e-2
    # Of point masses: their mean by weights exp(-|y - m|^2 / (2 variance)).
    p = Mixture.points(p.means)
    known = (-torch.cdist(y, p.means).square() / 0.8).softmax(1) @ p.means
    torch.testing.assert_close(p.posterior_mean(y, 0.4), known)


@pytest.mark.parametrize("kind", KINDS)
def test_posterior_by_numerical_bayes(kind):
    for d, matrix in ((1, [[1.5]]), (2, [[1.0, 0.5]]), (2, [[1.0, 0.5], [0.0, 2.0], [1.0, 1.0]])):
        p, noise = mixture(kind, d, seed=d, size=0.6), 0.4
        a = torch.tensor(matrix, dtype=torch.float64)
        y = a @ p.draw(1, generator())[0] + 0.2
        q = p.posterior(a, y, noise)
        grid, area = axes(d, -6, 6, 4001 if d == 1 else 401)
        joint = p.log_density(grid) - (grid @ a.T - y).square().sum(1) / (2 * noise**2)
        known = joint - joint.logsumexp(0) - torch.tensor(area).log()
        found, seen = q.log_density(grid), known > known.max() - 20
        torch.testing.assert_close(found[seen], known[seen], rtol=0, atol=1e-5)
        wrong = p.posterior(a, y, 1.1 * noise).log_density(grid)
        assert float((wrong - known)[seen].abs().max()) > 0.1


def test_posterior_of_one_gaussian_and_of_points():
    p = mixture("full", 3, k=1)
    a, y = torch.randn(2, 3, dtype=torch.float64, generator=generator()), torch.ones(2).double()
    for noise in (1e-7, 0.3):
        q, s = p.posterior(a, y, noise), torch.linalg.inv(p.covariance())
        if noise > 0.1:
            covariance = torch.linalg.inv(s + a.T @ a / noise**2)
            torch.testing.assert_close(q.covariance(), covariance)
            torch.testing.assert_close(q.mean(), covariance @ (s @ p.mean() + a.T @ y / noise**2))
        torch.testing.assert_close(a @ q.mean(), y, rtol=0, atol=30 * noise**2)
    points = Mixture.points(torch.randn(6, 3, dtype=torch.float64, generator=generator(1)))
    q = points.posterior(a, y, 0.5)
    known = (-(points.means @ a.T - y).square().sum(1) / 0.5).softmax(0)
    torch.testing.assert_close(q.weights, known)
    assert q.means.equal(points.means) and not q.covariances.any()
    assert float(points.posterior(a, 1e3 * y, 0.01).weights.min()) > 0


def test_draws_repeat_and_follow_singular_covariances():
    line = torch.tensor([[[1.0, 2.0], [2.0, 4.0]]], dtype=torch.float64)
    p = Mixture(torch.ones(1).double(), torch.zeros(1, 2).double(), line)
    x = p.draw(1000, generator())
    assert x.equal(p.draw(1000, generator()))
    torch.testing.assert_close(x[:, 1], 2 * x[:, 0], rtol=0, atol=1e-6)
    assert float(x[:, 0].var()) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: build([1.0], [0.0], [1.0]), r"weights \[K\] and means \[K, d\]"),
        (lambda: build([1.0], [[0.0]], [1.0, 1.0]), "one for each component"),
        (lambda: build([1.2, -0.2], [[0.0], [1.0]], [1.0, 1.0]), "positive and add up to 1"),
        (lambda: build([0.6, 0.6], [[0.0], [1.0]], [1.0, 1.0]), "a sum of 1.2"),
        (lambda: build([1.0], [[float("nan")]], [1.0]), "means are finite"),
        (lambda: build([1.0], [[0.0]], [-1.0]), "at least 0"),
        (lambda: build([1.0], [[0.0, 0.0]], [[[1.0, 2.0], [0.0, 1.0]]]), "symmetric"),
        (lambda: build([1.0], [[0.0, 0.0]], [[[1.0, 2.0], [2.0, 1.0]]]), "negative eigenvalue"),
        (lambda: Mixture(torch.ones(1), torch.zeros(1, 1).double(), torch.ones(1)), "one floating"),
    ],
)
def test_what_is_no_mixture_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_what_has_no_answer_is_refused():
    x = torch.zeros(2, 1, dtype=torch.float64)
    points, half = Mixture.points(x), build([0.5, 0.5], [[0.0], [1.0]], [1.0, 0.0])
    for call in (points.log_density, points.score, half.score, lambda x: half.prox(x, 1.0)):
        with pytest.raises(ValueError, match="no density.*t > 0"):
            call(x)
    for lam in (0.0, torch.ones(3).double()):
        with pytest.raises(ValueError, match="lam is positive"):
            points.at(0.5).prox(x, lam)
    with pytest.raises(ValueError, match="variance of noise is positive"):
        points.posterior_mean(x, 0.0)
    with pytest.raises(ValueError, match="deviation of noise is positive"):
        points.posterior(x[:1], x[0], 0.0)
    with pytest.raises(ValueError, match=r"A is \[m, 1\]"):
        points.posterior(x.T, x[0], 1.0)
    wide = points.at(0.5)
    for call in (wide.log_density, wide.score, lambda x: wide.prox(x, 1.0)):
        for wrong in (x[0], torch.zeros(2, 2, dtype=torch.float64)):
            with pytest.raises(ValueError, match="rows of 1 numbers"):
                call(wrong)
