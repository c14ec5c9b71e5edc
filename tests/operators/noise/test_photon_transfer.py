"""Gain and read noise, read off one image: near the truth, and refused where they cannot be."""

import pytest
import torch
from deepinv import physics as dp
from skimage.data import camera

import proxlab
from proxlab import operators
from proxlab.operators.estimates import photon_transfer, quiet_places

CLEAN = torch.from_numpy(camera()[100:356, 100:356] / 255)[None, None]
PLAIN = dp.Denoising()


def detected(x, gain, read_noise=0.0, seed=0):
    """What a detector makes of the light x [B, C, H, W]; gain and read noise are numbers or [B]."""
    rng = torch.Generator().manual_seed(seed)
    gain, read = (torch.as_tensor(v, dtype=x.dtype).view(-1, 1, 1, 1) for v in (gain, read_noise))
    photons = torch.poisson(x / gain, rng)
    return gain * photons + read * torch.randn(photons.shape, generator=rng, dtype=x.dtype)


def ramp(side=384):
    """Light that grows evenly from left to right, [1, 1, side, side]."""
    return torch.linspace(0.05, 1, side, dtype=torch.float64).expand(1, 1, side, side).clone()


@pytest.mark.parametrize("photons, read", [(50, 3), (200, 5), (1000, 15), (3000, 0)])
def test_it_is_near_the_truth(photons, read):
    x = torch.from_numpy(camera() / 255)[None, None]
    found = proxlab.estimate_gain(detected(x, 1 / photons, read / photons), PLAIN)
    assert found.gain.dtype == found.read_noise.dtype == torch.float64
    assert found.gain.item() * photons == pytest.approx(1, abs=0.2)
    variance = (found.read_noise.item() * photons) ** 2  # in photons, of which white has `photons`
    assert variance == pytest.approx(read**2, abs=0.02 * photons + 0.15 * read**2)


