"""A PSF as it is measured, off centre, on a background, noisy: its kernel, or a sentence."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from proxlab import operators
from proxlab.operators import measured_psf
from proxlab.operators.measured_psf import psf

SIDE = (36, 40)
MIDDLE = (SIDE[0] / 2 - 0.5, SIDE[1] / 2 - 0.5)


def bead(width=1.6, at=(0.0, 0.0), size=SIDE, level=0.0):
    """A Gaussian of peak 1, `at` so many pixels down and right of the middle, on a level."""
    rows, columns = (np.arange(n) - (n - 1) / 2 for n in size)
    r2 = (rows[:, None] - at[0]) ** 2 + (columns - at[1]) ** 2
    return level + np.exp(-r2 / (2 * width**2))


def noise(seed, size=SIDE):
    return np.random.default_rng(seed).standard_normal(size)


def spectrum_error(kernel, width=1.6):
    """Largest difference of the transforms of a kernel and of the Gaussian, whose peak is 1."""
    large = np.zeros((2, 97, 97))
    both = np.asarray(kernel), operators.gaussian_kernel(width).numpy()
    for plane, k in zip(large, both, strict=True):
        plane[: k.shape[0], : k.shape[1]] = k
        plane[:] = np.roll(plane, [-(n // 2) for n in k.shape], (0, 1))
    return np.abs(np.diff(np.fft.fft2(large), axis=0)).max()


def off_middle(kernel):
    middle = [n // 2 for n in kernel.shape]
    return np.abs(np.subtract(ndimage.center_of_mass(kernel.numpy()), middle)).max()


OFFSETS = [(0.0, 0.0), (0.5, 0.5), (2.3, -1.6), (-0.25, 3.5)]


@pytest.mark.parametrize("at", OFFSETS)
@pytest.mark.parametrize("size", [SIDE, (37, 33)])
def test_the_kernel_is_that_behind_the_picture(at, size):
    picture = bead(at=at, size=size, level=0.05)
    found = psf(picture)
    assert spectrum_error(found.kernel) < 2e-3
    assert off_middle(found.kernel) < 1e-3
    np.testing.assert_allclose(found.shifts[0], [-at[0], -at[1]], atol=2e-3)
    assert found.backgrounds[0] == pytest.approx(0.05, abs=1e-4)
    assert found.width == pytest.approx(1.6, rel=5e-3)
    # planted: the background left, and the centre taken for the brightest pixel
    assert spectrum_error(picture / picture.sum()) > 0.3
    peak = np.unravel_index(picture.argmax(), size)
    whole = bead(at=at, size=size)[tuple(slice(p - 7, p + 8) for p in peak)]
    if max(abs(a % 1 - (n % 2 == 0) / 2) for a, n in zip(at, size, strict=True)) > 0.1:
        assert spectrum_error(whole / whole.sum()) > 0.07


@pytest.mark.parametrize("level", [0.003, 0.01, 0.03])
def test_noise_makes_a_small_error(level):
    at = (2.3, -1.6)
    errors = []
    for seed in range(4):
        found = psf(bead(at=at, level=0.05) + level * noise(seed))
        kernel = found.kernel
        assert (kernel >= 0).all() and kernel.sum().item() == pytest.approx(1)
        assert all(n % 2 for n in kernel.shape) and off_middle(kernel) < 0.03
        assert found.noise == pytest.approx(level, rel=0.3)
        errors.append(spectrum_error(kernel))
    assert np.mean(errors) < 4 * level
    # planted: all that the picture holds, instead of the support
    signal = bead(at=at) + level * noise(0)
    moved = measured_psf._moved(signal, np.add(MIDDLE, at))
    assert spectrum_error(moved / moved.sum()) > 1.5 * np.mean(errors)


def test_frames_are_moved_each_by_itself_and_averaged():
    rng = np.random.default_rng(5)
    places = rng.uniform(-4, 4, (16, 2))
    frames = [(1 + k % 3) * bead(at=at) + 0.03 * noise(k) + 0.1 * k for k, at in enumerate(places)]
    found = psf(np.stack(frames))
    assert len(found.shifts) == len(found.backgrounds) == 16
    np.testing.assert_allclose(found.shifts, -places, atol=0.25)
    np.testing.assert_allclose(found.backgrounds, 0.1 * np.arange(16), atol=0.01)
    alone = np.mean([spectrum_error(psf(frame).kernel) for frame in frames])
    assert spectrum_error(found.kernel) < 0.5 * alone
    planted = np.mean(frames, 0)  # not moved
    assert spectrum_error(psf(planted).kernel) > 0.3
    assert "mean of 16 frames" in str(found)


def test_units_and_types_change_nothing():
    picture = np.round(10 + 200 * bead(at=(0.3, 0.2)) + 3 * noise(1)).clip(0, 250)
    whole = psf(picture)
    for same in (
        picture.astype(np.uint8),
        picture.astype(np.uint16),
        torch.from_numpy(picture.astype(np.int32)),
        torch.from_numpy(picture.astype(np.float32)),
        picture.astype(">f4")[::-1][::-1],
    ):
        assert torch.equal(psf(same).kernel, whole.kernel)
    other = psf(7.3 * picture / 255 + 11)
    assert other.kernel.shape == whole.kernel.shape
    assert (other.kernel - whole.kernel).abs().max() < 2e-3
    assert other.backgrounds[0] == pytest.approx(7.3 * whole.backgrounds[0] / 255 + 11, rel=1e-3)


def test_a_shift_leaves_the_size_of_every_frequency():
    """As interpolation would not: linear weights of half a pixel are a blur of their own."""
    picture = bead(1.2, at=(0.0, 0.5), size=(31, 31))
    assert spectrum_error(psf(picture).kernel, 1.2) < 0.01
    linear = ndimage.shift(picture, (0, -0.5), order=1)
    assert spectrum_error(linear / linear.sum(), 1.2) > 0.04


def airy(size=(64, 64), first=4.0):
    """The diffraction of a round pupil: a disc, and rings with dark gaps between them."""
    from scipy.special import j1

    rows, columns = (np.arange(n) - (n - 1) / 2 for n in size)
    r = 3.8317 * np.hypot(rows[:, None], columns) / first + 1e-9
    return (2 * j1(r) / r) ** 2


def trace(size=(40, 40)):
    """A shaken camera: a bent line, and a piece of it two pixels off."""
    picture = np.zeros(size)
    picture[15, 14:24] = 1
    picture[15:22, 24] = 0.7
    picture[25:28, 24] = 0.5
    return picture


@pytest.mark.parametrize("shape, least", [(airy(), 0.93), (trace(), 0.99)], ids=["rings", "shake"])
def test_rings_and_pieces_belong_to_the_spot(shape, least):
    found = psf(shape + 0.01 * noise(2, shape.shape))
    assert found.specks < 0.02
    kernel, held = found.kernel.numpy(), np.zeros(shape.shape)
    n, m = kernel.shape
    top, left = (
        round(c - s // 2) for c, s in zip(ndimage.center_of_mass(shape), kernel.shape, strict=True)
    )
    rows, columns = slice(max(top, 0), top + n), slice(max(left, 0), left + m)
    held[rows, columns] = 1
    assert (shape * held).sum() > least * shape.sum()


def test_specks_are_left_out_and_told():
    picture = bead(2.0, size=(48, 48))
    spoilt = picture.copy()
    spoilt[5, 6] = 0.4
    found = psf(spoilt)
    assert (found.kernel - psf(picture).kernel).abs().max() < 1e-6
    assert found.specks == pytest.approx(0.4 / picture.sum(), rel=0.05)
    assert "specks of 1.6 % of its light left out" in str(found)


def test_what_was_done_is_told():
    said = str(psf(bead(at=(1.25, -0.5), level=0.05) + 0.05 * noise(3)))
    assert "PSF of 36 x 40 pixels: background 0.05" in said
    assert "moved by (-1." in said and "below zero set to 0" in said
    disc = (np.hypot(*(np.indices((41, 41)) - 20)) < 6).astype(float)
    assert "pixels share the largest value" in str(psf(disc + 0.0))
    dim = psf(bead(2.5) + 0.15 * noise(4))
    assert dim.negative > 0.05 and "the kernel is noisy" in str(dim)


def marked(value):
    picture = bead(level=0.1)
    picture[3, 4] = value
    return picture


def dots(*places):
    return sum(share * bead(at=at) for share, at in places)


SATURATED = np.clip(10 + 400 * bead(), 0, 255).astype(np.uint8)
REFUSED = {
    "empty": (np.zeros((0, 9)), "not empty, got shape .0, 9."),
    "a line": (np.ones(9), "a PSF is .H, W., or a stack of frames"),
    "an image": (bead()[None, None], "got shape .1, 1, 36, 40."),
    "colours": (np.stack([bead()] * 3, 2), r"no colours, got shape .*one channel, \[..., 1\]"),
    "small": (bead(1.0, size=(5, 40)), "at least 7 x 7 pixels, got 5 x 40; cut out more"),
    "NaN": (marked(np.nan), "1 pixels that are NaN or infinite"),
    "infinity": (marked(np.inf), "1 pixels that are NaN or infinite"),
    "constant": (np.full((20, 20), 0.1), "all pixels of the PSF are 0.1, and none is bright"),
    "noise": (noise(0), "no spot above its noise of"),
    "dark": (1 - bead(), "darker than its background of 1; .* pass its negative"),
    "two spots": (
        dots((1, (0, -9)), (0.6, (0, 9))),
        r"shows 2 spots, the second with 59 % .* 18.0 pixels away; cut out one",
    ),
    "three spots": (dots((1, (0, -9)), (0.6, (0, 9)), (0.3, (12, 0))), "shows 3 spots"),
    "saturated": (SATURATED, r"saturated: \d+ pixels hold 255, .*shorter exposure"),
    "at the rim": (bead(at=(0, 17)), r"reaches the rim \(right\)"),
    "too wide": (bead(12.0), r"reaches the rim \(top, bottom, left, right\)"),
    "a frame of nothing": (
        np.stack([bead() + 0.02 * noise(1), 0.02 * noise(2)]),
        "frame 2 of the PSF shows no spot",
    ),
    "through focus": (
        np.stack([bead(w) for w in (3.0, 1.5, 2.9)]),
        "frame 1 .* Gaussian of 3.00 pixels and frame 2 of 1.50; a stack through focus",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_psf_is_refused_in_a_sentence(name):
    picture, said = REFUSED[name]
    with pytest.raises(ValueError, match=said):
        psf(picture)


@pytest.mark.parametrize(
    "wrong", [[[1.0, 2]], "bead.tif", np.ones((9, 9), complex), np.array([["a"] * 9] * 9), None]
)
def test_what_is_no_array_of_numbers_is_refused(wrong):
    with pytest.raises(TypeError, match="a PSF "):
        psf(wrong)


def test_the_neighbours_of_what_is_refused_are_taken():
    """Each check has a picture just inside of it, so that none refuses all."""
    assert psf(np.clip(10 + 200 * bead(), 0, 255).astype(np.uint8)).kernel.sum() > 0.999
    assert psf(dots((1, (0, -9)), (0.03, (0, 9)))).specks > 0.02
    assert psf(bead(at=(0, 11))).kernel.shape[0] > 9
    assert psf(np.stack([bead(2.0), bead(1.5)])).width == pytest.approx(1.75, abs=0.1)
    assert psf(bead(1.0, size=(13, 13))).width == pytest.approx(1, rel=0.01)


def test_a_kernel_goes_through_as_it_is():
    for width in (0.8, 1.6, 3.0):
        kernel = operators.gaussian_kernel(width)
        found = psf(kernel)
        assert spectrum_error(found.kernel, width) < 5e-3
        operators.deblur(found.kernel, 0.01)
