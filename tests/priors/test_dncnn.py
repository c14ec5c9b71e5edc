"""The convolutional rival of CRATE: blind, of any size, saved and loaded; and how both are made."""

import pytest
import torch

from proxlab import checkpoints
from proxlab.priors.crate.denoiser import CrateConfig, CrateDenoiser
from proxlab.priors.dncnn import DnCNNConfig, DnCNNDenoiser
from proxlab.priors.gradient_step import GradientStep
from proxlab.training.config import TrainConfig
from proxlab.training.recipes import gradient_steps, photographs

TINY = DnCNNConfig(depth=3, width=4)
SHORT = TrainConfig(steps=2, batch=2, patch=32, evaluate_every=2)


@pytest.fixture(scope="module")
def model():
    return DnCNNDenoiser(TINY).requires_grad_(False)


def test_takes_every_size_and_colours_one_by_one(model):
    v = torch.rand(2, 3, 9, 14, generator=torch.Generator().manual_seed(0))
    whole = model.prox(v, 0.1)
    assert torch.allclose(whole[1:, 2:], model.prox(v[1:, 2:], 0.1), atol=1e-6)
    assert torch.equal(whole, model(v, 0.2)) and not torch.allclose(whole, v, atol=1e-2)
    with pytest.raises(ValueError, match="knows noise levels"):
        model.prox(v, 0.9)
    with pytest.raises(ValueError, match="colour images"):
        DnCNNDenoiser(DnCNNConfig(channels=3, depth=3, width=4)).prox(v[:, :1], 0.1)


def test_images_of_another_dtype_than_the_weights_are_refused(model):
    v = torch.rand(1, 1, 9, 14).double()
    unet = checkpoints.load("gs-unet")
    for prior in (model, unet, unet.network, CrateDenoiser(CrateConfig())):
        with pytest.raises(ValueError, match=r"has weights in torch\.float32 .*; move one with"):
            prior.prox(v, 0.1)
    assert model.double().prox(v, 0.1).dtype == torch.float64
    model.float()


def test_is_saved_and_loaded(model, tmp_path):
    path = checkpoints.save(tmp_path / "dncnn-test", model, {})
    v = torch.rand(1, 1, 20, 24)
    assert torch.equal(checkpoints.load(path).prox(v, 0.1), model.prox(v, 0.1))


@pytest.mark.parametrize("wrong, said", [({"channels": 2}, "got 2"), ({"depth": 2}, "at least 3")])
def test_a_size_that_cannot_be_is_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        DnCNNConfig(**wrong)


def test_recipes_make_it_and_a_crate(photos, tmp_path):
    small = CrateConfig(width=32, heads=2, layers=1)
    for recipe, size in ((photographs.dncnn_gray, TINY), (photographs.crate_gray, small)):
        path = recipe(photos, tmp_path / recipe.name, config=SHORT, start=size)
        assert checkpoints.load(path).name == recipe.name


def test_a_gradient_step_is_trained_on_from_a_crate(photos, model, tmp_path):
    start = CrateDenoiser(CrateConfig(width=32, heads=2, layers=1))
    file = checkpoints.save(tmp_path / "crate", start, {})
    path = gradient_steps.crate_gray_step(photos, tmp_path / "out", start=file, config=SHORT)
    made = checkpoints.load(path)
    assert isinstance(made, GradientStep) and made.config.smoothing == 0.1
    away = (made.network.encoder[0].coding.D - start.encoder[0].coding.D).abs().max()
    assert 0 < away < 0.01
    further = gradient_steps.crate_gray_step(photos, tmp_path / "on", start=path, config=SHORT)
    gone = checkpoints.load(further).network.encoder[0].coding.D - made.network.encoder[0].coding.D
    assert 0 < gone.abs().max() < 0.01
    other = checkpoints.save(tmp_path / "dncnn", model, {})
    with pytest.raises(ValueError, match="starts from a CRATE denoiser"):
        gradient_steps.crate_gray_step(photos, tmp_path / "b", start=other, config=SHORT)