OPERATORS = {
    "blur": lambda: operators.deblur(operators.gaussian_kernel(1.2)),
    "valid": lambda: operators.deblur(operators.gaussian_kernel(1.2), boundary="valid"),
    "missing": lambda: operators.inpaint(
        operators.random_mask((256, 256), 0.3, torch.Generator().manual_seed(1))
    ),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_light_that_was_blurred_or_missed(name):
    op = OPERATORS[name]()
    y = detected(op.A(CLEAN).clamp(min=0), 0.01, 0.03)
    found = proxlab.estimate_gain(y, op)
    assert found.gain.item() == pytest.approx(0.01, rel=0.2)
    if name == "missing":  # what is there does not count
        assert proxlab.estimate_gain(torch.where(op.mask != 0, y, torch.nan), op) == found


def test_each_image_is_by_itself_and_units_are_those_of_y():
    x = CLEAN.expand(3, 2, -1, -1)
    y = detected(x, [0.005, 0.01, 0.02], [0.02, 0.04, 0.06])
    whole = proxlab.estimate_gain(y, PLAIN)
    assert whole.gain.shape == whole.read_noise.shape == (3,)
    assert whole.gain.tolist() == pytest.approx([0.005, 0.01, 0.02], rel=0.2)
    for b in range(3):
        alone = proxlab.estimate_gain(y[b : b + 1], PLAIN)
        assert alone.gain.item() == pytest.approx(whole.gain[b].item(), rel=1e-9)
    large = proxlab.estimate_gain(1000 * y, PLAIN)
    assert (large.gain / 1000).tolist() == pytest.approx(whole.gain.tolist(), rel=1e-6)
    assert (large.read_noise / 1000).tolist() == pytest.approx(whole.read_noise.tolist(), rel=1e-6)
    single = proxlab.estimate_gain(y.float(), PLAIN)
    assert single.gain.tolist() == pytest.approx(whole.gain.tolist(), rel=1e-2)


def test_clipped_brightnesses_do_not_count(monkeypatch):
    y = detected(ramp(), 0.01, 0.02).clamp(max=0.6)
    assert proxlab.estimate_gain(y, PLAIN).gain.item() == pytest.approx(0.01, rel=0.2)
    monkeypatch.setattr(photon_transfer, "CLIPPED", 2.0)  # planted: they do
    with pytest.raises(ValueError, match="does not grow"):
        proxlab.estimate_gain(y, PLAIN)


def test_brightnesses_without_quiet_places_do_not_count(monkeypatch):
    x = ramp()
    i = torch.arange(384)
    texture = 0.2 * (i[:, None] % 2 * 2 - 1) * (i % 2 * 2 - 1)  # of the finest kind
    y = detected((x + texture * ((x > 0.6) & (x < 0.8))).clamp(min=0), 0.01, 0.02)
    assert proxlab.estimate_gain(y, PLAIN).gain.item() == pytest.approx(0.01, rel=0.2)
    monkeypatch.setattr(photon_transfer, "FAR", 1e9)  # planted: they do
    with pytest.raises(ValueError, match="does not grow"):
        proxlab.estimate_gain(y, PLAIN)


def test_texture_is_told_from_noise_by_its_loudness(monkeypatch):
    """On a photograph at 3000 photons, where texture is as loud as noise."""
    y = detected(CLEAN, 1 / 3000)
    found = proxlab.estimate_gain(y, PLAIN).gain.item() * 3000
    real, blind = photon_transfer._least_squares, torch.tensor([1.0, 1.0, 0.0])
    monkeypatch.setattr(  # planted: no term of loudness
        photon_transfer, "_least_squares", lambda terms, v, error: real(terms * blind, v, error)
    )
    assert abs(found - 1) < abs(proxlab.estimate_gain(y, PLAIN).gain.item() * 3000 - 1) - 0.03


NOTHING = [
    (lambda x: x + 0.05 * noise(x), PLAIN, "does not grow with brightness"),
    (lambda x: detected(0 * x + 0.5, 0.01), PLAIN, "does not grow with brightness|parts"),
    (lambda x: 0 * x + 0.5, PLAIN, "from 0 parts"),
    (lambda x: detected(x, 0.01)[..., :6, :6], PLAIN, "from 0 parts"),
    (lambda x: x * torch.nan, PLAIN, "NaN or infinite"),
    (lambda x: x.flatten(1), PLAIN, "gain is estimated from neighbours"),
    (lambda x: x, dp.MRI(img_size=(2, 256, 256)), "gain is estimated from neighbours"),
    (lambda x: x, operators.ct(8, 3, operators.PhotonCounts(1e4, 0.1)), "knows its noise"),
    (lambda x: operators.ct(256, 3).A(x), operators.ct(256, 3), "the logarithm of counts"),
    (lambda x: (x > 0.5).to(x), PLAIN, "from 0 parts"),
]


def noise(x):
    return torch.randn(x.shape, generator=torch.Generator().manual_seed(3), dtype=x.dtype)


@pytest.mark.parametrize("made, op, said", NOTHING, ids=[said for _, _, said in NOTHING])
def test_where_nothing_can_be_told_it_says_so(made, op, said):
    y = made(CLEAN.expand(1, 2, -1, -1) if isinstance(op, dp.MRI) else CLEAN)
    with pytest.raises(ValueError, match=said):
        proxlab.estimate_gain(y, op)


def test_an_array_is_no_measurement():
    with pytest.raises(TypeError, match="gain is estimated of a tensor and its operator, got nd"):
        proxlab.estimate_gain(CLEAN.numpy(), PLAIN)


def test_the_mean_of_a_place_is_that_of_its_pixels():
    """Planted: brightness taken one pixel aside, as a wrong window would."""
    x = torch.arange(40.0, dtype=torch.float64).expand(1, 1, 40, 40)
    whole = torch.ones_like(x, dtype=torch.bool)
    found = quiet_places.places(x, x, whole, quiet_places.IMAGES)
    assert torch.allclose(found.mean.view(36, 36)[0, 2:-2], x[0, 0, 0, 4:-4])
    assert not torch.allclose(found.mean.view(36, 36)[0, 2:-2], x[0, 0, 0, 3:-5])
    assert found.detail.abs().max() < 1e-9
