"""Restricted steps: exact laws for Gaussians, orders of convergence, and what they refuse."""

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from examples.sampler_laws import Gaussian, output_law
from solvers import (
    VP,
    JacobianSpread,
    Restricted,
    ScalarSpread,
    karras_grid,
    proxdm,
    step_sizes,
)
from solvers.diffusion.spread import Step

VP_ = VP()
M = torch.tensor([0.5, -1.0, 1.0, 0.3], dtype=torch.float64)
V = torch.tensor([0.05, 0.2, 1.0, 2.0], dtype=torch.float64)
LOW, HIGH = 0.3, 20.0


def law_at(t: float, v: Tensor = V) -> tuple[Tensor, Tensor]:
    """Mean and variances of X_t for X_0 ~ N(M, v)."""
    return VP_.signal(t) ** 0.5 * M, VP_.signal(t) * v + VP_.noise(t)


def prox(y: Tensor, t: float, lam: float) -> Tensor:
    m, v = law_at(t)
    return (v * y + lam * m) / (v + lam)


def law(kind, times, walk=proxdm, prox=prox, v=V) -> tuple[Tensor, Tensor]:
    """Mean and variances of the last state, from X at the last time."""

    def walked(target, kind, x, times, noise):
        return walk(prox, x, times, kind=kind, noise=noise)

    target = Gaussian(M, v)
    return output_law(target, kind, times, target.at(times[-1]), walked)


def levels(n: int) -> list[float]:
    """n steps between LOW and HIGH, where the law is that of X at LOW."""
    return karras_grid(n + 1, LOW, HIGH)[1:]


def uneven(n: int) -> list[float]:
    """The same with every second step three times as long, in log sigma."""
    each = math.log(HIGH / LOW) / (2 * n)
    logs = [math.log(LOW) + each * (2 * k - k % 2) for k in range(n + 1)]
    return [VP_.time_of_noise(math.exp(x)) for x in logs]


def order(kind, walk=proxdm, grid=levels) -> float:
    """Slope of the error of the variances over the step, between 64 and 128 steps."""
    errors = []
    for n in (64, 128):
        times = grid(n)
        errors.append(float((law(kind, times, walk)[1] - law_at(times[0])[1]).norm()))
    return math.log2(errors[0] / errors[1])


def test_with_the_jacobian_it_is_exact_for_a_gaussian_in_any_number_of_steps():
    for n in (1, 2, 5):
        times = levels(n)
        mean, variance = law(Restricted(1, 1, JacobianSpread(4)), times)
        torch.testing.assert_close(mean, law_at(times[0])[0], rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(variance, law_at(times[0])[1], rtol=1e-9, atol=1e-9)
        # without the spread, and with too few products, it is not
        assert (law(Restricted(1), times)[1] - law_at(times[0])[1]).norm() > 0.2
        few = law(Restricted(1, 1, JacobianSpread(1)), times)[1]
        assert (few - law_at(times[0])[1]).norm() > 1e-3


def test_with_one_measured_number_it_is_exact_where_one_number_says_all():
    v = torch.full_like(V, 0.4)

    def round_prox(y, t, lam):
        m, spread = law_at(t, v)
        return (spread * y + lam * m) / (spread + lam)

    def found(variance):
        return law(Restricted(1, 1, ScalarSpread(variance)), levels(3), prox=round_prox, v=v)[1]

    truth = law_at(levels(3)[0], v)[1]
    torch.testing.assert_close(found(lambda s: 0.4 * s**2 / (0.4 + s**2)), truth)
    assert (found(lambda s: 0.2 * s**2 / (0.2 + s**2)) - truth).norm() > 0.02


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0, 1.4])
def test_extrapolated_its_law_is_of_second_order_whatever_the_fresh_noise(eta):
    assert 1.9 < order(Restricted(2, eta)) < 2.1
    assert 0.9 < order(Restricted(1, eta)) < 1.1
    times = levels(10)
    wrong = [(law(Restricted(k, eta), times)[1] - law_at(times[0])[1]).norm() for k in (1, 2)]
    assert wrong[1] < wrong[0] / 3


def slow(prox, x, times, *, kind: Restricted, noise: Callable, even=False, late=False):
    """The formulas, in coordinates where noise is only added; `even`, `late` plant mistakes."""
    u, last = x / VP_.signal(times[-1]) ** 0.5, None
    for t, s in pairwise(times[::-1]):
        a = VP_.signal(s)
        before, after = ((1 / VP_.signal(w) - 1) ** 0.5 for w in (t, s))
        centre = prox(a**0.5 * u, s, a * (before**2 - after**2)) / a**0.5
        if s == 0:
            yield centre, s
            return
        ratio, h = (after / before) ** 2, math.log(before / after)
        clean = now = u + (centre - u) / (1 - ratio)
        if kind.order == 2 and last is not None:
            clean = now + (0.5 if even else h / (2 * last[1])) * (now - last[0])
        last = now, h
        kept = math.exp(-(1 + kind.eta**2) * h)
        fresh = (before if late else after) * (1 - ratio ** (kind.eta**2)) ** 0.5
        u = kept * u + (1 - kept) * clean
        if kind.eta:
            u = u + fresh * noise(u)
        yield a**0.5 * u, s


