"""The restoration bench: what it runs again, and what it calls monotone."""

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from solvers import Trace

FILE = Path(__file__).parents[2] / "examples/benchmarks/bench_restore.py"
IMAGE = 255 * torch.rand(24, 20, generator=torch.Generator().manual_seed(0))
KERNELS = [np.full((3, 3), 1 / 9)]


@pytest.fixture
def bench(monkeypatch):
    spec = importlib.util.spec_from_file_location("bench_restore", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "STEPS", 30)
    return module


def finished(objective: list[float], descent: int) -> SimpleNamespace:
    column = torch.tensor(objective, dtype=torch.float64)[:, None]
    return SimpleNamespace(trace=Trace(column, column, column), descent=descent)


def test_interrupted_runs_go_on_where_they_stopped(bench, tmp_path):
    out = tmp_path / "rows.jsonl"
    whole = bench.run_cases(["tv"], [IMAGE], KERNELS, out)
    assert len(whole) == 3 and all(row["psnr"] > row["psnr_measured"] for row in whole)
    lines = out.read_text().splitlines(keepends=True)
    out.write_text("".join(lines[:2]))
    again = bench.run_cases(["tv"], [IMAGE], KERNELS, out)
    assert again[:2] == whole[:2]  # their seconds too: not run again
    assert again[2]["psnr"] == whole[2]["psnr"] and again[2]["seconds"] != whole[2]["seconds"]
    assert [json.loads(line) for line in out.read_text().splitlines()] == again


def test_a_rise_counts_after_the_descent_only(bench):
    assert bench.monotone(finished([3.0, 9.0, 8.0, 7.0], descent=1))
    assert not bench.monotone(finished([9.0, 7.0, 8.0, 6.0], descent=1))
    assert bench.monotone(finished([9.0, 8.0, 7.0, torch.nan], descent=1))


def test_gains_are_paired_by_case(bench, capsys):
    rows = [
        {
            "prior": prior, "problem": "deblur", "noise": 0.01, "image": image, "measurement": 0,
            "psnr": psnr, "psnr_measured": 20.0, "steps": 5, "monotone": True, "certified": True,
            "doubt": "", "seconds": 1.0,
        }
        for prior, image, psnr in [("tv", 0, 30), ("tv", 1, 20), ("lpn", 1, 23), ("lpn", 0, 31)]
    ]  # fmt: skip
    bench.table(rows, ["tv", "lpn"])
    assert "2.00 (1.00, 3.00)" in capsys.readouterr().out
