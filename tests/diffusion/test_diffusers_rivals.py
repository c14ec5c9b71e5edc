"""The rivals of diffusers are driven rightly: they reach where the exact probability flow leads."""

import importlib.util

import pytest
import torch

from examples.diffusers_rivals import RIVALS, Rival, predictor
from proxlab.priors.exact.mixtures import Mixture
from solvers import VP, score, uniform_grid
from solvers.diffusion.score import LAST_TIME

pytest.importorskip("diffusers")

VARIANCES = torch.tensor([0.5, 0.05]).double()
GAUSSIAN = Mixture(
    torch.ones(1).double(), torch.tensor([[0.3, -0.5]]).double(), VARIANCES.diag()[None]
)
PAIR = Mixture(
    torch.tensor([0.25, 0.75]).double(),
    torch.tensor([[-0.7], [0.6]]).double(),
    torch.tensor([0.02, 0.05]).double(),
)
DDIM_TRAILING = Rival("DDIMScheduler", {"timestep_spacing": "trailing", "clip_sample": False})
EULER = Rival("DPMSolverMultistepScheduler", {"timestep_spacing": "trailing", "solver_order": 1})
HIGHER = [name for name in RIVALS if name != "DDIM"]
MANY = 150
BOUNDS = {"DDIM": 4e-2, "Heun": 2e-2}
"""Of the relative error at MANY evaluations: measured are 0.02, 0.01, and for others 0.0024."""


def noise(target, n=500):
    seeded = torch.Generator().manual_seed(0)
    return torch.randn(n, target.dimension, dtype=torch.float64, generator=seeded)


def flow_of_gaussian(x):
    """Each axis is stretched about its mean, by the ratio of the deviations at 0 and 1."""
    a, mean = VP().signal(1.0), GAUSSIAN.means[0]
    return mean + (VARIANCES / (a * VARIANCES + 1 - a)).sqrt() * (x - a**0.5 * mean)


def flow_by_euler(target, x):
    def slope(x, t):
        return target.at(t).score(x)

    # Errs as 1 / steps, so that twice the steps and Richardson take out the first order.
    ends = []
    for steps in (600, 1200):
        *_, last = score(slope, x, uniform_grid(steps, LAST_TIME), kind="ode")
        ends.append(last.x)
    return 2 * ends[1] - ends[0]


def error(rival, predicted, x, truth, evaluations):
    return float((rival.sample(predicted, x, evaluations) - truth).norm() / truth.norm())


@pytest.mark.parametrize("name", RIVALS)
@pytest.mark.parametrize("target", [GAUSSIAN, PAIR], ids=["gaussian", "pair"])
def test_many_steps_are_the_probability_flow(name, target):
    x = noise(target)
    truth = flow_of_gaussian(x) if target is GAUSSIAN else flow_by_euler(target, x)
    assert error(RIVALS[name], predictor(target), x, truth, MANY) < BOUNDS.get(name, 4e-3)


def test_two_roads_to_the_flow_agree():
    x = noise(GAUSSIAN)
    truth = flow_of_gaussian(x)
    assert (flow_by_euler(GAUSSIAN, x) - truth).norm() < 1e-3 * truth.norm()


@pytest.mark.parametrize("name", RIVALS)
def test_the_check_catches_a_wrong_time_and_a_wrong_sign(name):
    x, exact = noise(GAUSSIAN), predictor(GAUSSIAN)
    mistakes = (
        lambda x, t: exact(x, min(1.0, t + 0.05)),
        lambda x, t: exact(x, max(1e-3, t - 0.05)),
        lambda x, t: -exact(x, t),
    )
    for wrong in mistakes:
        assert not error(RIVALS[name], wrong, x, flow_of_gaussian(x), MANY) < 0.05


def gain(name, few=20, many=80):
    x, predicted = noise(GAUSSIAN), predictor(GAUSSIAN)
    few, many = (error(RIVALS[name], predicted, x, flow_of_gaussian(x), n) for n in (few, many))
    return few / many


def test_ddim_is_of_first_order():
    assert 3 < gain("DDIM") < 5


@pytest.mark.parametrize("name", HIGHER)
def test_the_others_are_of_a_higher_order(name):
    assert gain(name) > 6  # measured: Heun 6.9, DPM-Solver++ 20, UniPC 30 to 100


def test_ddim_is_order_one_of_dpm_solver():
    x, predicted = noise(PAIR), predictor(PAIR)
    ends = [rival.sample(predicted, x, 10) for rival in (DDIM_TRAILING, EULER)]
    torch.testing.assert_close(*ends, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", RIVALS)
def test_evaluations_are_counted_and_their_times_fall_to_zero(name):
    for evaluations in (2, 5, 6, 20, 33):
        asked = []

        def counted(x, t, asked=asked):
            asked.append(t)
            return predictor(PAIR)(x, t)

        states = list(RIVALS[name].walk(counted, noise(PAIR, 4), evaluations))
        spent = evaluations - (name == "Heun" and evaluations % 2 == 0)
        assert len(asked) == len(states) == RIVALS[name].spent(evaluations) == spent
        assert asked[0] == pytest.approx(1.0, abs=1e-6) and states[-1].t == 0
        assert all(0 < t <= 1 for t in asked) and asked == sorted(asked, reverse=True)


def test_variance_of_our_stochastic_sampler_is_that_of_its_recursion():
    v, schedule, times = 0.05, VP(), uniform_grid(20, LAST_TIME)
    target = Mixture(*(torch.tensor(z).double() for z in ([1.0], [[0.0]], [v])))
    seeded = torch.Generator().manual_seed(0)
    x = torch.randn(200_000, 1, dtype=torch.float64, generator=seeded)
    *_, last = score(lambda x, t: target.at(t).score(x), x, times, noise=seeded)

    def total(t):
        return schedule.signal(t) * v + schedule.noise(t)

    variance = 1.0
    for t, s in zip(times[:0:-1], times[-2::-1], strict=True):
        gamma = schedule.integral(s, t)
        variance = (1 + gamma / 2 - gamma / total(t)) ** 2 * variance + gamma
    # The posterior mean shrinks by sqrt(a) v / (a v + 1 - a).
    variance *= schedule.signal(times[0]) * v**2 / total(times[0]) ** 2
    assert float(last.x.var()) == pytest.approx(variance, rel=0.015)
    assert abs(variance / v - 1) > 0.05  # so the recursion is told from the target


def test_refusals(monkeypatch):
    for evaluations in (1, 1001):
        with pytest.raises(ValueError, match="takes 2 to 1000 evaluations"):
            RIVALS["DDIM"].walk(predictor(PAIR), noise(PAIR), evaluations)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'proxlab\[benches\]'"):
        RIVALS["DDIM"].sample(predictor(PAIR), noise(PAIR), 5)
