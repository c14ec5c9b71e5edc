"""Networks as proxes and scores: parametrisation, ranges, grids, files."""

import warnings

import pytest
import torch

import proxlab
from proxlab import checkpoints
from proxlab.diffusion.models import ProxDM
from proxlab.diffusion.network import DiffusionNetConfig
from proxlab.diffusion_prior import DiffusionPrior
from solvers import even_grid, step_sizes, uniform_grid
from solvers.diffusion.score import denoised
from tests.tiny_diffusion import STEPS, TINY, tiny_prox, tiny_score

Y = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def noise_of(model, y, t, lam):
    return model.net(y, torch.tensor([[t, lam]], dtype=torch.float64).expand(len(y), 2))


def test_the_prox_removes_its_share_of_the_noise():
    """f = y - sqrt(lam) eps with eps = sqrt(lam) n / s."""
    model, t, lam = tiny_prox(), 0.3, 0.5
    eps = lam**0.5 / (model.schedule.noise(t) + lam) ** 0.5 * noise_of(model, Y, t, lam)
    assert torch.allclose(model.prox(Y, t, lam), Y - lam**0.5 * eps, atol=1e-6)


def test_an_untrained_network_is_the_posterior_mean_of_white_noise():
    """v = 0 leaves n = sin c: what Gaussian data of variance 1 would have."""
    model = ProxDM(TINY, STEPS)
    for t, lam in ((0.3, 0.5), (0.0, 0.4), (0.8, 3.6)):
        expected = (model.schedule.noise(t) + lam) ** 0.5 / (1 + lam) * Y
        assert torch.allclose(noise_of(model, Y, t, lam), expected, atol=1e-3)


def test_both_numbers_reach_the_network_and_images_do_not_meet():
    model = tiny_prox()
    at = noise_of(model, Y, 0.3, 0.5)
    assert (noise_of(model, Y, 0.35, 0.5) - at).norm() > 1e-3 * at.norm()
    assert (noise_of(model, Y, 0.3, 0.55) - at).norm() > 1e-3 * at.norm()
    mixed = model.net(Y, torch.tensor([[0.3, 0.5], [0.0, 0.1], [0.3, 0.5]]))
    assert torch.allclose(mixed[::2], at[::2], atol=1e-5)
    assert torch.allclose(noise_of(model, Y[1:2], 0.3, 0.5), at[1:2], atol=1e-5)


def test_score_denoiser_and_mean_prox_agree():
    model, t = tiny_score(), 0.3
    a = model.schedule.signal(t)
    sigma = (model.schedule.noise(t) / a) ** 0.5
    mean = denoised(Y, model.score(Y, t), t, model.schedule)
    assert torch.allclose(model.denoise(Y / a**0.5, sigma), mean, atol=1e-5)
    # at t = 0 the mean of x_0 given y is the denoiser's
    assert torch.allclose(model.prox(Y, 0.0, 0.4), model.denoise(Y, 0.4**0.5), atol=1e-5)
    wrong = model.denoise(Y, 0.4)
    assert not torch.allclose(model.prox(Y, 0.0, 0.4), wrong, atol=1e-3)


def test_lambda_outside_training_is_refused():
    model = tiny_prox()
    asked = [lam for n in (5, 20) for _, lam in step_sizes(uniform_grid(n))]
    assert model.lambda_range[0] == min(asked) and model.lambda_range[1] > max(asked)
    for lam in (model.lambda_range[0] / 2, model.lambda_range[1] * 2):
        with pytest.raises(ValueError, match="tiny-prox is trained for lambda from .* got"):
            model.prox(Y, 0.2, lam)
    model.prox(Y, 0.2, model.lambda_range[0])


def test_another_grid_is_warned_of():
    model = tiny_prox()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.check_steps(uniform_grid(10), "hybrid")
    with pytest.warns(
        UserWarning, match="trained for 5, 10, 20 uniform hybrid .* not for 7 uniform hybrid"
    ):
        model.check_steps(uniform_grid(7), "hybrid")
    with pytest.warns(UserWarning, match="not for another grid, of 10 hybrid steps"):
        model.check_steps(even_grid(10, model.schedule), "hybrid")


def test_files_keep_models_and_tell_kinds_apart(tmp_path):
    for model in (tiny_prox(), tiny_score()):
        path = checkpoints.save(tmp_path / model.name, model, {"what": "a test"})
        loaded = checkpoints.load_diffusion(path)
        assert type(loaded) is type(model) and loaded.config == model.config
        assert torch.equal(loaded.prox(Y, 0.2, 0.5), model.prox(Y, 0.2, 0.5))
        assert isinstance(proxlab.load(path), DiffusionPrior)
    assert checkpoints.load_diffusion(tmp_path / "tiny-prox.safetensors").steps == STEPS
    with pytest.raises(ValueError, match="lpn-gray holds a model of kind lpn-mixture, not a diff"):
        checkpoints.load_diffusion("lpn-gray")
    with pytest.raises(ValueError, match="no diffusion model is called 'moon'; known are"):
        checkpoints.load_diffusion("moon")


@pytest.mark.parametrize(
    "change, message",
    [
        ({"side": 30, "fold": 4}, "30 pixels is not divided by fold and scales, 8"),
        ({"channels": 2}, "channels is 1 .* got 2"),
        ({"width": 40}, "multiple of 32 and of the group, got 40 and 8"),
        ({"group": 5}, "got 32 and 5"),
        ({"beta": (0.0, 20.0)}, "0 < beta_min <= beta_max, got 0.0"),
        ({"multipliers": ()}, "not divided"),
    ],
)
def test_nonsense_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        DiffusionNetConfig(**change)
