"""Total variation's prox: near a long reference, no rival better, nothing kept between calls."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from deepinv.models import TVDenoiser
from skimage.data import camera

from proxlab.priors.classical import TV
from proxlab.priors.total_variation import TV_WEIGHT, _gap, denoised
from proxlab.priors.weighted_length import WeightedLength
from solvers.primal_dual import HasComposite, HasWarmStart

CLEAN = torch.from_numpy(camera()[96:137, 200:248]).double()[None, None] / 255
BATCH = torch.cat([CLEAN, CLEAN.flip(3), CLEAN.roll(7, 2)])


def noisy(sigma: float, x=CLEAN):
    return x + sigma * torch.randn(
        x.shape, generator=torch.Generator().manual_seed(0), dtype=x.dtype
    )


def gap(a, b):
    return float((a.double() - b.double()).norm() / b.double().norm())


def reference(v, sigma):
    """deepinv's own iteration, an over-relaxed primal-dual one, run for long in float64."""
    return TVDenoiser(n_it_max=6000, crit=1e-12)(v, TV_WEIGHT * sigma**2)


@pytest.mark.parametrize("sigma", [0.02, 0.05, 0.1, 0.2, 0.4])
def test_the_prox_agrees_with_a_long_run_of_deepinv(sigma):
    v = noisy(sigma)
    long = reference(v, sigma)

    def off(x):
        """Relative to v, as the accuracy is."""
        return float((x.double() - long).norm() / v.norm())

    assert off(TV().prox(v.float(), sigma)) < 1e-5
    assert off(TV(accuracy=1e-6, max_steps=20_000).prox(v, sigma)) < 2e-6
    assert off(TV(TV_WEIGHT * 1.001).prox(v, sigma)) > 1e-5  # what that comparison can see


def test_at_high_levels_max_steps_come_first():
    v = noisy(0.4)
    assert gap(TV(max_steps=500).prox(v.float(), 0.4), reference(v, 0.4)) > 2e-5


def test_the_accuracy_is_kept_and_not_overdone():
    v = noisy(0.1)
    long = reference(v, 0.1)
    for accuracy in (1e-2, 1e-3, 1e-4):
        assert gap(TV(accuracy=accuracy).prox(v, 0.1), long) < accuracy
    assert gap(TV(max_steps=20).prox(v, 0.1), long) > 1e-4


def shortfall(x, v, sigma, prior):
    """Largest lack of growth of |x - v|^2 / 2 + R by |d|^2 / 2 around x, relative."""

    def energy(z):
        return ((z - v) ** 2).sum() / 2 + prior.value(z, sigma)

    rivals = (v, 0 * v, v.mean() + 0 * v, CLEAN, v.flip(3))
    steps = [far * (z - x) for z in rivals for far in (1.0, 0.1, 1e-3)]
    return max(float((energy(x) + (d**2).sum() / 2 - energy(x + d)) / energy(x)) for d in steps)


def test_no_rival_beats_the_prox_and_the_check_sees_mistakes():
    v, prior = noisy(0.1), TV(accuracy=1e-6, max_steps=5000)
    assert shortfall(prior.prox(v, 0.1), v, 0.1, prior) < 1e-6
    assert shortfall(prior.prox(v, 0.1 / 2**0.5), v, 0.1, prior) > 1e-4  # the half forgotten
    assert shortfall(TV(max_steps=5).prox(v, 0.1), v, 0.1, prior) > 1e-5
    assert shortfall(0.5 * prior.prox(v, 0.1) + 0.5 * v, v, 0.1, prior) > 1e-3


def test_tv_by_hand():
    """Two pixels apart by 1: each gives way by the weight, and no further than their mean."""
    x = torch.tensor([[[[0.0, 1.0]]]]).double()
    prior = TV(10.0)
    assert float(prior.value(x, 0.1)) == pytest.approx(0.1)
    assert prior.prox(x, 0.1).flatten().tolist() == pytest.approx([0.1, 0.9], abs=1e-5)
    assert prior.prox(x, 0.5).flatten().tolist() == pytest.approx([0.5, 0.5], abs=1e-5)
    assert torch.equal(prior.prox(x, 0.0), x)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 1), (6, 9)], ids=str)
def test_differences_their_transpose_and_their_bounds(size):
    generator = torch.Generator().manual_seed(0)
    g = WeightedLength(0.7)
    x = torch.randn(2, 3, *size, generator=generator, dtype=torch.float64)
    u = torch.randn(2, 2, 3, *size, generator=generator, dtype=torch.float64)
    assert float((g.forward(x) * u).sum()) == pytest.approx(float((x * g.adjoint(u)).sum()))
    assert (g.forward(x) ** 2).sum() <= g.norm_squared * (x**2).sum()
    wrapped = torch.fft.irfft2(g.spectrum(x) * torch.fft.rfft2(x), s=size)
    assert (g.forward(x) ** 2).sum() <= (x * wrapped).sum() + 1e-9
    p = g.project(3 * u)
    lengths = p.norm(dim=1)
    assert lengths.max() <= 0.7 * (1 + 1e-12) and torch.allclose(g.project(p), p)
    aligned = g.project(1e6 * g.forward(x))  # <K x, u> reaches g(x) on the ball, and no further
    assert (g.forward(x) * aligned).sum((1, 2, 3, 4)).tolist() == pytest.approx(g.value(x).tolist())
    assert ((g.forward(x) * p).sum((1, 2, 3, 4)) <= g.value(x) + 1e-12).all()


