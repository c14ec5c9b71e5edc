"""Arrays at the door of `restore` and `posterior`: the same answer as tensors, or a sentence."""

import deepinv
import numpy as np
import pytest
import torch
from skimage.data import astronaut, camera

import proxlab
from proxlab import arrays
from proxlab.arrays import Given

KERNEL = np.outer([1, 2, 1], [1, 2, 1]) / 16
DOTS = np.indices((24, 24)).sum(0) % 3 > 0
"""A mask that is not its own transpose's neighbour's: every third diagonal is missing."""
GRAY = camera()[70:94, 200:224]
COLOUR = astronaut()[40:64, 190:214]


def floats(levels: np.ndarray) -> np.ndarray:
    return (levels / 255).astype(np.float32)


def tensor(levels: np.ndarray) -> torch.Tensor:
    x = torch.from_numpy(floats(levels))
    return x[None, None] if x.ndim == 2 else x.permute(2, 0, 1)[None]


def restored(y, op, prior="tv", **words):
    return proxlab.restore(y, op, prior, steps=4, **words)


@pytest.mark.parametrize(
    "levels", [GRAY, GRAY[:, :20], COLOUR, COLOUR[:20]], ids=lambda a: "x".join(map(str, a.shape))
)
def test_an_array_is_restored_as_the_tensor_is(levels):
    op = proxlab.operators.deblur(KERNEL, noise=0.02)
    expected = restored(tensor(levels), op)
    for y, noise in ((levels, 1e-2), (floats(levels), 1e-6), (floats(levels).astype(float), 1e-4)):
        result = restored(y, op)
        assert isinstance(result.image, np.ndarray)
        assert result.image.shape == y.shape and result.image.dtype == y.dtype
        x = tensor(result.image) if y.dtype == np.uint8 else tensor(255 * result.image)
        pixels = expected.image.clamp(0, 1) if y.dtype == np.uint8 else expected.image
        assert torch.allclose(x, pixels, atol=noise)
        assert isinstance(result.pixels, torch.Tensor)
        assert torch.allclose(result.pixels.float(), expected.pixels, atol=1e-4)
        assert result.certified == expected.certified
    assert expected.image is expected.pixels


def test_a_batch_comes_back_as_a_batch():
    op = proxlab.operators.deblur(KERNEL, noise=0.02)
    y = torch.stack([tensor(GRAY)[0], tensor(GRAY.T.copy())[0]])
    image = restored(y.numpy(), op).image
    assert isinstance(image, np.ndarray) and image.shape == (2, 1, 24, 24)
    assert np.array_equal(image, restored(y, op).image.numpy())


def test_masks_kernels_and_numbers_are_arrays_too():
    y = floats(GRAY) * DOTS
    op = proxlab.operators.inpaint(DOTS, noise=0.02)
    first = proxlab.data_terms.start(torch.from_numpy(y)[None, None], op)
    expected = restored(tensor(GRAY) * torch.from_numpy(DOTS), op, init=first)
    for init in (first, first[0, 0].numpy(), first.numpy()):
        result = restored(y, op, init=init, noise=np.float64(0.02), weight=np.array(1.0))
        assert np.allclose(result.image, expected.image[0, 0].numpy(), atol=1e-6)


def test_a_scan_is_an_array_views_by_detectors():
    op = proxlab.operators.ct((24, 20), angles=9, noise=0.1)
    x = torch.from_numpy(floats(GRAY[:, :20]))[None, None]
    y = op.A(x)
    result = restored(y[0, 0].numpy(), op)
    assert result.image.shape == (24, 20)
    assert np.array_equal(result.image, restored(y, op).image[0, 0].numpy())


class Shifted(deepinv.physics.LinearPhysics):
    """Rows moved by one, of whatever has rows: it takes an array for a batch and for an image."""

    def A(self, x, **kwargs):
        return x.roll(1, -2)

    def A_adjoint(self, y, **kwargs):
        return y.roll(-1, -2)


class Summed(deepinv.physics.LinearPhysics):
    """Sums of columns [B, 24] of images [B, 1, 24, 24]."""

    def A(self, x, **kwargs):
        return x[:, 0].sum(1) / 24

    def A_adjoint(self, y, **kwargs):
        return (y / 24)[:, None, None].expand(-1, 1, 24, -1)


class Either(Summed):
    """The same, and images too."""

    def A(self, x, **kwargs):
        return x

    def A_adjoint(self, y, **kwargs):
        return y if y.ndim == 4 else super().A_adjoint(y)


