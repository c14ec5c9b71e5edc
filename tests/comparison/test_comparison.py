"""A comparison gives every prior the same measurements, loses no finished case and repeats none."""

import json
import math
from dataclasses import replace

import pytest
import torch
from PIL import Image
from skimage.data import camera

import proxlab
from proxlab.commands.main import main
from proxlab.comparison.case import Case, PriorSettings, measure, run_case
from proxlab.comparison.comparing import compare, load_priors, pictures
from proxlab.comparison.plan import ComparisonRun, Plan
from proxlab.comparison.problems import Boxes, Deblur, Inpaint, LowDose
from proxlab.comparison.rows import ROWS, read_rows
from proxlab.comparison.tuning import tune
from proxlab.named_priors import as_prior

STEPS = PriorSettings(steps=3)
FEW = Plan(default=STEPS)


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "photographs"
    made.mkdir()
    for i in range(2):
        Image.fromarray(camera()[100 * i : 100 * i + 40, 200:248]).save(made / f"{i}.png")
    return made


class Fails:
    def prox(self, v, sigma):
        raise RuntimeError("out of order")


class Counts:
    """A prior without a value that remembers how often it was asked."""

    def __init__(self):
        self.asked = 0

    def prox(self, v, sigma):
        self.asked += len(v)
        return 0.9 * v


def case(prior="tv", problem="deblur", image="0.png", noise=0.01, seed=0, settings=STEPS):
    return Case(prior, problem, {}, image, noise, seed, "admm", settings)


def test_every_prior_is_given_the_same_measurement_and_every_case_another():
    x = torch.rand(1, 1, 24, 24, generator=torch.Generator().manual_seed(0))
    first, op = measure(case("a", "inpaint"), Inpaint(), x)
    again, other = measure(case("b", "inpaint", settings=PriorSettings(steps=9)), Inpaint(), x)
    assert torch.equal(first, again) and torch.equal(op.mask, other.mask)
    for changed in (case(image="1.png"), case(noise=0.02), case(seed=1)):
        assert not torch.equal(measure(changed, Deblur(), x)[0], measure(case(), Deblur(), x)[0])


def test_a_row_says_what_was_asked_and_what_came_of_it():
    x = torch.from_numpy(camera()[:40, :48]).float()[None, None] / 255
    prior = Counts()  # copied for the case, so that it stays at 0
    row, image, plain, curves, *_ = run_case(case("counts"), Deblur(), as_prior(prior), x)
    # the gradient at the first estimate comes from the first of these steps, for nothing
    assert row["iterations"] == 3 and row["evaluations"] == 3 and prior.asked == 0
    assert row["psnr"] == pytest.approx(float(proxlab.metrics.psnr(image, x)))
    assert row["psnr_plain"] == pytest.approx(float(proxlab.metrics.psnr(plain, x)))
    assert curves["objective"] is None and curves["residual"][-1] == row["residual"]
    assert row["objective"] is None and row["prior_value"] is None and not row["certified"]
    assert row["seconds"] > 0 and row["stopped"] == "max_steps"
    assert row["margin"] is None  # of one evaluation, infinite, which JSON has not
    assert row["gap"] is None and row["value_margin"] is None and row["adjoint_error"] < 1e-4
    assert row["solved_by"] == row["solver"] == "admm" and 0 < row["tau_lipschitz"] < 1
    assert row["gradient_left"] > 1e-2 and "residual" in row["doubt"]
    json.dumps(row, allow_nan=False)


@pytest.mark.parametrize("prior, solved_by", [("tv", "pdhg"), ("lpn-gray-small", "admm")])
def test_by_default_each_prior_is_solved_as_restore_does(prior, solved_by):
    x = torch.from_numpy(camera()[:40, :48]).float()[None, None] / 255
    asked = replace(case(prior, settings=PriorSettings(steps=30)), solver="default")
    row = run_case(asked, Deblur(), proxlab.load(prior), x).row
    assert row["solver"] == "default" and row["solved_by"] == solved_by
    assert (row["gap"] is not None) == (row["margin"] is None) == (prior == "tv")
    if prior != "tv":
        assert row["margin"] >= 0 and row["value_margin"] >= 0 and row["certified"]


def test_objective_is_misfit_and_prior():
    x = torch.from_numpy(camera()[:40, :48]).float()[None, None] / 255
    prior = proxlab.load("lpn-gray-small")
    row, image, _, curves, *_ = run_case(case("lpn-gray-small"), Deblur(), prior, x)
    value = float(prior.value(image, row["sigma"]))
    assert row["prior_value"] == pytest.approx(value, rel=1e-2) and value > 0
    assert len(curves["objective"]) == 3 and curves["objective"][-1] == row["objective"]
    y, op = measure(case(), Deblur(), x)
    weight = prior.capabilities.default_weight
    misfit = float((op.A(image) - y).square().sum() / (2 * 0.01**2) / weight)
    assert row["misfit"] == pytest.approx(misfit, rel=1e-4)


