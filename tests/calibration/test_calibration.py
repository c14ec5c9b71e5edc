"""The offset of a detector, estimated: exact and noisy sinograms, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import proxlab
from proxlab import calibration
from proxlab.operators import PhotonCounts, ct
from proxlab.operators.noise import measurement_weights
from proxlab.operators.tomography.moments import moment_offset
from tests.images.pictures import image

SIZE, VIEWS, D = 24, 20, 46


def slice_like(seed: int = 0) -> torch.Tensor:
    """A smooth blob with an inset and some texture, clear of the border."""
    line = torch.linspace(-1, 1, SIZE, dtype=torch.float64)
    y, x = torch.meshgrid(line, line, indexing="ij")
    body = ((x - 0.1) ** 2 / 0.5 + (y + 0.05) ** 2 / 0.35 < 1).double()
    inset = ((x - 0.3) ** 2 + (y - 0.1) ** 2 < 0.05).double()
    texture = image(1, 1, SIZE, SIZE, seed=seed)[0, 0].double()
    return (body * (0.5 + 0.1 * texture) + 0.3 * inset)[None, None]


def measured(offset: float, noise: float = 0.1, seed: int = 0, **more):
    op = ct(SIZE, VIEWS, noise, **{"detectors": D} | more, detector_offset=offset)
    y = op(slice_like(), generator=torch.Generator().manual_seed(seed))
    return y, ct(SIZE, VIEWS, noise, **{"detectors": D} | more)


@pytest.mark.parametrize("offset", [0.25, 0.31, -3.7])
@pytest.mark.parametrize("fan", [None, (60.0, 90.0)])
def test_an_offset_is_found_and_not_that_of_a_grid(offset, fan):
    y, blind = measured(offset, noise=0.01, fan=fan)
    found = proxlab.calibrate(y, blind, "detector_offset", tol=0.002)
    assert abs(found.value - offset) < 0.02 and found.doubts == ()
    assert found.op.scan == replace(blind.scan, detector_offset=found.value)
    assert len(found.trace) <= 25 and min(f for _, f in found.trace) < found.trace[0][1]


def test_the_unit_is_that_of_lengths():
    y, blind = measured(1.2, detector_spacing=0.6, detectors=80)
    assert proxlab.calibrate(y, blind).value == pytest.approx(1.2, abs=0.1)
    assert proxlab.calibrate(y, blind).sd < 0.1


def test_an_offset_of_the_operator_is_not_looked_at():
    y, blind = measured(1.2)
    told = ct(SIZE, VIEWS, 0.1, D, detector_offset=-5.0)
    assert proxlab.calibrate(y, told).value == pytest.approx(
        proxlab.calibrate(y, blind).value, 0.05
    )


def test_photon_counts_weigh_the_rays():
    y, blind = measured(-2.1, PhotonCounts(photons=1e4, attenuation=0.1))
    assert proxlab.calibrate(y, blind).value == pytest.approx(-2.1, abs=0.1)


def test_slices_of_a_stack_share_an_offset():
    y, blind = measured(1.2)
    two = torch.cat([y, measured(1.2, seed=1)[0]])
    found = proxlab.calibrate(two, blind)
    assert found.image.shape == (2, 1, SIZE, SIZE)
    assert found.sd < proxlab.calibrate(y, blind).sd


def test_the_deviation_is_that_of_noise_where_the_image_is_as_assumed(monkeypatch):
    """Images drawn from the quadratic prior itself: then errors over deviations are normal."""
    errors = []
    draw = torch.Generator().manual_seed(3)
    monkeypatch.setattr(calibration, "BIAS", 0.0)
    for seed in range(24):
        op = ct(16, 16, 0.3, detectors=40, detector_offset=1.5)
        x = prior_draw(draw)
        y = op(x, generator=torch.Generator().manual_seed(seed))
        search = calibration._Search(y, ct(16, 16, 0.3, detectors=40), weights(y, op))
        search.mu = torch.tensor([30.0], dtype=torch.float64)
        found = search.run(4.0, 0.01)
        errors.append((found.value - 1.5) / found.sd)
    assert 0.5 < np.mean(np.square(errors)) < 2


def prior_draw(generator: torch.Generator) -> torch.Tensor:
    """Image of density exp(-30 x' L x / 2), its mean set."""
    n = 256
    basis = torch.eye(n, dtype=torch.float64).view(n, 1, 16, 16)
    matrix = 30 * calibration._roughness(basis).view(n, n)
    values, vectors = torch.linalg.eigh(matrix)
    z = torch.randn(n - 1, generator=generator, dtype=torch.float64)
    return (vectors[:, 1:] @ (z / values[1:].sqrt()) + 0.5).view(1, 1, 16, 16)


def weights(y, op):
    return measurement_weights(y, op, None, 1.0, None)


def test_roughness_is_the_gradient_of_squared_differences():
    x = image(1, 1, 5, 7).double().requires_grad_()
    half = (x.diff(dim=2).square().sum() + x.diff(dim=3).square().sum()) / 2
    (grad,) = torch.autograd.grad(half, x)
    torch.testing.assert_close(calibration._roughness(x.detach()), grad)


def test_moments_tell_it_of_an_object_that_is_seen_whole():
    y, blind = measured(-3.7, noise=0.01)
    assert moment_offset(y, blind.scan, weights(y, blind)).value == pytest.approx(-3.7, abs=0.05)
    turned = measured(3.7, noise=0.01)[0]
    assert moment_offset(turned, blind.scan, weights(y, blind)).value == pytest.approx(
        3.7, abs=0.05
    )


def test_the_deviation_of_moments_is_that_of_noise():
    errors = []
    for seed in range(60):
        y, blind = measured(1.7, noise=0.5, seed=seed)
        value, sd = moment_offset(y, blind.scan, weights(y, blind))
        errors.append((value - 1.7) / sd)
    assert 0.6 < np.mean(np.square(errors)) < 1.5


def test_centres_of_mass_that_tell_another_offset_are_a_doubt():
    y, blind = measured(1.7)
    y[..., 3:6] += 2.0  # a stripe at one side, which the detector's ends do not see
    assert any("centres of mass" in said for said in proxlab.calibrate(y, blind).doubts)


def test_moments_refuse_what_they_cannot_tell():
    y, blind = measured(0.5, detectors=16)
    with pytest.raises(ValueError, match="outermost detectors see the object"):
        moment_offset(y, blind.scan, weights(y, blind))
    y, blind = measured(0.5, fan=(60.0, 90.0))
    with pytest.raises(ValueError, match="this scan is a fan"):
        moment_offset(y, blind.scan, weights(y, blind))
    few = ct(SIZE, [0.0, 5.0, 10.0], 0.1, D)
    y = few(slice_like())
    with pytest.raises(ValueError, match="take views over half a turn"):
        moment_offset(y, few.scan, weights(y, few))
    blank = torch.zeros(1, 1, VIEWS, D)
    op = ct(SIZE, VIEWS, 0.1, D)
    with pytest.raises(ValueError, match="holds no object"):
        moment_offset(blank, op.scan, weights(blank, op))


def test_doubts_are_said():
    y, blind = measured(0.5, detectors=16)
    assert "beyond the detector" in proxlab.calibrate(y, blind, within=6).doubts[0]
    y, blind = measured(5.0)
    assert any("rim of within" in said for said in proxlab.calibrate(y, blind, within=3).doubts)
    blank = torch.zeros(1, 1, VIEWS, D)
    said = proxlab.calibrate(blank, ct(SIZE, VIEWS, 0.1, D)).doubts
    assert any("hardly tells" in one for one in said)


@pytest.mark.parametrize(
    "change, error, sentence",
    [
        ({"unknown": "angle"}, ValueError, "only move the image"),
        ({"within": 40.0}, ValueError, "0 < tol < within <= 23"),
        ({"tol": 0.0}, ValueError, "0 < tol < within"),
        ({"op": ct(SIZE, VIEWS, 0.0, D)}, ValueError, "noise"),
        ({"op": ct(SIZE, VIEWS, 0.1, D - 1)}, ValueError, "views of 45 detectors"),
        ({"op": proxlab.operators.inpaint(torch.ones(4, 4), 0.1)}, TypeError, "is of a scan"),
        ({"y": torch.full((1, 1, VIEWS, D), torch.nan)}, ValueError, "NaN"),
    ],
)
def test_what_is_refused(change, error, sentence):
    y, blind = measured(0.0)
    with pytest.raises(error, match=sentence):
        proxlab.calibrate(**{"y": y, "op": blind} | change)
