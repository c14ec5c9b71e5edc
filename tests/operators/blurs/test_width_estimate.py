"""The width of a blur, off a spectrum: right on fields that are exactly what the model says."""

import math

import numpy as np
import pytest
import torch
from skimage.data import camera

from proxlab import operators
from proxlab.operators.estimates import blur_width as width_estimate
from proxlab.operators.estimates.blur_width import blur_width


def field(width, noise, seed, side=160, slope=2.4):
    """A stationary Gaussian field of that model, cut out of one twice as large; [1, 1, side, side].

    The scale is that of photographs: a standard deviation of some 0.2.
    """
    generator = torch.Generator().manual_seed(seed)
    large = 2 * side
    f = torch.fft.fftfreq(large, dtype=torch.float64)
    r = torch.hypot(f[:, None], f)
    r[0, 0] = 1
    root = r ** (-slope / 2)
    root[0, 0] = 0
    white = torch.randn(large, large, generator=generator, dtype=torch.float64)
    x = torch.fft.ifft2(root * torch.fft.fft2(white)).real
    x = (0.2 * x / root.square().mean().sqrt())[None, None]
    y = operators.deblur(operators.gaussian_kernel(width)).A(x)[..., :side, :side]
    return y + noise * torch.randn(y.shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("width", [0.8, 1.6, 3.0])
def test_exact_fields_have_their_width_within_two_deviations(width):
    y = torch.cat([field(width, 0.01, seed) for seed in range(8)])
    found = blur_width(y, 0.01)
    z = (found.width - width) / found.sd
    assert found.width.dtype == found.sd.dtype == torch.float64 and found.width.shape == (8,)
    assert (z.abs() < 2).sum() >= 6 and z.abs().max() < 3.5, z
    assert 0.5 < z.square().mean().sqrt() < 1.5
    assert (found.sd < 0.1 * width).all()


def test_that_law_fails_where_blocks_are_taken_for_independent(monkeypatch):
    """Planted: every ordinate of every block counts, though blocks overlap and are tapered."""
    y = torch.cat([field(1.6, 0.01, seed) for seed in range(8)])
    found = blur_width(y, 0.01)
    at = width_estimate._spectrum(y[0, 0])
    ordinates, blocks = 128**2 / 2, 4
    assert 2 < ordinates * blocks / at.count.sum() < 10
    z = (found.width - 1.6) / (found.sd * math.sqrt(at.count.sum() / ordinates / blocks))
    assert z.square().mean().sqrt() > 1.5


@pytest.mark.parametrize("factor", [4.0, 0.25, 0.5])
@pytest.mark.parametrize("width", [0.8, 1.6])
def test_noise_that_is_not_that_of_the_image_is_refused(factor, width):
    y = field(width, 0.02, 1)
    with pytest.raises(ValueError, match="the noise is not .* the spectrum of y says 0.0[12]"):
        blur_width(y, factor * 0.02)
    near = blur_width(y, 1.15 * 0.02)  # is taken
    assert abs(near.width - width) < 0.25 * width


def test_noise_that_nobody_tells_is_estimated():
    y = torch.cat([field(1.6, 0.01, 2), field(2.5, 0.03, 3)])
    found = blur_width(y)
    told = blur_width(y, torch.tensor([0.01, 0.03]))
    assert ((found.width - told.width).abs() < 2 * told.sd).all()
    assert (told.width - torch.tensor([1.6, 2.5])).abs().max() < 0.2


@pytest.mark.parametrize("width", [1.0, 1.6, 3.0])
def test_a_photograph_has_its_width_within_a_quarter(width):
    x = torch.from_numpy(camera()[::1, ::1] / 255)[None, None]
    op = operators.deblur(operators.gaussian_kernel(width), 0.01, boundary="reflect")
    y = op(x, generator=torch.Generator().manual_seed(0))
    found = blur_width(y, 0.01)
    assert abs(found.width.item() / width - 1) < 0.25


def test_each_image_is_by_itself_in_any_units_and_colours():
    y = torch.cat([field(1.6, 0.01, 4), field(3.0, 0.02, 5)])
    levels = torch.tensor([0.01, 0.02])
    whole = blur_width(y, levels)
    for b in range(2):
        alone = blur_width(y[b : b + 1], levels[b].item())
        assert alone.width.item() == pytest.approx(whole.width[b].item(), rel=1e-6)
    scaled = blur_width(255 * y, 255 * levels)
    assert scaled.width.tolist() == pytest.approx(whole.width.tolist(), rel=1e-4)
    assert blur_width(y.float(), levels).width.tolist() == pytest.approx(
        whole.width.tolist(), rel=1e-4
    )
    generator = torch.Generator().manual_seed(6)
    base = field(1.6, 0.0, 4)
    rgb = torch.cat([1.2 * base, base, 0.8 * base], 1)
    rgb = rgb + 0.02 * torch.randn(rgb.shape, generator=generator, dtype=torch.float64)
    assert abs(blur_width(rgb, 0.02).width - 1.6) < 0.15


def test_blocks_of_a_large_image_say_the_same(monkeypatch):
    y = field(1.6, 0.01, 7, side=256)
    whole = blur_width(y, 0.01)
    monkeypatch.setattr(width_estimate, "BLOCK", 256)
    parts = blur_width(y, 0.01)
    assert abs(parts.width - whole.width) < 3 * whole.sd


def test_the_model_falls_by_its_derivatives():
    at = width_estimate._spectrum(field(1.6, 0.01, 8, side=64)[0, 0])
    model = width_estimate._Model(1.3, -5.0, 2.2, math.log(1e-4))
    s, slopes = model.of(at)
    for k in range(4):
        ahead = list(model)
        ahead[k] += 1e-5
        change = (width_estimate._Model(*ahead).of(at)[0].log() - s.log()) / 1e-5
        torch.testing.assert_close(slopes[k], change, rtol=2e-3, atol=1e-4)


def test_the_transfer_is_that_of_the_kernel():
    at = width_estimate._spectrum(torch.rand(64, 48, dtype=torch.float64))
    for width in (0.5, 0.8, 2.0):
        op = operators.deblur(operators.gaussian_kernel(width))
        power = op.spectrum(torch.zeros(1, 1, 64, 48, dtype=torch.float64)).abs().square()
        np.testing.assert_allclose(at.log_t(width).exp(), power[:33][at.seen], atol=2e-4)


def sharp(seed=0):
    return torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(seed)).double()


