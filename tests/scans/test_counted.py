"""Line integrals from counts: flat and dark fields, empty and dead rays, weights ray by ray."""

import math

import numpy as np
import pytest
import torch
from skimage.data import shepp_logan_phantom
from skimage.transform import resize

from proxlab import metrics
from proxlab.operators import PhotonCounts, ct, sinogram
from proxlab.operators.noise import measurement_weights

K, N = 0.03, 2e4
X = torch.from_numpy(resize(shepp_logan_phantom(), (48, 48), anti_aliasing=True)).float()
X = X.clamp(0, 1)[None, None]
OP = ct(48, 60)
D = OP.scan.detectors
FLAT = 3000 * (1 + 0.3 * np.sin(np.arange(D) / 3) + 0.2 * (np.arange(D) % 2))
DARK = 900 + 200.0 * (np.arange(D) % 5)


def counted(seed=0, photons=N):
    """Counts of a scan of X whose detectors have the fields FLAT and DARK, a real detector's."""
    rng = np.random.default_rng(seed)
    unit = FLAT.mean() / photons  # counts a photon makes
    rays = FLAT / unit * np.exp(-K * OP.A(X)[0, 0].double().numpy())
    return DARK + unit * rng.poisson(rays)


def fbp(y):
    return float(metrics.psnr(OP.A_dagger(y, window="hann"), X))


def test_fields_are_divided_out():
    clean = DARK + FLAT * np.exp(-K * OP.A(X)[0, 0].double().numpy())
    found = sinogram(clean, DARK + FLAT, DARK, K)
    torch.testing.assert_close(found.y, OP.A(X), rtol=1e-5, atol=1e-4)
    assert found.noise is None and found.notes == () and found.dark_rays == found.dead_rays == 0


@pytest.mark.parametrize("mistake", ["no dark", "no flat", "natural units"])
def test_that_a_wrong_field_would_be_seen(mistake):
    counts = counted()
    right = fbp(sinogram(counts, DARK + FLAT, DARK, K).y)
    wrong = {
        "no dark": lambda: sinogram(counts, DARK + FLAT, 0.0, K),
        "no flat": lambda: sinogram(counts, float((DARK + FLAT).mean()), DARK, K),
        "natural units": lambda: sinogram(counts, DARK + FLAT, DARK),
    }[mistake]()
    assert right > 20 and fbp(wrong.y) < right - 1.5


def test_frames_are_averaged_and_slices_have_their_own():
    counts = np.stack([counted(0), 2 * counted(1)])
    flat = np.stack([DARK + FLAT, 2 * (DARK + FLAT)])
    dark = np.stack([DARK, 2 * DARK])
    frames = np.stack([0.9 * flat, 1.1 * flat])
    found = sinogram(counts, frames, dark, K)
    assert found.y.shape == (2, 1, 60, D)
    for s in range(2):
        one = sinogram(counts[s], flat[s], dark[s], K)
        torch.testing.assert_close(found.y[s : s + 1], one.y, rtol=1e-5, atol=1e-4)
    one = sinogram(counts[0], np.stack([0.9 * flat[0], 1.1 * flat[0]]), np.stack([dark[0]] * 3), K)
    torch.testing.assert_close(found.y[:1], one.y, rtol=1e-5, atol=1e-4)


def test_each_ray_weighs_what_it_has_counted():
    """The variance over many scans is one over the precision, dim detectors apart from bright."""
    many = [sinogram(counted(seed), DARK + FLAT, DARK, K, photons=N) for seed in range(200)]
    variance = torch.stack([one.y for one in many]).double().var(0)
    precision = many[0].noise.precision(OP.A(X)).double()
    ratio = (variance * precision)[0, 0].mean(0)  # of each detector, over views
    assert float((ratio - 1).abs().max()) < 0.1
    alike = PhotonCounts(N, K).precision(OP.A(X)).double()  # a planted mistake: one flat for all
    assert float(((variance * alike)[0, 0].mean(0) - 1).abs().max()) > 0.4
    weights = measurement_weights(many[0].y, ct(48, 60, many[0].noise))
    assert float(weights.entry.mean()) == pytest.approx(1, rel=1e-5)
    share = weights.entry[0, 0] / many[0].noise.precision(many[0].y)[0, 0]
    assert float(share.std() / share.mean()) < 1e-5


