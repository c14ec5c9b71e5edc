"""The bench of colour: the small prior for colour is in it, restored and timed beside the large."""

import torch
from skimage.data import astronaut

from examples.benchmarks.photographs import bench_color as bench

LARGE, SMALL = "lpn-color", "lpn-color-small"


def test_a_row_for_each_prior_asked_for(monkeypatch, capsys):
    x = torch.from_numpy(astronaut()[20:44, 200:228]).movedim(-1, 0)[None] / 255
    monkeypatch.setattr(bench, "middles", lambda count, side: [x])
    monkeypatch.setattr(bench, "KINDS", ("deblur",))
    bench.main(["--images", "1", "--only", f"{LARGE},{SMALL}"])
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line[:2] == "  "]
    assert [row[0] for row in rows] == [LARGE, SMALL]
    assert abs(float(rows[0][1]) - float(rows[1][1])) < 0.5


def test_the_small_one_is_timed_against_the_other(capsys):
    threads = torch.get_num_threads()
    gains = bench.proxes(32, repeats=2)
    torch.set_num_threads(threads)
    assert len(gains) == 2 and min(gains) > 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[:2]] == [LARGE, SMALL]
