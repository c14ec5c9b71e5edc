"""The bench of posteriors of photographs: rows for ours and for rivals, on the same measurement."""

import json

import pytest
import torch
from skimage.data import camera

import proxlab
from examples.posteriors import photographs


@pytest.fixture(autouse=True)
def crops(monkeypatch):
    x = torch.from_numpy(camera()[96:224, 180:308:2][::2] / 255).float()[None, None]
    monkeypatch.setattr(photographs, "images", lambda name, count, held_out: x)


def test_every_sampler_has_a_row(tmp_path, capsys):
    words = ["--priors", "lpn-gray-small", "--samples", "9", "--steps", "3", "--rivals"]
    rows = photographs.main([*words, "--out", str(tmp_path / "rows.jsonl")])
    assert [r["method"] for r in rows] == 2 * ["annealed, lpn-gray-small", "DiffPIR", "PnP-DM"]
    for r in rows:
        assert r["restore"] > 20 and r["mean"] > 15 and set(r["coverage"]) == {0.5, 0.8}
        assert photographs.line(r) in capsys.readouterr().out or len(r["quarters"]) == 4
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == 6
    assert json.loads((tmp_path / "rows.jsonl").read_text().splitlines()[0])["problem"] == "deblur"


@pytest.mark.parametrize("name", ["deblur", "inpaint"])
def test_rivals_see_the_measurement_that_ours_does(name):
    task = photographs.problem(name, photographs.images(name, 1, False))
    assert task.seen is not None
    torch.testing.assert_close(
        task.seen.forward(task.clean), task.op.A(task.clean), atol=1e-5, rtol=0
    )
    assert torch.equal(task.seen.y, task.y)


def test_a_scan_has_its_own_setting():
    task = photographs.problem("ct", photographs.images("ct", 1, False))
    assert task.seen is None and task.y.shape[-2] == photographs.VIEWS
    restored = proxlab.restore(task.y, task.op, "lpn-ct", **{**photographs.CT_SETTING, "steps": 5})
    assert restored.image.shape == task.clean.shape
