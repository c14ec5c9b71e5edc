"""The bench of spreads: a prior that is right has ratios of 1, one that is not is seen."""

import importlib.util
from pathlib import Path

import pytest
import torch
from PIL import Image
from skimage.data import camera

FILE = Path(__file__).parents[2] / "examples/bench_spread.py"


@pytest.fixture
def bench():
    spec = importlib.util.spec_from_file_location("bench_spread", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_is_made_of_two_folders(bench, tmp_path, monkeypatch):
    for name, start in (("bsd68", 0), ("bsds400", 200)):
        (tmp_path / name).mkdir()
        Image.fromarray(camera()[start : start + 40, 200:248]).save(tmp_path / name / "a.png")
    monkeypatch.setenv("PROXLAB_DATA", str(tmp_path))
    table = bench.main(["--prior", "none", "--images", "1", "--size", "32"])
    assert list(table) == list(bench.LEVELS)
    for found in table.values():  # sigma^2 is the error of doing nothing
        assert len(found) == 5 and found[0] == pytest.approx(1, abs=0.15)


class Gaussian:
    """The posterior mean of images of independent pixels, one deviation for each column."""

    def __init__(self, factor: float):
        self.t, self.factor = torch.linspace(0.05, 0.6, 64), factor

    def prox(self, v, sigma):
        return v * self.t**2 / (self.t**2 + sigma**2)

    def spread(self, v, sigma, probes):
        return (self.factor / (1 / self.t**2 + 1 / sigma**2).sqrt()).expand_as(v)


@pytest.mark.parametrize("factor, right", [(1.0, True), (0.8, False)])
def test_ratios_are_one_where_the_spread_is_right(bench, factor, right):
    prior = Gaussian(factor)
    draw = torch.randn(4, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    found = bench.ratios(*bench.errors(prior, draw * prior.t, 50, 1))
    assert all((0.9 < ratio < 1.1) == right for ratio in found)