def test_the_operator_tells_what_an_array_may_be():
    image = restored(floats(GRAY), Shifted(), noise=0.1).image
    assert image.shape == (24, 24)
    assert np.allclose(image, restored(tensor(GRAY), Shifted(), noise=0.1).image[0, 0], atol=1e-6)
    batch = Given.of(floats(GRAY)[:2], Summed())
    assert not batch.layout.one and batch.y.shape == (2, 24)
    assert restored(floats(GRAY)[:2], Summed(), noise=0.1).image.shape == (2, 1, 24, 24)
    with pytest.raises(ValueError, match=r"takes an array \[24, 24\] for a batch .* for one image"):
        Given.of(floats(GRAY), Either())


@pytest.mark.parametrize(
    "spoil, words, sentence",
    [
        (lambda a: a[None], {}, "may be one image, its channels first, or a batch"),
        (lambda a: a.astype(np.float32), {}, r"the array reaches .*, and images are in \[0, 1\]"),
        (lambda a: a.astype(np.uint16), {}, "got uint16, whose white is not known"),
        (lambda a: a > 99, {}, "got bool, whose white is not known"),
        (lambda a: a, {"noise": 2.55}, r"taken as y / 255, and noise is in the same units.*2.55"),
        (lambda a: a.astype(object), {}, "whose white is not known|array of numbers is needed"),
        (lambda a: np.ma.masked_less(a, 9), {}, "array with a mask of its own is not read"),
        (lambda a: floats(a), {"init": np.zeros((9, 9))}, "init is a batch of float images"),
        (lambda a: np.where(a > 99, np.nan, floats(a)), {}, "measurements are NaN or infinite"),
    ],
)
def test_what_is_not_plain_is_refused_in_a_sentence(spoil, words, sentence):
    op = proxlab.operators.deblur(KERNEL, noise=0.02)
    with pytest.raises((ValueError, TypeError), match=sentence) as told:
        restored(spoil(GRAY), op, **words)
    assert "\n" not in str(told.value)


def test_the_noise_of_grey_levels_is_estimated_in_their_units():
    assert restored(GRAY, proxlab.operators.deblur(KERNEL), noise="auto").image.dtype == np.uint8


def test_grey_levels_of_a_scan_are_refused():
    op = proxlab.operators.ct((24, 24), angles=9, noise=0.1)
    y = np.zeros(tuple(op.A(torch.zeros(1, 1, 24, 24)).shape[2:]), np.uint8)
    with pytest.raises(ValueError, match="255 white, but this operator makes 3[0-9.]+ of white"):
        restored(y, op)


def test_values_of_a_scan_may_be_large():
    op = proxlab.operators.ct((24, 24), angles=9, noise=0.1)
    y = op.A(torch.ones(1, 1, 24, 24))
    assert y.max() > 20 and restored(y[0, 0].numpy(), op).image.shape == (24, 24)


def test_a_door_that_takes_levels_as_they_are_is_caught(monkeypatch):
    """Planted: uint8 read as 0..255 floats, which every image is off by."""
    op = proxlab.operators.deblur(KERNEL, noise=0.02)
    right = restored(GRAY, op).image.astype(float)
    monkeypatch.setattr("proxlab.images.layouts.WHITE", 1)
    monkeypatch.setattr(arrays, "_check_units", lambda *_: None)
    monkeypatch.setattr(arrays, "_check_noise", lambda *_: None)
    assert np.abs(restored(GRAY, op).image - right).mean() > 1


def test_samples_of_an_array_are_arrays():
    op = proxlab.operators.inpaint(DOTS, noise=0.05)
    words = {"n": 3, "steps": 2}
    y = floats(GRAY) * DOTS
    expected = proxlab.posterior(torch.from_numpy(y)[None, None], op, "lpn-gray-small", **words)
    post = proxlab.posterior(y, op, "lpn-gray-small", **words)
    for name in ("samples", "mean", "std"):
        found, tensors = getattr(post, name), getattr(expected, name)
        assert isinstance(found, np.ndarray) and found.shape[-2:] == (24, 24)
        assert np.array_equal(found, tensors.squeeze().numpy())
    low, high = post.interval(0.5)
    assert isinstance(low, np.ndarray) and low.shape == high.shape == (24, 24)
    assert np.array_equal(low, expected.interval(0.5)[0].squeeze().numpy())
    by_array = proxlab.posterior_quality(post.samples, floats(GRAY))
    assert by_array.coverage == proxlab.posterior_quality(expected.samples, tensor(GRAY)).coverage
    levels = proxlab.posterior(GRAY, op, "lpn-gray-small", **words)
    assert levels.samples.dtype == np.float32 and levels.samples.max() < 2


def test_the_laplace_spread_of_an_array_is_an_array():
    op = proxlab.operators.inpaint(DOTS, noise=0.05)
    y = floats(GRAY) * DOTS
    result = proxlab.restore(y, op, "lpn-gray-small", steps=20)
    spread = proxlab.laplace_spread(result, y, op, "lpn-gray-small", probes=2)
    assert isinstance(spread, np.ndarray) and spread.shape == (24, 24)
