"""The table of samplers in the plane runs small, repeats, and knows better from worse."""

import json

import pytest
import torch

from examples import sample_proxdm_2d as example
from examples.planar_targets import Moments
from proxlab.priors.exact.mixtures import Mixture
from solvers import VP

pytest.importorskip("ot")


@pytest.fixture
def targets():
    seeded = torch.Generator().manual_seed(0)
    points = torch.rand(12, 2, dtype=torch.float64, generator=seeded) * 2 - 1
    return {"points": Mixture.points(points), "mixture": example.four()}


def test_it_runs_small_and_repeats(tmp_path, targets, capsys):
    rows = example.main(tmp_path / "new", (2, 3), 60, seeds=2, targets=targets)
    names = {row["sampler"] for row in rows}
    assert {"hybrid, uniform", "hybrid, long", "sde, N + 1", example.FLOOR} <= names
    assert not any(name.startswith("backward") for name in names)  # gamma is above 2
    assert all(0 < row["w1"] <= row["w2"] < 10 for row in rows)
    assert len(rows) == 2 * 2 * 2 * len(names)
    stored = (tmp_path / "new" / "proxdm_2d.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in stored] == rows
    assert (tmp_path / "new" / "proxdm_2d.png").stat().st_size > 10_000
    table = example.markdown([row for row in rows if row["target"] == "points"], 0)
    assert table in capsys.readouterr().out and " +- " in table
    again = {"steps": (2,), "n": 60, "seed": 1, "targets": {"points": targets["points"]}}
    with pytest.raises(FileExistsError, match="overwrite"):
        example.main(tmp_path / "new", **again)
    repeated = example.main(tmp_path / "new", **again, overwrite=True)
    assert len(repeated) == len(names) and all(row in rows for row in repeated)


def test_equal_evaluations_are_equal(tmp_path, targets):
    rows = example.main(tmp_path, (3,), 20, targets={"points": targets["points"]})
    spent = {row["sampler"]: row["evaluations"] for row in rows}
    for name, evaluations in spent.items():
        more = name.endswith("N + 1")
        assert evaluations == (0 if name == example.FLOOR else 4 if more else 3)


def test_more_steps_are_better_down_to_the_floor(tmp_path, targets):
    rows = example.main(tmp_path, (2, 16), 300, targets={"points": targets["points"]})
    w2 = {(row["sampler"], row["steps"]): row["w2"] for row in rows}
    for name in ("hybrid, uniform", "sde, N", "ode, N"):
        assert w2[name, 16] < 0.7 * w2[name, 2]
    assert w2["hybrid, uniform", 16] < 1.2 * w2[example.FLOOR, 16] < w2["hybrid, uniform", 2]


def test_long_grid_rises_to_one_in_as_many_steps():
    for steps in (2, 5, 20):
        times = example.long_grid(steps)
        assert len(times) == steps + 1 and times == sorted(times)
        assert (times[0], times[-2], times[-1]) == (0, example.LONG, 1)
    with pytest.raises(ValueError, match="at least 1"):
        example.long_grid(1)


def test_dino_of_the_datasaurus(tmp_path, monkeypatch):
    (tmp_path / "datasaurus").mkdir()
    text = "dataset,x,y\nstar,1,2\ndino,55,100\ndino,50,0\n"
    (tmp_path / "datasaurus" / "datasaurus.csv").write_text(text)
    monkeypatch.setenv("PROXLAB_DATA", str(tmp_path))
    expected = torch.tensor([[0.1, 1.0], [0.0, -1.0]], dtype=torch.float64)
    torch.testing.assert_close(example.dino().means, expected)


def test_a_start_from_the_moments_has_them():
    seeded = torch.Generator().manual_seed(0)
    points = torch.rand(12, 2, dtype=torch.float64, generator=seeded) @ torch.tensor(
        [[2.0, 1.5], [0.0, 0.4]], dtype=torch.float64
    )
    noise = torch.randn(100_000, 2, dtype=torch.float64, generator=seeded)
    x = Moments(Mixture.points(points)).begin(noise, t := 0.1)
    a = VP().signal(t)
    covariance = a * points.T.cov(correction=0) + (1 - a) * torch.eye(2)
    assert (x.mean(0) - a**0.5 * points.mean(0)).abs().max() < 0.02
    assert (x.T.cov() - covariance).abs().max() < 0.02
    assert (x.T.cov() - covariance.diag().diag()).abs().max() > 0.05  # axes that are not found
