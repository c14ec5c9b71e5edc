"""`proxlab sample`: pictures, arrays that are never whole in memory, one sentence for bad input."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from proxlab import checkpoints
from proxlab.commands.main import main
from proxlab.commands.sample import GAP, picture
from proxlab.sampling import sample
from tests.processes import together
from tests.tiny_diffusion import tiny_prox, tiny_score


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoints.save(tmp_path / "tiny", tiny_prox(), {})
    checkpoints.save(tmp_path / "slope", tiny_score(), {})
    return tmp_path


def run(*words):
    return main(["sample", *map(str, words), "--device", "cpu"])


def test_an_array_part_by_part(here, capsys):
    options = ["--n", "5", "--steps", "5", "--seed", "2", "--batch", "2", "--out", "a.npy"]
    assert run("tiny.safetensors", *options) == 0
    stored = np.load("a.npy")
    assert stored.dtype == np.float32
    expected = sample(tiny_prox(), 5, steps=5, seed=2)
    assert np.allclose(stored, expected.numpy(), atol=1e-4)
    assert "5 samples of tiny.safetensors, 5 restricted steps: a.npy" in capsys.readouterr().out
    assert run("tiny.safetensors", *options) == 1
    assert "a.npy exists already" in capsys.readouterr().err
    assert run("tiny.safetensors", *options, "--overwrite", "--quiet") == 0
    assert capsys.readouterr().out == ""


def test_a_picture_is_enlarged_pixel_by_pixel(here, capsys):
    words = ("slope.safetensors", "--n", 4, "--steps", 2)
    assert run(*words, "--out", "a.png") == run(*words, "--out", "b.png", "--scale", 3) == 0
    small, large = (np.asarray(Image.open(name)) for name in ("a.png", "b.png"))
    assert np.array_equal(large, small.repeat(3, 0).repeat(3, 1))
    for scale, name in ((0, "c.png"), (2, "c.npy")):
        assert run(*words, "--out", name, "--scale", scale) == 1
        assert f"--scale is at least 1 and for a .png, got {scale}" in capsys.readouterr().err


def test_a_picture(here):
    words = ("slope.safetensors", "--n", 6, "--steps", 4, "--kind", "ode", "--grid", "even")
    assert run(*words, "--out", "a.png") == 0
    pixels = np.asarray(Image.open("a.png"))
    assert pixels.shape == (2 * 8 + GAP, 3 * 8 + 2 * GAP)
    assert (pixels[8 : 8 + GAP] == 0).all()
    assert sorted(p.name for p in here.iterdir() if not p.name.startswith(("tiny", "slope"))) == [
        "a.png"
    ]


def test_pictures_keep_the_order_and_leave_black_what_is_missing():
    x = torch.linspace(0.1, 0.5, 5)[:, None, None, None].expand(5, 3, 4, 4)
    sheet = picture(x)[0]
    assert sheet.shape == (3, 4 * 2 + GAP, 4 * 3 + 2 * GAP)
    cells = [sheet[0, i * (4 + GAP), j * (4 + GAP)] for i in range(2) for j in range(3)]
    assert torch.allclose(torch.stack(cells), torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5, 0.0]))


@pytest.mark.parametrize(
    "words, message",
    [
        ("tiny.safetensors --out a.jpg", "samples are written as .png or .npy, got a.jpg"),
        ("tiny.safetensors --n 20000 --out a.png", "a picture of 20000 images is too large"),
        ("tiny.safetensors --n 0 --out a.npy", "n is at least 1, got 0"),
        ("tiny.safetensors --steps 0 --out a.npy", "steps is a whole number, at least 1, got 0"),
        ("tiny.safetensors --batch 0 --out a.npy", "batch is at least 1, got 0"),
        ("tiny.safetensors --kind ode --out a.npy", "needs the score of a diffusion"),
        ("tiny.safetensors --kind backward --steps 5 --out a.npy", "needs gamma < 2"),
        ("lpn-gray --out a.npy", "not a diffusion model"),
        ("digit-classifier --out a.npy", "not a diffusion model"),
        ("absent --out a.npy", "no diffusion model is called 'absent'; known are "),
        ("absent.safetensors --out a.npy", "absent.safetensors is missing"),
        ("tiny.safetensors --out b/a.npy", "there is no folder"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(here, capsys, words, message):
    before = sorted(here.iterdir())
    assert run(*words.split()) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert sorted(here.iterdir()) == before


def sampled(folder: Path, name: str) -> int:
    os.chdir(folder)
    words = ["tiny.safetensors", "--n", "7", "--steps", "3", "--batch", "2", "--out", name]
    return run(*words)


@pytest.mark.parametrize("name", ["a.npy", "a.png"])
def test_two_processes_draw_what_one_does(here, name):
    assert together(sampled, here, f"two-{name}") == [0, 0]
    assert sampled(here, name) == 0
    assert Path(name).read_bytes() == Path(f"two-{name}").read_bytes()


def test_what_the_first_process_refuses_ends_it(here):
    Path("a.npy").touch()
    assert together(sampled, here, "a.npy", count=1) == [1]
