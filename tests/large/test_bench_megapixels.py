"""The bench of large images, on a small one: its mosaic, its row, its words."""

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import astronaut

from examples.benchmarks.large import bench_megapixels
from proxlab.priors.tiles import within_memory


@pytest.fixture
def folder(tmp_path):
    """Three photographs of 64 x 48 pixels, one of them upright."""
    for i in range(3):
        pixels = astronaut()[100 + 9 * i :, 100:][:48, :64]
        upright = pixels.transpose(1, 0, 2) if i == 1 else pixels
        Image.fromarray(np.ascontiguousarray(upright)).save(tmp_path / f"{i}.png")
    return tmp_path


def test_a_mosaic_is_of_the_photographs_themselves(folder):
    x = bench_megapixels.mosaic(folder, False, 90, 130)
    assert x.shape == (1, 3, 90, 130) and x.min() >= 0 and x.max() <= 1
    first = torch.from_numpy(astronaut()[100:148, 100:164]).permute(2, 0, 1) / 255
    assert torch.equal(x[0, :, :48, :64], first)
    once = [x[0, :, :48, :64], x[0, :, :48, 64:128]]
    assert not torch.equal(*once)
    # three in the first row, the third cut; then all of them mirrored
    assert torch.equal(x[0, :, 48:90, :64], first.flip(2)[:, :42])
    gray = bench_megapixels.mosaic(folder, True, 20, 20)
    assert gray.shape == (1, 1, 20, 20)


def test_the_bench_runs(folder, monkeypatch, capsys):
    monkeypatch.setattr(within_memory, "BUDGET", 1)
    monkeypatch.setattr(within_memory, "LEAST_SIDE", 16)
    words = "--height 96 --width 80 --prior lpn-gray-small --gray --threads 1 --data"
    row = bench_megapixels.main([*words.split(), str(folder)])
    assert row.tiles == 30 and row.certified and row.steps > 24
    assert row.after_db > row.before_db + 2 and row.expected > 0 and row.seconds > 0
    said = capsys.readouterr().out
    assert "certified: yes" in said and f"{row.steps} steps in 30 tiles" in said


def test_more_steps_at_a_lower_tolerance(folder):
    words = "--height 40 --width 48 --prior lpn-gray-small --gray --threads 1"
    few, many = (
        bench_megapixels.main([*words.split(), "--data", str(folder), "--tol", tol])
        for tol in ("1e-3", "1e-5")
    )
    assert many.steps > few.steps and few.tiles == many.tiles == 1


def test_a_short_run_is_of_three_steps(folder):
    words = "--height 40 --width 48 --prior lpn-gray-small --gray --threads 1 --short"
    row = bench_megapixels.main([*words.split(), "--data", str(folder)])
    assert row.steps == 3 and not row.certified and row.after_db > row.before_db
