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
    assert [len(m["versions"]) for m in data["measurements"]] == [5] * 4
    truths = [m["versions"][0]["picture"] for m in data["measurements"]]
    assert truths[:2] == truths[2:] and truths[0] != truths[1]  # both problems have them
    row = next(r for r in rows if (r["prior"], r["problem"]) == ("lpn-gray-small", "inpaint"))
    measurement = next(m for m in data["measurements"] if m["column"] == 1)
    version = measurement["versions"][4]
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
    assert "</script><b>" in data["measurements"][0]["versions"][3]["said"] or evil[0]["certified"]


def test_shows_so_many_measurements_of_a_column_and_no_more(made, monkeypatch):
    rows, out = made
    monkeypatch.setattr("proxlab.comparison.report.MOST", 1)
    assert [m["column"] for m in data_of(report(rows, out))["measurements"]] == [0, 1]


def picture(data, key):
    """Pixels [H, W, 3] of a picture of the page."""
    file = io.BytesIO(base64.b64decode(data["pictures"][key].split(",")[1]))
    return np.asarray(Image.open(file).convert("RGB")).astype(float)


def faults(measurement, data):
    """What a measurement of the page has not that it has to have, in words."""
    names = [version["name"] for version in measurement["versions"]]
    found = [] if len(set(names)) == len(names) else ["two versions of one name"]
    truth, measured, *others = measurement["versions"]
    if (truth["name"], measured["name"], others[0]["name"]) != NAMED:
        found.append("not named apart")
    for version in others:
        if version["error"] is None:
            found.append(f"{version['name']} has no error map")
        elif picture(data, version["error"]).shape != picture(data, version["picture"]).shape:
            found.append(f"the error map of {version['name']} is of another size")
    if len({v["error"] for v in others}) < len({v["picture"] for v in others}):
        found.append("two versions share an error map")
    if "sinogram" in measured["said"] and measured["aligned"]:
        found.append("a sinogram is taken for an image")
    return found


NAMED = ("truth", "measured", "first estimate")


def test_each_restoration_has_its_error_and_no_prior_is_not_the_first_estimate(made):
    rows, out = made
    data = data_of(report(rows, out))
    for measurement in data["measurements"]:
        assert faults(measurement, data) == []
        assert "no prior, the data term alone" in measurement["versions"][3]["said"]
        assert measurement["versions"][2]["said"] == "where every solver starts"
    # of two restorations the worse one has the brighter map: inferno rises with the error
    first, best = (picture(data, v["error"]).sum() for v in measurement["versions"][3:])
    assert first > best
    assert len(data["scale"]) == 9 and measurement["end"] > 0


def test_planted_mistakes_of_a_measurement_are_found(made):
    rows, out = made
    data = data_of(report(rows, out))
    (good, *_), words = data["measurements"], []

    def planted(place, **changed):
        versions = list(good["versions"])
        versions[place] = versions[place] | changed
        return faults(good | {"versions": versions}, data)

    words += planted(3, error=None) + planted(3, name="first estimate")
    words += planted(2, name="no prior") + planted(3, error=good["versions"][4]["error"])
    words += planted(1, said="sinogram, 60 views down")
    assert words == [
        "none has no error map",
        "two versions of one name",
        "not named apart",
        "two versions share an error map",
        "a sinogram is taken for an image",
    ]


def test_the_measurement_is_shown_as_it_was_measured(made, tmp_path):
    rows, out = made
    data = data_of(report(rows, out))
    seen = [m["versions"][1] for m in data["measurements"] if m["column"] == 1]
    shares = [float((picture(data, v["picture"]) < 25).all(2).mean()) for v in seen]
    assert all(share > 0.4 for share in shares)  # half the pixels are missing, and are black
    Image.fromarray(camera()[100:132, 200:232]).save(tmp_path / "0.png")
    few = Plan(default=PriorSettings(steps=2))
    scans = compare(["none"], ["ct"], tmp_path, tmp_path / "out", few)
    page = data_of(report(scans, tmp_path / "out"))
    (measurement,) = page["measurements"]
    measured = measurement["versions"][1]
    assert "sinogram, 60 views down, 46 detectors across; black is " in measured["said"]
    assert (
        picture(page, measured["picture"]).shape == (60, 46, 3) and faults(measurement, page) == []
    )
