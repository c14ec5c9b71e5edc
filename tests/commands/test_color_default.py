"""The prior where none is told: for colours one for colour, said in a line; a named one is kept."""

import json

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

from proxlab.commands import posterior, restore
from proxlab.commands.main import main
from proxlab.priors.total_variation import TV

PHOTO = astronaut()[20:44, 200:228]
LINE = "has colours, so the prior is lpn-color"
BLUR = "deblur --blur-sigma 1 --noise 0.05 --simulate --device cpu"


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """Names of the priors that the commands ask for; each gets total variation, which is quick."""
    names = []

    def named(name, sha256):
        names.append(name)
        return TV()

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(restore, "named_prior", named)
    Image.fromarray(PHOTO).save("rgb.png")
    Image.fromarray(PHOTO[..., 0]).save("gray.png")
    Image.fromarray(np.stack([PHOTO[..., 0]] * 3, 2)).save("gray-as-rgb.png")
    return names


@pytest.mark.parametrize(
    "words, name, said",
    [
        (f"rgb.png {BLUR}", "lpn-color", True),
        ("rgb.png denoise --noise 0.1 --device cpu", "lpn-color", True),
        (f"rgb.png {BLUR} --prior lpn-gray", "lpn-gray", False),
        (f"rgb.png {BLUR} --prior lpn-color", "lpn-color", False),
        (f"gray.png {BLUR}", "lpn-gray", False),
        ("gray.png ct --angles 5 --noise 0.1 --simulate --device cpu", "lpn-ct", False),
    ],
)
def test_restore_chooses_by_the_colours_and_says_so(asked, words, name, said, capsys):
    assert main(f"restore {words} --steps 3 --out new.npy".split()) == 0
    assert asked == [name] and (LINE in capsys.readouterr().out) == said


def test_posterior_chooses_as_restore_does(asked, capsys):
    words = "inpaint --missing 0.5 --noise 0.1 --simulate --device cpu --samples 2 --steps 2"
    assert main(f"posterior rgb.png {words} --out new".split()) == 0
    assert LINE in capsys.readouterr().out
    with open("new/posterior.json") as file:
        assert json.load(file)["prior"] == "lpn-color"
    assert posterior.prior_name is restore.prior_name
