"""Noise that nobody told: estimated of a measurement and said, refused where none can be read."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import camera
from test_bad_input import refuse

from proxlab import operators
from proxlab.commands import restore
from proxlab.commands.main import main
from proxlab.commands.problems import readers
from proxlab.operators.estimates.noise_level import estimate_noise
from proxlab.operators.tomography.sinograms import write_sinogram

LEVEL = 0.05
SETTINGS = "--prior none --steps 2 --device cpu"
SAID = re.compile(r"^noise estimated at (\S+)$", re.MULTILINE)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder of measurements with noise, and of files that have none."""
    monkeypatch.chdir(tmp_path)
    rng = torch.Generator().manual_seed(0)
    clean = torch.from_numpy(camera()[96:192, 200:296] / 255)[None, None]
    mask = operators.random_mask(clean.shape[-2:], 0.3, rng)
    blur = operators.deblur(operators.gaussian_kernel(1.0))
    for name, op in (("blurred", blur), ("holes", operators.inpaint(mask))):
        y = op.A(clean)
        y = y + LEVEL * torch.randn(y.shape, generator=rng, dtype=y.dtype)
        np.save(f"{name}.npy", y[0, 0].clamp(0, 1).numpy())
    np.save("mask.npy", mask.numpy().astype(float))
    scan = operators.ct(96, 30)
    y = scan.A(clean)
    y = y + torch.randn(y.shape, generator=rng, dtype=y.dtype)
    np.save("bare.npy", y[0, 0].numpy())
    write_sinogram("kept.npy", y, scan.scan)
    write_sinogram("told.npy", y, scan.scan, 0.7)
    Image.fromarray(camera()[96:128, 200:236] // 64 * 64).save("steps.png")
    return tmp_path


MEASURED = {
    "blurred.npy deblur --blur-sigma 1": LEVEL,
    "holes.npy inpaint --mask mask.npy": LEVEL,
    "bare.npy ct --angles 30 --size 96": 1.0,
    "kept.npy ct": 1.0,
}


@pytest.mark.parametrize("words", MEASURED)
@pytest.mark.parametrize("more", ["", "--noise auto"])
def test_it_is_estimated_and_said(here, words, more, capsys):
    command = f"restore {words} {more} {SETTINGS} --out out.npy --trace trace.json"
    assert main(command.split()) == 0
    (said,) = SAID.findall(capsys.readouterr().out)
    assert float(said) == pytest.approx(MEASURED[words], rel=0.2)
    taken = json.loads(Path("trace.json").read_text())["noise"]
    assert float(said) == pytest.approx(taken, rel=6e-3)


@pytest.mark.parametrize("words", list(MEASURED)[:2])
def test_samples_are_drawn_by_it(here, words, capsys):
    more = "--prior lpn-gray-small --samples 2 --steps 1 --device cpu --out drawn"
    assert main(f"posterior {words} {more}".split()) == 0
    (said,) = SAID.findall(capsys.readouterr().out)
    taken = json.loads(Path("drawn/posterior.json").read_text())["noise"]
    assert float(said) == pytest.approx(taken, rel=6e-3)
    assert taken == pytest.approx(LEVEL, rel=0.2)


@pytest.mark.parametrize(
    "words, noise",
    [
        ("blurred.npy deblur --blur-sigma 1 --noise 0.03", 0.03),
        ("told.npy ct", 0.7),
        ("kept.npy ct --noise 0.3", 0.3),
    ],
)
def test_what_is_told_is_taken(here, words, noise, capsys):
    assert main(f"restore {words} {SETTINGS} --out out.npy --trace trace.json".split()) == 0
    assert not SAID.findall(capsys.readouterr().out)
    assert json.loads(Path("trace.json").read_text())["noise"] == pytest.approx(noise)


def test_noise_0_is_taken_as_that_of_8_bits_and_said(here, capsys):
    assert main(f"restore steps.png deblur --blur-sigma 1 --noise 0 {SETTINGS}".split()) == 0
    assert "noise taken as 0.00392, that of 8 bits" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["restore", "posterior --out drawn"])
@pytest.mark.parametrize("problem", ["deblur --blur-sigma 1", "inpaint --box 1,1,4,4"])
def test_where_none_can_be_read_a_sentence_asks_for_it(here, command, problem, capsys):
    command, *more = command.split()
    said = refuse(f"{command} steps.png {problem} --quiet {' '.join(more)}", capsys)
    assert "noise" in said and "--noise" in said


@pytest.mark.parametrize("told", ["", "--noise auto"])
def test_noise_that_is_simulated_is_told(here, told, capsys):
    for problem in ("deblur --blur-sigma 1", "inpaint --missing 0.5", "ct --angles 9"):
        with pytest.raises(SystemExit) as stop:
            main(f"restore steps.png {problem} --simulate {told}".split())
        assert stop.value.code == 2
        assert "with --simulate needs --noise, a number" in capsys.readouterr().err


def test_a_planted_silent_default_is_caught(here, monkeypatch, capsys):
    """Planted: the estimate says 0.01 of everything, as the command once took in silence."""
    words = "blurred.npy deblur --blur-sigma 1"
    monkeypatch.setattr(readers, "estimate_noise", lambda y, op: torch.tensor([0.01]))
    with pytest.raises(AssertionError):
        test_it_is_estimated_and_said(here, words, "", capsys)
    monkeypatch.setattr(readers, "estimate_noise", estimate_noise)
    monkeypatch.setattr(restore, "remarks", lambda *a: [])  # and nobody says it
    Path("out.npy").unlink()
    Path("trace.json").unlink()
    with pytest.raises(ValueError):
        test_it_is_estimated_and_said(here, words, "", capsys)