def test_priors_come_by_the_door_of_restore(folder, tmp_path):
    class Shrinks(torch.nn.Module):
        def forward(self, v, sigma):
            return 0.9 * v

    priors = {"network": Shrinks(), "object": Counts()}
    first, second, *_ = compare(priors, ["deblur"], folder, tmp_path / "out", FEW)
    assert first["psnr"] == second["psnr"] and first["evaluations"] == 3
    with pytest.raises(TypeError, match="list is no prior: it has no name"):
        compare({"nothing": []}, ["deblur"], folder, tmp_path / "other", FEW)
    assert not (tmp_path / "other").exists()
    assert list(load_priors(["tv", "none"])) == ["tv", "none"]


def test_failures_are_rows_and_are_tried_again(folder, tmp_path):
    out = tmp_path / "out"
    priors = {"fails": Fails(), "none": proxlab.load("none")}
    rows = compare(priors, ["deblur"], folder, out, FEW)
    assert [row["prior"] for row in rows] == ["none", "none"]
    errors = [row for row in read_rows(out / ROWS) if "error" in row]
    assert len(errors) == 2 and errors[0]["error"] == "out of order"
    again = []
    priors["fails"] = proxlab.load("none")
    rows = compare(
        priors, ["deblur"], folder, out, FEW, ComparisonRun(resume=True, watch=again.append)
    )
    assert [row["prior"] for row in again] == ["fails", "fails"] and len(rows) == 4


def test_two_runs_agree_and_a_folder_in_use_is_refused(folder, tmp_path):
    given = ["tv", "none"], ["deblur", Inpaint(0.3), "ct"], folder
    plan = Plan(seeds=(0, 1), default=STEPS)
    first = compare(*given, tmp_path / "a", plan)
    second = compare(*given, tmp_path / "b", plan)
    assert len(first) == 2 * 3 * 2 * 2
    told = ("prior", "problem", "parameters", "image", "seed", "psnr", "ssim", "objective")
    assert [[r[k] for k in told] for r in first] == [[r[k] for k in told] for r in second]
    assert torch.__version__.startswith(first[0]["versions"]["torch"])
    with pytest.raises(ValueError, match="resume it, or choose another folder"):
        compare(*given, tmp_path / "a", FEW)


