"""A diffusion as a prior: its denoiser in image units, exact for Gaussians, of one size alone."""

import pytest
import torch

from proxlab.diffusion.prox_mean import ProxMean
from proxlab.diffusion_prior import DiffusionPrior
from proxlab.priors.contract import Prior
from solvers import VP
from tests.tiny_diffusion import tiny_prox, tiny_score

V = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
VARIANCE = 0.3


class Gaussian:
    """The exact prox of -lam log p_t where images are normal around 0, in [-1, 1]."""

    schedule, lambda_range, steps = VP(), (1e-4, 100.0), (10, 100)

    def prox(self, y, t, lam):
        spread = self.schedule.signal(t) * VARIANCE + self.schedule.noise(t)
        return y * spread / (spread + lam)


def off(mean) -> float:
    """Largest relative distance from the posterior mean, over levels."""
    x = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    found = []
    for sigma in (0.02, 0.044, 0.05, 0.3, 1.0, 5.0, 50.0):
        right = VARIANCE / (VARIANCE + sigma**2)
        found.append(abs(float(mean.denoise(x, sigma)) / right - 1))
    return max(found)


def test_an_exact_prox_of_a_gaussian_gives_its_posterior_mean():
    assert off(ProxMean(Gaussian())) < 1e-6


def test_that_check_catches_the_share_left_out():
    class Plain(ProxMean):
        def denoise(self, x, sigma):
            return self.model.prox(x, 0.0, sigma**2 / 2)

    assert off(Plain(Gaussian())) > 1e-2


def test_it_speaks_of_images_in_0_to_1():
    model = tiny_score()
    prior = DiffusionPrior(model)
    assert isinstance(prior, Prior) and prior.name == model.name
    right = (model.denoise(2 * V - 1, 0.2) + 1) / 2
    torch.testing.assert_close(prior.prox(V, 0.1), right)
    torch.testing.assert_close(prior(V, torch.tensor([0.1])), right)


@pytest.mark.parametrize("make", [tiny_prox, tiny_score])
def test_each_image_has_its_level_and_each_channel_is_an_image(make):
    prior = DiffusionPrior(make())
    apart = torch.cat([prior.prox(V[:1], 0.1), prior.prox(V[1:], 0.3)])
    torch.testing.assert_close(prior.prox(V, torch.tensor([0.1, 0.3])), apart)
    torch.testing.assert_close(
        prior.prox(V.view(1, 2, 8, 8), 0.1), prior.prox(V, 0.1).view(1, 2, 8, 8)
    )
    low, high = prior.sigma_range
    assert prior.prox(V, low).isfinite().all() and prior.prox(V, high).isfinite().all()


@pytest.mark.parametrize(
    "v, sigma, sentence",
    [
        (torch.rand(1, 1, 8, 9), 0.1, "knows images of 8 x 8 pixels alone, got 8 x 9; crop"),
        (V, 2.0, "knows noise levels from"),
        (V.double(), 0.1, "weights in torch.float32"),
    ],
)
def test_what_it_does_not_know_is_refused(v, sigma, sentence):
    with pytest.raises(ValueError, match=sentence):
        DiffusionPrior(tiny_prox()).prox(v, sigma)
