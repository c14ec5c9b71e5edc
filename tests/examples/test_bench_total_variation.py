"""The bench of total variation: it stops at its goal, and the old way ends above the new one."""

import importlib.util
from pathlib import Path

import torch

FILE = Path(__file__).parents[2] / "examples/benchmarks/bench_total_variation.py"


def bench():
    spec = importlib.util.spec_from_file_location("bench_total_variation", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_demo_reaches_its_goal_and_a_slice_takes_the_steps_it_is_given(capsys):
    module = bench()
    module.GOAL = 1e-2
    rows, none = module.main(["--side", "32", "--steps", "600", "--slices", "0"])
    assert none == [] and [row["problem"] for row in rows][-1] == "CT, 40 views"
    for row in rows:
        assert row["gap"] <= 1e-2 and row["old_above"] >= -row["gap"] and row["steps"] < 600
    few, _ = module.main(["--side", "32", "--steps", "1", "--slices", "0"])
    assert all(row["gap"] > 1e-2 for row in few)
    image = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    (row,) = module.scans([image], [0], 1.0, 30)
    assert row["steps"] == 30 and "times as fast" in capsys.readouterr().out
