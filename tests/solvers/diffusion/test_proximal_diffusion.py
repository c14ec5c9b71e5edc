"""Proximal samplers against a slow loop, the exact law for a Gaussian, and what they refuse."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from solvers import VP, even_grid, proxdm, step_sizes, uniform_grid

VP_ = VP()
M = torch.tensor([0.5, -1.0, 0.0], dtype=torch.float64)
V = torch.tensor([0.1, 1.0, 2.0], dtype=torch.float64)
KINDS = ["hybrid", "backward", "flow"]
every_kind = pytest.mark.parametrize("kind", KINDS)


def prox(y: Tensor, t: float, lam: float) -> Tensor:
    """The prox of N(M, V) at time t."""
    m, v = VP_.signal(t) ** 0.5 * M.to(y), VP_.signal(t) * V.to(y) + VP_.noise(t)
    return (v * y + lam * m) / (v + lam)


def start(n: int, dtype=torch.float64, seed: int = 0) -> Tensor:
    return torch.randn(n, 3, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def last(states) -> Tensor:
    *_, state = states
    return state.x


def noises(seed: int = 1):
    generator = torch.Generator().manual_seed(seed)
    return lambda x: torch.randn(x.shape, generator=generator, dtype=x.dtype)


def slow(x, times, kind, noise, late=False, same_lam=False):
    """The formulas of the paper; `late` and `same_lam` are mistakes to plant."""
    for t, s in pairwise(times[::-1]):
        g = 0.1 * (t - s) + 19.9 * (t**2 - s**2) / 2
        if kind == "hybrid":
            y, lam = (1 + g / 2) * x + g**0.5 * noise(x), g
        elif kind == "backward":
            y, lam = (x + g**0.5 * noise(x)) / (1 - g / 2), g / (1 - g / 2)
        else:
            y, lam = (1 + g / 2) * x, g / 2
        x = prox(y, t if late else s, g if same_lam else lam)
    return x


@every_kind
@pytest.mark.parametrize("times", [uniform_grid(11), even_grid(6, VP_)], ids=["uniform", "even"])
def test_it_is_its_slow_self(kind, times):
    x = start(4)
    fast = last(proxdm(prox, x, times, kind=kind, noise=noises()))
    torch.testing.assert_close(fast, slow(x, times, kind, noises()), rtol=1e-12, atol=1e-12)
    mistakes = [{"late": True}] + [{"same_lam": True}] * (kind != "hybrid")
    for mistake in mistakes:
        assert (fast - slow(x, times, kind, noises(), **mistake)).norm() > 1e-3


def recursion(times, kind, louder=1.0) -> tuple[Tensor, Tensor]:
    """Mean and variance of the output from N(0, I), by coordinate: y = A x + C z, then the prox."""
    mean, variance = torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    for t, s in pairwise(times[::-1]):
        g = VP_.integral(s, t)
        A = 1 / (1 - g / 2) if kind == "backward" else 1 + g / 2
        C2, lam = {"hybrid": (g, g), "backward": (g * A**2, g * A), "flow": (0, g / 2)}[kind]
        v = VP_.signal(s) * V + VP_.noise(s)
        k = v / (v + lam)
        mean = k * A * mean + (1 - k) * VP_.signal(s) ** 0.5 * M
        variance = k**2 * (A**2 * variance + louder * C2)
    return mean, variance


@every_kind
def test_moments_of_samples_are_those_of_the_exact_law(kind):
    n, times = 50_000, uniform_grid(12)
    x = last(proxdm(prox, start(n), times, kind=kind, noise=noises()))

    def scores(mean, variance):  # in standard errors, of six numbers
        off = (x.mean(0) - mean) / (variance / n) ** 0.5
        return torch.cat([off, (x.var(0) / variance - 1) / (2 / n) ** 0.5]).abs().max()

    assert scores(*recursion(times, kind)) < 4
    assert kind == "flow" or scores(*recursion(times, kind, louder=1.1)) > 6
    assert scores(M, V) > 6  # in twelve steps it is not yet the target


def test_hybrid_and_backward_agree_in_the_limit():
    gaps = []
    for n in (40, 400):
        h, b = (
            last(proxdm(prox, start(50), uniform_grid(n), kind=k, noise=noises()))
            for k in ("hybrid", "backward")
        )
        gaps.append((h - b).norm())
    assert 6 < gaps[0] / gaps[1] < 15  # first order, path by path


@every_kind
def test_it_visits_the_grid_and_ends_at_zero(kind):
    asked = []

    def spy(y, t, lam):
        asked.append((t, lam))
        return y

    times = uniform_grid(15)
    states = list(proxdm(spy, start(2), times, kind=kind))
    assert [s.t for s in states] == times[-2::-1] and states[-1].t == 0.0
    assert asked == step_sizes(times, kind)
    for (_, lam), (s, t) in zip(asked, pairwise(times), strict=False):
        assert lam > 0 and s < t
    gammas = [VP_.integral(s, t) for s, t in pairwise(times)][::-1]
    wanted = {
        "hybrid": gammas,
        "backward": [1 / (1 / g - 1 / 2) for g in gammas],
        "flow": [g / 2 for g in gammas],
    }[kind]
    assert [lam for _, lam in asked] == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("vp", [VP_, VP(1.0, 8.0), VP(4.0, 4.0), VP(0.1, 2.0)], ids=repr)
def test_a_backward_step_too_long_is_refused_before_any_and_told_a_number_that_works(vp):
    def never(y, t, lam):
        raise AssertionError("a step was taken")

    if vp.integral(0.0, 1.0) >= 2:
        with pytest.raises(ValueError, match="needs gamma < 2, got .* with 1 steps") as caught:
            proxdm(never, start(1), uniform_grid(1), kind="backward", schedule=vp)
        words = str(caught.value).split("take at least ")[1].split()
        n, even = int(words[0]), int(words[4])
        with pytest.raises(ValueError, match="gamma < 2"):
            step_sizes(uniform_grid(n - 1), "backward", vp)
        if even > 1:
            with pytest.raises(ValueError, match="gamma < 2"):
                step_sizes(even_grid(even - 1, vp), "backward", vp)
    else:
        n = even = 1
    for times in (uniform_grid(n), even_grid(even, vp)):
        states = list(proxdm(prox, start(1), times, kind="backward", schedule=vp))
        assert len(states) == len(times) - 1 and states[-1].x.isfinite().all()


def test_hybrid_takes_any_step():
    (state,) = proxdm(prox, start(3), uniform_grid(1), noise=noises())
    assert state.t == 0 and state.x.isfinite().all()


@pytest.mark.parametrize("times", [[0.0], [1.0, 0.0], [0.0, 2.0]])
def test_other_refusals_come_before_any_step_too(times):
    with pytest.raises(ValueError, match="time grid rises"):
        proxdm(prox, start(1), times)
    with pytest.raises(ValueError, match="backward, flow or a solvers.Restricted, got 'forward'"):
        proxdm(prox, start(1), uniform_grid(3), kind="forward")


def test_a_generator_a_function_and_the_global_one_give_noise_that_repeats():
    def once(noise):
        return last(proxdm(prox, start(2), uniform_grid(5), noise=noise))

    def generator(seed):
        return torch.Generator().manual_seed(seed)

    assert torch.equal(once(generator(1)), once(generator(1)))
    assert torch.equal(once(generator(1)), once(noises(1)))
    assert not torch.allclose(once(generator(1)), once(generator(2)), atol=1e-2)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        a = once(None)
        torch.manual_seed(3)
        assert torch.equal(once(None), a)


@every_kind
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_start_is_left_alone_and_its_dtype_and_shape_are_kept(kind, dtype):
    x = start(4, dtype)
    kept = x.clone()
    states = list(proxdm(prox, x, uniform_grid(11), kind=kind, noise=noises()))
    assert torch.equal(x, kept)
    assert all(s.x.dtype == dtype and s.x.shape == x.shape for s in states)


@every_kind
def test_states_already_given_out_do_not_change(kind):
    """They do not even where the prox returns its argument itself."""
    copies, states = [], []
    for state in proxdm(lambda y, t, lam: y, start(2), uniform_grid(11), kind=kind):
        states.append(state.x)
        copies.append(state.x.clone())
    assert all(torch.equal(a, b) for a, b in zip(states, copies, strict=True))


def test_whoever_stops_early_pays_for_no_more():
    calls = []

    def counted(y, t, lam):
        calls.append(t)
        return prox(y, t, lam)

    states = proxdm(counted, start(1), uniform_grid(10))
    assert not calls
    assert next(states).t == pytest.approx(0.9) and next(states).t == pytest.approx(0.8)
    states.close()
    assert len(calls) == 2


@every_kind
def test_gradients_pass_and_are_left_as_they_were(kind):
    x, times = start(2).requires_grad_(), uniform_grid(11)
    out = last(proxdm(prox, x, times, kind=kind, noise=noises()))
    assert torch.is_grad_enabled() and x.grad is None
    (slope,) = torch.autograd.grad(out.sum(), x)
    h = 1e-3 * torch.ones_like(x)
    moved = last(proxdm(prox, x.detach() + h, times, kind=kind, noise=noises()))
    torch.testing.assert_close(slope * h, moved - out.detach(), rtol=1e-8, atol=1e-12)
    with torch.no_grad():
        for state in proxdm(prox, x, times, kind=kind):
            assert not torch.is_grad_enabled() and not state.x.requires_grad


@pytest.mark.parametrize("kind", ["hybrid", "backward"])
def test_a_function_keeps_the_noise_it_gave(kind):
    z = torch.ones(1, 3)
    for _ in proxdm(
        lambda y, t, lam: y, torch.zeros(1, 3), even_grid(9, VP()), kind=kind, noise=lambda x: z
    ):
        assert torch.equal(z, torch.ones(1, 3))
