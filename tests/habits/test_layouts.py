"""Arrays become batches and come back: no channel, row or type is lost or exchanged."""

import numpy as np
import pytest
import torch

from proxlab.images.layouts import Layout, as_images, as_samples
from proxlab.images.metrics import psnr, ssim

SHAPES = [(6, 8), (7, 7), (5, 6, 3), (6, 6, 3), (6, 8, 1), (2, 3, 5, 5), (2, 1, 5, 4)]
TYPES = [np.uint8, np.float32, np.float64]


def array(shape: tuple[int, ...], dtype: type = np.float32) -> np.ndarray:
    """An array no two entries of which are the same, in [0, 1] or 0..255."""
    count = np.arange(np.prod(shape)).reshape(shape)
    if dtype == np.uint8:
        return (count % 256).astype(dtype)
    return (count / count.size).astype(dtype)


def right(a: np.ndarray, layout: Layout) -> bool:
    """Whether the array becomes the batch that its layout says, pixel by pixel, and comes back."""
    x = layout.batch(a)
    white = 255 if a.dtype == np.uint8 else 1
    places = [(0, 0, 0), (0, 1, 2), (x.shape[1] - 1, 3, 1)]
    for c, i, j in places:
        there = a[i, j] if a.ndim == 2 else a[i, j, c] if a.ndim == 3 else a[-1, c, i, j]
        if abs(float(x[-1, c, i, j]) * white - float(there)) > 1e-4:
            return False
    back = layout.back(x)
    return back.dtype == a.dtype and back.shape == a.shape and np.allclose(back, a, atol=1e-6)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_an_array_comes_back_as_it_was(shape, dtype):
    if len(shape) == 4 and dtype == np.uint8:
        return  # of batches floats alone are taken, by `restore`
    a = array(shape, dtype)
    assert right(a, Layout.of(a))


class Transposed(Layout):
    def batch(self, array):
        return super().batch(array).mT


class TransposedBoth(Transposed):
    def floats(self, x):
        return super().floats(x.mT)


class ReversedColours(Layout):
    def batch(self, array):
        return super().batch(array).flip(1)


class Reshaped(Layout):
    def batch(self, array):
        return super().batch(array).movedim(1, -1).reshape(1, array.shape[-1], *array.shape[:2])


class Promoted(Layout):
    def back(self, x):
        return super().floats(x)


class Squeezed(Layout):
    def floats(self, x):
        return super().floats(x).squeeze()


@pytest.mark.parametrize(
    "wrong, shape, dtype",
    [
        (Transposed, (7, 7), np.float32),
        (TransposedBoth, (7, 7), np.float32),
        (TransposedBoth, (6, 6, 3), np.float32),
        (ReversedColours, (6, 6, 3), np.float32),
        (Reshaped, (6, 6, 3), np.float32),
        (Promoted, (7, 7), np.uint8),
        (Squeezed, (6, 8, 1), np.float32),
    ],
)
def test_that_check_catches_planted_layouts(wrong, shape, dtype):
    a = array(shape, dtype)
    assert not right(a, wrong(a.ndim, a.dtype))


@pytest.mark.parametrize(
    "shape, sentence",
    [
        ((3, 64, 64), r"an array \[3, 64, 64\] may be one image, its channels first, or a batch"),
        ((1, 64, 64), "a batch of gray ones; give a batch: a.None. of one image, a.:, None. of"),
        ((8, 64, 64), "may be one image, its channels first, or a batch of gray ones"),
        ((3, 64, 3), "may have its channels first or last"),
        ((1, 64, 3), "may have its channels first or last"),
        ((48, 64, 4), "has four channels; drop the alpha channel"),
        ((2, 48, 64, 3), "seems to be a batch with its channels last, and batches are"),
        ((64,), r"one image \[H, W\] or \[H, W, 3\], or a batch \[B, C, H, W\], got \[64\]"),
        ((0, 64), r"got \[0, 64\]"),
        ((), r"got \[\]"),
    ],
)
def test_a_shape_that_may_be_two_things_is_refused(shape, sentence):
    with pytest.raises(ValueError, match=sentence) as told:
        Layout.of(np.zeros(shape))
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("dtype", [np.uint16, np.int64, bool, np.float16, np.complex64])
def test_numbers_whose_white_is_not_known_are_refused(dtype):
    with pytest.raises(TypeError, match="float32, float64 or uint8, got .*white is not known"):
        as_images(np.zeros((6, 7), dtype))


def test_grey_levels_are_rounded_and_clipped():
    layout = Layout(2, np.dtype(np.uint8))
    x = torch.tensor([[-0.5, 0.0, 0.502, 1.0, 1.5]])[None, None]
    assert layout.back(x).tolist() == [[0, 0, 128, 255, 255]]
    assert layout.floats(x).min() == -0.5


@pytest.mark.filterwarnings("error")
def test_arrays_of_any_memory_are_taken():
    a = array((6, 8))
    locked = a.copy()
    locked.flags.writeable = False
    for same in (a, locked, np.asfortranarray(a), a[::-1][::-1], a.astype(">f4")):
        assert torch.equal(as_images(same), torch.from_numpy(a)[None, None])
    x = as_images(locked)
    x += 1  # whatever happens to the tensor
    assert np.array_equal(locked, a)
    with pytest.raises(TypeError, match=r"mask of its own is not read; take array.filled"):
        as_images(np.ma.masked_array(a, a > 0.5))


def test_a_layout_of_gray_takes_an_answer_in_colour():
    """A Bayer pattern [H, W] is one of a colour image."""
    assert Layout(2, np.dtype(np.float32)).back(torch.zeros(1, 3, 6, 8)).shape == (6, 8, 3)


def test_samples_and_scores_take_arrays():
    assert as_samples(np.zeros((5, 6, 8))).shape == (5, 1, 1, 6, 8)
    a = np.random.default_rng(0).random((5, 6, 8, 3))
    assert np.array_equal(as_samples(a)[2, 0, 1].numpy(), a[2, :, :, 1])
    assert as_samples(np.zeros((5, 2, 1, 6, 8))).shape == (5, 2, 1, 6, 8)
    clean = array((16, 20, 3))
    levels = (255 * clean).round().astype(np.uint8)
    x, y = as_images(clean), as_images(clean * 0.9)
    assert torch.equal(psnr(clean * np.float32(0.9), clean), psnr(y, x))
    assert torch.equal(ssim(clean * np.float32(0.9), clean), ssim(y, x))
    assert 55 < float(psnr(levels, clean)) < 65  # the rounding of 8 bits
    with pytest.raises(ValueError, match="with a truth of their shape"):
        psnr(clean[..., 0], clean)
