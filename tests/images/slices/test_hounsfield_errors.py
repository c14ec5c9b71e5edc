"""Errors in Hounsfield units: closed forms, and planted mistakes that the laws catch."""

import pytest
import torch

from proxlab.images.slices import errors
from proxlab.images.slices.errors import hounsfield_errors, soft_tissue_picture


def phantom(side: int = 64) -> torch.Tensor:
    """A body of 40 HU in air, with a step in its upper half; the lower half is flat."""
    hu = torch.full((1, 1, side, side), -1000.0)
    edge = side // 4
    hu[..., edge:-edge, edge:-edge] = 40.0
    hu[..., edge : side // 2, edge:-edge:3] += 90.0
    return (hu + 1024) / 4095


def gaussian(like: torch.Tensor, seed: int = 0) -> torch.Tensor:
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(seed))


def test_noise_bias_and_rmse_are_those_that_were_put_in():
    truth = phantom(128)
    found = hounsfield_errors(truth + (12 * gaussian(truth) + 5) / 4095, truth)
    assert found.rmse.item() == pytest.approx(13, rel=0.03)
    assert found.bias.item() == pytest.approx(5, abs=0.6)
    assert found.noise.item() == pytest.approx(12, rel=0.15)


def test_the_flat_region_is_flat_soft_tissue():
    truth = phantom()
    row, column = hounsfield_errors(truth, truth).place[0].tolist()
    region = truth[0, 0, row : row + errors.SIDE, column : column + errors.SIDE] * 4095 - 1024
    assert torch.allclose(region, torch.tensor(40.0), atol=0.01)


def test_air_around_the_body_does_not_count():
    truth = phantom()
    air = truth * 4095 - 1024 < -900
    assert hounsfield_errors(torch.where(air, truth + 0.2, truth), truth).rmse.item() == 0


@pytest.mark.parametrize("scale", [(-1024.0, 3071.0), (-1000.0, 1000.0)])
def test_numbers_do_not_depend_on_the_scale_of_the_image(scale):
    truth = phantom()
    x = truth + 10 * gaussian(truth) / 4095
    plain = hounsfield_errors(x, truth)
    there = [((image * 4095 - 1024) - scale[0]) / (scale[1] - scale[0]) for image in (x, truth)]
    scaled = hounsfield_errors(*there, scale)
    for one, other in ((plain.rmse, scaled.rmse), (plain.noise, scaled.noise)):
        assert torch.allclose(one, other, rtol=1e-4)
    assert not torch.allclose(hounsfield_errors(*there).rmse, plain.rmse) or scale[0] == -1024


def test_each_image_of_a_batch_is_as_alone():
    truth = torch.cat([phantom(), phantom().flip(-2)])
    x = truth + gaussian(truth) / 400
    both, last = hounsfield_errors(x, truth), hounsfield_errors(x[1:], truth[1:])
    assert torch.equal(both.rmse[1:], last.rmse) and torch.equal(both.place[1:], last.place)


def test_a_mistake_that_looks_for_the_flattest_place_of_all_finds_air(monkeypatch):
    monkeypatch.setattr(errors, "SOFT", (-2000.0, 4000.0))
    with pytest.raises(AssertionError):
        test_the_flat_region_is_flat_soft_tissue()


def test_a_mistake_that_counts_air_as_body_is_caught(monkeypatch):
    monkeypatch.setattr(errors, "BODY", -2000.0)
    with pytest.raises(AssertionError):
        test_air_around_the_body_does_not_count()


def test_a_slice_without_body_or_smaller_than_the_region_has_numbers_too():
    truth = torch.zeros(1, 1, 6, 9)
    found = hounsfield_errors(truth + 0.01, truth)
    assert found.rmse.item() == pytest.approx(40.95) and found.noise.item() == pytest.approx(0)


def test_nan_is_nan_of_that_image_alone():
    truth = torch.cat([phantom(), phantom()])
    x = truth.clone()
    x[0, 0, 20, 20] = torch.nan
    found = hounsfield_errors(x, truth)
    assert found.rmse[0].isnan() and found.rmse[1].item() == 0


def test_the_picture_has_the_window_and_signed_differences():
    truth = torch.full((1, 1, 4, 4), (40 + 1024) / 4095)
    picture = soft_tissue_picture(truth + 50 / 4095, truth)
    assert picture.shape == (1, 1, 4, 12)
    shown, true, difference = picture.split(4, -1)
    assert torch.allclose(true, torch.tensor(0.5), atol=1e-4)
    assert torch.allclose(shown, torch.tensor(0.625), atol=1e-4)
    assert torch.allclose(difference, torch.tensor(0.75), atol=1e-4)
    assert soft_tissue_picture(truth - 1, truth)[..., -1].max() == 0


def test_what_cannot_be_is_said():
    x = torch.zeros(1, 1, 8, 8)
    with pytest.raises(ValueError, match="one channel at a time"):
        hounsfield_errors(torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8))
    with pytest.raises(ValueError, match="above the first"):
        soft_tissue_picture(x, x, (100.0, -100.0))
