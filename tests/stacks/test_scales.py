"""Values of a file: which of them are 0 and 1, said when they are few, and kept in the result."""

import re

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from proxlab.commands import arguments
from proxlab.commands.main import main
from proxlab.images import read_image, write_image
from tests.stacks.stack_files import ZYX, pages

FAST = "deblur --blur-sigma 0.6 --noise 0.02 --prior tv --steps 30 --device cpu"
PAGE = pages(1, "float32")[0]
FULL = 0.05 + 0.9 * (PAGE - PAGE.min()) / np.ptp(PAGE)
"""A photograph that fills the range."""


def run(words, status=0):
    assert main(f"restore {words}".split()) == status


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_scale_is_read_and_written_back(here):
    levels = np.rint(FULL * 4095).astype(np.uint16)
    Image.fromarray(levels).save("a.png")
    image = read_image("a.png", scale=(0, 4095))
    assert image.scale == (0, 4095) and image.bits == 16
    torch.testing.assert_close(image.pixels[0, 0], torch.from_numpy(levels / 4095).float())
    assert write_image("b.png", image.pixels, 16, scale=(0, 4095)) == 0
    assert np.array_equal(np.asarray(Image.open("b.png")), levels)
    np.save("c.npy", FULL * 300 - 1000)
    image = read_image("c.npy", scale=(-1000, -700))
    torch.testing.assert_close(image.pixels[0, 0], torch.from_numpy(FULL))
    write_image("d.npy", image.pixels, 32, scale=(-1000, -700))
    np.testing.assert_allclose(np.load("d.npy"), np.load("c.npy"), atol=1e-3)


@pytest.mark.parametrize(
    "scale, sentence",
    [
        ((0, 0.2), r"values from .* to 0\.\d+, expected \[0, 0\.2\]; rescale or clip it first"),
        ((1, 0), r"the lower first, got 1, 0"),
        ((0, float("nan")), "the lower first, got 0, nan"),
    ],
)
def test_a_scale_that_cannot_be_is_refused(here, scale, sentence):
    np.save("a.npy", FULL)
    with pytest.raises(ValueError, match=sentence):
        read_image("a.npy", scale=scale)


def test_12_bits_of_16_are_restored_as_themselves(here, capsys):
    """Noise is a part of the scale: the result is that of the image that fills its 16 bits."""
    levels = np.rint(FULL * 4095).astype(np.uint16)
    Image.fromarray(levels).save("a.png")
    tifffile.imwrite("b.tif", (levels / 4095).astype(np.float32))
    run(f"a.png {FAST} --scale 0,4095")
    said = capsys.readouterr().out
    assert "values 0 and 4095 of a.png are taken for 0 and 1: noise 0.02 is 81.9 of them" in said
    assert "if they are 12 bits" not in said
    run(f"b.tif {FAST} --quiet")
    scaled = np.asarray(Image.open("a-restored.png")).astype(float) / 4095
    plain = tifffile.imread("b-restored.tif")
    np.testing.assert_allclose(scaled, plain.clip(0), atol=2e-4)
    run(f"a.png {FAST} --out dark.png")  # without a scale noise is 16 times what was meant
    said = capsys.readouterr().out
    assert re.search(
        r"a\.png holds values up to \d{4} of 65535; if they are 12 bits .* 0,4095", said
    )
    dark = np.asarray(Image.open("dark.png")).astype(float) / 4095
    assert np.abs(dark - plain).max() > 0.05


@pytest.mark.parametrize(
    "array, hint",
    [
        (FULL * 0.02, "to 0.0.*, a small part of 0 to 1"),
        (FULL * 0.05 + 0.7, "from 0.7.* to 0.7"),
        (np.rint(FULL * 20).astype(np.uint8), r"from \d+ to \d+, a small part of 0 to 255"),
        (np.rint(FULL * 4000 + 30000).astype(np.uint16), "a small part of 0 to 65535"),
        (FULL, None),
        (np.rint(FULL * 255).astype(np.uint8), None),
    ],
)
def test_a_small_part_of_the_range_is_said(here, array, hint, capsys):
    np.save("a.npy", array)
    run(f"a.npy {FAST} --out b.npy")
    said = capsys.readouterr().out
    assert ("small part" in said) == (hint is not None)
    if hint:
        assert re.search(hint, said), said
        low, high = re.search(r"such as ([\d.e-]+,[\d.e-]+):", said).group(1).split(",")
        assert float(low) <= array.min() and array.max() <= float(high)
        run(f"a.npy {FAST} --scale {low},{high} --out c.npy")
        said = capsys.readouterr().out
        assert "small part" not in said
        assert np.load("c.npy").min() > float(low) - 0.2 * (float(high) - float(low))
        assert abs(np.load("c.npy").mean() - array.mean()) < 0.1 * (float(high) - float(low))


def test_floats_are_clipped_only_if_told(here, capsys):
    rng = np.random.default_rng(0)
    noisy = np.where(FULL > 0.3, 1, 0) + 0.2 * rng.standard_normal(FULL.shape)
    tifffile.imwrite("a.tif", noisy.astype(np.float32))
    words = "deblur --blur-sigma 0.4 --noise 0.05 --prior none --steps 5 --device cpu"
    run(f"a.tif {words}")
    free = tifffile.imread("a-restored.tif")
    assert free.min() < 0 and free.max() > 1 and "clipped" not in capsys.readouterr().out
    run(f"a.tif {words} --clip --out b.tif")
    said = capsys.readouterr().out
    np.testing.assert_array_equal(tifffile.imread("b.tif"), free.clip(0, 1))
    share = 100 * ((free < 0) | (free > 1)).mean()
    assert f"{share:.2f} % of the pixels were outside [0, 1] and clipped in the file" in said


def test_scaled_floats_fill_a_file_of_whole_numbers(here):
    tifffile.imwrite("a.tif", FULL * 3 + 5)
    run(f"a.tif {FAST} --scale 5,8 --out b.png --quiet")
    levels = np.asarray(Image.open("b.png"))
    assert levels.dtype == np.uint16 and len(np.unique(levels)) > 200
    assert abs(levels.mean() / 65535 - FULL.mean()) < 0.02


def test_a_stack_has_one_scale(here, capsys):
    stack = np.rint(pages(4, "float32") * 1000).astype(np.uint16)
    tifffile.imwrite("a.tif", stack, imagej=True, **ZYX)
    run(f"a.tif {FAST}")
    said = capsys.readouterr().out
    assert said.count("if they are 10 bits") == 1 and "say --scale 0,1023" in said
    run(f"a.tif {FAST} --scale 0,1023 --overwrite")
    assert "noise 0.02 is 20.46 of them" in capsys.readouterr().out
    back = tifffile.imread("a-restored.tif")
    assert back.dtype == np.uint16 and np.abs(back - stack.astype(float)).mean() < 30


@pytest.mark.parametrize("text", ["1", "1,2,3", "a,b", ""])
def test_a_scale_is_two_numbers(text):
    with pytest.raises(ValueError):
        arguments.value_range(text)
    assert arguments.value_range("-1.5,2e3") == (-1.5, 2000)


@pytest.mark.parametrize(
    "words, sentence",
    [
        ("a.png ct --simulate --angles 9 --noise 1 --scale 0,9", "--scale is for photographs"),
        ("a.npy ct --simulate --angles 9 --noise 1 --rings", "not for --simulate"),
    ],
)
def test_ct_has_a_scale_of_its_own(words, sentence, capsys):
    with pytest.raises(SystemExit):
        main(f"restore {words}".split())
    assert sentence in capsys.readouterr().err
