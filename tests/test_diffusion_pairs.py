"""Pairs that a diffusion network learns from, and proximal matching integrated over its noise."""

import math

import pytest
import torch

from proxlab.diffusion_pairs import (
    NoiseMatching,
    ProxPairs,
    ScorePairs,
    absolute_noise_error,
    squared_noise_error,
)
from solvers import VP, step_sizes, uniform_grid

IMAGES = torch.randint(
    256, (7, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)
SCHEDULE = VP()


def draw(pairs, count=512, seed=3):
    return pairs.draw(count, torch.Generator().manual_seed(seed))


def clean_part(noise, y, condition, schedule=SCHEDULE):
    """y without its noise, over sqrt(a): an image, if the pair is what it says."""
    t, lam = condition.T
    s = (schedule.noise(t) + lam).sqrt().float().view(-1, 1, 1, 1)
    return (y - s * noise) / schedule.signal(t).sqrt().float().view(-1, 1, 1, 1)


@pytest.mark.parametrize(
    "pairs", [ProxPairs(IMAGES, SCHEDULE, (5, 10, 20)), ScorePairs(IMAGES, SCHEDULE)]
)
def test_a_pair_is_an_image_and_its_noise(pairs):
    noise, y, condition = draw(pairs)
    early = condition[:, 0] < 0.5  # where sqrt(a) does not amplify rounding
    x = clean_part(noise, y, condition)[early]
    levels = IMAGES.float() / 127.5 - 1
    nearest = (x[:, None] - levels).abs().amax((2, 3, 4)).amin(1)
    assert nearest.max() < 1e-4
    wrong = clean_part(noise, y, condition, VP(0.1, 19.0))[early]
    assert (wrong[:, None] - levels).abs().amax((2, 3, 4)).amin(1).max() > 1e-2
    assert abs(float(noise.var()) - 1) < 0.02
    again = draw(pairs)
    assert torch.equal(again[1], y) and not torch.equal(draw(pairs, seed=4)[1], y)


def test_times_and_lambdas_are_those_that_samplers_ask_for():
    """Backward steps only where they are allowed: not at 5, some at 10 and at 20."""
    _, _, condition = draw(ProxPairs(IMAGES, SCHEDULE, (5, 10, 20)), 2000)
    asked = {(round(t, 6), round(l, 6)) for t, l in condition.tolist()}
    hybrid = set()
    for n in (5, 10, 20):
        hybrid |= {(round(t, 6), round(l, 6)) for t, l in step_sizes(uniform_grid(n))}
    backward = set()
    for n in (10, 20):
        grid = uniform_grid(n)
        backward |= {(round(t, 6), round(l, 6)) for t, l in step_sizes(grid, "backward")}
    assert asked == hybrid | backward


def test_the_score_is_learned_at_all_times_without_lambda():
    _, _, condition = draw(ScorePairs(IMAGES, SCHEDULE, first=0.1), 4000)
    t, lam = condition.T
    assert (lam == 0).all() and t.min() >= 0.1 and t.max() <= 1
    assert abs(float(t.mean()) - 0.55) < 0.02


def monte_carlo(zeta, t, lam, estimate, noise, x, draws=400_000):
    """The paper's loss, mean over e' given (x_0, y) of 1 - exp(-mean((eps - e')^2) / zeta^2)."""
    a, rest = SCHEDULE.signal(t), SCHEDULE.noise(t)
    s2 = rest + lam
    y = a**0.5 * x + s2**0.5 * noise
    e = torch.randn(draws, len(x), dtype=x.dtype, generator=torch.Generator().manual_seed(1))
    # given (x_0, y), x_t is N(y - lam n / s, lam (1 - a) / s^2), and e' = (y - x_t) / sqrt(lam)
    x_t = y - lam / s2**0.5 * noise + (lam * rest / s2) ** 0.5 * e
    eps = lam**0.5 / s2**0.5 * estimate
    return (1 - torch.exp(-(eps - (y - x_t) / lam**0.5).square().mean(1) / zeta**2)).mean()


@pytest.mark.parametrize("t, lam", [(0.3, 0.4), (0.2, 1.2), (0.0, 0.4)])
def test_matching_is_the_papers_with_its_noise_integrated_out(t, lam):
    """Equal up to an affine map that depends on (t, lam) alone, so with the same minimiser."""
    generator = torch.Generator().manual_seed(2)
    zeta, pixels = 0.7, 4
    x, noise = torch.randn(2, pixels, dtype=torch.float64, generator=generator)
    estimates = noise + torch.tensor([0.0, 0.3, 0.8, 2.0], dtype=torch.float64)[:, None]
    theirs = torch.stack([monte_carlo(zeta, t, lam, n, noise, x) for n in estimates])
    condition = torch.tensor([[t, lam]], dtype=torch.float64)
    ours = torch.stack(
        [
            NoiseMatching(zeta)(n.view(1, 1, 1, -1), noise.view(1, 1, 1, -1), condition)
            for n in estimates
        ]
    )

    def shape(loss):
        return (loss - loss[0]) / (loss[-1] - loss[0])

    assert torch.allclose(shape(ours), shape(theirs), atol=3e-3)
    if t > 0:  # what forgetting the spread of x_t given (x_0, y) would give
        error = (estimates - noise).square().mean(1)
        width = zeta**2 * (SCHEDULE.noise(t) + lam) / lam
        assert not torch.allclose(shape(-torch.exp(-error / width)), shape(theirs), atol=3e-3)


def test_matching_is_the_squared_error_of_a_small_miss():
    noise, _, condition = draw(ProxPairs(IMAGES, SCHEDULE, (5, 10)), 64)
    near, far = noise + 1e-3, noise + 3
    ratio = NoiseMatching(0.5)(near, noise, condition) / squared_noise_error(near, noise, condition)
    assert abs(float(ratio) - 1) < 1e-3
    assert (
        NoiseMatching(0.5)(far, noise, condition) < squared_noise_error(far, noise, condition) / 2
    )
    assert math.isclose(float(absolute_noise_error(far, noise, condition)), 3, rel_tol=1e-5)
    with pytest.raises(ValueError, match="zeta is an error to tolerate, positive, got 0"):
        NoiseMatching(0)
