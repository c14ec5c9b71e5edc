"""The annealed proximal sampler: its law is the posterior where clean images are Gaussian."""

import pytest
import torch
from torch import Tensor

import solvers
from proxlab.priors.exact.mixtures import Mixture
from solvers import JacobianCovariance, LinearObservation, ScalarCovariance, Unobserved, posterior
from solvers.posteriors.covariances import Applied

f64 = torch.float64
MU = torch.tensor([0.5, -1.0, 0.2], dtype=f64)
ROOT = torch.tensor([[1.0, 0.0, 0.0], [0.6, 0.5, 0.0], [-0.2, 0.3, 0.2]], dtype=f64)
S = ROOT @ ROOT.T
A = torch.tensor([[1.0, 0.5, 0.0], [0.0, -0.4, 1.0]], dtype=f64)
Y, VARIANCE = torch.tensor([1.2, 0.3], dtype=f64), torch.tensor([0.04, 0.3], dtype=f64)
LEVELS = [0.9, 0.6, 0.4, 0.25, 0.15]


def denoise(x: Tensor, sigma: float) -> Tensor:
    return MU + (x - MU) @ torch.linalg.solve(S + sigma**2 * torch.eye(3, dtype=f64), S)


def true_posterior() -> tuple[Tensor, Tensor]:
    covariance = torch.linalg.inv(torch.linalg.inv(S) + A.T @ (A / VARIANCE[:, None]))
    return covariance @ (torch.linalg.solve(S, MU) + A.T @ (Y / VARIANCE)), covariance


class Impulses:
    """Noise of a batch whose first image has none, and every other one a single impulse."""

    def __init__(self):
        self.row = 1

    def __call__(self, like: Tensor) -> Tensor:
        z = torch.zeros_like(like)
        n = like.shape[1]
        z[self.row : self.row + n] = torch.eye(n, dtype=like.dtype)
        self.row += n
        return z


def law(walk=posterior, levels=LEVELS, seen: bool = True, **settings) -> tuple[Tensor, Tensor]:
    """Mean and covariance of the sample, exactly, since it is affine in its noises."""
    rows = 1 + (3 + 2 * seen) + len(levels) * (6 + 2 * seen)
    noise, by = Impulses(), Unobserved()
    if seen:
        by = LinearObservation(
            lambda x: x @ A.T, lambda y: y @ A, Y.expand(rows, 2), VARIANCE, tol=1e-13
        )
    first = by.draw(MU.expand(rows, 3), Applied(lambda u: u @ S, 3), noise)
    settings = {"covariance": JacobianCovariance(3), **settings}
    *_, last = walk(denoise, by, first, levels, noise=noise, **settings)
    assert noise.row == rows
    moved = last.x - last.x[:1]
    return last.x[0], moved.T @ moved


def far(found: tuple[Tensor, Tensor], truth: tuple[Tensor, Tensor]) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(found, truth, strict=True))


@pytest.mark.parametrize("count", [1, 3, 5])
def test_of_gaussians_it_is_exact_in_any_number_of_levels(count):
    assert far(law(levels=LEVELS[:count]), true_posterior()) < 1e-9


def test_without_a_measurement_it_samples_the_prior():
    assert far(law(seen=False), (MU, S)) < 1e-9


def test_a_jacobian_that_is_told_is_that_of_autograd():
    def linearize(x: Tensor, sigma: float):
        J = torch.linalg.solve(S + sigma**2 * torch.eye(3, dtype=f64), S)
        return denoise(x, sigma), lambda u: u @ J

    assert far(law(covariance=JacobianCovariance(3, linearize)), true_posterior()) < 1e-9

    def wrong(x: Tensor, sigma: float):
        return denoise(x, sigma), lambda u: u / 2

    assert far(law(covariance=JacobianCovariance(3, wrong)), true_posterior()) > 1e-2


def test_a_jacobian_that_is_not_symmetric_is_told():
    turn = torch.tensor([[1.0, 0.4, 0.0], [-0.4, 1.0, 0.0], [0.0, 0.0, 1.0]], dtype=f64)
    with pytest.warns(UserWarning, match="a covariance is symmetric, and this Jacobian is not"):
        law(covariance=JacobianCovariance(3, lambda x, s: (denoise(x, s), lambda u: u @ turn / 2)))


def test_too_few_products_and_one_number_for_all_are_no_posterior():
    assert far(law(covariance=JacobianCovariance(1)), true_posterior()) > 1e-3
    assert far(law(covariance=ScalarCovariance(lambda s: s**2 / 2)), true_posterior()) > 1e-2


def slow(denoise, by, x, levels, *, covariance, noise, mistake=None):
    """The three lines, with mistakes to plant."""
    for sigma in levels:
        noisy = x + sigma * noise(x)
        mean, matrix = covariance.around(denoise, noisy, sigma)
        if mistake == "doubled":
            matrix = Applied(lambda u, c=matrix.product: 2 * c(u), 3)
        if mistake == "left out":
            mean = by.draw(mean, Applied(lambda u: 0 * u, 3), noise)
            x = mean
        elif mistake == "before":
            x = denoise(by.draw(noisy, matrix, noise), sigma)
        else:
            x = by.draw(mean, matrix, noise)
        yield solvers.PosteriorState(x, mean, sigma)


