"""deepinv's samplers in the bench of digits: their units, their operators, what they find."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

import proxlab
from examples.posteriors import digit_deepinv, digits
from examples.posteriors.diagonal import Task, blurred, masked
from examples.posteriors.digit_covariance import measured
from examples.posteriors.digit_deepinv import (
    DDRM,
    DPS,
    Counted,
    DiffPIR,
    UnitDenoiser,
    judged,
    physics_of,
)
from proxlab.checkpoints import load_diffusion

SIDE = 8


def sheets(count):
    """Images of -0.6 or 0.6 all over, and the denoiser of sheets of any gray, N(0, 0.36)."""
    x = torch.randint(2, (count, 1, 1, 1), generator=torch.Generator().manual_seed(4))

    def denoise(x, sigma):
        mean = x.mean((1, 2, 3), keepdim=True)
        return (mean * 0.36 / (0.36 + sigma**2 / SIDE**2)).expand_as(x)

    return (1.2 * x - 0.6).expand(-1, 1, SIDE, SIDE).contiguous(), denoise


def problem(name, truth, noise=0.1):
    generator = torch.Generator().manual_seed(3)
    chances = [torch.rand(SIDE, SIDE, generator=generator) for _ in truth]
    seen = masked(chances, noise) if name == "mask" else blurred((SIDE, SIDE), 0.6, noise)
    return seen.of(truth, torch.randn(truth.shape, generator=generator))


def test_the_denoiser_of_the_unit_range_is_the_same_one():
    def shrunk(x, sigma):
        return x / (1 + sigma**2)

    x, unit = torch.rand(2, 1, SIDE, SIDE), UnitDenoiser(shrunk)
    for sigma in (0.2, torch.tensor(0.2), torch.full((2, 1, 1, 1), 0.2)):
        assert torch.allclose(2 * unit(x, sigma) - 1, shrunk(2 * x - 1, 0.4), atol=1e-6)
    assert not torch.allclose(2 * unit(x, 0.4) - 1, shrunk(2 * x - 1, 0.4), atol=1e-2)  # planted


@pytest.mark.parametrize("name", ["mask", "blur"])
@pytest.mark.parametrize("side", [7, 8])
def test_the_operators_of_deepinv_are_those_of_the_bench(name, side):
    x = torch.rand(3, 1, side, side, generator=torch.Generator().manual_seed(0))
    seen = masked(list(x[:, 0]), 0.1) if name == "mask" else blurred((side, side), 0.6, 0.1)
    physics = physics_of(seen)
    assert torch.allclose(physics.A(x), seen.forward(x), atol=1e-5)
    assert torch.allclose(physics.A_adjoint(x), seen.forward(x), atol=1e-5)
    assert not torch.allclose(physics.A(x.roll(1, -1)), seen.forward(x), atol=1e-2)  # planted
    torch.manual_seed(0)  # deepinv's noise draws from the generator that all share
    noise = physics.noise_model(torch.zeros(50, 1, side, side))
    assert noise.std().item() == pytest.approx(0.05, rel=0.1)


@pytest.mark.parametrize("name", ["mask", "blur"])
@pytest.mark.parametrize("rival", [DiffPIR(3.0, 0.3), DDRM(1.0, 0.02, 0.85), DPS(1.0, "annealed")])
def test_every_sampler_finds_what_the_measurement_decides_in_so_many_calls(name, rival):
    """Sheets: the pixels that are seen decide those that are not."""
    x, denoise = sheets(6)
    counted = Counted(denoise)
    task = Task(counted, problem(name, x), torch.zeros(1, SIDE, SIDE), 1.0)
    samples = digits.drawn(rival, task, 10, 3)
    assert samples.shape == (3, *x.shape) and counted.images == 10 * 3 * 6
    assert (samples - x).square().mean() < 0.05
    assert samples.equal(digits.drawn(rival, task, 10, 3))
    blind = replace(task, seen=replace(task.seen, y=-task.seen.y))  # planted: the wrong sign
    assert (digits.drawn(rival, blind, 10, 3) - x).square().mean() > 1


@pytest.fixture
def drawn_digits(monkeypatch):
    """Digits that the shipped model draws, in place of MNIST, which a fresh machine lacks."""
    few = (proxlab.sample("score-mnist", n=4, steps=10).clamp(0, 1) * 255).round().byte()
    images = few.repeat(2500, 1, 1, 1)
    monkeypatch.setattr(digit_deepinv, "load_digits", lambda part: SimpleNamespace(images=images))
    return images


@pytest.mark.parametrize("method", ["ours", "DDRM"])
def test_three_steps_on_two_digits_are_judged_with_their_calls(method, drawn_digits):
    denoise = digits.denoiser(load_diffusion("score-mnist"))
    images = drawn_digits[:4] / 127.5 - 1
    covariance = measured(denoise, images, [0.1, 1.0], torch.Generator().manual_seed(0))
    on = digits.Ready(denoise, covariance, images.mean(0), 0.3)
    rival = digits.annealed(covariance) if method == "ours" else DDRM(1.0, 0.02, 0.85)
    found = judged(on, rival, ("mask", method, 3, 2), 3)
    assert found["calls"] == 3 and found["seconds"] > 0
    assert found["psnr"] > 18  # an image all black has 10
    lost = judged(on._replace(denoise=lambda x, sigma: 0 * x - 1), rival, ("mask", method, 3, 2), 3)
    assert lost["psnr"] < 18  # planted: a denoiser that knows of black alone