def test_weights_of_rays_restore_better_than_one_for_all():
    from proxlab.jobs import restore

    flat = np.where(np.arange(D) % 4 < 2, 200.0, 20000.0)  # half of the detectors see little
    rng = np.random.default_rng(0)
    counts = rng.poisson(flat * np.exp(-K * OP.A(X)[0, 0].double().numpy()))
    made = sinogram(counts, flat, attenuation=K, photons=flat.mean())

    def psnr(noise):
        found = restore(made.y, ct(48, 60, noise), "tv", steps=60)
        return float(metrics.psnr(found.image, X))

    level = float(made.noise.precision(made.y).mean()) ** -0.5
    assert psnr(made.noise) > psnr(level) + 1


def test_empty_and_dead_rays_are_counted_said_and_replaced():
    counts = counted()
    flat = DARK + FLAT
    counts[3, 20], counts[4, 21:23] = DARK[20], 0.0
    flat[[0, 30]] = DARK[[0, 30]] - 1
    found = sinogram(counts, flat, DARK, K, photons=N)
    assert (found.dark_rays, found.dead_rays) == (3, 2 * 60)
    assert "3 of 4080 rays counted no more than the dark field" in found.notes[0]
    assert f"2 of {D} detectors are dead" in found.notes[1]
    sent = FLAT[20] / np.delete(FLAT, [0, 30]).mean() * N
    assert float(found.y[0, 0, 3, 20]) == pytest.approx(math.log(sent / 0.5) / K, rel=1e-3)
    middle = (found.y[..., 29] + found.y[..., 31]) / 2
    torch.testing.assert_close(found.y[..., 30], middle)
    torch.testing.assert_close(found.y[..., 0], found.y[..., 1])
    precision = found.noise.precision(found.y)[0, 0]
    assert (precision[:, [0, 30]] == 0).all() and (precision[:, 1:30] > 0).all()
    assert float(precision[3, 20]) == pytest.approx(K**2 * 0.5, rel=1e-3)
    fewer = sinogram(counts, flat, DARK, K, least=0.1)
    assert "were taken to have counted 0.1" in fewer.notes[0]


BAD = [
    (lambda: sinogram(np.zeros(4), 1.0), r"\[views, detectors\] or .* got \[4\]"),
    (
        lambda: sinogram(np.ones((2, 3)), np.ones(4)),
        r"flat is a number, \[D\] or \[F, D\]",
    ),
    (lambda: sinogram(np.ones((2, 4, 3)), np.ones((3, 3))), r"flat is .*\[S, D\] or \[F, S, D\]"),
    (lambda: sinogram(np.ones((2, 3)), np.ones(3), 2.0), "are they exchanged"),
    (lambda: sinogram(np.ones((2, 3)), np.full(3, 0.8)), "most rays counted over 1.1 times"),
    (lambda: sinogram([[1.0, np.nan]], 2.0), "1 of 2 values of counts are NaN or infinite"),
    (lambda: sinogram([["a", "b"]], 2.0), "counts are numbers"),
    (lambda: sinogram(np.ones((2, 3)), 2.0, attenuation=0), "attenuation is positive"),
    (lambda: sinogram(np.ones((2, 3)), 2.0, photons=-1), "photons is positive"),
    (lambda: sinogram(np.ones((2, 3)), 2.0, least=0), "least is positive"),
    (lambda: PhotonCounts(torch.tensor([1.0, -1.0]), 1.0), "photons of rays are finite"),
]


@pytest.mark.parametrize("call, match", BAD)
def test_nonsense_is_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()


def test_rays_of_their_own_photons_are_drawn():
    sent = torch.tensor([0.0, 10.0, 1e6])
    model = PhotonCounts(sent, 0.5)
    y = model(torch.full((1, 1, 4000, 3), 1.0), generator=torch.Generator().manual_seed(0))
    assert (y[..., 0] == 0).all() and float(y[..., 2].mean()) == pytest.approx(1, abs=1e-3)
    spread = y[..., 2].var() * model.precision(torch.ones(1, 1, 1, 3))[0, 0, 0, 2]
    assert float(spread) == pytest.approx(1, abs=0.1)