REFUSED = [
    (lambda: torch.rand(1, 1, 31, 64), 0.01, "at least 32 x 32 pixels, got 31 x 64"),
    (lambda: torch.full((1, 1, 64, 64), 0.5), 0.01, "one value everywhere"),
    (lambda: sharp(), 0.1, "no Gaussian blur wider than 0.3|the noise is not"),
    (lambda: torch.full((1, 1, 64, 64), torch.nan), 0.01, "NaN"),
    (lambda: sharp(), 0.0, "noise is positive"),
    (lambda: sharp(), torch.tensor([0.1, 0.1]), "noise is a float or .B., B = 1"),
    (lambda: 0.5 + 0.1 * torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(1)),
     0.1, "does not tell how wide|no Gaussian blur"),
    (lambda: torch.rand(64, 64), 0.1, "images are .B, C, H, W."),
]  # fmt: skip


@pytest.mark.parametrize("made, noise, said", REFUSED, ids=[said for *_, said in REFUSED])
def test_where_no_width_can_be_told_it_says_so(made, noise, said):
    with pytest.raises(ValueError, match=said):
        blur_width(made(), noise)


def test_what_is_no_tensor_is_refused():
    with pytest.raises(TypeError, match="an image is a torch tensor"):
        blur_width(np.ones((1, 1, 64, 64)))
