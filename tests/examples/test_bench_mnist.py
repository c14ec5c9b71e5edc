"""The table of digit samplers: on a tiny network and digits that are noise, every sampler runs."""

import json

import pytest
import torch

from examples.benchmarks import bench_mnist, bench_sampling
from proxlab import checkpoints
from proxlab.diffusion.digit_classifier import DigitClassifier, DigitClassifierConfig
from proxlab.diffusion.models import ProxDM, ScoreModel
from proxlab.diffusion.network import DiffusionNetConfig
from proxlab.images.data_sets import Digits

SMALL = DiffusionNetConfig(fold=4, width=32, multipliers=(1,))


@pytest.fixture
def models(tmp_path, monkeypatch):
    seeded = torch.Generator().manual_seed(0)
    digits = Digits(
        torch.randint(256, (30, 1, 28, 28), dtype=torch.uint8, generator=seeded), torch.arange(30)
    )
    monkeypatch.setattr(bench_mnist, "load_digits", lambda part: digits)
    config = DigitClassifierConfig(widths=(8, 8, 8), features=8)
    checkpoints.save(tmp_path / "judge", DigitClassifier(config), {})
    checkpoints.save(tmp_path / "prox", ProxDM(SMALL, (5, 10)), {})
    checkpoints.save(tmp_path / "score", ScoreModel(SMALL), {})
    files = (tmp_path / f"{name}.safetensors" for name in ("prox", "score", "judge"))
    return bench_mnist.Models(*files)


def test_every_sampler_has_its_row_and_none_is_made_twice(models, tmp_path, capsys):
    pytest.importorskip("diffusers")
    names = (*bench_mnist.OURS, *bench_mnist.PLAIN, *bench_mnist.THEIRS)
    rows = bench_mnist.main(names, (5,), 8, tmp_path / "rows.jsonl", models=models)
    assert "backward at 5: a backward step needs gamma < 2" in capsys.readouterr().out
    assert [row["sampler"] for row in rows] == [name for name in names if name != "backward"]
    assert all(row["samples"] == 8 and row["frechet_distance"] > 0 for row in rows)
    stored = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert stored == rows
    again = bench_mnist.main(names, (5,), 8, tmp_path / "rows.jsonl", models=models)
    assert again == rows
    text = bench_mnist.table(rows)
    assert text.count("\n") == 1 + len(rows) and "| hybrid | " in text


def test_costs_are_printed(models, capsys):
    figures = bench_sampling.main(models.prox, 4, 10, 1, batches=(2,), compiled=False)
    assert figures["overhead, share"] > 0 and figures["seconds, 4 digits in 10 steps"] > 0
    assert 0 < figures["5 steps over 10, seconds"] < 10
    assert 0 < figures["bf16, relative error of a digit"] < 0.2
    assert "bf16, times faster" in capsys.readouterr().out
