"""Noise of a camera: its mean, its variance, who tells it, and what is refused."""

import math

import deepinv
import pytest
import torch

from proxlab import operators
from proxlab.operators import CameraNoise
from proxlab.operators.counts.camera import Counting, counting
from proxlab.operators.counts.local_variance import local_variance


def draw(model, x, seed=0):
    return model(x, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("gain, read, background", [(0.02, 0, 0), (0.1, 0.2, 0.3)])
def test_mean_and_variance_are_those_that_are_told(gain, read, background):
    model, x = CameraNoise(gain, read, background), torch.full((1, 1, 200, 200), 0.7)
    y, numbers = draw(model, x), counting(model, x)
    mean = 0.7 + background
    variance = float(numbers.variance(torch.full((1, 1), mean)))
    assert variance == pytest.approx(gain * mean + read**2)
    assert abs(float(y.mean()) - mean) < 5 * math.sqrt(variance / y.numel())
    assert float(y.var()) == pytest.approx(variance, rel=0.04)
    assert y.dtype == x.dtype
    assert torch.equal(y, draw(model, x)) and not torch.equal(y, draw(model, x, 1))


def test_counts_without_read_noise_are_whole_numbers_of_photons():
    y = draw(CameraNoise(1 / 50), torch.rand(1, 1, 8, 8))
    torch.testing.assert_close(50 * y, (50 * y).round())


def test_a_mean_below_zero_is_refused_but_for_rounding():
    model = CameraNoise(0.1)
    assert draw(model, torch.tensor([[1.0, -1e-6]]))[0, 1] == 0
    with pytest.raises(ValueError, match=r"not negative, got values down to -0.2"):
        model(torch.tensor([[1.0, -0.2]]))


@pytest.mark.parametrize("bad", [0, -1.0, math.nan, math.inf, True, None, "1"])
def test_nonsense_is_refused(bad):
    with pytest.raises(ValueError, match="gain is positive and finite"):
        CameraNoise(bad)
    if bad != 0:
        for name in ("read", "background"):
            with pytest.raises(ValueError, match=f"{name} is finite and from 0 on"):
                CameraNoise(1.0, **{name: bad})


def test_the_noise_of_deepinv_is_recognised():
    y = torch.rand(2, 1, 3, 3)
    poisson = counting(deepinv.physics.PoissonNoise(0.1), y)
    assert poisson == Counting(poisson.gain, poisson.read, poisson.background)
    assert poisson.gain.tolist() == pytest.approx([0.1, 0.1])
    each = counting(deepinv.physics.PoissonNoise(torch.tensor([0.1, 0.2])), y)
    assert each.gain.tolist() == pytest.approx([0.1, 0.2])
    both = counting(deepinv.physics.PoissonGaussianNoise(0.1, 0.05), y)
    assert both.read.tolist() == pytest.approx([0.05, 0.05]) and not both.in_photons
    photons = counting(deepinv.physics.PoissonNoise(0.1, normalize=False), y)
    torch.testing.assert_close(photons.in_image_units(10 * y), y)
    for other in (deepinv.physics.GaussianNoise(0.1), operators.PhotonCounts(10, 1)):
        assert counting(other, y) is None
    with pytest.raises(ValueError, match="gain of counts is positive and finite"):
        counting(deepinv.physics.PoissonGaussianNoise(0.0, 0.05), y)


def test_words_tell_the_numbers():
    y = torch.rand(2, 1, 3, 3)
    assert str(counting(CameraNoise(1 / 50, 0.01, 0.2), y)) == (
        "counts of photons, 50 at the value 1, read noise 0.01, background 0.2"
    )
    each = counting(deepinv.physics.PoissonNoise(torch.tensor([0.1, 0.2])), y)
    assert str(each) == "counts of photons, 5 to 10 at the value 1"


def test_local_variance_is_that_of_the_mean_and_not_of_the_count():
    model = CameraNoise(0.1, 0.05)
    x = torch.full((1, 1, 64, 64), 0.8)
    y = draw(model, x)
    numbers = counting(model, y)
    right = 0.1 * 0.8 + 0.05**2
    error = (local_variance(y, numbers) / right - 1).square().mean().sqrt()
    of_counts = (numbers.variance(y.clamp(min=0)) / right - 1).square().mean().sqrt()
    assert error < 0.1 < 0.3 < of_counts
    dark = local_variance(0 * y, numbers)
    assert float(dark.min()) == pytest.approx(0.1 * 0.05 + 0.05**2)  # half a photon


def test_an_operator_takes_a_camera():
    x = torch.rand(1, 1, 12, 12)
    for op in (
        operators.deblur(operators.gaussian_kernel(0.5), CameraNoise(0.1)),
        operators.deblur(operators.gaussian_kernel(0.5), CameraNoise(0.1), "reflect"),
        operators.inpaint(torch.ones(12, 12), CameraNoise(0.1)),
    ):
        y = op(x, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(10 * y, (10 * y).round())
        assert operators.noise_level(op) is None
        with pytest.raises(ValueError, match="leave noise out"):
            operators.estimate_noise(y, op)
