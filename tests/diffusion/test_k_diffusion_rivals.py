"""The rivals of k-diffusion, and the names under which restricted steps by the mean are known."""

import importlib.util

import pytest
import torch

from examples.diffusers_rivals import Rival, predictor
from examples.k_diffusion_rivals import RIVALS
from proxlab.diffusion.mean_prox import MeanProx
from proxlab.priors.exact.mixtures import Mixture
from solvers import VP, Restricted, karras_grid, proxdm

if importlib.util.find_spec("k_diffusion") is None:
    pytest.skip("k-diffusion is not installed", allow_module_level=True)

PAIR = Mixture(
    torch.tensor([0.25, 0.75]).double(),
    torch.tensor([[-0.7], [0.6]]).double(),
    torch.tensor([0.02, 0.05]).double(),
)
TIMES = karras_grid(7, 0.1, 4.0)
SAME = {
    "DDIM": Restricted(order=1, eta=0.0),
    "Euler ancestral": Restricted(order=1),
    "DPM-Solver++ 2M": Restricted(eta=0.0),
    "SDE-DPM-Solver++ 2M": Restricted(),
}


def denoise(x, sigma):
    return PAIR.posterior_mean(x, sigma**2)


def start(n=300):
    return torch.randn(n, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def ours(kind, x):
    noise = torch.Generator().manual_seed(1)
    *_, last = proxdm(MeanProx(denoise), x, TIMES, kind=kind, noise=noise)
    return last.x


@pytest.mark.parametrize("name", SAME)
def test_restricted_steps_by_the_mean_are_known_samplers(name):
    x, noise = start(), torch.Generator().manual_seed(1)
    theirs = RIVALS[name].sample(denoise, x, TIMES, noise)
    torch.testing.assert_close(ours(SAME[name], x), theirs, rtol=1e-5, atol=1e-5)
    for other in set(SAME) - {name}:
        assert (ours(SAME[other], x) - theirs).abs().max() > 1e-2


def test_diffusers_agree_on_any_times():
    pytest.importorskip("diffusers")
    x = start()
    rival = Rival("DPMSolverMultistepScheduler", {"timestep_spacing": "linspace"})
    theirs = rival.on(predictor(PAIR), x, TIMES)
    torch.testing.assert_close(ours(Restricted(eta=0.0), x).float(), theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["Heun", "EDM, stochastic Heun"])
def test_heun_counts_two_evaluations_a_step_and_churns_when_asked(name):
    rival, asked = RIVALS[name], []

    def counted(x, sigma):
        asked.append(sigma)
        return denoise(x, sigma)

    made = rival.sample(counted, start(), TIMES)
    assert len(asked) == 2 * 7 - 1
    highest = (VP().noise(TIMES[-1]) / VP().signal(TIMES[-1])) ** 0.5
    assert asked[0] == pytest.approx(highest * (1 + rival.churn), rel=1e-6)
    assert torch.equal(made, rival.sample(denoise, start(), TIMES))  # the churn is seeded