@pytest.mark.parametrize("eta", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("order_of", [1, 2])
def test_it_is_its_slow_self(order_of, eta):
    kind = Restricted(order_of, eta)

    def last(walk, **mistake):
        g = torch.Generator().manual_seed(1)
        x = torch.randn(6, 4, generator=g, dtype=torch.float64)
        *_, state = walk(
            prox,
            x,
            karras_grid(7, LOW, HIGH),
            kind=kind,
            noise=lambda x: torch.randn(x.shape, generator=g, dtype=x.dtype),
            **mistake,
        )
        return state[0]

    fast = last(proxdm)
    torch.testing.assert_close(fast, last(slow), rtol=1e-10, atol=1e-10)
    if kind.order == 2:
        assert (fast - last(slow, even=True)).norm() > 1e-2
    if kind.eta:
        assert (fast - last(slow, late=True)).norm() > 1e-2


def test_steps_that_are_taken_for_equal_ones_lose_the_order():
    def mistaken(prox, x, times, *, kind, noise):
        return slow(prox, x, times, kind=kind, noise=noise, even=True)

    assert order(Restricted(2), grid=uneven) > 1.9
    assert order(Restricted(2), mistaken, uneven) < 1.3


def test_it_asks_about_the_noise_that_there_is_and_ends_in_the_prox():
    asked = []

    def spy(y, t, lam):
        asked.append((t, lam))
        return 0.5 * y

    times = karras_grid(5, LOW, HIGH)
    states = list(proxdm(spy, torch.randn(3, 2), times, kind="restricted"))
    assert [state.t for state in states] == times[-2::-1]
    assert asked == step_sizes(times, "restricted")
    for (s, lam), t in zip(asked, times[::-1], strict=False):
        # the variance of y = sqrt(a_s / a_t) x_t, in which x_s is sought
        assert VP_.noise(s) + lam == pytest.approx(
            VP_.noise(t) * VP_.signal(s) / VP_.signal(t), rel=1e-9
        )
    y = states[-2].x / VP_.signal(times[1]) ** 0.5
    torch.testing.assert_close(states[-1].x, 0.5 * y)


def test_the_root_of_a_jacobian_is_found_image_by_image():
    g = torch.Generator().manual_seed(0)
    A = torch.randn(2, 6, 6, generator=g, dtype=torch.float64)
    J = A @ A.mT / 12

    def linear(y, t, lam):
        return (J @ y[..., None])[..., 0]

    z = torch.randn(2, 6, generator=g, dtype=torch.float64)
    values, vectors = torch.linalg.eigh(J)
    root = vectors * values.clamp(min=0).sqrt()[:, None] @ vectors.mT
    y, step = torch.ones(2, 6, dtype=torch.float64), Step(0.1, 1.0, 1.0, 0.5)
    centre, fresh = JacobianSpread(6).centre(linear, y, step, z)
    torch.testing.assert_close(fresh, (root @ z[..., None])[..., 0], rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(centre, linear(y, 0, 0))
    assert not fresh.requires_grad and not centre.requires_grad
    errors = [
        (JacobianSpread(k).centre(linear, y, step, z)[1] - fresh).norm() for k in (1, 2, 3, 4)
    ]
    assert errors == sorted(errors, reverse=True) and errors[0] > 5 * errors[3]


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="of order 1 or 2, got 3"):
        Restricted(3)
    for eta in (-0.1, 2.5, math.nan):
        with pytest.raises(ValueError, match=f"eta, .* is 0 to 2, got {eta}"):
            Restricted(eta=eta)
    for wrong in ({"order": 2}, {"order": 1, "eta": 0.5}):
        with pytest.raises(ValueError, match="a spread goes with order=1 and eta=1"):
            Restricted(**wrong, spread=JacobianSpread())
    for products in (0, 1.5, True):
        with pytest.raises(ValueError, match="products is a whole number from 1 to 1000"):
            JacobianSpread(products)
    for variance in (-1.0, 401.0):
        kind = Restricted(1, 1, ScalarSpread(lambda s, v=variance: v))
        with pytest.raises(ValueError, match="a posterior's variance is 0 to sigma"):
            list(proxdm(prox, torch.randn(2, 4), levels(2), kind=kind))


@pytest.mark.parametrize(
    "settings", [(1, 0.1, 1.0), (5, 1.0, 0.1), (5, 0.0, 1.0), (5, 0.1, 1.0, 0.0), (2.5, 0.1, 1.0)]
)
def test_levels_that_are_none_are_refused(settings):
    with pytest.raises(ValueError, match="levels has at least 2 steps|steps is a whole number"):
        karras_grid(*settings)


def test_levels_end_where_the_schedule_does():
    most = (VP_.noise(1.0) / VP_.signal(1.0)) ** 0.5
    assert karras_grid(4, 0.1, most)[-1] == pytest.approx(1.0)
    with pytest.raises(ValueError, match="ends at sigma = 152.*, got high = 200"):
        karras_grid(4, 0.1, 200)
    sigmas = [(VP_.noise(t) / VP_.signal(t)) ** 0.5 for t in karras_grid(5, 0.2, 10.0, 3.0)[1:]]
    roots = [s ** (1 / 3) for s in sigmas]
    gaps = [b - a for a, b in pairwise(roots)]
    assert sigmas[0] == pytest.approx(0.2) and gaps == pytest.approx([gaps[0]] * 4)
