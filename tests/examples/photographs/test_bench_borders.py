"""The benches of photographs: what they compare is of one size, and the table says it."""

import importlib.util
from pathlib import Path

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
