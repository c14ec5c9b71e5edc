"""Tuning of samplers: at the library's own grid it draws what the library draws."""

import pytest
import torch

import proxlab
from examples.tune_samplers import GRIDS, Analytic, Grid, contestants, digits
from proxlab.checkpoints import load_diffusion

IMAGES = torch.zeros(4, 1, 28, 28)


@pytest.fixture(scope="module")
def model():
    return load_diffusion("score-mnist")


def test_ours_at_the_times_of_the_library_is_proxlab_sample(model):
    one, times = contestants(IMAGES)["mean-restricted"], model.few_steps(3)
    made = digits(one, model, times, 1.0, 2)
    torch.testing.assert_close(made, proxlab.sample(model, 2, steps=3), rtol=1e-4, atol=1e-4)
    assert (digits(one, model, times, 0.7, 2) - made).abs().max() > 0.01


def test_grids_start_where_they_say(model):
    for grid in GRIDS:
        times = grid.times(model, 5)
        assert len(times) == 6 and times == sorted(times) and times[0] == 0
        assert (times[-1] == 1) == (not grid.law)
    low = Grid(True, 0.5).times(model, 5)[1]
    assert low < Grid(True).times(model, 5)[1]


def test_analytic_dpm_measures_the_error_of_the_denoiser_once(model):
    draw, asked = Analytic(IMAGES), []

    class Counted:
        schedule, prox = model.schedule, staticmethod(model.prox)

        @staticmethod
        def denoise(x, sigma):
            asked.append(sigma)
            return x / (1 + sigma**2)

    times, noise = Grid(True).times(model, 2), torch.Generator().manual_seed(0)
    x = torch.zeros(1, 1, 28, 28)
    for _ in range(2):
        with torch.no_grad():
            assert draw(Counted, x, times, noise, 1.0).shape == x.shape
    assert len(asked) == 1  # the last step has no spread
