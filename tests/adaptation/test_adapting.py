"""Priors trained further on noisy images: gain, guard, exactness, and what is refused."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from skimage.data import binary_blobs, camera

import proxlab
from proxlab.adaptation import adapting
from proxlab.images.metrics import psnr
from proxlab.training.recorrupted import GROWTH
from tests.priors.contract import faults

SIGMA = 0.1


def blobs(seeds, side=48):
    pictures = [
        binary_blobs(side, blob_size_fraction=0.2, volume_fraction=0.5, rng=seed) for seed in seeds
    ]
    return torch.from_numpy(np.stack(pictures).astype(np.float32))[:, None] / 2 + 0.25


def noisy(clean):
    return clean + SIGMA * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def prior():
    return proxlab.load("lpn-gray-small")


@pytest.fixture(scope="module")
def adapted(prior):
    return proxlab.adapt(prior, noisy(blobs(range(20))), SIGMA, steps=25, learning_rate=1e-2)


def test_images_of_another_kind_are_denoised_better_and_exactly(prior, adapted):
    assert adapted.accepted and adapted.prior.name == "lpn-gray-small-adapted"
    assert adapted.gain > 2 * adapted.error > 0 and not adapted.doubt
    unseen = blobs(range(100, 106))
    y = noisy(unseen)
    before, after = (psnr(p.prox(y, SIGMA), unseen).mean() for p in (prior, adapted.prior))
    assert after - before > 0.4
    twin: Any = copy.deepcopy(adapted.prior).double()
    assert (
        adapted.prior.capabilities.exact and faults(lambda: twin, y[:2, :, :6, :6].double()) == []
    )


def test_the_gain_told_is_that_of_clean_images(prior, adapted):
    """The images held out are every tenth, so that their clean ones tell what noisy ones did."""
    clean = blobs(range(0, 20, 10))
    level = GROWTH * SIGMA
    noise = torch.randn(8, *clean.shape, generator=torch.Generator().manual_seed(1))
    errors = []
    for p in (prior, adapted.prior):
        y = (clean + level * noise).flatten(0, 1)
        errors.append(float((p.prox(y, level) - clean.repeat(8, 1, 1, 1)).square().mean()))
    assert adapted.before == pytest.approx(errors[0], abs=SIGMA**2 / 8)
    assert adapted.gain == pytest.approx(errors[0] - errors[1], rel=0.2)


def test_photographs_keep_the_prior_that_came_in(prior, monkeypatch):
    x = torch.from_numpy(camera()[150:342, 150:342]).float() / 255
    parts = noisy(x.unfold(0, 64, 64).unfold(1, 64, 64).reshape(-1, 1, 64, 64))
    before = copy.deepcopy(prior.state_dict())
    kept = proxlab.adapt(prior, parts, SIGMA, steps=5)
    assert kept.prior is prior and not kept.accepted and "not adapted" in repr(kept)
    assert all(torch.equal(before[k], v) for k, v in prior.state_dict().items())
    monkeypatch.setattr(adapting, "SURE", -1e9)  # without its guard it would be another
    assert proxlab.adapt(prior, parts, SIGMA, steps=5).accepted


def test_a_seed_is_a_result(prior):
    y = noisy(blobs(range(3)))
    runs = [proxlab.adapt(prior, y, SIGMA, steps=2, seed=seed) for seed in (0, 0, 1)]
    assert runs[0].gain == runs[1].gain != runs[2].gain


def test_one_image_is_divided_and_a_network_goes_on_too(prior):
    y = noisy(blobs([0], 96))[0, 0]
    assert proxlab.adapt("unet-gray-small", [y], SIGMA, steps=1).before > 0
    assert proxlab.adapt("gs-unet", [y], SIGMA, steps=1).before > 0


def test_a_noise_that_the_images_do_not_have_is_said(prior):
    y = blobs(range(2)) + 0.02 * torch.randn(2, 1, 48, 48)
    assert "look as if their noise were" in proxlab.adapt(prior, y, SIGMA, steps=1).doubt


@pytest.mark.parametrize(
    "name, images, sigma, says",
    [
        ("tv", torch.rand(2, 1, 64, 64), 0.1, "no parameters"),
        ("lpn-gray-small", torch.rand(2, 1, 64, 64), 0.0, "nothing is learned"),
        ("lpn-gray-small", torch.rand(2, 1, 64, 64), 0.29, "can be adapted to noise 0.0035"),
        ("lpn-gray-small", torch.zeros(2, 1, 64, 64), 0.1, "is constant"),
        ("lpn-gray-small", torch.rand(2, 1, 64, 64) / 0, 0.1, "no numbers"),
        ("lpn-gray-small", torch.rand(2, 1, 20, 64), 0.1, "at least 32"),
        ("lpn-gray-small", torch.rand(1, 1, 40, 40), 0.1, "too small to be trained on"),
        ("lpn-gray-small", torch.rand(1, 1, 64, 32), 0.1, "4 tiles of 16 x 16 pixels, and 8"),
        ("lpn-gray-small", torch.ones(2, 1, 64, 64, dtype=torch.uint8), 0.1, "are floats"),
        ("lpn-gray-small", torch.rand(2, 3, 64, 64), 0.1, "of 1 channel, got 3"),
        ("lpn-color", torch.rand(2, 1, 64, 64), 0.1, "of 3 channels, got 1"),
        ("lpn-gray-small", [], 0.1, "no images"),
    ],
)
def test_what_cannot_be_is_a_sentence(name, images, sigma, says):
    with pytest.raises(ValueError, match=says):
        proxlab.adapt(name, images, sigma, steps=1)
