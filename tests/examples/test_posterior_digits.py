"""The bench of posteriors of digits: its covariance, its judge and its samplers on exact laws."""

from dataclasses import replace

import pytest
import torch

import solvers
from examples.posteriors import digits
from examples.posteriors.diagonal import Task, blurred, masked
from examples.posteriors.digit_covariance import GRAYS, REACH, Scaled, measured
from examples.posteriors.digit_judge import behind, judged
from examples.posteriors.rivals import DAPS, DiffPIR, PiGDM, PnPDM
from proxlab.checkpoints import load_diffusion
from solvers.posteriors.covariances import ScaledIdentity

SIDE = 8


def coins(count, seed=0):
    """Images whose pixels are -1 or 1, each by itself, and their denoiser."""
    x = torch.randint(2, (count, 1, SIDE, SIDE), generator=torch.Generator().manual_seed(seed))
    return 2.0 * x - 1, lambda x, sigma: (x / sigma**2).tanh()


def sheets(count, seed=0):
    """Images that are -1 or 1 all over, and their denoiser."""
    x = torch.randint(2, (count, 1, 1, 1), generator=torch.Generator().manual_seed(seed))

    def denoise(x, sigma):
        return (x.sum((1, 2, 3), keepdim=True) / sigma**2).tanh().expand_as(x)

    return (2.0 * x - 1).expand(-1, 1, SIDE, SIDE).contiguous(), denoise


def problem(name, truth, noise=0.1):
    generator = torch.Generator().manual_seed(3)
    chances = [torch.rand(SIDE, SIDE, generator=generator) for _ in truth]
    seen = masked(chances, noise) if name == "mask" else blurred((SIDE, SIDE), 0.6, noise)
    return seen.of(truth, torch.randn(truth.shape, generator=generator))


