"""Score samplers against a slow loop, the exact law for a Gaussian, and Tweedie's formula."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from proxlab.priors.exact.mixtures import Mixture
from solvers import VP, score, uniform_grid
from solvers.diffusion.score import LAST_TIME, denoised
from tests.solvers.diffusion.test_proximal_diffusion import last, noises, start

VP_ = VP()
M = torch.tensor([0.5, -1.0, 0.0], dtype=torch.float64)
V = torch.tensor([0.2, 1.0, 2.0], dtype=torch.float64)
every_kind = pytest.mark.parametrize("kind", ["sde", "ode"])
every_grid = pytest.mark.parametrize("first", [0.0, LAST_TIME])


def gradient(x: Tensor, t: float) -> Tensor:
    """The score of N(M, V) at time t."""
    m, v = VP_.signal(t) ** 0.5 * M.to(x), VP_.signal(t) * V.to(x) + VP_.noise(t)
    return (m - x) / v


def slow(x, times, kind, noise, early=False, half=0.5, raw=False):
    """The formulas of the papers; `early`, `half` and `raw` are mistakes to plant."""
    for t, s in pairwise(times[::-1]):
        if s == 0:
            break
        g = 0.1 * (t - s) + 19.9 * (t**2 - s**2) / 2
        slope = gradient(x, s if early else t)
        if kind == "sde":
            x = (1 + g / 2) * x + 2 * half * g * slope + g**0.5 * noise(x)
        else:
            x = (1 + g / 2) * x + half * g * slope
    t = times[0] or times[1]
    a = VP_.signal(t)
    return x if raw else (x + (1 - a) * gradient(x, t)) / a**0.5


@every_kind
@every_grid
def test_it_is_its_slow_self(kind, first):
    x, times = start(4), uniform_grid(15, first)
    fast = last(score(gradient, x, times, kind=kind, noise=noises()))
    right = slow(x, times, kind, noises())
    torch.testing.assert_close(fast, right, rtol=1e-11, atol=1e-11)
    for mistake in ({"early": True}, {"half": 0.6}, {"raw": True}):
        assert (fast - slow(x, times, kind, noises(), **mistake)).norm() > 1e-4


def recursion(times, kind, louder=1.0) -> tuple[Tensor, Tensor]:
    """Mean and variance of the output from N(0, I): every step is x -> A x + b + C z."""
    mean, variance = torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    for t, s in pairwise(times[::-1]):
        a, g = VP_.signal(t), VP_.integral(s, t)
        m, v = a**0.5 * M, a * V + VP_.noise(t)
        if s == 0:
            break
        rate, C2 = (g, g) if kind == "sde" else (g / 2, 0.0)
        A = 1 + g / 2 - rate / v
        mean, variance = A * mean + rate * m / v, A**2 * variance + louder * C2
    t = times[0] or times[1]
    a = VP_.signal(t)
    m, v = a**0.5 * M, a * V + VP_.noise(t)
    gain = a**0.5 * V / v  # regression of x_0 on x_t
    return M + gain * (mean - m), gain**2 * variance


@every_kind
@every_grid
def test_moments_of_samples_are_those_of_the_exact_law(kind, first):
    n, times = 50_000, uniform_grid(12, first)
    x = last(score(gradient, start(n), times, kind=kind, noise=noises()))

    def scores(mean, variance):
        off = (x.mean(0) - mean) / (variance / n) ** 0.5
        return torch.cat([off, (x.var(0) / variance - 1) / (2 / n) ** 0.5]).abs().max()

    assert scores(*recursion(times, kind)) < 4
    assert scores(M, V) > 6  # in twelve steps it is not yet the target
    if kind == "sde":
        assert scores(*recursion(times, kind, louder=1.1)) > 6


MIXTURES = {
    "round": Mixture(
        torch.tensor([0.3, 0.7], dtype=torch.float64),
        torch.tensor([[-1.0, 0.0, 2.0], [1.0, 1.0, 0.0]], dtype=torch.float64),
        torch.tensor([0.05, 0.3], dtype=torch.float64),
    ),
    "points": Mixture.points(torch.eye(3, dtype=torch.float64)),
}


@pytest.mark.parametrize("name", MIXTURES)
@pytest.mark.parametrize("t", [0.01, 0.2, 0.7])
def test_denoised_is_the_posterior_mean(name, t):
    """The posterior is of x_0 given x_t / sqrt(a) = x_0 + noise of variance (1 - a) / a.

    For points it is computed from their weights too.
    """
    p0, x = MIXTURES[name], start(20)
    a = VP_.signal(t)
    found = denoised(x, p0.at(t).score(x), t, VP_)
    torch.testing.assert_close(found, p0.posterior_mean(x / a**0.5, (1 - a) / a))
    if name == "points":
        distances = torch.cdist(x, a**0.5 * p0.means).square()
        weights = (-distances / (2 * (1 - a))).softmax(1)
        torch.testing.assert_close(found, weights @ p0.means)
    wrong = denoised(x, p0.at(t + 0.05).score(x), t, VP_)
    assert (found - wrong).norm() > 1e-3


@every_kind
@pytest.mark.parametrize("first, extra", [(0.0, 0), (LAST_TIME, 1)])
def test_its_times_and_what_it_costs(kind, first, extra):
    asked = []

    def counted(x, t):
        asked.append(t)
        return gradient(x, t)

    times = uniform_grid(9, first)
    states = list(score(counted, start(2), times, kind=kind))
    assert len(asked) == len(states) == 9 + extra
    assert asked == times[::-1][: 9 + extra]
    assert [s.t for s in states] == times[-2:0:-1] + [first] * extra + [0.0]


def test_one_step_is_the_posterior_mean_from_one():
    x = start(5)
    (state,) = score(gradient, x, uniform_grid(1))
    a = VP_.signal(1.0)
    regression = M + a**0.5 * V / (a * V + 1 - a) * (x - a**0.5 * M)
    torch.testing.assert_close(state.x, regression)


@every_kind
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_start_is_left_alone_and_its_dtype_is_kept(kind, dtype):
    x = start(4, dtype)
    kept = x.clone()
    states = list(score(gradient, x, uniform_grid(9), kind=kind))
    assert torch.equal(x, kept)
    assert all(s.x.dtype == dtype for s in states)


def test_the_ode_asks_for_no_noise_and_the_sde_for_that_of_its_generator():
    def never(x):
        raise AssertionError("noise was drawn")

    list(score(gradient, start(1), uniform_grid(9), kind="ode", noise=never))
    with pytest.raises(AssertionError, match="noise was drawn"):
        list(score(gradient, start(1), uniform_grid(9), noise=never))
    generators = (torch.Generator().manual_seed(1) for _ in range(2))
    a, b = (last(score(gradient, start(1), uniform_grid(9), noise=g)) for g in generators)
    assert torch.equal(a, b)
    assert torch.equal(a, last(score(gradient, start(1), uniform_grid(9), noise=noises(1))))


def test_gradients_pass_and_are_left_as_they_were():
    x, times = start(2).requires_grad_(), uniform_grid(30)
    out = last(score(gradient, x, times, noise=noises()))
    assert torch.is_grad_enabled() and x.grad is None
    (slope,) = torch.autograd.grad(out.sum(), x)
    moved = last(score(gradient, x.detach() + 1e-3, times, noise=noises()))
    torch.testing.assert_close(1e-3 * slope, moved - out.detach(), rtol=1e-8, atol=1e-12)


def test_refusals_come_before_any_step():
    def never(x, t):
        raise AssertionError("a step was taken")

    with pytest.raises(ValueError, match="sde or ode, got 'heun'"):
        score(never, start(1), uniform_grid(3), kind="heun")
    with pytest.raises(ValueError, match="time grid rises"):
        score(never, start(1), [1.0, 0.5, 0.0])
    assert next(score(gradient, start(1), uniform_grid(4))).t == 0.75
