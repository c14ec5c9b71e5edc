"""`proxlab.sample`: what a sample depends on, and what is refused."""

import warnings

import pytest
import torch

import proxlab
from proxlab import checkpoints
from proxlab.diffusion.mean_prox import DenoiserDiffusion
from proxlab.sample_noise import SampleNoise
from proxlab.sampling import batches, sample
from solvers import VP, JacobianSpread, Restricted, even_grid, proxdm, score, uniform_grid
from tests.tiny_diffusion import tiny_prox, tiny_score

WHOLE = Restricted(1, spread=JacobianSpread(2))


@pytest.mark.parametrize("kind", ["restricted", WHOLE, "hybrid", "backward", "flow", "sde", "ode"])
def test_a_sample_depends_on_its_number_alone(kind):
    model = tiny_score()
    whole = sample(model, 5, steps=10, kind=kind, seed=3)
    assert whole.shape == (5, 1, 8, 8) and whole.dtype == torch.float32
    parts = torch.cat(list(batches(model, 5, steps=10, kind=kind, seed=3, batch=2)))
    assert torch.allclose(parts, whole, atol=1e-4)
    assert torch.allclose(sample(model, 2, steps=10, kind=kind, seed=3), whole[:2], atol=1e-4)
    assert not torch.allclose(sample(model, 5, steps=10, kind=kind, seed=4), whole, atol=1e-1)


def test_it_is_the_sampler_on_the_model_in_image_units():
    prox, model, n = tiny_prox(), tiny_score(), 4
    noise = SampleNoise(0, range(n))
    *_, last = proxdm(prox.prox, noise(torch.empty(n, 1, 8, 8)), uniform_grid(5), noise=noise)
    assert torch.equal(sample(prox, n, steps=5, kind="hybrid"), (last.x + 1) / 2)
    noise = SampleNoise(0, range(n))
    grid = even_grid(7, model.schedule)
    *_, last = score(model.score, noise(torch.empty(n, 1, 8, 8)), grid, kind="sde", noise=noise)
    assert torch.equal(sample(model, n, kind="sde", steps=grid), (last.x + 1) / 2)
    noise, grid = SampleNoise(0, range(n)), model.few_steps(5)
    x = model.begin(noise(torch.empty(n, 1, 8, 8)), grid[-1])
    *_, last = proxdm(model.prox, x, grid, kind=Restricted(1), noise=noise)
    assert grid[-1] < 1 and torch.equal(
        sample(model, n, kind=Restricted(1), steps=5), (last.x + 1) / 2
    )


def test_models_come_by_name_or_path_and_leave_gradients_alone(tmp_path):
    path = checkpoints.save(tmp_path / "tiny", tiny_prox(), {})
    assert torch.equal(proxlab.sample(path, 2, steps=5), sample(tiny_prox(), 2, steps=5))
    for _ in batches(tiny_prox().requires_grad_(True), 2, steps=5, batch=1):
        assert torch.is_grad_enabled()


def test_nonsense_is_refused_before_any_work():
    prox, model = tiny_prox(), tiny_score()
    for n in (0, -1):
        with pytest.raises(ValueError, match=f"n is at least 1, got {n}"):
            sample(prox, n)
    with pytest.raises(ValueError, match="batch is at least 1, got 0"):
        sample(prox, 1, batch=0)
    for steps in (0, 2.5):
        with pytest.raises(ValueError, match=f"steps is a whole number, at least 1, got {steps}"):
            sample(prox, 1, steps=steps)
    with pytest.raises(ValueError, match="a seed is .* got -1"):
        sample(prox, 1, seed=-1)
    with pytest.raises(ValueError, match="'sde' needs the score .* tiny-prox has only its prox"):
        sample(prox, 1, kind="sde")
    with pytest.raises(
        ValueError,
        match="kind is one of restricted, hybrid, .* ode or a solvers.Restricted, got 'forward'",
    ):
        sample(model, 1, kind="forward")
    with pytest.raises(ValueError, match="backward step needs gamma < 2.* at least 10 uniform"):
        batches(prox, 1, steps=5, kind="backward")
    with pytest.raises(ValueError, match="a time grid rises"):
        sample(model, 1, steps=[0.0, 0.5, 0.4, 1.0])
    with pytest.raises(ValueError, match="lpn-gray holds a model of kind lpn-mixture"):
        sample("lpn-gray", 1)


def test_a_grid_that_was_not_trained_for_is_warned_of_once():
    with pytest.warns(UserWarning, match="not for 7 uniform hybrid steps") as caught:
        sample(tiny_prox(), 1, steps=7, kind="hybrid")
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sample(tiny_prox(), 1, steps=10, kind="hybrid")
        sample(tiny_prox(), 1, steps=7)
        sample(tiny_score(), 1, steps=7)


class Worn(torch.nn.Module):
    """The denoiser of a score model, of images in [0, 1]."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x, sigma):
        return (self.model.denoise(2 * x - 1, 2 * sigma) + 1) / 2


@pytest.mark.parametrize("kind", ["restricted", "hybrid", "backward", "flow", "sde", "ode"])
def test_a_denoiser_is_a_model(kind):
    model = tiny_score()
    worn = DenoiserDiffusion(Worn(model), model.shape)
    steps = worn.few_steps(12) if kind == "restricted" else 12  # it knows no mean of its images
    ours, theirs = (sample(m, 3, steps=steps, kind=kind) for m in (worn, model))
    assert torch.allclose(ours, theirs, atol=2e-3)
    worn.schedule = VP(0.1, 19.0)
    assert not torch.allclose(sample(worn, 3, steps=steps, kind=kind), theirs, atol=2e-3)


def test_a_denoiser_that_lacks_the_noise_of_a_diffusion_refuses():
    with pytest.raises(ValueError, match="lpn-gray .*sigma"):
        sample(DenoiserDiffusion(proxlab.load("lpn-gray"), (1, 32, 32)), 1)


def test_a_lambda_out_of_range_is_refused_before_the_network_is_asked():
    """A flow of 20 steps ends with half the lambda of the shortest step trained for."""
    model = tiny_prox()
    model.net = torch.nn.Identity()  # which takes one argument only: a call would raise TypeError
    with pytest.raises(ValueError, match="trained for lambda from .* got .* hybrid steps"):
        batches(model, 1, steps=20, kind="flow")


def test_what_lies_outside_training_is_warned_of():
    with pytest.warns(UserWarning, match="not for 10 uniform flow steps"):
        sample(tiny_prox(), 1, steps=10, kind="flow")
    with pytest.warns(UserWarning, match="a backward step to t = 0.9 asks about 2.* times that"):
        sample(tiny_score(), 1, steps=10, kind="backward")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kind in ("hybrid", "flow", "sde", "ode"):
            sample(tiny_score(), 1, steps=3, kind=kind)
        sample(tiny_score(), 1, steps=30, kind="backward")
