"""The bench of cost laws: slopes that it finds, and those that a planted cost would have."""

import time

import pytest
import torch

from examples.benchmarks.large import bench_cost_laws as bench
from examples.benchmarks.large.bench_cost_laws import Found, Line, measured, slope
from examples.benchmarks.large.cost_figure import AXES, figure
from examples.benchmarks.large.live_memory import LiveMemory
from proxlab.checkpoints import load

SIZES = [1, 2, 4, 8]


def test_a_slope_is_the_power_of_growth():
    assert slope(SIZES, [3 * n**2 for n in SIZES]) == pytest.approx(2)
    assert slope(SIZES, [5.0] * 4) == pytest.approx(0)
    assert slope(SIZES, [1 + n for n in SIZES]) < 0.85  # what each call costs makes it less


def sleeping(power: int) -> Line:
    """A cost that grows as a power, of time and of memory."""

    def make(n: int) -> bench.Work:
        def work() -> object:
            time.sleep(2e-3 * n**power)
            return torch.zeros(n**power, 1000)

        return work

    return Line("batch", f"power {power}", SIZES, make, 1)


def test_planted_costs_are_told_apart(monkeypatch):
    monkeypatch.setattr(bench, "SHORTEST", 0.0)
    linear, square = measured([sleeping(1), sleeping(2)], repeats=2)
    assert linear.memory_slope == pytest.approx(1) and square.memory_slope == pytest.approx(2)
    assert square.time_slope > linear.time_slope + 0.5


def test_pixels_are_those_of_the_image():
    line = Line("pixels", "", [64, 128], lambda n: lambda: None, 64)
    assert line.places == [64**2, 128**2]
    assert Found(line, [1.0, 4.0], [1.0, 1.0]).time_slope == pytest.approx(1)


def test_live_memory_is_what_lives_at_a_time():
    with LiveMemory() as memory:
        kept = torch.zeros(1000)
        for _ in range(3):
            gone = torch.ones(500)
            del gone
        assert memory.now == kept.nbytes
    assert memory.peak == kept.nbytes + 2000
    with LiveMemory() as memory:
        sparse = torch.eye(8).to_sparse_csr()
    assert sparse.layout is torch.sparse_csr
    assert memory.now >= 8 * (4 + 8) + 9 * 8  # values and two kinds of indices


@pytest.mark.parametrize("what", ["prox", "iteration", "run"])
def test_what_is_measured_runs(what):
    prior = load("lpn-gray-small")
    with torch.no_grad():
        if what == "run":
            assert bench.run(prior, 4)().steps.tolist() == [4]
        else:
            work = {"prox": bench.prox, "iteration": bench.iteration}[what](prior, 32, 2)
            first = work()
            assert (first if what == "prox" else first.x).shape == (2, 1, 32, 32)


def test_the_bench_draws_what_it_prints(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench, "SHORTEST", 0.0)
    monkeypatch.setattr(bench, "product", lambda views: bench.prox(load("none"), 8 * views))
    path = tmp_path / "laws.png"
    words = ["--priors", "none", "--largest", "128", "--repeats", "1", "--figure", str(path)]
    found = bench.main(words)
    assert [one.line.axis for one in found] == [*["pixels"] * 2, *["batch"] * 2, "views", "steps"]
    assert path.stat().st_size > 20_000
    said = capsys.readouterr().out
    sheet = figure(found)
    for ax, other in zip(sheet.axes[::2], sheet.axes[1::2], strict=True):
        assert ax.get_xlabel() == other.get_xlabel() in AXES.values()
        assert (ax.get_ylabel(), other.get_ylabel()) == ("time, ms", "memory, MiB")
    for one in found:
        told = f"{one.line.what}: {one.time_slope:.2f}"
        assert f"time ^ {one.time_slope:.2f}" in said
        assert any(told == t.get_text() for ax in sheet.axes for t in ax.get_legend().get_texts())
