"""The bench of measured PSFs: its pictures are of the kernels, and its tables are made."""

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import camera

from examples.benchmarks.photographs import bench_psf as bench
from proxlab import operators


@pytest.fixture
def data(tmp_path, monkeypatch):
    for name, start in (("set12", 100), ("bsds400", 200)):
        (tmp_path / name).mkdir()
        crop = camera()[start : start + 96, 200:296]
        Image.fromarray(crop).save(tmp_path / name / "a.png")
    monkeypatch.setenv("PROXLAB_DATA", str(tmp_path))


@pytest.mark.parametrize("name", bench.SHAPES)
def test_kernels_have_their_centre_in_the_middle_and_pictures_do_not(name):
    kernel = bench.true_kernel(bench.SHAPES[name])
    at = torch.arange(21.0).double() - 10
    assert kernel.sum().item() == pytest.approx(1)
    assert abs((kernel.sum(1) * at).sum()) < 1e-6 and abs((kernel.sum(0) * at).sum()) < 1e-6
    shown = bench.picture(bench.SHAPES[name], 0.0, 1)[0]
    assert shown.min() / shown.max() == pytest.approx(0.05 / 1.05, rel=0.01)
    found = operators.psf(shown)
    np.testing.assert_allclose(found.shifts[0], [-2.3, 1.6], atol=0.05)
    if name == "Gaussian 1.6":
        assert (kernel[3:-3, 3:-3] - operators.gaussian_kernel(1.6)).abs().max() < 1e-4


def test_a_measured_psf_costs_little_and_the_picture_itself_much(data, capsys):
    words = ["psf", "--prior", "tv", "--side", "48", "--images", "1", "--shapes"]
    (rows,) = bench.main([*words, "Gaussian 1.6"]).values()
    blurred, true, measured, left = (row[0] for row in rows)
    assert true > blurred + 1 and measured > true - 0.2 and left < true - 3
    assert "background 0.0" in capsys.readouterr().out


def test_widths_are_told_with_their_errors(data, capsys):
    table = bench.main(["width", "--no-restore", "--images", "1"])
    assert set(table) == {(s, w) for s in ("bsds400", "Set12") for w in bench.WIDTHS}
    assert capsys.readouterr().out.count("estimated") == 6
