"""Maps of errors share a scale with round ends; measurements of any shape become a picture."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from proxlab import operators
from proxlab.comparison.error_maps import coloured, scale_colours, scale_end
from proxlab.comparison.measured import flat, write_measured


@pytest.mark.parametrize(
    "largest, end",
    [(0.0, 0.02), (0.013, 0.02), (0.021, 0.05), (0.05, 0.05), (0.3, 0.5), (7, 10)],
)
def test_a_scale_ends_at_one_two_or_five(largest, end):
    errors = [np.full((10, 10), -largest), np.zeros((10, 10))]
    assert scale_end(errors) == pytest.approx(end)


def test_one_pixel_in_a_hundred_does_not_stretch_the_scale():
    error = np.full((20, 20), 0.04)
    error[0, 0] = 1.0
    assert scale_end([error]) == pytest.approx(0.05)


def test_colours_grow_brighter_with_the_size_of_an_error_whatever_its_sign():
    error = np.arange(-20, 21)[None] / 20
    brightness = coloured(error, 1.0).astype(float).sum(2)[0]
    assert (brightness == brightness[::-1]).all() and (np.diff(brightness[20:]) > 0).all()
    assert (coloured(np.array([[3.0]]), 1.0) == coloured(np.array([[1.0]]), 1.0)).all()
    signed = coloured(np.clip(error, 0, None), 1.0).astype(float).sum(2)[0]
    assert (signed != signed[::-1]).any()  # as a map that forgets negative errors would fail
    red, green, blue = coloured(np.array([[1.0]]), 1.0)[0, 0].tolist()
    assert scale_colours()[-1] == f"#{red:02x}{green:02x}{blue:02x}"


def test_measurements_of_any_shape_become_rows_and_columns():
    y = torch.arange(24.0).reshape(2, 3, 4)
    assert flat(y).shape == (3, 8) and flat(y)[0].tolist() == [0, 1, 2, 3, 12, 13, 14, 15]
    assert flat(torch.complex(torch.full((2, 2), 3.0), torch.full((2, 2), 4.0)))[0, 0] == 5
    assert flat(torch.ones(300)).shape == (2, 256) and flat(torch.ones(7)).shape == (1, 7)
    assert flat(torch.tensor(2.0)).shape == (1, 1) and flat(torch.ones(2, 9000)).shape == (2, 3000)
    assert flat(torch.tensor([[float("nan"), 1.0]])).tolist() == [[0, 1]]


def test_an_image_keeps_its_levels_and_a_sinogram_spans_black_to_white(tmp_path):
    truth = torch.full((1, 1, 12, 12), 0.5)
    blur = operators.deblur(operators.gaussian_kernel(1.0), noise=0.0)
    scan = operators.ct(12, 4, noise=0.0)
    for op, ends in ((blur, (127, 128)), (scan, (0, 255))):
        write_measured(tmp_path, op.A(truth), op, truth)
        facts = json.loads((tmp_path / "measured.json").read_text())
        with Image.open(tmp_path / "measured.png") as file:
            levels = np.asarray(file)
        assert facts["like_image"] == (op is blur)
        assert levels.min() >= ends[0] and levels.max() in ends
    assert facts["said"].startswith("sinogram, 4 views down") and facts["high"] > 2
    assert levels.shape == (4, op.A(truth).shape[-1])
