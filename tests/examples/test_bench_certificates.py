"""The bench of certificates: what it counts and how it says so."""

import importlib.util
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "examples/benchmarks/bench_certificates.py"


@pytest.fixture
def bench():
    spec = importlib.util.spec_from_file_location("bench_certificates", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_hundred_runs_spread_evenly_and_ten_that_break_something(bench):
    cases = list(bench.defaults(12, 25))
    assert len(cases) == len({tuple(c.values()) for c in cases}) == 100
    assert {c["image"] for c in cases} == set(range(12))
    each = [sum(c["operator"] == kind for c in cases) for kind in range(4)]
    assert min(each) >= 24 and len(list(bench.broken())) == 10


def test_rises_and_lost_certificates_are_counted(bench, capsys):
    good = {
        "set": "default", "image": 0, "operator": 0, "solver": "admm", "tau_L": 0.98, "rises": 0,
        "merit_rises": 0, "certified": True, "doubt": "", "steps": 50, "largest": 2.0,
    }  # fmt: skip
    risen = good | {"image": 1, "rises": 3, "certified": False, "doubt": "objective rose"}
    beyond = good | {"set": "broken", "certified": False, "doubt": "too long", "tau_L": 9.0}
    bench.report([good, risen, beyond])
    out = capsys.readouterr().out
    assert "admm             2               1           0          1" in out
    assert "admm, image 1: objective rose" in out
    assert "admm, tau L = 9.00, not certified: too long" in out
    assert "0 of 3 allow the authors' 10" in out
