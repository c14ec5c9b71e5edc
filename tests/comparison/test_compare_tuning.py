"""Settings are the best of what was tried, on images kept apart, and are what the file says."""

import json
import math

import numpy as np
import pytest
from PIL import Image
from skimage.data import camera

from proxlab.commands.main import main
from proxlab.comparison import comparing, settings
from proxlab.comparison.case import PriorSettings
from proxlab.comparison.plan import Plan
from proxlab.comparison.problems import Deblur, Inpaint
from proxlab.comparison.rows import ROWS, read_rows
from proxlab.comparison.settings import read_settings, write_settings
from proxlab.comparison.tuning import MIDDLE_SIDE, _crops, tune, uphill
from proxlab.priors.classical import Identity
from proxlab.priors.contract import Capabilities


class Exact(Identity):
    capabilities = Capabilities(exact=True, default_weight=0.35)


class Free(Identity):
    capabilities = Capabilities(default_weight=0.35)


def folder_of(path, count, side=24):
    path.mkdir()
    for i in range(count):
        Image.fromarray(camera()[i : i + side, 200 : 200 + side]).save(path / f"{i:03d}.png")
    return path


@pytest.mark.parametrize("at", [0.05, 0.35, 0.5, 4.0])
def test_uphill_ends_at_the_nearest_of_its_grid(at):
    asked = []

    def height(settings):
        asked.append(settings.weight)
        return -(math.log2(settings.weight / at) ** 2)

    best = uphill(height, PriorSettings(weight=0.35, steps=400), None)
    assert abs(math.log2(best.weight / at)) <= 0.25 and best.steps == 400
    assert len(asked) == len(set(asked))


@pytest.mark.parametrize("at, found", [(1, 7), (8, 7), (30, 30), (110, 120), (1000, 400)])
def test_steps_are_doubled_or_halved_while_that_gains_and_up_to_the_most(at, found):
    first = PriorSettings(weight=1.0, steps=30)

    def height(s):
        return -abs(math.log2(s.steps / at)) - abs(math.log2(s.weight * 30 / s.steps)) / 2

    best = uphill(height, first, 400)
    assert best.steps == found and abs(math.log2(best.weight * 30 / found)) <= 0.5
    assert uphill(height, first, None).steps == 30


def test_what_hardly_gains_is_not_chosen():
    best = uphill(lambda s: 0.004 * math.log2(s.weight), PriorSettings(weight=1.0), None)
    assert best.weight == 1.0


def fake(peaks, seen):
    """A comparison whose PSNR is best where `peaks` says, and fails at steps above 100."""

    def compare(priors, problems, images, out, plan):
        (name,), (problem,), default = priors, problems, plan.default
        paths = sorted(images.iterdir())
        seen.append((name, problem.name, [p.name for p in paths], plan.solvers, default))
        if name == "free" and default.steps > 100:
            paths = paths[1:]
        gap = math.log2(default.weight / peaks[name, problem.name])
        return [{"psnr": 30 + i - gap**2 + default.steps / 500} for i, _ in enumerate(paths)]

    return compare


def test_each_prior_and_problem_has_its_own(tmp_path):
    folder, seen = folder_of(tmp_path / "train", 61, side=MIDDLE_SIDE + 10), []
    peaks = {
        ("exact", "deblur"): 0.7,
        ("exact", "inpaint"): 0.175,
        ("free", "deblur"): 0.35,
        ("free", "inpaint"): 1.4,
    }
    priors, problems = {"exact": Exact(), "free": Free()}, [Deblur(), Inpaint()]
    plan = Plan(solvers=("hqs", "admm"), default=PriorSettings(steps=300))
    found = tune(fake(peaks, seen), priors, problems, folder, tmp_path / "out", plan)
    for key, peak in peaks.items():
        assert found[key].weight == pytest.approx(peak)
    assert {found[k].steps for k in peaks if k[0] == "exact"} == {300}
    assert {found[k].steps for k in peaks if k[0] == "free"} == {60}  # 120 fails on an image
    assert found["exact", "deblur"].tuned_on == "weight, by PSNR on 4 images of train, hqs"
    assert found["free", "deblur"].tuned_on.startswith("weight and steps, by PSNR")
    # of a training folder only what training holds out is looked at, and its middle alone
    assert {tuple(names) for _, _, names, *_ in seen} == {
        ("000.png", "020.png", "040.png", "060.png")
    }
    assert {tuple(solvers) for *_, solvers, _ in seen} == {("hqs",)}
    crop = np.asarray(Image.open(tmp_path / "out" / "train" / "020.png"))
    assert (crop == camera()[25 : 25 + MIDDLE_SIDE, 205 : 205 + MIDDLE_SIDE]).all()


def test_where_all_fails_nothing_is_chosen():
    assert uphill(lambda s: -math.inf, PriorSettings(weight=1.0), None) is None


def test_images_of_one_stem_are_two(tmp_path):
    folder_of(tmp_path / "photographs", 1)
    for kind in ("tif", "jpg"):
        with Image.open(tmp_path / "photographs" / "000.png") as image:
            image.rotate(90).save(tmp_path / "photographs" / f"000.{kind}")
    crops = _crops(tmp_path / "photographs", tmp_path / "crops")
    assert {p.name for p in crops.iterdir()} == {"000.png.png", "000.tif.png", "000.jpg.png"}


def test_images_too_small_are_refused(tmp_path):
    with pytest.raises(ValueError, match="too few to choose settings on; give a folder of larger"):
        tune(
            None,
            {"exact": Exact()},
            [Deblur()],
            folder_of(tmp_path / "small", 1, side=12),
            tmp_path / "out",
            Plan(),
        )


