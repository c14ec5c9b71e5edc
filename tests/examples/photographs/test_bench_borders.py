"""The benches of photographs: what they compare is of one size, and the table says it."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import camera

FOLDER = Path(__file__).parents[3] / "examples/benchmarks/photographs"


def loaded(name, monkeypatch):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "find_data", lambda what: what)
    photo = torch.from_numpy(camera()[90:162, 180:252].astype(np.float32))
    monkeypatch.setattr(module, "load_gray", lambda folder: [photo])
    return module


def test_unknown_borders_beside_those_that_wrap_around(monkeypatch, capsys, tmp_path):
    bench = loaded("bench_borders", monkeypatch)
    blur = {"uniform": torch.full((5, 5), 1 / 25)}
    monkeypatch.setattr(bench, "kernels", lambda: blur)
    found = bench.main(["--prior", "lpn-gray-small", "--figure", str(tmp_path / "a.png")])
    circular, unknown, y, truth = found["uniform"][0]
    assert circular.image.shape == unknown.image.shape == y.shape == truth.shape
    assert unknown.border > circular.border + 1
    assert f"{unknown.border:8.2f} {unknown.border - circular.border:+11.2f}" in (
        capsys.readouterr().out
    )
    assert np.asarray(Image.open(tmp_path / "a.png").convert("L")).std() > 20
    assert bench.main(["--prox"]) == {}
    assert len(capsys.readouterr().out.splitlines()) == 6


@pytest.mark.parametrize("side, shift", [(5, 0), (7, 1)])
def test_windows_lie_at_the_same_pixels_of_the_photograph(side, shift, monkeypatch):
    bench = loaded("bench_borders", monkeypatch)
    blur, x = torch.full((side, side), side**-2.0), torch.rand(1, 1, 72, 72)
    monkeypatch.setattr(bench, "kernels", lambda: {"uniform": blur})
    given = []

    def perfect(y, op, prior, steps):
        given.append(y)
        begun, size = side // 2 + shift, y.shape[-1]
        cut = x[..., begun : begun + size, begun : begun + size]
        image = x if op.A(x).shape == y.shape else cut
        return SimpleNamespace(image=image, steps=torch.tensor([3]), certified=[True])

    monkeypatch.setattr(bench.proxlab, "restore", perfect)
    rows = bench.compared({0: x}, ["uniform"], bench.How(None, 9, 9))["uniform"]
    circular, unknown, y, truth = rows[0]
    assert torch.equal(circular.image, truth) and torch.equal(unknown.image, truth)
    assert (given[1].shape[-1] - given[0].shape[-1], y.shape) == (shift, truth.shape)
    assert (side // 2 + shift) % bench.ALIGNMENT == 0


def test_the_border_is_the_outer_pixels_alone(monkeypatch):
    bench = loaded("bench_borders", monkeypatch)
    truth = torch.zeros(1, 1, 50, 60).double()
    x = truth.clone()
    x[..., 16:-16, 16:-16] = 0.1
    border, inside = bench.split(x, truth)
    assert not border < 100 and inside == pytest.approx(20)
    x[..., :16, :] = x[..., -16:, :] = x[..., :16] = x[..., -16:] = 1
    assert bench.split(x, truth) == (pytest.approx(0), pytest.approx(20))


def test_the_blind_run_is_told_nothing(monkeypatch, capsys):
    bench = loaded("bench_blind", monkeypatch)
    words, command = [], bench.proxlab_command
    monkeypatch.setattr(bench, "proxlab_command", lambda w: (words.append(w), command(w))[1])
    noise = "--blur-sigma 1.6 --noise auto"  # the width may not be estimated of so small an image
    (row,) = bench.main(["--prior", "lpn-gray-small", "--blind", noise])
    assert row.told > row.measured + 1 and "noise" in row.said and "cut off" not in row.said
    assert [w[3:7] for w in words] == [
        ["--blur-sigma", "1.6", "--noise", "0.01"],
        ["--blur-sigma", "1.6", "--noise", "auto"],
    ]
    assert not any(character.isdigit() for character in bench.BLIND)
    assert f"at most {row.told - row.blind:.2f}" in capsys.readouterr().out
