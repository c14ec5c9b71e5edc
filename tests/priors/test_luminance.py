"""A gray prior on luminance and chroma: the contract, the value, mixings that are wrong."""

import pytest
import torch
from skimage.data import astronaut

import proxlab
from proxlab.priors.color import luminance
from proxlab.priors.contract import lacking
from proxlab.priors.total_variation import TV
from solvers.protocols import HasProxAndValue
from tests.priors.contract import faults

SIGMA = 0.1


def gray():
    return proxlab.load("lpn-gray-small").double().requires_grad_(False)


@pytest.fixture
def v():
    x = torch.from_numpy(astronaut()).permute(2, 0, 1)[None, :, 20:36, 200:216].double() / 255
    noise = torch.randn(2, *x.shape[1:], generator=torch.Generator().manual_seed(0))
    return x + SIGMA * noise.to(x)


def test_it_keeps_the_contract(v):
    assert faults(lambda: proxlab.Luminance(gray()), v[..., :4, :4]) == []


def falls(prior, v):
    """Whether moving from the prox in direction of other images makes its objective larger."""
    p, r = prior.prox_and_value(v, SIGMA)
    here = r + (p - v).square().sum((1, 2, 3)) / 2
    rivals = [prior.prox_and_value(w, SIGMA) for w in (0 * v, v.roll(1, 1), v.flip(3), v + 0.02)]
    return all((s + (q - v).square().sum((1, 2, 3)) / 2 > here).all() for q, s in rivals)


def test_its_prox_is_least_and_a_mixing_that_is_no_rotation_is_caught(v, monkeypatch):
    prior, plain = proxlab.Luminance(gray()), gray()
    assert falls(prior, v)
    flat, r = prior.prox_and_value(torch.full_like(v, 0.3), SIGMA)
    assert (flat - 0.3).abs().max() < 1e-9 and r.abs().max() < 1e-9
    levels = torch.tensor([0.05, 0.1]).double()
    x, value = prior.prox_and_value(v, levels)
    for b in range(2):
        planes = torch.einsum("ij,jhw->ihw", luminance.MIXING, v[b] - 0.5)[:, None] + 0.5
        p, s = plain.prox_and_value(planes, float(levels[b]))
        again = torch.einsum("ij,jhw->ihw", luminance.MIXING, x[b] - 0.5)[:, None] + 0.5
        assert (p - again).abs().max() < 1e-9
        assert float(s.sum()) == pytest.approx(float(value[b]))
    monkeypatch.setattr(luminance, "MIXING", 1.3 * luminance.MIXING)
    assert faults(lambda: proxlab.Luminance(gray()), v[..., :4, :4])


def test_colours_are_less_noisy_than_by_channel(v):
    prior, plain = proxlab.Luminance(gray()), gray()
    clean = torch.from_numpy(astronaut()).permute(2, 0, 1)[None, :, 20:36, 200:216].double() / 255
    ours, theirs = ((p.prox(v, SIGMA) - clean).norm() for p in (prior, plain))
    assert ours < 0.95 * theirs


def test_claims_are_those_of_the_prior_and_other_channels_are_refused(v):
    tv = proxlab.Luminance(TV())
    assert lacking(tv) == "" and tv.capabilities.convex
    unet = proxlab.Luminance(proxlab.load("unet-gray-small"))
    assert not isinstance(unet, HasProxAndValue) and not unet.capabilities.exact
    assert unet.prox(v.float(), SIGMA).shape == v.shape
    for channels in (1, 2, 4):
        with pytest.raises(ValueError, match="on luminance knows colour images"):
            tv.prox(torch.rand(1, channels, 8, 8), SIGMA)


def test_it_restores_with_evidence(v):
    op = proxlab.operators.denoise(SIGMA)
    assert proxlab.restore(v, op, proxlab.Luminance(gray())).certified == [True, True]