def test_a_file_gives_back_what_is_of_the_same_problem(tmp_path):
    path, problem = tmp_path / "settings.json", Deblur()
    settings = {("lpn", "deblur"): PriorSettings(0.2, None, 60, 1e-4, "somewhere")}
    write_settings(path, settings, [problem])
    default = PriorSettings(steps=400, tol=1e-3)
    assert read_settings(path, [problem, Inpaint()], default) == {
        ("lpn", "deblur"): PriorSettings(0.2, None, 60, 1e-3, "somewhere")
    }
    capped = read_settings(path, [problem], PriorSettings(steps=5))
    assert capped["lpn", "deblur"].steps == 5
    assert read_settings(path, [Deblur(blur_sigma=2.0)], default) == {}
    assert read_settings(path, [Inpaint()], default) == {}
    entries = json.loads(path.read_text())
    path.write_text(json.dumps([entries[0] | {"noises": [0.02]}]))
    assert read_settings(path, [problem], default) == {}
    assert len(read_settings(path, [problem], default, [0.02])) == 1
    for damaged in ("{", '[{"prior": "lpn"}]', '[{"problem": "deblur", "settings": {"w": 1}}]'):
        path.write_text(damaged)
        with pytest.raises(ValueError, match="does not hold settings .* --tune"):
            read_settings(path, [problem], default)


def test_shipped_settings_are_used_unless_others_are_given(tmp_path, monkeypatch):
    path, folder = tmp_path / "settings.json", folder_of(tmp_path / "test", 1)
    write_settings(
        path, {("tv", "deblur"): PriorSettings(0.1, steps=9, tuned_on="there")}, [Deblur()]
    )
    monkeypatch.setattr(comparing, "SHIPPED", path)

    def used(out, **options):
        plan = Plan(default=PriorSettings(steps=4), **options)
        (row,) = comparing.compare(["tv"], ["deblur"], folder, out, plan)
        return row["settings"]

    assert used(tmp_path / "a") == {
        "weight": 0.1,
        "sigma": None,
        "steps": 4,
        "tol": 1e-4,
        "tuned_on": "there",
    }
    assert used(tmp_path / "b", settings={})["weight"] is None
    assert used(tmp_path / "c", noises=[0.03])["tuned_on"] == ""


@pytest.mark.parametrize(
    "stored, asked, used", [(None, None, None), (9, None, 9), (None, 4, 4), (9, 4, 4), (4, 9, 4)]
)
def test_the_smaller_number_of_steps_counts_where_one_is_told(stored, asked, used, tmp_path):
    path = tmp_path / "settings.json"
    write_settings(path, {("tv", "deblur"): PriorSettings(0.1, steps=stored)}, [Deblur()])
    found = read_settings(path, [Deblur()], PriorSettings(steps=asked))
    assert found["tv", "deblur"].steps == used


def test_the_command_tunes_and_takes_the_file_it_wrote(tmp_path, capsys):
    test, train = folder_of(tmp_path / "test", 1), folder_of(tmp_path / "train", 2, side=32)
    words = f"compare --priors none --problems deblur --images {test} --steps 4 --quiet"
    first, again = tmp_path / "first", tmp_path / "again"
    assert main([*words.split(), "--out", str(first), "--tune", str(train)]) == 0
    (row,) = read_rows(first / ROWS)
    tried = read_rows(first / "tuning" / ROWS)
    assert row["settings"]["tuned_on"] == "weight, by PSNR on 2 images of train, default"
    means = {}
    for r in tried:
        means.setdefault(r["settings"]["weight"], []).append(r["psnr"])
    best = max(sum(each) for each in means.values())
    assert len(means) >= 3 and sum(means[row["settings"]["weight"]]) > best - 2 * 0.01
    given = ["--out", str(again), "--settings", str(first / "settings.json")]
    assert main([*words.split(), *given]) == 0
    (same,) = read_rows(again / ROWS)
    assert same["settings"] == row["settings"] and same["psnr"] == row["psnr"]
    with pytest.raises(SystemExit):
        main([*words.split(), *given, "--tune", str(train)])
    third = ["--out", str(tmp_path / "third"), *given[2:]]
    assert main([*words.split(), *third, "--noises", "0.05"]) == 1
    assert "has no settings of none on deblur at this noise" in capsys.readouterr().err
    before = (first / "settings.json").read_bytes()
    assert main([*words.split(), "--out", str(first), "--tune", str(test)]) == 1
    assert "holds a comparison; resume it" in capsys.readouterr().err
    assert (first / "settings.json").read_bytes() == before
    assert read_rows(first / "tuning" / ROWS) == tried
    noisy = ["--out", str(tmp_path / "noisy"), "--noises", "0.05", "--tune", str(train)]
    assert main([*words.split(), *noisy]) == 0
    tried = read_rows(tmp_path / "noisy" / "tuning" / ROWS)
    assert {row["noise"] for row in tried} == {0.05}
    (entry,) = json.loads((tmp_path / "noisy" / "settings.json").read_text())
    assert entry["noises"] == [0.05]
    assert settings.SHIPPED.exists()


def test_shipped_settings_hold_what_was_chosen_and_nothing_else():
    """A number of steps that was only a default once would cut other solvers short."""
    entries = json.loads(settings.SHIPPED.read_text())
    assert {entry["prior"] for entry in entries} > {"tv", "crate-gray"}
    for entry in entries:
        said = entry["settings"]["tuned_on"]
        assert (entry["settings"]["steps"] is not None) == said.startswith("weight and steps")
