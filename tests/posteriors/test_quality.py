"""Judging samples of posteriors: a sample of the truth's own law passes, and others do not."""

import pytest
import torch

from proxlab import posterior_quality
from proxlab.posteriors.quality import interval


def drawn(n: int, scale: float = 1.0, shift: float = 0.0):
    """Samples and truths, one half flat, the other busy and three times less sure."""
    generator = torch.Generator().manual_seed(n)
    known, unsure = torch.zeros(2, 1, 1, 32, 32).double()
    known[..., 16:] = 100 * (torch.arange(16) % 2)
    unsure += 1
    unsure[..., 16:] = 3.0
    truth = known + unsure * torch.randn(6, 1, 32, 32, generator=generator).double()
    noise = torch.randn(n, 6, 1, 32, 32, generator=generator).double()
    return known + unsure * (scale * noise + shift), truth


def test_samples_of_the_truths_own_law_are_calibrated():
    quality = posterior_quality(*drawn(19))
    for level in (0.5, 0.8, 0.9):
        assert abs(quality.coverage[level] - level) < 0.02
        assert all(abs(held - level) < 0.04 for held in quality.coverage_by_quarter[level])
    assert abs(quality.spread_over_error - 1) < 0.03
    assert all(abs(ratio - 1) < 0.06 for ratio in quality.spread_over_error_by_quarter)
    assert (20 * quality.ranks - 1).abs().max() < 0.25


def test_quarters_are_parted_by_how_busy_the_mean_is():
    samples, truth = drawn(19)
    samples[..., 16:] = samples[..., 16:].mean(0, keepdim=True) + 0.1
    flat, _, _, busy = posterior_quality(samples, truth).spread_over_error_by_quarter
    assert abs(flat - 1) < 0.06 and busy == 0


@pytest.mark.parametrize("scale, shift", [(0.7, 0.0), (1.4, 0.0), (1.0, 0.7)])
def test_samples_of_another_law_are_told(scale, shift):
    right, wrong = posterior_quality(*drawn(19)), posterior_quality(*drawn(19, scale, shift))
    assert abs(wrong.coverage[0.8] - 0.8) > 0.05
    assert abs(wrong.spread_over_error - 1) > 0.15
    assert (20 * wrong.ranks - 1).abs().max() > 0.4
    assert wrong.energy_score.mean() > right.energy_score.mean()


def test_an_interval_holds_what_it_says_whatever_the_law():
    for n, within in ((9, 0.003), (10, 0.03), (16, 0.03), (19, 0.003)):  # between ranks by a line
        draws = torch.randn(n + 1, 200_000, generator=torch.Generator().manual_seed(n)).exp()
        low, high = interval(draws[1:], 0.8)
        held = float(((draws[0] > low) & (draws[0] < high)).double().mean())
        assert abs(held - 0.8) < within


def test_energy_score_and_error_are_those_of_their_definitions():
    samples, truth = torch.tensor([[[0.0]], [[2.0]], [[4.0]]]), torch.tensor([[1.0]])
    quality = posterior_quality(samples, truth)
    assert quality.energy_score.item() == pytest.approx((1 + 1 + 3) / 3 - (8 / 3) / 2)
    assert quality.mean_square_error.item() == 1
    assert quality.ranks.tolist() == [0, 1, 0, 0]
    assert not quality.coverage_by_quarter and not len(quality.spread_over_error_by_quarter)


def test_what_cannot_be_judged_is_refused():
    samples, truth = torch.zeros(4, 1, 1, 8, 8), torch.zeros(1, 1, 8, 8)
    with pytest.raises(ValueError, match=r"got \[4, 1, 1, 8, 8\] and \[1, 8, 8\]"):
        posterior_quality(samples, truth[0])
    with pytest.raises(ValueError, match="from 3 on, got 2"):
        posterior_quality(samples[:2], truth)
    with pytest.raises(ValueError, match="NaN or infinite"):
        posterior_quality(samples / 0, truth)
    with pytest.raises(ValueError, match="an interval of 80 % takes at least 9 samples, got 8"):
        interval(torch.zeros(8, 1), 0.8)
    with pytest.raises(ValueError, match="above 0 and below 1, got 1"):
        interval(torch.zeros(8, 1), 1.0)
