"""The guided descent: exact for Gaussians, and of several modes it finds the weights."""

import pytest
import torch
from torch import Tensor

import solvers
from proxlab.priors.exact.mixtures import Mixture
from solvers import JacobianCovariance, LinearObservation, ScalarCovariance, guided
from solvers.posteriors import guided as module
from solvers.posteriors.covariances import Applied

f64 = torch.float64
ROWS = 4000
LEVELS = [4.0 * 0.03 ** (k / 9) for k in range(10)]


def first(by: LinearObservation, prior: Mixture, noise: torch.Generator) -> Tensor:
    S, mean = prior.covariance(), prior.mean()
    return by.draw(mean.expand(len(by.y), -1), Applied(lambda u: u @ S, len(S)), noise)


def seen(A: Tensor, y: Tensor, noise: float, rows: int = ROWS) -> LinearObservation:
    return LinearObservation(
        lambda x: x @ A.T, lambda y: y @ A, y.expand(rows, -1), noise**2, tol=1e-10
    )


def drawn(prior: Mixture, by: LinearObservation, together: int = ROWS, **settings) -> Tensor:
    noise = torch.Generator().manual_seed(1)
    settings = {"covariance": JacobianCovariance(2), **settings}
    *_, last = guided(
        lambda x, sigma: prior.posterior_mean(x, sigma**2),
        by,
        first(by, prior, noise),
        LEVELS,
        together=together,
        noise=noise,
        **settings,
    )
    return last.x


MODES = Mixture(
    torch.tensor([0.5, 0.3, 0.2], dtype=f64),
    torch.tensor([[-1.5, 1.0], [-1.1, -1.2], [1.4, 0.3]], dtype=f64),
    torch.full((3,), 0.01, dtype=f64),
)
ONE = torch.tensor([[1.0, 0.0]], dtype=f64)
"""Of two coordinates the first is seen, which two of the modes nearly share."""
Y = torch.tensor([-1.2], dtype=f64)


def error_of_weights(found: Tensor) -> float:
    truth = MODES.posterior(ONE, Y, 0.15)
    nearest = torch.cdist(found, MODES.means).argmin(1)
    shares = torch.bincount(nearest, minlength=3) / len(found)
    return float((shares - truth.weights).abs().max())


def test_it_finds_the_weights_of_the_modes_where_the_annealed_sampler_does_not():
    by = seen(ONE, Y, 0.15)
    found = drawn(MODES, by)
    assert error_of_weights(found) < 0.05
    noise = torch.Generator().manual_seed(1)
    *_, last = solvers.posterior(
        lambda x, sigma: MODES.posterior_mean(x, sigma**2),
        by,
        first(by, MODES, noise),
        LEVELS,
        covariance=JacobianCovariance(2),
        noise=noise,
    )
    assert error_of_weights(last.x) > 0.1


@pytest.mark.parametrize("power", [0, 2])
def test_draws_not_weighed_or_weighed_twice_are_seen(power, monkeypatch):
    again = module._again
    monkeypatch.setattr(module, "_again", lambda w, z, n: again(power * w, z, n))
    assert error_of_weights(drawn(MODES, seen(ONE, Y, 0.15))) > 0.1


