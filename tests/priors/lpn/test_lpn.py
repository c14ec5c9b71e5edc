"""The shipped network is an exact prox, knows its value, and denoises."""

import copy

import pytest
import torch
from skimage.data import camera

from proxlab.checkpoints import load
from proxlab.images.metrics import psnr
from proxlab.priors.lpn import tapered_bases

SIGMA = 25 / 255


@pytest.fixture(scope="module")
def prior():
    return load("lpn-gray")


@pytest.fixture(scope="module")
def clean():
    x = torch.from_numpy(camera()).float() / 255
    return torch.stack([x[100:148, 200:251], x[300:348, 60:111]])[:, None]


def noisy(x, sigma=SIGMA, seed=0):
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed)).to(x)
    return x + sigma * noise


def least_gap(prior, value_sigma, clean, sign=1):
    """min over rivals q of R(q) + |q - y|^2 / 2, less the same at p; negative if p is beaten."""
    y = noisy(clean).double()
    p, r = prior.prox_and_value(y, SIGMA)
    least = torch.inf
    for rival in (
        0 * y,
        y.roll(5, 3),
        noisy(clean, 0.3, seed=1).double(),
        y + 0.02,
        0.5 * y,
        2 * y,
    ):
        q, s = prior.prox_and_value(rival, value_sigma)
        here = sign * r + (p - y).square().sum((1, 2, 3)) / 2
        there = sign * s + (q - y).square().sum((1, 2, 3)) / 2
        least = min(least, float((there - here).min()))
    return least


def test_no_rival_beats_the_prox(prior, clean):
    assert least_gap(prior, SIGMA, clean) > 0


def test_wrong_values_are_caught(prior, clean):
    assert least_gap(prior, SIGMA / 4, clean) < 0 or least_gap(prior, SIGMA, clean, sign=-1) < 0


def least_value(prior):
    """The smallest R over noise levels and images, wild ones too; R = 0 on constant images."""
    wild = torch.rand(4, 1, 40, 37, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    wild = torch.cat([wild, 30 * wild * (wild > 0.9), wild.roll(1, 0) - 9 * (wild < 0.1), wild > 9])
    values = []
    with torch.no_grad():
        for level in (1, 5, 25, 75):
            s = torch.full((len(wild),), level / 255, dtype=torch.float64)
            v = wild / (level / 255)
            x, gap = prior.potential.gradient_and_gap(v, s)
            values.append(gap - (x - v).square().sum((1, 2, 3)) / 2)
    return float(torch.cat(values).min())


def test_the_prior_rewards_nothing_more_than_a_constant_image(prior):
    assert least_value(prior) > -1e-6


def test_filters_that_amplify_make_it_negative(prior, monkeypatch):
    rotations = tapered_bases.rotations
    monkeypatch.setattr(tapered_bases, "rotations", lambda turn: 1.2 * rotations(turn))
    assert least_value(copy.deepcopy(prior)) < -1  # a copy keeps nothing made before


def test_value_by_inversion_is_the_free_value(prior, clean):
    p, free = prior.prox_and_value(noisy(clean).double(), SIGMA)
    torch.testing.assert_close(prior.value(p, SIGMA), free, rtol=1e-5, atol=0)


def test_inverse_undoes_the_prox(prior, clean):
    p = prior.prox(noisy(clean).double(), SIGMA)
    again = prior.prox(prior.inverse(p, SIGMA, tol=1e-7), SIGMA)
    assert float((again - p).norm() / (p - p.mean()).norm()) < 1e-6


def test_an_impossible_tolerance_is_said(prior, clean):
    with pytest.raises(RuntimeError, match="could not be inverted"):
        prior.inverse(clean[:, :, :12, :12], SIGMA, tol=1e-14)


@pytest.mark.parametrize("level, gain", [(5, 2.5), (25, 6), (50, 8)])
def test_it_denoises(prior, clean, level, gain):
    y = noisy(clean, level / 255)
    assert float((psnr(prior(y, level / 255), clean) - psnr(y, clean)).min()) > gain


def test_interior_does_not_see_the_border(prior, clean):
    y = noisy(clean)
    whole, part = prior(y, SIGMA), prior(y[:, :, 2:, 4:], SIGMA)
    inner = (slice(None), slice(None), slice(20, -20), slice(20, -20))
    torch.testing.assert_close(whole[:, :, 2:, 4:][inner], part[inner], rtol=1e-4, atol=1e-5)
    assert (whole[:, :, 1:, 4:][:, :, :-1][inner] - part[inner]).abs().max() > 1e-3


def test_colour_is_channelwise_and_precision_agrees(prior, clean):
    y = noisy(clean).repeat(1, 3, 1, 1) * torch.tensor([1.0, 0.8, 0.5]).view(1, 3, 1, 1)
    x, r = prior.prox_and_value(y, torch.tensor([0.1, 0.05]))
    one, value = prior.prox_and_value(y[1:, 2:].double(), 0.05)
    torch.testing.assert_close(x[1:, 2:].double(), one, rtol=0, atol=2e-5)
    whole = prior.prox_and_value(y[1:].double(), 0.05)[1]
    torch.testing.assert_close(r[1:], whole, rtol=1e-4, atol=0)
    assert float(value) < float(whole)


@pytest.mark.parametrize(
    "x, sigma, message",
    [
        (torch.zeros(1, 1, 9, 9), 25.0, "divide by 255"),
        (torch.zeros(1, 1, 9, 9), 0.0, "knows noise levels"),
        (torch.zeros(1, 1, 9, 9), float("nan"), "knows noise levels"),
        (torch.zeros(1, 9, 9), 0.1, r"\[B, C, H, W\]"),
        (torch.zeros(1, 1, 9, 9, dtype=torch.uint8), 0.1, "float images"),
        (torch.zeros(0, 1, 9, 9), 0.1, "float images .* shape .0, 1, 9, 9."),
        (torch.zeros(3, 1, 9, 9), torch.tensor([0.1, 0.2]), "one per image"),
    ],
)
def test_nonsense_is_refused(prior, x, sigma, message):
    with pytest.raises(ValueError, match=message):
        prior.prox(x, sigma)


def test_it_works_as_a_denoiser_of_deepinv(prior, clean):
    from deepinv.optim import PnP

    y = noisy(clean)
    torch.testing.assert_close(PnP(prior).prox(y, SIGMA), prior.prox(y, SIGMA))
    assert not y.requires_grad