def test_the_root_of_the_covariance_is_one_and_a_spectrum_in_place_of_its_root_is_none():
    generator = torch.Generator().manual_seed(0)
    half = torch.rand(SIDE, SIDE // 2 + 1, generator=generator)
    power = torch.fft.rfft2(torch.fft.irfft2(half, s=(SIDE, SIDE))).real.abs()
    deviation = torch.rand(1, 1, SIDE, SIDE, generator=generator)
    eye = torch.eye(SIDE**2).view(-1, 1, SIDE, SIDE)

    def gap(root):
        C = Scaled(deviation, power).product(eye).flatten(1)
        M = root.root(eye).noise.flatten(1)
        return float((C - M.T @ M).norm() / C.norm())

    assert gap(Scaled(deviation, power)) < 1e-5
    assert gap(Scaled(deviation, power.square())) > 0.1  # planted: R for its root


@pytest.mark.parametrize("law", [coins, sheets])
def test_what_is_measured_is_the_posterior_of_a_law_that_is_known(law):
    x, denoise = law(4000)
    found = measured(denoise, x, [0.9, 8.0], torch.Generator().manual_seed(1))
    mean, _ = found.around(denoise, x[:1] + 0.3, 0.9)
    assert torch.equal(mean, denoise(x[:1] + 0.3, 0.9))
    grays = torch.linspace(-REACH, REACH, GRAYS).tanh()
    middle = grays.abs() < 0.8
    sigma, at = (0.9, 0) if law is coins else (8.0, 1)
    miss = found.variances[at] - (1 - grays**2)  # the variance of a pixel of -1 or 1
    assert miss[middle].abs().max() < 0.1, sigma
    assert found.variances[at][grays.abs() > 0.999].max() < 0.05
    lone = found.powers[at].flatten()[1:].max()
    assert (lone < 1e-3) == (law is sheets)  # one frequency alone, or all alike
    if law is coins:
        assert (found.powers[at] - 1).abs().max() < 0.15


@pytest.mark.parametrize("name", ["mask", "blur"])
def test_closed_forms_of_the_data_are_those_of_conjugate_gradients(name):
    x, _ = coins(3)
    seen = problem(name, x)
    by = solvers.LinearObservation(seen.forward, seen.forward, seen.y, 0.01, tol=1e-7)
    exact = by.draw(0.3 * x, ScaledIdentity(0.5), torch.zeros_like)
    assert torch.allclose(seen.given(0.3 * x, 0.5, None), exact, atol=1e-4)
    assert not torch.allclose(seen.given(0.3 * x, 0.4, None), exact, atol=1e-4)
    many = seen.part(slice(0, 1)).repeated(4000)
    drawn = many.given(0.3 * x[:1].expand(4000, -1, -1, -1), 0.5, torch.Generator())
    noise = torch.Generator().manual_seed(8)
    by = replace(by, forward=many.forward, adjoint=many.forward, y=many.y)
    other = by.draw(0.3 * x[:1].expand(4000, -1, -1, -1), ScaledIdentity(0.5), noise)
    assert (drawn.std(0) / other.std(0) - 1).abs().max() < 0.1
    assert seen.part(slice(1, 3)).y.equal(seen.y[1:])


def test_a_mask_shows_half_of_the_pixels_and_each_digit_has_a_measurement_of_its_own():
    x = -torch.ones(3, 1, 28, 28)
    seen = digits.measure("mask", x, [1, 2, 1])
    assert (seen.gain.flatten(1).sum(1) == 392).all()
    assert seen.y[0].equal(seen.y[2]) and not seen.y[0].equal(seen.y[1])
    hidden = seen.gain == 0
    assert (seen.y[hidden] == 0).all() and abs(seen.y[~hidden].mean() + 1) < 0.02


def test_draws_of_the_law_of_the_truth_are_judged_calibrated_and_narrow_ones_are_not():
    generator = torch.Generator().manual_seed(2)
    ink = torch.randn(10, 40, 1, 28, 28, generator=generator) * 0.3  # most of it below black
    drawn = (ink - 1.2).clamp(-1, 1)
    found = judged(drawn[1:], drawn[0])
    assert abs(found["coverage"][0.5] - 0.5) < 0.02 and abs(found["coverage"][0.8] - 0.8) < 0.02
    assert found["raw"][0.5] > 0.6  # ties, which no exact draws can help
    ink = torch.rand(10, 40, 1, 28, 28, generator=generator) - 0.5
    sure = judged(0.5 * ink[1:], ink[0])
    assert sure["coverage"][0.8] < 0.7 and sure["spread"] < 0.8


@pytest.mark.parametrize("name", ["mask", "blur"])
def test_every_sampler_finds_what_the_measurement_decides(name):
    """Sheets: the pixels that are seen decide those that are not."""
    x, denoise = sheets(12, seed=4)
    task = Task(denoise, problem(name, x), torch.zeros(1, SIDE, SIDE), 1.0)
    covariance = measured(denoise, sheets(500)[0], [0.1, 0.5, 2.0, 8.0, 32.0], torch.Generator())
    ours = digits.annealed(covariance, high=32.0)
    rivals = [PiGDM(40.0), DAPS(), DiffPIR(40.0), PnPDM(), ours]
    for rival in rivals:
        samples = digits.drawn(rival, task, 10, 3)
        assert samples.shape == (3, *x.shape)
        assert (samples - x).square().mean() < 0.1, rival
    blind = replace(task, seen=replace(task.seen, y=-task.seen.y))  # planted: the wrong sign
    assert (digits.drawn(ours, blind, 10, 3) - x).square().mean() > 1


def test_a_learned_prox_denoises_as_a_score_does():
    x = -torch.ones(4, 1, 28, 28)
    x[:, :, 5:23, 12:15] = 1  # a one
    score, prox = (digits.denoiser(load_diffusion(name)) for name in digits.MODELS)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    for sigma in (0.06, 0.3, 1.0):
        noisy = x + sigma * noise
        assert (prox(noisy, sigma) - x).square().mean() < 0.1 * sigma**2 + 2e-3
        assert (prox(noisy, sigma) - score(noisy, sigma)).square().mean() < 0.05 * sigma**2 + 2e-3
        assert (prox(noisy, 2 * sigma) - x).square().mean() > (
            prox(noisy, sigma) - x
        ).square().mean()


def test_rows_are_compared_digit_by_digit_on_those_that_both_have():
    task = {"model": "m", "problem": "mask", "evaluations": 10, "samples": 9}
    ours = task | {"method": "ours", "digits": 6, "psnr": [20.0, 0.0, 22.0, 0.0, 24.0, 0.0]}
    theirs = task | {"method": "PiGDM", "digits": 3, "psnr": [19.0, 21.0, 23.0]}
    assert behind(ours, [theirs, ours], 6) == "+1.00 +- 0.00 dB on 3"
    assert behind(theirs, [theirs, ours], 6) == ""
    assert behind(ours | {"evaluations": 20}, [theirs, ours], 6) == ""
