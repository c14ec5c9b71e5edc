"""The unconstrained rival: trained and loaded as an LPN is, and never passed off as a prox."""

import json
from dataclasses import replace

import pytest
import torch
from PIL import Image
from skimage.data import astronaut, camera

import proxlab
from proxlab import checkpoints
from proxlab.images.metrics import psnr
from proxlab.operators import deblur, gaussian_kernel
from proxlab.priors.unet import UNetConfig, UNetDenoiser
from proxlab.training.config import TrainConfig
from proxlab.training.recipes import photographs

TINY = UNetConfig(widths=(4, 4, 4, 4))
CLEAN = torch.from_numpy(camera()[96:133, 200:245]).float()[None, None] / 255


def rival(config=TINY):
    return UNetDenoiser(config).requires_grad_(False)


@pytest.mark.parametrize(
    "channels, recipe", [(1, photographs.unet_gray), (3, photographs.unet_color)]
)
def test_a_recipe_makes_a_denoiser_that_restores(channels, recipe, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(2):
        Image.fromarray(astronaut()[40 * i : 40 * i + 40, 200:240]).save(photos / f"{i}.png")
    config, size = TrainConfig(steps=2, batch=2, patch=32), replace(TINY, channels=channels)
    path = recipe(photos, tmp_path / "run", config=config, start=size)
    card = json.loads(path.with_suffix(".json").read_text())
    assert card["kind"] == "unet" and "unconstrained" in card["what"]
    assert card["command"] == f"proxlab train {path.stem} --steps 2 --batch 2 --data {photos}"
    prior = proxlab.load(path)
    assert prior.config == size and prior.name == path.stem and not prior.training
    op = deblur(gaussian_kernel(0.8), 0.05)
    y = op(CLEAN.repeat(1, channels, 1, 1), generator=torch.Generator().manual_seed(0))
    result = proxlab.restore(y, op, prior, steps=26)
    assert result.certified == [False] and "above tol" in result.doubts[0]
    assert result.trace.objective is None and result.image.isfinite().all()
    assert result.evidence[0].value_margin is None and result.evidence[0].evaluations == 2


def test_it_learns(tmp_path):
    """A batch of noise around one photograph, a hundred steps: far better than doing nothing."""
    model = UNetDenoiser(UNetConfig(widths=(8, 8, 8, 8)))
    adam = torch.optim.Adam(model.parameter_groups(5e-3))
    clean = torch.from_numpy(camera()[96:160, 200:264]).float()[None, None] / 255
    for step in range(100):
        noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(step))
        adam.zero_grad()
        (model(clean + 0.1 * noise, 0.1) - clean).square().mean().backward()
        adam.step()
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(1000))
    with torch.no_grad():
        estimate = model(clean + 0.1 * noise, 0.1)
    assert float(psnr(estimate, clean) - psnr(clean + 0.1 * noise, clean)) > 2


def test_it_claims_no_value():
    prior = rival()
    assert not hasattr(prior, "value") and not hasattr(prior, "prox_and_value")
    with pytest.raises(TypeError, match="UNetDenoiser has no prox_and_value and no value"):
        proxlab.ExplicitPrior(prior)


def test_a_round_trip_is_exact_and_weights_are_seeded(tmp_path):
    model = rival()
    again = proxlab.load(checkpoints.save(tmp_path / "rival", model, {}))
    assert torch.equal(again.prox(CLEAN, 0.1), model.prox(CLEAN, 0.1))
    torch.manual_seed(7)
    assert torch.equal(rival().prox(CLEAN, 0.1), model.prox(CLEAN, 0.1))
    assert not torch.equal(rival(replace(TINY, seed=1)).prox(CLEAN, 0.1), model.prox(CLEAN, 0.1))


def test_images_and_channels_are_independent_at_any_size():
    model = rival()
    x = torch.rand(2, 3, 37, 70, generator=torch.Generator().manual_seed(0))
    both = model.prox(x, torch.tensor([0.1, 0.2]))
    torch.testing.assert_close(both[1:, 2:], model.prox(x[1:, 2:], 0.2), rtol=0, atol=1e-6)
    assert (both[1:, 2:] - model.prox(x[1:, 2:], 0.1)).abs().max() > 1e-5
    assert torch.equal(model.train().prox(x, 0.1), model.eval().prox(x, 0.1))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: UNetConfig(channels=2), "got 2"),
        (lambda: UNetConfig(widths=(4, 4)), r"four widths .*got \(4, 4\)"),
        (lambda: UNetConfig(blocks=0), "at least 1"),
        (lambda: rival().prox(CLEAN, 25.0), "divide by 255"),
        (lambda: rival().prox(CLEAN[0], 0.1), r"\[B, C, H, W\]"),
        (lambda: rival().prox(CLEAN, torch.rand(2)), "got 2 for 1 images"),
        (lambda: rival(replace(TINY, channels=3)).prox(CLEAN, 0.1), r"got \[1, 1, 37, 45\]; use"),
    ],
)
def test_nonsense_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