def test_it_is_its_slow_self_and_each_mistake_is_seen():
    assert far(law(slow), law()) < 1e-12
    for mistake in ("doubled", "left out", "before"):

        def wrong(*arguments, mistake=mistake, **settings):
            return slow(*arguments, mistake=mistake, **settings)

        assert far(law(wrong), true_posterior()) > 1e-2


def test_of_all_pixels_without_noise_it_is_the_measurement():
    y = torch.randn(4, 3, dtype=f64, generator=torch.Generator().manual_seed(0))
    by = LinearObservation(lambda x: x, lambda y: y, y, 1e-12, tol=1e-10)
    *_, last = posterior(
        denoise, by, 0 * y, LEVELS, covariance=JacobianCovariance(3), noise=torch.Generator()
    )
    assert (last.x - y).abs().max() < 1e-4


def several(rows: list[int], tol: float = 1e-10) -> Tensor:
    """Draws for some of five measurements, each with noise of its own."""
    y = Y + torch.arange(5, dtype=f64)[:, None]
    sources = [torch.Generator().manual_seed(row) for row in rows]

    def noise(like: Tensor) -> Tensor:
        return torch.stack([torch.randn(like[0].shape, generator=g, dtype=f64) for g in sources])

    by = LinearObservation(lambda x: x @ A.T, lambda y: y @ A, y[rows], VARIANCE, tol=tol)
    first = MU.expand(len(rows), 3)
    *_, last = posterior(denoise, by, first, LEVELS, covariance=JacobianCovariance(3), noise=noise)
    return last.x


def test_a_draw_does_not_depend_on_its_batch_nor_on_runs_before_it():
    together = several([0, 1, 2, 3, 4])
    for row in (0, 3):
        torch.testing.assert_close(several([row])[0], together[row])
    by = LinearObservation(lambda x: x @ A.T, lambda y: y @ A, Y.expand(4, 2), VARIANCE, tol=0.3)
    runs = []
    for _ in range(2):
        source = torch.Generator().manual_seed(0)
        *_, last = posterior(
            denoise,
            by,
            MU.expand(4, 3),
            LEVELS,
            covariance=JacobianCovariance(3),
            noise=source,
        )
        runs.append(last.x)
    assert torch.equal(*runs)  # however loose tol is


def test_a_draw_that_stops_short_says_so_once():
    y = Y.expand(4, 2)
    by = LinearObservation(lambda x: x @ A.T, lambda y: y @ A, y, VARIANCE, tol=1e-12, max_steps=1)
    matrix, noise = Applied(lambda u: u @ S, 3), torch.Generator().manual_seed(0)
    with pytest.warns(UserWarning, match="stopped short of tol = 1e-12") as said:
        for _ in range(3):
            by.draw(MU.expand(4, 3), matrix, noise)
    assert len(said) == 1 and by.stopped_short == 3


def mixture_error(levels: list[float], n: int = 40_000) -> float:
    """Distance of the law on the line from the posterior of a mixture, W1, by quantiles."""
    numbers = ([0.6, 0.4], [[-0.7], [0.5]], [0.1, 0.2])
    prior = Mixture(*(torch.tensor(x, dtype=f64) for x in numbers))
    y, variance = torch.full((n, 1), 0.1, dtype=f64), 0.25
    noise = torch.Generator().manual_seed(1)
    by = LinearObservation(lambda x: x, lambda y: y, y, variance)
    truth = prior.posterior(torch.eye(1, dtype=f64), y[0], noise=variance**0.5)
    first = by.draw(
        prior.mean().expand(n, 1), Applied(lambda u: u * prior.covariance()[0, 0], 1), noise
    )
    *_, last = posterior(
        lambda x, sigma: prior.posterior_mean(x, sigma**2),
        by,
        first,
        levels,
        covariance=JacobianCovariance(1),
        noise=noise,
    )
    exact = truth.draw(n, torch.Generator().manual_seed(2))
    return float((last.x.sort(0).values - exact.sort(0).values).abs().mean())


def test_of_a_mixture_it_nears_the_posterior_with_more_levels_and_lower_ones():
    def error(count, low=0.08):
        return mixture_error([0.8 * (low / 0.8) ** (k / (count - 1)) for k in range(count)])

    few, more, many = (error(count) for count in (2, 8, 32))
    assert many < 0.5 * more and more < 0.35 * few, (few, more, many)
    assert error(32, low=0.3) > 2 * many  # what a level that is not low leaves


def test_levels_that_do_not_fall_are_refused_before_any_step():
    x = torch.zeros(1, 3, dtype=f64)
    for levels, message in (
        ([0.1, 0.5], "levels fall"),
        ([], "positive deviations"),
        ([0.5, 0.0], "positive deviations"),
    ):
        with pytest.raises(ValueError, match=message):
            posterior(denoise, Unobserved(), x, levels, covariance=JacobianCovariance(3))
