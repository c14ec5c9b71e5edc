"""The page of a comparison holds all it shows, and shows what the rows say."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image
from skimage.data import camera

from proxlab.comparison.case import PriorSettings
from proxlab.comparison.comparing import compare, pictures
from proxlab.comparison.figure import draw_comparison, most_different
from proxlab.comparison.plan import Plan
from proxlab.comparison.report import report


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(rows, folder) of two priors on two problems of two images."""
    folder = tmp_path_factory.mktemp("photographs")
    for i in range(2):
        Image.fromarray(camera()[100 * i : 100 * i + 40, 200:248]).save(folder / f"{i}.png")
    out = tmp_path_factory.mktemp("out")
    few = Plan(default=PriorSettings(steps=30))
    return compare(["none", "lpn-gray-small"], ["deblur", "inpaint"], folder, out, few), out


def data_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])


def test_needs_no_network_and_holds_every_restoration(made):
    rows, out = made
    page = report(rows, out)
    assert not re.search(r'(src|href)="?http|url\(http|@import', page)
    data = data_of(page)
    assert [len(m["versions"]) for m in data["measurements"]] == [4] * 4
    truths = [m["versions"][0]["picture"] for m in data["measurements"]]
    assert truths[:2] == truths[2:] and truths[0] != truths[1]  # both problems have them
    row = next(r for r in rows if (r["prior"], r["problem"]) == ("lpn-gray-small", "inpaint"))
    measurement = next(m for m in data["measurements"] if m["column"] == 1)
    version = measurement["versions"][3]
    assert (version["name"], version["psnr"]) == ("lpn-gray-small", row["psnr"])
    address = data["pictures"][version["picture"]]
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))).convert("L"))
    file = np.asarray(Image.open(out / pictures(row) / "lpn-gray-small-default.png"))
    assert np.abs(shown.astype(float) - file).mean() < 2
    assert len(version["curves"]["residual"]) == row["iterations"]


def test_table_is_that_of_the_rows(made):
    rows, out = made
    table = data_of(report(rows, out))["table"]
    mine = [r["psnr"] for r in rows if (r["prior"], r["problem"]) == ("none", "inpaint")]
    assert table[0]["prior"] == "none"
    assert table[0]["cells"][1]["mean"] == pytest.approx(sum(mine) / 2)
    assert table[1]["cells"][1]["best"] and not table[0]["cells"][1]["best"]
    certified = [r["certified"] for r in rows if r["prior"] == "none"]
    assert (table[0]["certified"], table[0]["images"]) == (sum(certified), 4)


def test_a_prior_missing_from_a_column_and_an_end_tag_in_a_name_do_no_harm(made):
    rows, out = made
    fewer = [r for r in rows if (r["prior"], r["problem"]) != ("none", "inpaint")]
    evil = [r | {"doubt": "</script><b>"} for r in fewer]
    data = data_of(report(evil, out))
    assert data["table"][0]["cells"][1] is None
    assert "</script><b>" in data["measurements"][0]["versions"][2]["said"] or evil[0]["certified"]


def test_shows_so_many_measurements_of_a_column_and_no_more(made, monkeypatch):
    rows, out = made
    monkeypatch.setattr("proxlab.comparison.report.MOST", 1)
    assert [m["column"] for m in data_of(report(rows, out))["measurements"]] == [0, 1]


def test_the_figure_enlarges_the_square_in_which_restorations_differ_most(made, tmp_path):
    flat = [np.zeros((30, 50)), np.zeros((30, 50))]
    flat[1][12:20, 31:37] = 5
    assert most_different(flat, 8) == (12, 29)  # of those that hold all of it, the first
    rows, out = made
    draw_comparison(tmp_path / "figure.png", rows, out, "1.png")
    with Image.open(tmp_path / "figure.png") as figure:
        assert figure.size == (1248, 715)
    with pytest.raises(ValueError, match="no image '7.png'; it has 0.png, 1.png"):
        draw_comparison(tmp_path / "other.png", rows, out, "7.png")
