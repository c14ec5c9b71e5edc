"""Photographs on the command line: what lies beyond their edges is estimated and cut off."""

import numpy as np
import pytest
import torch
from skimage.data import camera

from proxlab import operators
from proxlab.commands.main import main
from proxlab.images.metrics import psnr
from proxlab.operators.blur import PaddedBlur

FAST = "--noise 0.01 --prior lpn-gray-small --device cpu --steps 40"
BLUR = f"deblur --blur-sigma 1.2 {FAST}"
REACH = 5
"""Pixels to each side of the kernel's centre."""
SCENE = torch.from_numpy(camera()[90:138, 200:252] / 255).float()[None, None]


@pytest.fixture
def photo(tmp_path, monkeypatch):
    """A blurred photograph y.npy, and the image behind its pixels."""
    monkeypatch.chdir(tmp_path)
    op = operators.deblur(operators.gaussian_kernel(1.2), 0.01, "valid")
    y = op(SCENE, generator=torch.Generator().manual_seed(0))
    np.save("y.npy", y[0, 0].numpy())
    np.save("clean.npy", SCENE[0, 0].numpy())
    return y, op.inside(SCENE)


def run(words, capsys):
    """Lines that were said, and the image that was written."""
    assert main(f"restore {words} --out x.npy --overwrite".split()) == 0
    return capsys.readouterr().out.splitlines(), torch.from_numpy(np.load("x.npy"))[None, None]


@pytest.fixture
def unknown(photo, capsys):
    """What the command says and writes unless it is told of edges."""
    return run(f"y.npy {BLUR}", capsys)


def border(x, truth, width=8):
    """PSNR of the outer pixels, and of the rest."""
    error = (x - truth).square()[0, 0]
    inner = error[width:-width, width:-width]
    outer = (error.sum() - inner.sum()) / (error.numel() - inner.numel())
    return float(-10 * outer.log10()), float(-10 * inner.mean().log10())


def test_borders_are_unknown_and_ring_less_than_those_that_wrap_around(photo, unknown, capsys):
    truth = photo[1]
    said, x = unknown
    assert x.shape == truth.shape
    line = next(line for line in said if "cut off" in line)
    assert line.startswith(f"{REACH} rows and {REACH} columns beyond each edge")
    said, around = run(f"y.npy {BLUR} --boundary circular", capsys)
    assert around.shape == truth.shape and not any("cut off" in line for line in said)
    ours, theirs = border(x, truth), border(around, truth)
    assert ours[0] > theirs[0] + 1 and ours[1] > theirs[1] - 0.05


def test_valid_keeps_what_unknown_cuts_off(unknown, capsys):
    said, x = run(f"y.npy {BLUR} --boundary valid", capsys)
    assert x.shape == SCENE.shape and not any("cut off" in line for line in said)
    assert torch.equal(x[..., REACH:-REACH, REACH:-REACH], unknown[1])


def test_a_crop_off_by_one_is_seen(photo, unknown, capsys, monkeypatch):
    inside, right = PaddedBlur.inside, float(psnr(unknown[1], photo[1]))
    monkeypatch.setattr(PaddedBlur, "inside", lambda op, x: inside(op, x.roll(1, -1)))
    assert float(psnr(run(f"y.npy {BLUR}", capsys)[1], photo[1])) < right - 1


def test_simulated_images_wrap_around_unless_told(photo, capsys):
    few = BLUR.replace("lpn-gray-small", "none")
    x = run(f"clean.npy {few} --simulate", capsys)[1]
    around = run(f"clean.npy {few} --simulate --boundary circular", capsys)[1]
    assert x.shape == SCENE.shape and torch.equal(x, around)
    said, x = run(f"clean.npy {few} --simulate --boundary unknown", capsys)
    assert x.shape == photo[1].shape
    line = next(line for line in said if line.startswith("PSNR"))
    assert f"-> {float(psnr(x, photo[1])):.2f} dB" in line  # compared where it was measured
    assert f"PSNR {float(psnr(photo[0], photo[1])):.2f} ->" in line


def test_a_kernel_larger_than_the_photograph_is_refused(photo, capsys):
    assert main(f"restore y.npy deblur --blur-sigma 9 {FAST}".split()) == 1
    assert "73 x 73, larger than the image, 38 x 42" in capsys.readouterr().err


def test_samples_of_a_posterior_have_the_size_of_the_photograph(photo, capsys):
    words = "deblur --blur-sigma 1.2 --noise 0.01 --prior lpn-gray-small --samples 3 --steps 2"
    assert main(f"posterior y.npy {words} --device cpu --out drawn".split()) == 0
    assert "cut off" in capsys.readouterr().out
    assert np.load("drawn/samples.npy").shape == (3, 1, *photo[0].shape[2:])
    assert np.load("drawn/deviation.npy").shape == (1, *photo[0].shape[2:])
