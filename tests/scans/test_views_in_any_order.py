"""Views that are not sorted and not even: every path takes them as it takes them sorted."""

import numpy as np
import pytest
import torch

from proxlab import calibrate, estimate_noise, metrics
from proxlab.jobs import restore
from proxlab.operators import ct
from proxlab.operators.noise import measurement_weights
from proxlab.operators.tomography import backprojection
from proxlab.operators.tomography.abdomen import abdomen
from proxlab.operators.tomography.moments import moment_offset
from proxlab.operators.tomography.symmetry import plan

X = ((abdomen(64) + 1024) / 4095).float()
GOLDEN = tuple(np.mod(111.246117975 * np.arange(55), 180))
TURNING = tuple(111.246117975 * np.arange(55))  # as a turntable counts on
SYMMETRIC = tuple(np.random.default_rng(0).permutation(np.arange(0, 180, 7.5)))
RANDOM = tuple(np.random.default_rng(1).uniform(0, 180, 60))
BOTH_SIDES = tuple(np.random.default_rng(2).permutation(np.arange(0, 360, 9.0)))
ALL = {
    "golden": GOLDEN,
    "turning": TURNING,
    "symmetric": SYMMETRIC,
    "random": RANDOM,
    "both sides": BOTH_SIDES,
}


def pair(angles, **more):
    """Operators of the views as they come and sorted, and the order."""
    order = np.argsort(angles)
    return ct(64, angles, **more), ct(64, np.asarray(angles)[order], **more), order.tolist()


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("offset", [0.0, 2.3])
def test_products_and_filtered_backprojection_are_those_of_sorted_views(name, offset):
    op, ordered, order = pair(ALL[name], noise=0.3, detector_offset=offset)
    y = op.A(X)
    torch.testing.assert_close(y[:, :, order], ordered.A(X), rtol=1e-5, atol=1e-4)
    for apply in ("A_adjoint", "A_dagger", "first_estimate"):
        one, other = (getattr(o, apply)(z) for o, z in ((op, y), (ordered, y[:, :, order])))
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4 * float(other.abs().max()))


def test_the_symmetry_plan_holds_for_views_in_any_order():
    op = ct(64, SYMMETRIC)
    assert len(plan(op.scan).stored) < len(SYMMETRIC) / 2
    for k in (0, 5, 17):
        one = ct(64, [SYMMETRIC[k]], detectors=op.scan.detectors).A(X)
        torch.testing.assert_close(op.A(X)[:, :, k : k + 1], one, rtol=1e-4, atol=1e-3)


def test_views_are_weighed_by_their_gaps(monkeypatch):
    """Dense in a quarter, sparse elsewhere: alike weights, the planted mistake, lose much."""
    angles = np.concatenate([np.linspace(0, 45, 90, endpoint=False), np.linspace(45, 180, 45)[:-1]])
    angles = np.random.default_rng(0).permutation(angles)
    op = ct(64, angles)
    y = op.A(X)
    right = float(metrics.psnr(op.A_dagger(y), X))
    even = float(metrics.psnr(ct(64, len(angles)).A_dagger(ct(64, len(angles)).A(X)), X))
    assert right > even - 1.5
    weights = backprojection._view_weights(op.scan)
    assert weights.sum() == pytest.approx(np.pi) and weights.max() / weights.min() > 5
    alike = np.full(len(angles), np.pi / len(angles))
    monkeypatch.setattr(backprojection, "_view_weights", lambda scan: alike)
    assert float(metrics.psnr(op.A_dagger(y), X)) < right - 5


def test_a_fan_in_any_order_is_filtered_and_one_side_is_not():
    order = np.random.default_rng(0).permutation(60)
    op = ct(64, 6.0 * order, fan=(150, 300))
    ordered = ct(64, 60, fan=(150, 300))
    y = ordered.A(X)
    torch.testing.assert_close(op.A(X), y[:, :, order.tolist()], rtol=1e-4, atol=1e-3)
    one, other = op.A_dagger(y[:, :, order.tolist()]), ordered.A_dagger(y)
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
    half = ct(64, 3.0 * order, fan=(150, 300))
    assert op.has_filtered_inverse and not half.has_filtered_inverse


def test_restoring_calibrating_and_estimates_do_not_ask_for_an_order():
    op, ordered, order = pair(GOLDEN, noise=0.3, detector_offset=1.0)
    y = op(X, generator=torch.Generator().manual_seed(0))
    sorted_y = y[:, :, order]
    torch.testing.assert_close(estimate_noise(y, op), estimate_noise(sorted_y, ordered))
    one, other = (restore(z, o, "tv", steps=30).image for z, o in ((y, op), (sorted_y, ordered)))
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)
    moments = [
        moment_offset(z, o.scan, measurement_weights(z, o))
        for z, o in ((y, op), (sorted_y, ordered))
    ]
    assert moments[0].value == pytest.approx(moments[1].value, abs=1e-4)
    found = calibrate(y, ct(64, GOLDEN, 0.3, op.scan.detectors))
    assert abs(found.value - 1.0) < 0.1


def test_views_that_are_there_twice_are_still_refused():
    with pytest.raises(ValueError, match="there twice"):
        ct(8, [30, 0, 120, 30])
    with pytest.raises(ValueError, match="there twice"):
        ct(8, [180, 0, 120, 30])