def test_an_interrupt_anywhere_loses_no_finished_case_and_repeats_none(folder, tmp_path):
    given = ["none", "tv"], ["deblur", "inpaint"], folder, tmp_path / "out"
    whole = compare(*given, FEW)
    text = (tmp_path / "out" / ROWS).read_bytes()
    for cut in (0, 1, len(text) // 3, len(text) - 1, len(text)):
        (tmp_path / "out" / ROWS).write_bytes(text[:cut])
        kept, new = text[:cut].count(b"\n"), []
        rows = compare(*given, FEW, ComparisonRun(resume=True, watch=new.append))
        assert len(new) == 8 - kept
        assert [r["psnr"] for r in rows] == [r["psnr"] for r in whole]
        assert (tmp_path / "out" / ROWS).read_bytes().count(b"\n") == 8


def test_a_case_with_other_settings_or_of_another_problem_is_another_case(folder, tmp_path):
    new = []
    for missing, steps in ((0.3, 3), (0.4, 3), (0.4, 2), (0.3, 3)):
        settings = {("none", "inpaint"): PriorSettings(steps=steps)}
        run = ComparisonRun(resume=True, watch=new.append)
        compare(["none"], [Inpaint(missing)], folder, tmp_path, Plan(settings=settings), run)
    assert len(new) == 6


def test_restorations_lie_beside_the_image_and_the_plain_estimate(folder, tmp_path):
    rows = compare(["none"], ["inpaint"], folder, tmp_path / "out", FEW)
    place = tmp_path / "out" / pictures(rows[1])
    assert sorted(p.name for p in place.iterdir()) == [
        "measured.json",
        "measured.png",
        "none-default.json",
        "none-default.png",
        "plain.png",
        "truth.png",
    ]
    truth = proxlab.images.read_image(place / "truth.png").pixels
    restored = proxlab.images.read_image(place / "none-default.png").pixels
    assert float(proxlab.metrics.psnr(restored, truth)) == pytest.approx(rows[1]["psnr"], abs=0.1)


def test_a_row_says_how_much_of_its_picture_was_clipped(folder, tmp_path):
    class Bright:
        def prox(self, v, sigma):
            return v * 0 + 1.2

    (row, _) = compare({"bright": Bright()}, ["deblur"], folder, tmp_path / "out", FEW)
    assert row["clipped"] == 1.0 and row["psnr"] < 10


def test_a_low_dose_scan_counts_the_photons_that_water_leaves():
    """30 cm of water leave exp(-0.0193 * 300) of 20,000 photons: 61, whatever the pixels are."""
    for side in (70, 140):
        op = LowDose(views=2).operator((side, side), 2e4, None)
        x = torch.zeros(1, 1, side, side)
        x[..., side // 14 : side - side // 14] = 1000 / 4095  # 30 of 35 cm, 1000 units over air
        depth = float(op.A(x)[0, 0, 1].max())  # along the rows
        noise = op.noise_model
        counted = noise.photons * math.exp(-noise.attenuation * depth)
        assert counted == pytest.approx(2e4 * math.exp(-0.0193 * 300), rel=0.02)


def test_slices_are_read_and_judged_in_hounsfield_units(tmp_path, capsys):
    """1024 of 65535 would be black as a photograph; as a slice it is water."""
    made = tmp_path / "slices"
    made.mkdir()
    levels = torch.full((40, 40), 24)
    levels[8:32, 8:32] = 1064
    Image.fromarray(levels.numpy().astype("uint16")).save(made / "a.png")
    words = ["--priors", "tv,none", "--problems", "ct-low-dose", "--steps", "30", "--tol", "0.01"]
    out = tmp_path / "out"
    assert main(["compare", *words, "--images", str(made), "--out", str(out)]) == 0
    rows = {row["prior"]: row for row in read_rows(out / ROWS)}
    assert 30 < rows["tv"]["hu_rmse"] < 100 < rows["none"]["hu_rmse"]
    assert abs(rows["tv"]["hu_bias"]) < rows["tv"]["hu_rmse"]
    assert " HU |" in capsys.readouterr().out
    assert f"RMSE {rows['tv']['hu_rmse']:.1f} HU" in (out / "report.html").read_text()
    with pytest.raises(ValueError, match="settings of ct-low-dose are not chosen here"):
        tune(compare, {}, [LowDose()], made, out, Plan())


def test_photographs_are_no_slices(folder, tmp_path, capsys):
    words = ["--priors", "tv", "--problems", "ct-low-dose", "--images", str(folder)]
    assert main(["compare", *words, "--out", str(tmp_path / "out")]) == 1
    assert "has 8 bits and 1 channel(s); a CT slice is DICOM, or" in capsys.readouterr().err


def test_boxes_need_an_image_they_fit():
    assert float(Boxes(8).operator((30, 60), 0.1, None).mask.mean()) == pytest.approx(
        1 - 128 / 1800
    )
    with pytest.raises(ValueError, match="three times as large"):
        Boxes(16).operator((47, 60), 0.1, None)


@pytest.mark.parametrize(
    "wrong, said",
    [
        ({"problems": ["superresolve"]}, "known are deblur, inpaint, boxes, ct, ct-low-dose"),
        ({"priors": ["lpn-grey"]}, "no prior is called 'lpn-grey'"),
        ({"images": "nowhere"}, "does not exist"),
    ],
)
def test_a_name_that_nothing_bears_is_refused(wrong, said, folder, tmp_path):
    given = {"priors": ["none"], "problems": ["deblur"], "images": folder, "out": tmp_path / "out"}
    with pytest.raises(ValueError, match=said):
        compare(**given | wrong)
    with pytest.raises(ValueError, match="solver is one of .* got 'newton'"):
        Plan(solvers=("admm", "newton"))
    assert not (tmp_path / "out").exists()


def test_the_command_prints_a_table_and_says_what_failed(folder, tmp_path, capsys):
    words = f"compare --priors none,tv --problems deblur,boxes --images {folder} --steps 3"
    assert main(f"{words} --seeds 0,1 --out {tmp_path / 'out'}".split()) == 1  # boxes do not fit
    said = capsys.readouterr()
    assert "8 cases failed, first none on boxes of 0.png: boxes of 32 pixels need" in said.err
    assert "| `tv` |" in said.out and said.out.count("2 images are too few") == 1
    assert (tmp_path / "out" / "table.md").read_text() in said.out
    assert r"\toprule" in (tmp_path / "out" / "table.tex").read_text()
    assert main(f"{words} --out {tmp_path / 'out'}".split()) == 1
    assert "resume it, or choose another folder" in capsys.readouterr().err
    assert main(f"{words} --out {tmp_path / 'b'} --seeds one".split()) == 1
    assert "--seeds is whole numbers with commas between, got 'one'" in capsys.readouterr().err


def test_a_figure_that_no_table_can_hold_is_a_failure():
    class Spoils:
        def prox(self, v, sigma):
            return v * 0 + 0.5

    x = torch.full((1, 1, 24, 24), 0.5)
    # the truth itself, of which the PSNR is infinite
    row = run_case(case("spoils"), Deblur(), as_prior(Spoils()), x).row
    assert row["error"] == "PSNR is inf, which no table can hold"


def test_two_files_of_one_name_are_refused(folder, tmp_path):
    with pytest.raises(ValueError, match="two priors are called lpn"):
        compare(["a/lpn.safetensors", "lpn.safetensors"], ["deblur"], folder, tmp_path / "out")
