"""A shape with sharp edges off the middle of its pixels: fitted on finer cells, without rings."""

import numpy as np
import pytest
from scipy import ndimage

from proxlab.operators import measured_psf, pixel_fit
from proxlab.operators.measured_psf import psf
from proxlab.operators.pixel_fit import shape_behind

SIDE = (36, 40)


def line(at, size=SIDE, fine=9):
    """Means over pixels of a line, 9 pixels long and 1 wide, `at` down and right of the middle."""
    inside = (np.arange(fine) - (fine - 1) / 2) / fine
    rows, columns = (
        ((np.arange(n) - (n - 1) / 2 - off)[:, None] + inside).ravel()
        for n, off in zip(size, at, strict=True)
    )
    along = 0.866 * columns + 0.5 * rows[:, None]
    across = 0.866 * rows[:, None] - 0.5 * columns
    shape = (np.abs(along) < 4.5) & (np.abs(across) < 0.5)
    return shape.reshape(size[0], fine, size[1], fine).mean((1, 3))


def off_by(kernel):
    """Sum of the absolute differences from the line in the middle, both of sum 1."""
    kernel = np.asarray(kernel)
    true = line((0.0, 0.0), (45, 45))
    padded = np.pad(kernel, [((45 - n) // 2,) * 2 for n in kernel.shape])
    return np.abs(padded / padded.sum() - true / true.sum()).sum()


def rounded(picture, at):
    """The picture about its middle pixel after a move by whole pixels, and the fraction left."""
    centre = np.add([(n - 1) / 2 for n in picture.shape], at)
    top, left = (round(c) - 10 for c in centre)
    return picture[top : top + 21, left : left + 21], centre - np.round(centre)


FRACTIONS = [(2.3, -1.6), (0.25, 0.25), (-0.3, 1.1)]


@pytest.mark.parametrize("at", FRACTIONS)
def test_a_line_comes_out_where_the_middle_is(at):
    frame, fraction = rounded(line(at), at)
    found = shape_behind(frame[None], fraction[None])
    assert (found >= 0).all() and found.shape == (21, 21)
    assert np.abs(ndimage.center_of_mass(found) - np.array([10, 10])).max() < 0.05
    assert off_by(found) < 0.15
    # planted: the fraction the other way, or none at all, or what a Fourier shift leaves
    assert off_by(shape_behind(frame[None], -fraction[None])) > 0.3
    assert off_by(frame) > 1.5 * off_by(found)
    assert off_by(measured_psf._moved(frame, 10 + fraction).clip(min=0)) > 2 * off_by(found)


def test_frames_that_lie_elsewhere_tell_more_than_one():
    both = [rounded(line(at), at) for at in FRACTIONS]
    frames, fractions = (np.stack(each) for each in zip(*both, strict=True))
    alone = off_by(shape_behind(frames[:1], fractions[:1]))
    assert off_by(shape_behind(frames, fractions)) < alone
    assert off_by(shape_behind(frames, fractions[[1, 2, 0]])) > 2 * alone  # planted


@pytest.mark.parametrize("off", [0.0, 0.4, -0.5])
def test_pixels_hold_the_cells_that_lie_in_them(off):
    """Of cells all alike every pixel that they cover is full; of a ramp, the mean where it is."""
    means = pixel_fit._means(9, off)
    fine = pixel_fit.FINE
    np.testing.assert_allclose((means @ np.ones(9 * fine))[1:-1], 1.0, atol=1e-12)
    ramp = (np.arange(9 * fine) - (9 * fine - 1) / 2) / fine
    np.testing.assert_allclose((means @ ramp)[1:-1], (np.arange(9) - 4 - off)[1:-1], atol=1e-9)


def test_the_roughness_is_the_gradient_of_squared_differences():
    rng = np.random.default_rng(0)
    x, d = rng.standard_normal((2, 5, 7))

    def squared(x):
        return sum(np.square(np.diff(x, axis=axis)).sum() for axis in (0, 1)) / 2

    change = (squared(x + 1e-5 * d) - squared(x - 1e-5 * d)) / 2e-5
    assert (pixel_fit._roughness(x) * d).sum() == pytest.approx(change, rel=1e-6)


@pytest.mark.parametrize("level", [0.0, 0.01])
def test_a_measured_line_is_fitted_and_a_smooth_spot_is_shifted(level, monkeypatch):
    at = FRACTIONS[0]
    noise = level * np.random.default_rng(0).standard_normal(SIDE)
    found = psf(line(at) + 0.05 + noise).kernel
    called = []
    monkeypatch.setattr(measured_psf, "shape_behind", lambda *a: called.append(a))
    rows, columns = (np.arange(n) - (n - 1) / 2 - off for n, off in zip(SIDE, at, strict=True))
    psf(np.exp(-(rows[:, None] ** 2 + columns**2) / (2 * 1.6**2)) + 0.05 + noise)
    assert not called
    monkeypatch.setattr(measured_psf, "RINGING", 2.0)  # planted: never fitted
    shifted = psf(line(at) + 0.05 + noise).kernel
    assert off_by(found) < 0.6 * off_by(shifted), (off_by(found), off_by(shifted))
