"""A new operator and its command: a file of its own, a row of options, a row that reads INPUT."""

import numpy as np
import pytest
import torch
from deepinv.physics import LinearPhysics
from PIL import Image
from skimage.data import camera

from proxlab.commands.main import main
from proxlab.commands.problems import options, readers
from proxlab.operators.arguments import check_image
from proxlab.operators.data_terms.linear import LinearData
from proxlab.operators.noise import Noise, checked_noise


class Weighed(LinearPhysics):
    """The file operators/weighed.py, if there were one: rows dimmed towards the bottom."""

    def __init__(self, least: float, noise: float):
        super().__init__()
        self.least = least
        self.set_noise_model(Noise(checked_noise(noise)))

    def A(self, x, **kwargs):
        return x * torch.linspace(1, self.least, x.shape[-2])[:, None].to(x)

    def A_adjoint(self, y, **kwargs):
        return self.A(y)

    def usable(self, y):
        return check_image(y)

    def data_term(self, y, weights, accuracy):
        return LinearData(y, self, weights, accuracy)

    def first_estimate(self, y):
        return y / self.A(torch.ones_like(y))


def weighed_options(restore):
    restore.add_argument_group("weigh").add_argument("--least", type=float)


def lacking(args):
    return "weigh needs --least" if args.least is None else ""


def weigh(args):
    return readers.pixels(
        args, lambda size, generator: Weighed(args.least, readers.known_noise(args))
    )


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    row = options.ProblemOptions(weighed_options, lacking)
    monkeypatch.setitem(options.PROBLEM_OPTIONS, "weigh", row)
    monkeypatch.setitem(readers.READERS, "weigh", weigh)
    Image.fromarray(camera()[96:128, 200:236]).save("x.png")
    return lambda words: main(f"restore x.png {words} --prior tv --steps 30 --device cpu".split())


def test_it_restores(run, capsys):
    assert run("weigh --least 0.25 --noise 0.01 --simulate --out y.npy") == 0
    assert "PSNR" in capsys.readouterr().out
    restored = np.load("y.npy")
    assert np.abs(restored - camera()[96:128, 200:236] / 255).mean() < 0.03


@pytest.mark.parametrize(
    "words, sentence",
    [
        ("weigh --noise 0.01", "weigh needs --least"),
        ("weigh --least 0.5 --simulate", "weigh with --simulate needs --noise, a number"),
        ("weigh --least 0.5 --noise 0.01 --missing 0.5", "--missing is for inpaint, not for weigh"),
        ("deblur --blur-sigma 1 --noise 0.01 --least 0", "--least is for weigh, not for deblur"),
    ],
)
def test_its_usage_is_checked(run, words, sentence, capsys):
    with pytest.raises(SystemExit):
        run(words)
    assert sentence in capsys.readouterr().err
