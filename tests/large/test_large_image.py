"""`proxlab restore` on large images: tiles by itself and a time, said once, and only then."""

import argparse

import numpy as np
import pytest
import torch

import proxlab
from proxlab.commands import large_image
from proxlab.commands.large_image import TYPICAL, Step, prepared, said
from proxlab.commands.main import main
from proxlab.priors.tiles import within_memory
from proxlab.priors.tiles.tiled_prior import TiledPrior
from proxlab.priors.tiles.within_memory import BUDGET
from tests.images.pictures import image

LARGE = torch.Size((1, 3, 3000, 4000))
OP = proxlab.operators.deblur(proxlab.operators.gaussian_kernel(1.0), noise=0.02)
Y = image(1, 1, 96, 80, dtype=torch.float32)


@pytest.fixture
def scarce(monkeypatch):
    """Memory for tiles of 16 pixels alone."""
    monkeypatch.setattr(within_memory, "BUDGET", 1)
    monkeypatch.setattr(within_memory, "LEAST_SIDE", 16)


def words(**told):
    plain = {"tile": None, "quiet": False, "solver": None, "steps": None}
    return argparse.Namespace(**{**plain, **told})


def ready(**told):
    return prepared(words(**told), proxlab.load("lpn-gray-small"), Y, OP, None)


def test_tiles_are_chosen_and_said_once(scarce, capsys):
    prior = ready()
    assert isinstance(prior, TiledPrior) and prior.side == 16
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("tiles of 16 pixels: lpn-gray-small would take 0.0 GB")
    assert err.count("\n") == 1
    assert isinstance(ready(quiet=True), TiledPrior)
    assert capsys.readouterr() == ("", "")


def test_the_user_has_the_last_word(scarce, capsys):
    whole = ready(tile=0)
    assert isinstance(whole, TiledPrior) and len(list(whole.tiles(Y.shape[-2:]))) == 1
    asked = ready(tile=48)
    assert isinstance(asked, TiledPrior) and len(list(asked.tiles(Y.shape[-2:]))) == 4
    assert capsys.readouterr() == ("", "")
    with pytest.raises(ValueError, match="at least 1 pixel.*got -3"):
        ready(tile=-3)


def test_nothing_is_said_of_an_image_that_takes_seconds(capsys):
    prior = proxlab.load("lpn-gray-small")
    assert prepared(words(), prior, Y, OP, None) is prior
    assert capsys.readouterr() == ("", "")


def test_a_long_run_is_announced(monkeypatch, capsys):
    monkeypatch.setattr(large_image, "NUMBERS", 1)
    monkeypatch.setattr(large_image, "WORTH_SAYING", 0)
    ready()
    err = capsys.readouterr().err
    assert err.startswith("0.0 megapixels: about ") and "400 at most" in err
    prepared(words(), proxlab.load("tv"), Y, OP, None)  # by its duality gap, without a prox
    assert capsys.readouterr().err == ""


def test_the_sentence_is_honest():
    step = Step(prior=24.0, data=6.0)
    line = said(LARGE, step, most=400)
    assert line == (
        "12.0 megapixels: about 27 minutes for 50 steps, which is usual; 400 at most, 3.4 hours"
    )
    assert said(LARGE, step, most=30) == "12.0 megapixels: at most 17 minutes, for 30 steps"
    assert said(LARGE, Step(0.5, 0.5), most=400) == ""
    assert TYPICAL == 50


def test_the_estimate_counts_tiles_and_what_is_seen_twice(monkeypatch):
    """The prior is timed on a part of the image; the factor is what is computed of it in all."""
    seconds = iter([1.0, 0.25, 1.0, 0.25])
    monkeypatch.setattr(large_image, "_seconds", lambda work, like: next(seconds))
    monkeypatch.setattr(large_image, "SAMPLE", 48)
    prior = proxlab.load("lpn-gray-small")
    whole = large_image.timed(prior, Y, OP, None)
    assert whole == Step(prior=0.25 * 96 * 80 / 48**2, data=1.0)
    tiled = TiledPrior(prior, 32)
    assert large_image.timed(tiled, Y, OP, None).prior == pytest.approx(
        whole.prior * tiled.cost((96, 80))
    )


def test_the_command_tiles_by_itself_and_restores_the_same(scarce, tmp_path, capsys, monkeypatch):
    np.save(tmp_path / "a.npy", Y[0, 0].numpy())
    line = f"restore {tmp_path}/a.npy deblur --blur-sigma 1 --noise 0.02 --prior lpn-gray-small"
    line += " --steps 5 --device cpu --out "
    assert main([*line.split(), f"{tmp_path}/tiled.npy"]) == 0
    assert "tiles of 16 pixels" in capsys.readouterr().err
    assert main([*line.split(), f"{tmp_path}/asked.npy", "--tile", "0"]) == 0
    monkeypatch.setattr(within_memory, "BUDGET", BUDGET)
    assert main([*line.split(), f"{tmp_path}/whole.npy"]) == 0
    assert "tiles" not in capsys.readouterr().err
    tiled, asked, whole = (np.load(tmp_path / f"{n}.npy") for n in ("tiled", "asked", "whole"))
    np.testing.assert_allclose(tiled, whole, atol=1e-4)
    np.testing.assert_array_equal(asked, whole)
    assert (tiled != whole).any()
