"""The CT benches run with small arguments, report what they measured, and see planted faults."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from proxlab import operators


def example(name: str):
    path = Path(__file__).parents[2] / "examples/benchmarks/operators" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


bench, restore = example("bench_ct"), example("bench_ct_restore")
level, preprocessing = example("bench_ct_level"), example("bench_preprocessing")
THREADS = str(torch.get_num_threads())


def test_it_reports_errors_and_ratios(capsys):
    words = f"--sizes 32 --views 12 --runs 1 --step-size 32 --wide 32 --threads {THREADS}"
    figures = bench.main(words.split())
    text = capsys.readouterr().out
    assert figures["32 ellipses"] < 0.03 and figures["32 blobs"] < 0.02
    assert figures["32 adjoint"] < 1e-6
    assert {"32 faster, 1", "32 faster, 8", "step 0.02", "inner 0.001"} <= set(figures)
    assert 8 <= figures["inner 0.02"] <= 60
    assert "of the bandwidth" in text and "inner iterations" in text


@pytest.mark.parametrize("planted", [{"axis": (0.5, 0.0)}, {"pixel_spacing": 1.02}])
def test_its_errors_see_half_a_pixel_and_a_wrong_length(planted, monkeypatch):
    right, wrong = operators.ct(64, 12), operators.ct(64, 12, detectors=91, **planted)
    good = bench.errors(right)
    wrong.matrix(torch.zeros(1))  # built while its scan is the wrong one
    monkeypatch.setattr(wrong, "scan", right.scan)  # the truth is that of the right scan
    bad = bench.errors(wrong)
    assert bad["ellipses"] > 2 * good["ellipses"] and bad["blobs"] > 5 * good["blobs"]


@pytest.fixture
def folder(tmp_path):
    """Two slices of 48 x 48 pixels with a disk in each."""
    y, x = np.mgrid[:48, :48] - 23.5
    (tmp_path / "slices").mkdir()
    for i in range(2):
        levels = np.where(x**2 + y**2 < (12 + 4 * i) ** 2, 1100, 30).astype(np.uint16)
        Image.fromarray(levels).save(tmp_path / "slices" / f"{i}.png")
    return tmp_path / "slices"


def test_the_table_of_restorations_is_kept_row_by_row(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(restore, "STEPS", 26)
    words = f"--folder {folder} --slices 1 --views 60 --priors fbp,lpn-ct --threads {THREADS}"
    words = [*words.split(), "--out", str(tmp_path / "rows.jsonl")]
    rows = restore.main(words)
    assert [row["method"] for row in rows] == ["fbp", "lpn-ct"]
    assert rows[1]["psnr"] > rows[0]["psnr"] + 1
    assert "1 slices, noise 0.5" in capsys.readouterr().out

    def again(*_):
        raise AssertionError("computed twice")

    monkeypatch.setattr(restore, "solve", again)
    assert restore.main(words) == rows


def test_settings_are_compared_on_held_out_slices(folder, monkeypatch):
    for i in range(2, 22):  # the second held-out slice is number 20
        levels = np.full((48, 48), 40 + i, np.uint16)
        Image.fromarray(levels).save(folder / f"{i:02}.png")
    seen = []

    def solve(name, y, op, setting):
        seen.append((name, setting))
        return torch.zeros(1, 1, 48, 48)

    monkeypatch.setattr(restore, "solve", solve)
    words = f"--tune --folder {folder} --slices 1 --views 60 --threads {THREADS}"
    rows = restore.main(words.split())
    assert len(rows) == len(seen) == sum(map(len, restore.GRIDS.values()))


def test_slices_at_the_defaults_are_compared_in_hounsfield_units(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(level, "TV_STEPS", 20)
    out = tmp_path / "rows.jsonl"
    words = f"--folder {folder} --sizes 32 --slices 2 --methods fbp,tv --out {out}".split()
    rows = level.main([*words, "--scales", "wide,narrow"])
    assert len(rows) == 8 == len(out.read_text().splitlines())
    by = {(r["slice"], r["scale"], r["method"]): r for r in rows}
    wide, narrow = by[0, "wide", "fbp"], by[0, "narrow", "fbp"]
    # the same noise in Hounsfield units, on scales of 4095 and 2000 of them
    assert abs(wide["rmse"] - narrow["rmse"]) < 0.1 * wide["rmse"]
    assert abs(wide["psnr"] - narrow["psnr"] - 20 * np.log10(4095 / 2000)) < 1
    assert level.main([*words, "--scales", "wide", "--minutes", "0"]) == [
        row for row in rows if row["scale"] == "wide"
    ]
    few = level.main([*words, "--low-dose"])
    assert {row["scale"] for row in few} == {"wide"} and all(r["rmse"] > 20 for r in few)


def test_preprocessing_mends_what_it_spoils():
    means = preprocessing.main(["--side", "64", "--views", "90"])
    assert len(means) == 4
    unspoilt, spoilt, mended, _ = means["0.2 % zingers, FBP"]
    assert spoilt < unspoilt - 0.5 and mended > spoilt + 0.5
