"""The option --photons of `proxlab restore` and `posterior`."""

import numpy as np
import pytest
from PIL import Image
from skimage.data import camera

from proxlab.commands.main import main


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(camera()[96:128, 200:232]).save("x.png")
    return lambda words: main(f"{words} --device cpu".split())


@pytest.mark.parametrize("problem", ["deblur --blur-sigma 1", "inpaint --missing 0.4"])
def test_counts_are_drawn_and_restored(run, capsys, problem):
    words = f"restore x.png {problem} --photons 40 --simulate --prior lpn-gray-small --steps 30"
    assert run(f"{words} --out a.npy") in (0, None)
    told = capsys.readouterr().out
    assert "taken as counts of photons, 40 at the value 1\n" in told
    before, after = told.split("PSNR ")[1].split(" dB")[0].split(" -> ")
    assert float(after) > float(before) + 3
    assert run(f"{words} --noise 0.1 --out b.npy") in (0, None)
    assert "read noise 0.1" in capsys.readouterr().out
    assert not np.array_equal(np.load("a.npy"), np.load("b.npy"))


def test_a_measured_file_is_taken_for_counts(run, capsys):
    run("restore x.png deblur --blur-sigma 0.5 --photons 1000 --prior lpn-gray-small --steps 5")
    assert "taken as counts of photons, 1000 at the value 1" in capsys.readouterr().out


def test_samples_of_counts_are_drawn(run):
    words = "posterior x.png inpaint --missing 0.4 --photons 40 --simulate --samples 2 --steps 2"
    assert run(f"{words} --prior lpn-gray-small --out p") in (0, None)


@pytest.mark.parametrize(
    "words, said",
    [
        ("deblur --blur-sigma 1 --photons 0 --simulate", "above 0, got 0"),
        ("deblur --blur-sigma 1 --photons nan --simulate", "above 0, got nan"),
        ("deblur --blur-sigma 1 --photons 40 --noise auto", "--noise is a number"),
        ("ct --angles 5 --noise 0.1 --simulate --photons 40", "not for --simulate"),
        ("ct --angles 5 --noise 0.1 --photons 40", "--photons or --noise"),
        ("superres --factor 2 --noise 0.1 --photons 40", "--photons is not for superres"),
    ],
)
def test_what_cannot_be_is_refused(run, capsys, words, said):
    with pytest.raises(SystemExit):
        run(f"restore x.png {words}")
    assert said in capsys.readouterr().err
