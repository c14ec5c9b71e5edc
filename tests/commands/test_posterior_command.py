"""`proxlab posterior`: a folder of samples, their mean and figure; one sentence for bad input."""

import json
import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import camera

import proxlab
from proxlab.commands.main import main
from proxlab.images import read_image, write_image
from tests.processes import together

FILES = {"samples.npy", "mean.png", "deviation.npy", "figure.png", "posterior.json"}
SETTINGS = [
    "--prior",
    "lpn-gray-small",
    "--samples",
    "9",
    "--steps",
    "3",
    "--seed",
    "4",
    "--device",
    "cpu",
]
HALF = ["inpaint", "--missing", "0.5", "--noise", "0.05"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_image("photo.png", torch.from_numpy(camera()[96:128, 200:240] / 255)[None])
    return tmp_path


def run(*words):
    return main(["posterior", *words, "--device", "cpu"])


def test_a_folder_holds_what_a_script_gets(here, capsys):
    assert run("photo.png", *HALF, "--simulate", *SETTINGS, "--out", "drawn") == 0
    assert {path.name for path in Path("drawn").iterdir()} == FILES
    samples, told = (
        np.load("drawn/samples.npy"),
        json.loads(Path("drawn/posterior.json").read_text()),
    )
    assert samples.shape == (9, 1, 32, 40) and samples.dtype == np.float32
    x, generator = read_image("photo.png").pixels, torch.Generator().manual_seed(4)
    op = proxlab.operators.inpaint(
        proxlab.operators.random_mask((32, 40), 0.5, generator), noise=0.05
    )
    y = op(x, generator=generator)
    post = proxlab.posterior(y, op, "lpn-gray-small", 9, steps=3, seed=4)
    assert np.allclose(samples, post.samples[:, 0].numpy(), atol=1e-4)
    assert np.allclose(np.load("drawn/deviation.npy"), post.std[0].numpy(), atol=1e-4)
    assert (read_image("drawn/mean.png").pixels - post.mean.clamp(0, 1)).abs().max() < 1e-4
    assert told["evaluations"] == 3 and told["products"] == post.products
    assert set(told["coverage"]) == {"50 %", "80 %"}
    said = capsys.readouterr().out
    assert "9 samples, each of 3 evaluations of the prior" in said
    assert f"mean {told['psnr_of_mean']:.2f} dB, spread over error" in said


def test_a_measurement_alone_has_no_truth_and_a_smaller_figure(here, capsys):
    assert run("photo.png", *HALF, *SETTINGS, "--out", "drawn") == 0
    assert "psnr_of_mean" not in json.loads(Path("drawn/posterior.json").read_text())
    assert "spread over error" not in capsys.readouterr().out
    figure = np.asarray(Image.open("drawn/figure.png").convert("L"))
    assert (
        figure[: len(figure) // 2, : figure.shape[1] // 5] < 20
    ).mean() > 0.2  # what is not seen
    assert run("photo.png", *HALF, *SETTINGS, "--out", "drawn") == 1
    assert "exists already" in capsys.readouterr().err
    words = ["deblur", "--blur-sigma", "1", "--noise", "auto", *SETTINGS, "--overwrite"]
    assert run("photo.png", *words, "--out", "drawn") == 0
    assert "noise estimated at" in capsys.readouterr().out


def test_colours_and_scans_have_their_own_priors(here, capsys):
    colours = torch.rand(3, 16, 16)
    write_image("colours.png", colours)
    words = ["--noise", "0.05", "--samples", "2", "--steps", "2", "--prior"]
    half = ["inpaint", "--missing", "0.5", *words, "lpn-color"]
    assert run("colours.png", *half, "--out", "rgb") == 0
    assert np.asarray(Image.open("rgb/figure.png")).ndim == 3
    assert np.load("rgb/samples.npy").shape == (2, 3, 16, 16)
    scan = ["ct", "--simulate", "--angles", "20", *words, "lpn-ct", "--save-sinogram", "s.npy"]
    assert run("photo.png", *scan, "--out", "ct") == 0
    assert np.load("s.npy").shape[0] == 20


def test_samples_of_a_scan_begin_at_the_restored_image(here, capsys, monkeypatch):
    few = partial(proxlab.restore, steps=5)
    monkeypatch.setattr("proxlab.commands.posterior.restore", few)
    scan = ["ct", "--simulate", "--angles", "20", "--noise", "0.1"]
    write_image("square.png", torch.from_numpy(camera()[96:128, 200:232] / 255)[None])
    assert run("square.png", *scan, *SETTINGS, "--save-sinogram", "s.npy", "--out", "ct") == 0
    assert "begun at the image of `proxlab restore`" in capsys.readouterr().out
    assert json.loads(Path("ct/posterior.json").read_text())["began_at"] == "restored image"
    y, op = torch.from_numpy(np.load("s.npy"))[None, None], proxlab.operators.ct(32, 20, 0.1)
    restored = few(y, op, "lpn-gray-small").image
    post = proxlab.posterior(y, op, "lpn-gray-small", 9, steps=3, seed=4, init=restored)
    assert np.allclose(np.load("ct/samples.npy"), post.samples[:, 0].numpy(), atol=1e-3)
    plain = proxlab.posterior(y, op, "lpn-gray-small", 9, steps=3, seed=4)
    assert not np.allclose(np.load("ct/samples.npy"), plain.samples[:, 0].numpy(), atol=1e-3)


def test_what_the_picture_clips_is_said(here, capsys):
    write_image("white.png", torch.ones(1, 16, 16))
    assert run("white.png", *HALF, "--simulate", *SETTINGS, "--out", "drawn") == 0
    assert "of the mean was outside [0, 1] and clipped in its PNG" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words, message",
    [
        (f"{' '.join(HALF)} --samples 1", "--samples is 2 or more, for a deviation, got 1"),
        (f"{' '.join(HALF)} --start crate-completion", "--start is for restore"),
        (f"{' '.join(HALF)} --prior tv", "tv has no posterior samples"),
        (f"{' '.join(HALF)} --steps 0", "steps is a whole number from 1 to 1000000, got 0"),
        (f"{' '.join(HALF)} --batch 0", "batch is a whole number from 1 to 1000000, got 0"),
        (f"{' '.join(HALF)} --seed -1", "seed"),
    ],
)
def test_bad_input_is_one_sentence(here, capsys, words, message):
    assert run("photo.png", *words.split(), "--out", "drawn") == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not Path("drawn").exists()


def test_a_problem_without_its_options_is_bad_usage(here, capsys):
    with pytest.raises(SystemExit):
        run("photo.png", "deblur", "--out", "drawn")
    assert "deblur needs --kernel, --psf or --blur-sigma" in capsys.readouterr().err


def drawn(folder: Path, name: str) -> int:
    os.chdir(folder)
    return run("photo.png", *HALF, "--simulate", *SETTINGS, "--out", name, "--quiet")


def test_two_processes_draw_what_one_does(here):
    assert together(drawn, here, "two") == [0, 0]
    assert drawn(here, "one") == 0
    one, two = (np.load(f"{name}/samples.npy") for name in ("one", "two"))
    assert np.allclose(one, two, atol=1e-4) and np.abs(one[0] - one[1]).max() > 0.01
