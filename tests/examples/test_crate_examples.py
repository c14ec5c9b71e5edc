"""The example that looks inside CRATE and the benches beside it, run small."""

import pytest
import torch
from PIL import Image
from skimage.data import camera

from examples import crate_denoiser
from examples.benchmarks import bench_completion, bench_crate
from proxlab import checkpoints
from proxlab.priors.crate.completion import Completion
from proxlab.priors.crate.denoiser import CrateConfig, CrateDenoiser
from proxlab.priors.crate.layer_rates import LayerRates

SMALL = CrateConfig(width=32, heads=2, layers=3)


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "photographs"
    made.mkdir()
    for i in range(2):
        Image.fromarray(camera()[100 * i : 100 * i + 130, 200:330]).save(made / f"{i}.png")
    return made


@pytest.fixture
def models(tmp_path):
    return [
        str(checkpoints.save(tmp_path / name, network(SMALL), {}))
        for name, network in (("crate", CrateDenoiser), ("completion", Completion))
    ]


def test_looks_inside_a_network_and_draws_what_it_sees(folder, models, tmp_path, capsys):
    out = tmp_path / "crate.png"
    words = ["--model", models[0], "--images", str(folder), "--side", "64", "--out", str(out)]
    curves = crate_denoiser.main(words)
    assert Image.open(out).size == (1300, 950)
    assert curves["trained"] == curves["untrained"] and len(curves["trained"]) == SMALL.layers
    said = capsys.readouterr().out
    assert said.count("lower at the end than after the first layer") == 4
    with pytest.raises(FileExistsError, match="choose another name"):
        crate_denoiser.main(words)


def test_says_at_which_layer_the_derivation_fails(capsys):
    one = torch.ones(2, dtype=torch.float64)
    layers = [LayerRates(9 * one, r * one, s * one) for r, s in ((8, 0.4), (5, 0.3), (6, 0.35))]
    crate_denoiser.table("made up", layers)
    said = capsys.readouterr().out
    assert "R^c: +25 % lower" in said and said.count("they rise at layer 3") == 2


def test_components_are_those_that_vary_most():
    wave = torch.linspace(0, 1, 12).expand(10, 12)
    codes = torch.stack([0 * wave + 3, 5 * wave, wave.flip(0).T.reshape(10, 12) * 0 + 1], 2)
    codes = torch.cat([codes, 0.01 * torch.rand(10, 12, 3)], 2)
    first = crate_denoiser.components(codes)[..., 0]
    assert abs(torch.corrcoef(torch.stack([first.flatten(), wave.flatten()]))[0, 1]) > 0.99


def test_costs_are_measured_in_processes_of_their_own(models, capsys):
    rows = bench_crate.main(["--priors", models[0], "--sides", "32", "48", "64", "--runs", "1"])
    row = rows[models[0]]
    assert row.parameters == sum(p.numel() for p in CrateDenoiser(SMALL).parameters())
    assert set(row.seconds) == {32, 48, 64} and min(row.seconds.values()) > 0
    assert "crate.safetensors" in capsys.readouterr().out


def test_starts_are_compared_and_an_interrupted_bench_goes_on(
    folder, models, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(bench_completion, "STEPS", 8)
    out = tmp_path / "rows.jsonl"
    words = ["--set", str(folder), "--completion", models[1], "--out", str(out)]
    rows = bench_completion.main(words)
    assert len(rows) == 16 and "8.0  0 of 2" in capsys.readouterr().out
    zero, smooth = rows[0]["start_psnr"], rows[1]["start_psnr"]
    assert smooth > zero + 5
    only = bench_completion.main([*words[:-1], str(tmp_path / "one"), "--starts", "zero"])
    assert only == [row for row in rows if row["start"] == "zero"]
    out.write_text("".join(out.read_text().splitlines(keepends=True)[:15]))
    assert bench_completion.main(words) == rows