def test_nothing_is_kept_between_calls_or_threads():
    prior, v = TV(max_steps=500), noisy(0.1).float()
    fresh = TV(max_steps=500).prox(v, 0.1)
    for other in (v.flip(2), v * torch.nan, 40 * v):
        prior.prox(other, 0.1)
        assert torch.equal(prior.prox(v, 0.1), fresh)
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(lambda i: prior.prox(v if i % 2 else v.flip(3), 0.1), range(8))
        assert all(torch.equal(x, fresh) for x in list(found)[1::2])


def test_images_of_a_batch_are_solved_and_stopped_alone():
    levels = torch.tensor([0.02, 0.3, 0.1])
    v = noisy(0.1, BATCH)
    together = TV().prox(v, levels)
    for i, level in enumerate(levels):
        assert gap(together[i : i + 1], TV().prox(v[i : i + 1], level)) < 1e-12
    v[1, 0, 3, 3] = torch.nan
    spoilt = TV().prox(v, levels)
    assert gap(spoilt[::2], together[::2]) < 1e-12


def test_a_run_starts_where_its_last_prox_ended():
    v, short = noisy(0.1), TV(max_steps=20)
    long, run = reference(v, 0.1), short.for_run()
    errors = [gap(run.prox(v + 0, 0.1), long) for _ in range(40)]
    assert gap(short.prox(v, 0.1), long) == errors[0] > 10 * errors[-1]
    run.prox(v * torch.nan, 0.1)
    assert run.prox(v, 0.1).isfinite().all()  # and no call poisons the next
    # another level: the dual is scaled with it, and the shape may change
    assert gap(run.prox(v, 0.1001), reference(v, 0.1001)) < gap(short.prox(v, 0.1001), long)
    assert run.prox(BATCH, 0.1).shape == BATCH.shape


def test_a_narrowed_run_keeps_its_duals_apart():
    run, twin, moved_up = (TV(max_steps=15).for_run() for _ in range(3))
    for one in (run, twin, moved_up):
        one.prox(BATCH, 0.1)
    part = run.select(torch.tensor([0, 2])).prox(BATCH[::2], 0.1)
    assert torch.equal(part, twin.prox(BATCH, 0.1)[::2])
    assert not torch.equal(moved_up.prox(BATCH[::2], 0.1), part)


def test_the_accuracy_is_proved_and_a_wrong_dual_proves_nothing():
    """|x - prox| <= sqrt(gap), for every dual in the ball: at the start too."""
    v, threshold = noisy(0.1), torch.tensor([TV_WEIGHT * 0.01]).double()
    long = reference(v, 0.1)
    for steps in (1, 3, 10, 100):
        x, u = denoised(v, threshold, None, accuracy=1e-9, max_steps=steps)
        g = WeightedLength(threshold)
        proved = float(g.value(x) - (g.forward(x) * u).sum()) ** 0.5
        assert float((x - long).norm()) <= proved * (1 + 1e-9) + 1e-9
        beyond = float(g.value(x) - (g.forward(x) * 1.5 * u).sum())  # outside of the ball
        assert steps < 100 or beyond < float((x - long).norm()) ** 2


def test_it_offers_what_solvers_ask_for():
    assert isinstance(TV(), HasComposite) and isinstance(TV(), HasWarmStart)
    x = noisy(0.1)
    assert float(TV(3.0).composite().value(x)) == pytest.approx(float(TV(3.0).value(x, 0.1)) / 0.01)


@pytest.mark.parametrize(
    "call, said",
    [
        (lambda: TV(0.0), "positive and finite, got 0.0"),
        (lambda: TV(accuracy=0.0), "accuracy > 0.*got 0.0"),
        (lambda: TV(max_steps=0), "max_steps >= 1, got 5e-05 and 0"),
        (lambda: TV().for_run().prox(CLEAN, 25.0), "divide by 255"),
    ],
)
def test_nonsense_is_refused(call, said):
    with pytest.raises(ValueError, match=said):
        call()


def test_momentum_buys_what_plain_steps_do_not():
    """After 200 steps of each, the duality gap bounds the distance to the prox ten times closer."""
    v = 0.2 * torch.randn(2, 1, 12, 12, generator=torch.Generator().manual_seed(0)).double()
    threshold = torch.tensor([0.3, 1.0], dtype=torch.float64)
    g = WeightedLength(threshold)
    u = torch.zeros_like(g.forward(v))
    for _ in range(200):
        u = g.project(u + g.forward(v - g.adjoint(u)) / 8)
    plain = _gap(g, v - g.adjoint(u), u)
    x, u = denoised(v, threshold, None, accuracy=1e-14, max_steps=200)
    torch.testing.assert_close(x, v - g.adjoint(u))
    assert (_gap(g, x, u) < plain / 100).all() and (plain > 0).all()
