"""The denoising bench: gray sets and sets in colour, each read as what it is."""

import importlib.util
from pathlib import Path

import pytest
import torch
from PIL import Image
from skimage.data import astronaut, camera

FILE = Path(__file__).parents[2] / "examples/benchmarks/bench_denoise.py"


@pytest.fixture
def bench():
    spec = importlib.util.spec_from_file_location("bench_denoise", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_sets_are_read_gray_or_in_colour(bench, tmp_path):
    folder = str(tmp_path)
    Image.fromarray(astronaut()[:40, 200:248]).save(tmp_path / "a.png")
    words = ["--sets", folder, "--priors", "none,lpn-gray", "--levels", "25"]
    gray, colour = bench.main(words), bench.main([*words, "--color"])
    for table in (gray, colour):
        assert table[folder, "none"][0] == pytest.approx(20.17, abs=0.4)
        assert table[folder, "lpn-gray"][0] > table[folder, "none"][0] + 5
    assert gray[folder, "lpn-gray"] != colour[folder, "lpn-gray"]
    Image.fromarray(camera()[:40, :48]).save(tmp_path / "b.png")
    with pytest.raises(ValueError, match=r"b\.png is gray"):
        bench.main([*words, "--color"])


def test_colour_counts_every_channel(bench):
    class Spoilt:
        """Planted: one channel is lost."""

        def prox(self, v, sigma):
            return v * torch.tensor([1.0, 1.0, 0.0]).view(-1, 1, 1)

    image = torch.from_numpy(astronaut()[:40, 200:248]).permute(2, 0, 1)
    assert bench.mean_psnr(Spoilt(), [image], 25) < 15