def test_forty_particles_are_nearly_as_good_and_no_group_sees_another():
    found = drawn(MODES, seen(ONE, Y, 0.15), together=40)
    assert error_of_weights(found) < 0.05
    weights = torch.randn(24, dtype=f64, generator=torch.Generator().manual_seed(0))
    rows = module._again(weights, torch.zeros(24, dtype=f64), 8)
    assert torch.equal(rows // 8, torch.arange(24) // 8)


def test_rows_are_drawn_again_in_proportion():
    weights = torch.tensor([0.5, 0.25, 0.125, 0.125], dtype=f64).log()
    z = torch.zeros(4, dtype=f64)
    assert module._again(weights, z + 0.3, 4).tolist() == [0, 0, 1, 3]
    assert module._again(weights, z - 0.3, 4).tolist() == [0, 0, 1, 2]
    for one in (-9.0, 0.0, 2.3):
        assert module._again(torch.zeros(4, dtype=f64), z + one, 4).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("mistake", [None, "C doubled", "the next level not expected"])
def test_of_a_gaussian_the_weights_are_equal_and_the_law_is_the_posterior(mistake, monkeypatch):
    S = torch.tensor([[[1.0, 0.6], [0.6, 0.5]]], dtype=f64)
    prior = Mixture(torch.ones(1, dtype=f64), torch.tensor([[0.5, -1.0]], dtype=f64), S)
    A, y = torch.tensor([[1.0, -0.5]], dtype=f64), torch.tensor([1.2], dtype=f64)
    spreads, again = [], module._again

    def watched(weights: Tensor, normal: Tensor, together: int) -> Tensor:
        spreads.append(float(weights.max() - weights.min()))
        return again(weights, normal, together)

    monkeypatch.setattr(module, "_again", watched)
    if mistake == "the next level not expected":
        monkeypatch.setattr(module.Whole, "given", lambda self, seen, variance: self)
    share = 2.0 if mistake == "C doubled" else 1.0

    def linearize(x: Tensor, sigma: float):
        J = torch.linalg.solve(S[0] + sigma**2 * torch.eye(2, dtype=f64), S[0])
        return prior.posterior_mean(x, sigma**2), lambda u: share * u @ J

    found = drawn(prior, seen(A, y, 0.3), covariance=JacobianCovariance(2, linearize))
    truth = prior.posterior(A, y, 0.3)
    off = (found.T.cov() - truth.covariance()).abs().max()
    if mistake is None:
        assert max(spreads) < 1e-8 and off < 0.06
        assert (found.mean(0) - truth.mean()).abs().max() < 0.06
    else:
        assert max(spreads) > 0.1


def test_pixels_in_a_square_and_equal_levels_do_as_rows_do():
    def as_square(x: Tensor) -> Tensor:
        return x.view(-1, 1, 1, 2)

    noise = [torch.Generator().manual_seed(0) for _ in range(2)]
    by = seen(ONE, Y, 0.15, rows=6)
    square = LinearObservation(
        lambda x: x[..., :1],
        lambda y: torch.cat([y, 0 * y], -1),
        Y.expand(6, 1, 1, 1),
        0.15**2,
        tol=1e-10,
    )
    x = torch.zeros(6, 2, dtype=f64)

    def denoise(x: Tensor, sigma: float) -> Tensor:
        return MODES.posterior_mean(x.reshape(-1, 2), sigma**2).view_as(x)

    covariance = JacobianCovariance(2)
    rest = {"covariance": covariance, "together": 3}
    *_, one = guided(denoise, by, x, [2.0, 1.0, 1.0], noise=noise[0], **rest)
    *_, two = guided(denoise, square, as_square(x), [2.0, 1.0, 1.0], noise=noise[1], **rest)
    torch.testing.assert_close(as_square(one.x), two.x)
    assert one.x.isfinite().all()


def test_what_cannot_be_is_refused_before_any_step():
    by, x = seen(ONE, Y, 0.15, rows=6), torch.zeros(6, 2, dtype=f64)
    covariance = ScalarCovariance(lambda sigma: sigma**2)
    for levels, together, message in (
        ([0.1, 0.5], 3, "levels fall"),
        ([1.0], 4, "divides the batch of 6, got 4"),
        ([1.0], True, "divides the batch"),
    ):
        with pytest.raises(ValueError, match=message):
            guided(lambda x, s: x, by, x, levels, covariance=covariance, together=together)
    large = LinearObservation(lambda x: x, lambda y: y, torch.zeros(1, 2000), 1.0)
    with pytest.raises(ValueError, match="at most 1024 numbers"):
        guided(
            lambda x, s: x, large, torch.zeros(1, 2000), [1.0], covariance=covariance, together=1
        )
