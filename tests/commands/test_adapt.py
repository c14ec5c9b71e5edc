"""`proxlab adapt`: a folder of noisy images in, a prior's file out, or a sentence and nothing."""

import json

import pytest
import torch

import proxlab
from proxlab.adaptation import adapting
from proxlab.commands.main import main
from proxlab.images import write_image
from tests.adaptation.test_adapting import blobs, noisy


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scans").mkdir()
    for k, y in enumerate(noisy(blobs(range(6)))):
        write_image(tmp_path / "scans" / f"{k}.tif", y[None])
    return tmp_path


WORDS = "adapt scans --prior lpn-gray-small --noise 0.1 --out mine.safetensors --steps"


def test_the_file_is_a_prior_like_any_other(here, capsys):
    assert main([*WORDS.split(), "12"]) == 0
    said = capsys.readouterr().out
    assert "squared error on images held out fell by" in said and "mine.safetensors" in said
    card = json.loads((here / "mine.json").read_text())
    assert "--noise 0.1 --steps 12" in card["command"] and "6 noisy images" in card["data"]
    prior = proxlab.load("mine.safetensors")
    assert prior.capabilities.exact and prior.prox(torch.rand(1, 1, 16, 16), 0.1).shape[-1] == 16
    assert main([*WORDS.split(), "12"]) == 1 and "mine.safetensors" in capsys.readouterr().err


def test_a_training_that_brought_nothing_writes_nothing(here, capsys, monkeypatch):
    monkeypatch.setattr(adapting, "SURE", 1e9)
    assert main([*WORDS.split(), "1"]) == 1
    assert "nothing is written, use lpn-gray-small" in capsys.readouterr().err
    assert sorted(p.name for p in here.iterdir()) == ["scans"]
