"""`proxlab restore` with superres and denoise: files in, files out, what is said and refused."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import camera
from test_bad_input import refuse

from proxlab.commands.main import main
from proxlab.images import read_image
from proxlab.operators import gaussian_kernel, superres

PIXELS = camera()[96:144, 200:248]
FAST = "--noise 0.01 --prior tv --steps 40 --device cpu"
LEARNED = "--noise 0.01 --prior lpn-gray-small --steps 40 --device cpu"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(PIXELS).save("photo.png")
    Image.fromarray(PIXELS[:47]).save("odd.png")
    Image.fromarray(PIXELS[:16, :20]).save("tiny.png")
    np.save("odd.npy", np.ones((3, 3)) / 9)


def run(words):
    assert main(f"restore {words}".split()) == 0


@pytest.mark.parametrize(
    "words",
    [
        "--factor 2",
        "--factor 3 --blur-sigma 0.8",
        "--factor 4 --blur-sigma 1.2 --boundary reflect",
        "--factor 2 --kernel odd.npy --offset 0",
        "--factor 2 --blur-sigma 0.8 --offset 1",
    ],
)
def test_a_small_image_is_made_and_enlarged(here, words, capsys):
    run(f"photo.png superres {words} {LEARNED} --simulate --out new.npy")
    said = capsys.readouterr().out
    before, after = re.search(r"PSNR (\S+) -> (\S+) dB", said).groups()
    assert float(after) > float(before) and "before: cubic interpolation" in said
    assert np.load("new.npy").shape == (48, 48)


def test_a_small_image_becomes_a_large_file_that_lies_on_it(here, capsys):
    run(f"photo.png superres --factor 2 --blur-sigma 0.7 {FAST}")
    result = read_image("photo-restored.png").pixels.double()
    small = read_image("photo.png").pixels.double()
    assert result.shape == (1, 1, 96, 96) and "PSNR" not in capsys.readouterr().out
    op = superres(2, gaussian_kernel(0.7, even=True))
    assert (op.A(result) - small).square().mean() < 0.015**2
    assert (op.A(result.roll(1, 3)) - small).square().mean() > 0.02**2


def test_noise_is_taken_away_and_may_be_estimated(here, capsys):
    run("photo.png denoise --noise 0.1 --simulate --prior lpn-gray-small --device cpu --out a.npy")
    before, after = re.search(r"PSNR (\S+) -> (\S+) dB", capsys.readouterr().out).groups()
    assert float(after) > float(before) + 4
    x = torch.from_numpy(PIXELS / 255).float()
    noisy = x + 0.1 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    np.save("noisy.npy", noisy.numpy())
    run("noisy.npy denoise --noise auto --prior lpn-gray-small --device cpu --out b.npy")
    (found,) = re.findall(r"noise estimated at (\S+)", capsys.readouterr().out)
    assert 0.08 < float(found) < 0.13
    assert np.square(np.load("b.npy") - PIXELS / 255).mean() < 0.05**2


@pytest.mark.parametrize(
    "words, sentence",
    [
        (f"odd.png superres --factor 2 {FAST} --simulate", r"47 x 48 pixels .*to 46 x 48"),
        (f"photo.png superres --factor 2 --kernel odd.npy {FAST}", r"3 x 3 .*offset=0"),
        (f"photo.png superres --factor 2 --offset 5 {FAST}", r"centre at 0\.5; leave offset out"),
        (f"photo.png superres --factor 3 --blur-sigma 40 {FAST}", r"321 x 321, larger"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(here, words, sentence, capsys):
    assert re.search(sentence, refuse(f"restore {words}", capsys))


@pytest.mark.parametrize(
    "words, sentence",
    [
        ("superres --noise 0.1", "superres needs --factor"),
        ("superres --factor 5 --noise 0.1", "invalid choice"),
        ("superres --factor 2 --simulate", "superres with --simulate needs --noise"),
        ("superres --factor 2 --noise 0.1 --boundary valid", "valid is for deblur"),
        ("denoise --simulate", "denoise with --simulate needs --noise"),
        ("denoise --noise 0.1 --factor 2", "--factor is for superres, not for denoise"),
        ("denoise --noise 0.1 --kernel k.npy", "--kernel is for deblur and superres, not for de"),
        ("inpaint --missing 0.5 --noise 0.1 --mask-is missing", "there is no --mask"),
        ("denoise --noise auto --simulate", "only that of a measurement can be estimated"),
    ],
)
def test_usage_is_checked(here, words, sentence, capsys):
    with pytest.raises(SystemExit):
        main(f"restore photo.png {words}".split())
    assert sentence in capsys.readouterr().err


def test_samples_are_drawn_of_a_small_image(here, capsys):
    words = "superres --factor 2 --noise 0.05 --simulate --prior lpn-gray-small --device cpu"
    assert main(f"posterior tiny.png {words} --samples 3 --steps 2 --out new".split()) == 0
    assert np.load("new/samples.npy").shape == (3, 1, 16, 20)
    assert Path("new/figure.png").exists()
