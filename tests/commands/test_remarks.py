"""What `restore` says of its INPUT: dark files, inverted masks; and what it writes."""

import argparse
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from skimage.data import camera

from proxlab import operators
from proxlab.commands.main import main
from proxlab.commands.problems.measurement import Measurement, Source
from proxlab.commands.remarks import remarks
from proxlab.images import read_image

LEVELS = camera()[96:128, 200:236]
DEEP = LEVELS.astype(np.uint16)
BLUR = "deblur --blur-sigma 1 --noise 0.02 --prior none --steps 3 --device cpu"


def said(path, problem="deblur", mask=None, op=None):
    """Sentences on a file, by a problem that has nothing else to say."""
    image = read_image(path)
    args = argparse.Namespace(input=path, problem=problem, mask=mask, mask_is="seen")
    args.prior, args.simulate = "tv", False
    op = operators.deblur(operators.gaussian_kernel(1.0), 0.01) if op is None else op
    source = Source(image, lambda generator: measured)
    measured = Measurement(image.pixels, op)
    return list(remarks(args, source, measured))


@pytest.mark.parametrize(
    "bits, words",
    [(12, r"\d{4} of 65535; if they are 12 bits .* --scale 0,4095:"), (14, "14 bits .* 0,16383:")],
)
@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.npy"])
def test_few_bits_in_a_file_of_16_are_remarked_on(tmp_path, bits, words, name):
    deep = DEEP * 2 ** (bits - 8)
    path = tmp_path / name
    if name == "a.npy":
        np.save(path, deep)
    else:
        Image.fromarray(deep).save(path)
    (line,) = said(path)
    assert re.search(words, line), line
    assert said(path, problem="ct") == []  # which asks for --hounsfield


def test_a_file_that_uses_its_bits_is_not_remarked_on(tmp_path):
    for name, array in {"a.png": LEVELS, "b.png": DEEP * 257}.items():
        Image.fromarray(array).save(tmp_path / name)
        assert said(tmp_path / name) == []


@pytest.mark.parametrize("holes, hint", [(0.05, False), (0.95, True)])
def test_the_share_of_seen_pixels_is_said_and_an_inverted_mask_guessed(tmp_path, holes, hint):
    path = tmp_path / "a.png"
    Image.fromarray(LEVELS).save(path)
    mask = operators.random_mask(LEVELS.shape, holes, torch.Generator().manual_seed(0))
    op = operators.inpaint(mask, 0.01)
    lines = said(path, "inpaint", tmp_path / "m.png", op)
    assert f"{100 * (1 - holes):.1f} % of the pixels" in lines[0]
    assert len(lines) == 1 + hint and ("--mask-is missing" in lines[-1]) == hint
    assert len(said(path, "inpaint", None, op)) == 1  # nobody gave a mask that may be inverted


KINDS = {
    "a.tif": np.float32(LEVELS / 255),
    "b.tif": np.stack([DEEP * 200, DEEP * 9, DEEP * 77], 2),
    "float.png": np.float32(LEVELS / 255),
    "deep.png": np.stack([DEEP * 257] * 3, 2),
    "1.2.840": DEEP * 257,
}


@pytest.mark.parametrize("name", KINDS)
def test_a_tiff_comes_back_as_what_it_was_whatever_it_is_called(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    array = KINDS[name]
    photometric = "rgb" if array.ndim == 3 else "minisblack"
    with open(name, "wb") as file:
        tifffile.imwrite(file, array, photometric=photometric)
    assert main(f"restore {name} {BLUR} --quiet".split()) == 0
    stem = name if name == "1.2.840" else Path(name).stem
    back = tifffile.imread(f"{stem}-restored.tif")
    assert back.dtype == array.dtype and back.shape == array.shape


def test_a_float_tiff_becomes_a_png_of_16_bits_if_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tifffile.imwrite("a.tif", KINDS["a.tif"], photometric="minisblack")
    assert main(f"restore a.tif {BLUR} --quiet --out b.png".split()) == 0
    assert read_image("b.png").bits == 16
