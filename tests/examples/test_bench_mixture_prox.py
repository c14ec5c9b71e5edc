"""The bench of the exact prox runs small, on a circle in the dino's place, and is fair."""

import math

import pytest
import torch

from examples.benchmarks import bench_mixture_prox as bench


@pytest.fixture
def circle(tmp_path, monkeypatch):
    turns = [2 * math.pi * k / 40 for k in range(40)]
    lines = [f"dino,{50 + 40 * math.cos(a)},{50 + 40 * math.sin(a)}" for a in turns]
    (tmp_path / "datasaurus").mkdir()
    file = tmp_path / "datasaurus" / "datasaurus.csv"
    file.write_text("\n".join(["dataset,x,y", "star,1,1", *lines]))
    monkeypatch.setenv("PROXLAB_DATA", str(tmp_path))


def test_it_runs_small(circle, capsys):
    threads = torch.get_num_threads()
    try:
        table = bench.main(["--points", "20", "--steps", "3", "20", "--runs", "1"])
    finally:
        torch.set_num_threads(threads)
    assert [row.steps for row in table] == [3] * 2 + [20] * 19
    assert all(row.ours_worse == 0 and row.scipy > row.ours > 0 for row in table)
    out = capsys.readouterr().out
    assert "times faster: least" in out and "ours at 0 points" in out


def test_both_ways_minimise_the_same(circle):
    p, lam = bench.dino().at(0.3), 0.5
    assert p.means.shape == (40, 2)
    y = torch.randn(10, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(bench.scipy_prox(p, y, lam), p.prox(y, lam), rtol=0, atol=1e-3)
    assert float((bench.scipy_prox(p, y, 1.5 * lam) - p.prox(y, lam)).abs().max()) > 1e-2


def test_nonsense_is_refused(capsys):
    with pytest.raises(SystemExit):
        bench.main(["--steps", "1"])
    assert "at least 2" in capsys.readouterr().err
