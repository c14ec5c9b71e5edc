"""Masks of either convention: the same image, the share that is seen, and masks that look inverted.

After case_9: a mask as OpenCV has it, of which 95 % of a photograph was thrown away.
"""

import numpy as np
import pytest
from PIL import Image
from skimage.data import camera

from proxlab.commands.main import main

PIXELS = camera()[96:144, 200:248].copy()
HOLE = np.zeros_like(PIXELS)
HOLE[10:20, 20:32] = 255
COVERED = np.where(HOLE, 255, PIXELS).astype(np.uint8)
FAST = "--noise 0.01 --prior tv --steps 30 --device cpu --overwrite"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """The command on a covered photograph; what it says, and the image."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(COVERED).save("g.png")
    Image.fromarray(PIXELS).save("clean.png")
    Image.fromarray(HOLE).save("hole.png")
    Image.fromarray(255 - HOLE).save("seen.png")

    def command(words):
        assert main(f"restore {words} {FAST} --out new.npy".split()) == 0
        return capsys.readouterr().out, np.load("new.npy")

    return command


def test_both_conventions_give_the_same_image(run):
    said, usual = run("g.png inpaint --mask seen.png")
    turned, other = run("g.png inpaint --mask hole.png --mask-is missing")
    assert np.array_equal(usual, other)
    for lines in (said, turned):
        assert "seen: 94.8 % of the pixels" in lines and "invert" not in lines
        assert "--mask-is" not in lines


@pytest.mark.parametrize(
    "words, remedy",
    [
        ("--mask hole.png", "--mask-is missing"),
        ("--mask seen.png --mask-is missing", "--mask-is seen"),
    ],
)
def test_an_inverted_mask_is_told_by_the_colours_of_its_holes(run, words, remedy):
    said, _ = run(f"g.png inpaint {words}")
    assert "seen: 5.2 % of the pixels" in said
    assert "looks inverted" in said and remedy in said
    # a simulation covers nothing: there is but the share to go by
    said, _ = run(f"clean.png inpaint {words} --simulate")
    assert "looks inverted" not in said and remedy in said


def test_a_wide_hole_is_told_too_and_a_right_mask_never(run):
    wide = np.zeros_like(PIXELS)
    wide[4:44, 6:] = 255
    Image.fromarray(wide).save("wide.png")
    Image.fromarray(np.where(wide, 0, PIXELS).astype(np.uint8)).save("w.png")
    said, _ = run("w.png inpaint --mask wide.png")
    assert "seen: 72.9 %" in said and "looks inverted" in said
    said, _ = run("w.png inpaint --mask wide.png --mask-is missing")
    assert "seen: 27.1 %" in said and "inverted" not in said and "--mask-is" not in said
    said, _ = run("clean.png inpaint --mask wide.png")  # whatever lies below the mask
    assert "inverted" not in said


def test_colours_count_together(run):
    rgb = np.stack([PIXELS, np.full_like(PIXELS, 9), PIXELS // 2], 2)
    rgb[HOLE > 0] = (255, 0, 0)
    Image.fromarray(rgb).save("rgb.png")
    assert "looks inverted" in run("rgb.png inpaint --mask hole.png")[0]
    assert "inverted" not in run("rgb.png inpaint --mask seen.png")[0]
