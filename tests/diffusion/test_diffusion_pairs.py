"""Pairs that a diffusion network learns from, and proximal matching integrated over its noise."""

import pytest
import torch

from proxlab.diffusion.pairs import (
    AbsoluteNoiseError,
    NoiseMatching,
    ProxPairs,
    ScorePairs,
    squared_noise_error,
)
from proxlab.diffusion.sources import Whole
from solvers import VP, karras_grid, step_sizes, uniform_grid

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
    "pairs",
    [
        ProxPairs(Whole(IMAGES), SCHEDULE, (5, 10, 20)),
        ProxPairs(Whole(IMAGES), SCHEDULE, (5,), [karras_grid(3, 1.0, 5.0)]),
        ScorePairs(Whole(IMAGES), SCHEDULE),
    ],
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
    _, _, condition = draw(ProxPairs(Whole(IMAGES), SCHEDULE, (5, 10, 20)), 2000)
    asked = {(round(t, 6), round(l, 6)) for t, l in condition.tolist()}
    hybrid = set()
    for n in (5, 10, 20):
        hybrid |= {(round(t, 6), round(l, 6)) for t, l in step_sizes(uniform_grid(n))}
    backward = set()
    for n in (10, 20):
        grid = uniform_grid(n)
        backward |= {(round(t, 6), round(l, 6)) for t, l in step_sizes(grid, "backward")}
    assert asked == hybrid | backward


def test_half_of_the_pairs_are_those_of_restricted_steps():
    """Each of the grids as often as the other, whatever their lengths, and nothing between."""
    grids = [karras_grid(3, 1.0, 5.0), karras_grid(7, 0.5, 5.0)]
    _, _, condition = draw(ProxPairs(Whole(IMAGES), SCHEDULE, (10,), grids), 6000)
    rounded = [(round(t, 6), round(l, 6)) for t, l in condition.tolist()]
    few, more = (
        {(round(t, 6), round(l, 6)) for t, l in step_sizes(grid, "restricted", SCHEDULE)}
        for grid in grids
    )
    uniform = set(rounded) - few - more
    share = sum(pair in few for pair in rounded) / 6000, sum(p in more for p in rounded) / 6000
    assert share == pytest.approx((0.25, 0.25), abs=0.02)
    assert len(uniform) == 10 + 10 and set(rounded) >= few | more  # backward steps too


def test_the_score_is_learned_at_all_times_without_lambda():
    _, _, condition = draw(ScorePairs(Whole(IMAGES), SCHEDULE, first=0.1), 4000)
    t, lam = condition.T
    assert (lam == 0).all() and t.min() >= 0.1 and t.max() <= 1
    assert abs(float(t.mean()) - 0.55) < 0.02


def sampled_errors(t, lam, estimate, noise, x, draws=400_000):
    """eps - e' for e' drawn given (x_0, y), [draws, N]: what the paper's losses average over."""
    a, rest = SCHEDULE.signal(t), SCHEDULE.noise(t)
    s2 = rest + lam
    y = a**0.5 * x + s2**0.5 * noise
    e = torch.randn(draws, len(x), dtype=x.dtype, generator=torch.Generator().manual_seed(1))
    # given (x_0, y), x_t is N(y - lam n / s, lam (1 - a) / s^2), and e' = (y - x_t) / sqrt(lam)
    x_t = y - lam / s2**0.5 * noise + (lam * rest / s2) ** 0.5 * e
    eps = lam**0.5 / s2**0.5 * estimate
    return eps - (y - x_t) / lam**0.5


def some_estimates(pixels=4):
    generator = torch.Generator().manual_seed(2)
    x, noise = torch.randn(2, pixels, dtype=torch.float64, generator=generator)
    off = torch.tensor([0.0, 0.3, 0.8, 2.0], dtype=torch.float64)[:, None]
    return x, noise, noise + off


def ours_of(loss, estimates, noise, t, lam):
    condition = torch.tensor([[t, lam]], dtype=torch.float64)
    rows = [loss(n.view(1, 1, 1, -1), noise.view(1, 1, 1, -1), condition) for n in estimates]
    return torch.stack(rows)


@pytest.mark.parametrize("t, lam", [(0.3, 0.4), (0.2, 1.2), (0.0, 0.4)])
def test_matching_is_the_papers_with_its_noise_integrated_out(t, lam):
    """Equal up to an affine map that depends on (t, lam) alone, so with the same minimiser."""
    x, noise, estimates = some_estimates()
    errors = [sampled_errors(t, lam, n, noise, x).square().mean(1) for n in estimates]
    theirs = torch.stack([(1 - torch.exp(-e / 0.7**2)).mean() for e in errors])

    def shape(loss):
        return (loss - loss[0]) / (loss[-1] - loss[0])

    ours = shape(ours_of(NoiseMatching(0.7), estimates, noise, t, lam))
    assert torch.allclose(ours, shape(theirs), atol=3e-3)
    if t > 0:  # what forgetting the spread of x_t given (x_0, y) would give
        error = (estimates - noise).square().mean(1)
        width = 0.7**2 * (SCHEDULE.noise(t) + lam) / lam
        assert not torch.allclose(shape(-torch.exp(-error / width)), shape(theirs), atol=3e-3)


@pytest.mark.parametrize("t, lam", [(0.3, 0.4), (0.2, 1.2), (0.0, 0.4)])
def test_so_is_the_absolute_error(t, lam):
    x, noise, estimates = some_estimates()
    share = (lam / (SCHEDULE.noise(t) + lam)) ** 0.5
    theirs = [sampled_errors(t, lam, n, noise, x).abs().mean() / share for n in estimates]
    theirs = torch.stack(theirs) - theirs[0]
    ours = ours_of(AbsoluteNoiseError(), estimates, noise, t, lam)
    assert torch.allclose(ours, theirs, atol=5e-3)
    plain = (estimates - noise).abs().mean(1)
    assert torch.allclose(plain, theirs, atol=5e-3) == (t == 0)


def test_matching_is_the_squared_error_of_a_small_miss():
    noise, _, condition = draw(ProxPairs(Whole(IMAGES), SCHEDULE, (5, 10)), 64)
    near, far = noise + 1e-3, noise + 3
    ratio = NoiseMatching(0.5)(near, noise, condition) / squared_noise_error(near, noise, condition)
    assert abs(float(ratio) - 1) < 1e-3
    assert (
        NoiseMatching(0.5)(far, noise, condition) < squared_noise_error(far, noise, condition) / 2
    )
    with pytest.raises(ValueError, match="zeta is an error to tolerate, positive, got 0"):
        NoiseMatching(0)
