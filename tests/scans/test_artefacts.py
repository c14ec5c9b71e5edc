"""Rings and zingers: what removing them gains, and what it costs where there is none."""

import pytest
import torch

from proxlab import metrics
from proxlab.operators import PhotonCounts, ct, remove_rings, remove_zingers
from proxlab.operators.tomography.abdomen import abdomen

K = 0.04
X = ((abdomen(96) + 1024) / 4095).float()
OP = ct(96, 120, noise=PhotonCounts(5e4, K))
Y = OP(X, generator=torch.Generator().manual_seed(0))
D = OP.scan.detectors


def fbp(y):
    return float(metrics.psnr(OP.A_dagger(y, window="hann"), X))


def stripes():
    """Errors of two per cent in the flat field of two thirds of the detectors."""
    errors = 0.02 / K * torch.randn(D, generator=torch.Generator().manual_seed(1))
    errors[::3] = 0
    return errors


def zingers(y):
    """y with 0.2 % of its rays hit, and where."""
    rng = torch.Generator().manual_seed(2)
    hit = torch.rand(y.shape, generator=rng) < 0.002
    depth = (0.3 + 3 * torch.rand(y.shape, generator=rng)) / K
    return torch.where(hit, y - depth, y), hit


def test_rings_go_and_the_image_stays():
    ringed = Y + stripes()
    gained, cost = fbp(remove_rings(ringed)) - fbp(ringed), fbp(Y) - fbp(remove_rings(Y))
    assert gained > 2 and cost < 0.25


def test_that_the_wrong_axis_would_be_seen():
    """Sorted along the detector in place of the views nothing is gained."""
    ringed = Y + stripes()
    assert fbp(remove_rings(ringed.mT).mT) < fbp(ringed) + 0.5


def test_a_stripe_is_taken_off_whole_where_the_object_is_smooth():
    u = torch.linspace(-1, 1, 61)
    y = (1 - u**2).expand(1, 1, 40, 61) * torch.linspace(1, 1.3, 40)[:, None]
    stripe = torch.zeros(61)
    stripe[20], stripe[40:43] = 0.3, 0.2
    assert (remove_rings(y + stripe, size=9) - y).abs().max() < 0.1
    assert (remove_rings(y + stripe, size=5) - y).abs().max() > 0.15  # less than twice its width


def test_each_slice_is_by_itself():
    both = torch.cat([Y + stripes(), Y])
    torch.testing.assert_close(remove_rings(both)[1:], remove_rings(Y))
    torch.testing.assert_close(remove_zingers(both)[1:], remove_zingers(Y))


def test_zingers_go_and_little_else():
    spoilt, hit = zingers(Y)
    mended = remove_zingers(spoilt)
    assert fbp(mended) > fbp(Y) - 0.3 > fbp(spoilt) + 3
    assert int((hit & (mended == spoilt)).sum()) <= 0.03 * int(hit.sum())
    assert int((~hit & (mended != spoilt)).sum()) <= 0.001 * Y.numel()
    assert int((remove_zingers(Y) != Y).sum()) <= 0.001 * Y.numel()
    assert torch.equal(mended[mended == spoilt], spoilt[mended == spoilt])


def test_that_a_threshold_that_is_wrong_would_be_seen():
    spoilt, hit = zingers(Y)
    assert int((remove_zingers(spoilt, 1.0) != spoilt).sum()) > 20 * int(hit.sum())
    assert torch.equal(remove_zingers(spoilt, 1e6), spoilt)


BAD = [
    (lambda: remove_rings(Y[0]), r"\[B, C, H, W\]"),
    (lambda: remove_rings(Y / 0), "NaN or infinite"),
    (lambda: remove_rings(Y, 4), "odd number of detectors from 3 on, got 4"),
    (lambda: remove_rings(Y, 1), "odd number of detectors from 3 on, got 1"),
    (lambda: remove_zingers(Y, 0), "threshold is positive and finite, got 0"),
    (lambda: remove_zingers(Y[0]), r"\[B, C, H, W\]"),
]


@pytest.mark.parametrize("call, match", BAD)
def test_nonsense_is_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 1, 2, 3), (2, 1, 1, 9), (1, 1, 9, 2)])
def test_small_sinograms_keep_their_shape(shape):
    y = torch.rand(shape)
    for answer in (remove_rings(y), remove_zingers(y)):
        assert answer.shape == y.shape and answer.isfinite().all()
