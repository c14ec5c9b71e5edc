"""`proxlab restore INPUT ct`: images scanned and restored, sinograms restored, in what file."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_bad_input import refuse

from proxlab.commands import restore
from proxlab.commands.main import main
from proxlab.images import read_image
from proxlab.operators.tomography.sinograms import read_geometry
from tests.images.test_dicom import save_dicom
from tests.operators.ct_files import FAST, PIXELS, SCAN, make_ct_files


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_ct_files()


def run(words):
    assert main(f"restore {words}".split()) == 0


def stored(path):
    with Image.open(path) as image:
        return np.asarray(image).astype(np.float64), image.mode


def test_a_scan_is_simulated_restored_and_scored(here, capsys):
    run(f"x.png {SCAN} --steps 6 --prior tv --device cpu --trace t.json")
    said = capsys.readouterr().out
    before, after = re.search(r"PSNR (\S+) -> (\S+) dB, SSIM", said).groups()
    assert "before: filtered back-projection" in said and float(after) > float(before)
    result = read_image("x-restored.png").pixels[0, 0]
    assert (result - torch.from_numpy(PIXELS)).square().mean() < 0.002
    assert len(json.loads(Path("t.json").read_text())["residual"]) <= 6


@pytest.mark.parametrize("name", ["x.png", "byte.png", "x.tif", "x.npy"])
def test_the_result_is_a_file_of_the_same_kind(here, name):
    run(f"{name} {SCAN} {FAST}")
    result, loaded = read_image(name.replace(".", "-restored."), unbounded=True), read_image(name)
    assert result.pixels.shape == (1, 1, 32, 32)
    assert result.bits == loaded.bits
    assert (result.pixels - loaded.pixels).abs().mean() < 0.05


@pytest.mark.parametrize("fan", ["", "--fan 80,120 --pixel-spacing 0.9 --detector-spacing 1.5"])
def test_the_sinogram_that_is_kept_gives_the_same_image_again(here, fan):
    run(f"x.png {SCAN} {fan} --save-sinogram kept.npy --out a.npy --seed 3 {FAST}")
    geometry = read_geometry("kept.npy")
    assert geometry.noise == 0.2 and len(geometry.scan.angles) == 12
    run(f"kept.npy ct --out b.npy {FAST}")
    assert Path("a.npy").read_bytes() == Path("b.npy").read_bytes()
    run(f"x.png {SCAN} {fan} --save-sinogram other.npy --out c.npy --seed 4 {FAST}")
    assert Path("a.npy").read_bytes() != Path("c.npy").read_bytes()
    assert Path("kept.npy").read_bytes() != Path("other.npy").read_bytes()


def test_an_offset_of_the_detector_is_simulated_recorded_and_used(here, capsys):
    off = "--detector-offset -2.4"
    run(f"x.png {SCAN} {off} --save-sinogram kept.npy --out a.npy --seed 3 {FAST}")
    assert read_geometry("kept.npy").scan.detector_offset == -2.4
    run(f"kept.npy ct --out b.npy {FAST}")
    assert Path("a.npy").read_bytes() == Path("b.npy").read_bytes()
    assert np.abs(np.load("a.npy") - PIXELS).mean() < 0.04
    Path("bare.npy").write_bytes(Path("kept.npy").read_bytes())
    run(f"bare.npy ct --angles 12 --size 32 --noise 0.2 {off} --out c.npy {FAST}")
    assert Path("a.npy").read_bytes() == Path("c.npy").read_bytes()
    run(f"bare.npy ct --angles 12 --size 32 --noise 0.2 --out d.npy {FAST}")
    assert np.abs(np.load("d.npy") - PIXELS).mean() > 0.06
    capsys.readouterr()
    told = refuse("restore kept.npy ct --detector-offset 2.4 --out e.npy", capsys)
    assert "--detector-offset means 2.4, but kept.json says -2.4" in told


def test_that_a_wrong_scale_of_the_sinogram_would_be_seen(here):
    run(f"y.npy ct --out a.npy {FAST}")
    card = json.loads(Path("y.json").read_text())
    Path("y.json").write_text(json.dumps(card | {"pixel_spacing": 0.9}))
    run(f"y.npy ct --out b.npy {FAST}")
    a, b = (np.load(name) for name in ("a.npy", "b.npy"))
    assert np.abs(a - PIXELS).mean() < 0.04 < np.abs(b - PIXELS).mean()


def test_options_in_the_place_of_json_and_beside_it(here):
    run(f"y.npy ct --out json.npy {FAST}")
    geometry = "--detectors 46 --detector-spacing 1 --pixel-spacing 1 --size 32"
    for name, options in [
        ("y", f"--angles 12 --noise 0.2 {geometry}"),
        ("y", "--angles-file even.txt"),
        ("bare", "--angles 12 --size 32 --noise 0.2"),
        ("bare", f"--angles 12 --noise 0.2 {geometry}"),
    ]:
        run(f"{name}.npy ct {options} --overwrite --out told.npy {FAST}")
        assert Path("told.npy").read_bytes() == Path("json.npy").read_bytes()
    run("bare.npy ct --angles-file uneven.txt --size 32 --noise 0.2 --out a.npy " + FAST)
    run("bare.npy ct --angles-file uneven.csv --size 32 --noise 0.2 --out b.npy " + FAST)
    assert Path("a.npy").read_bytes() == Path("b.npy").read_bytes()
    assert Path("a.npy").read_bytes() != Path("json.npy").read_bytes()
    run(f"clean.npy ct --noise 0.1 --out clean-at-0.1.npy {FAST}")  # 0 may be replaced
    run(f"fan.npy ct --noise 0.2 --fan 80,120 --angles 12 --out fan-told.npy {FAST}")


def test_a_sinogram_becomes_a_16_bit_png_unless_told_otherwise(here):
    run(f"y.npy ct {FAST}")
    levels, mode = stored("y-restored.png")
    assert mode == "I;16" and (levels % 257 != 0).any()
    run(f"y.npy ct --out y.tif {FAST}")
    run(f"y.npy ct --out exact.npy {FAST}")
    exact = np.load("exact.npy").clip(0, 1) * 65535
    assert np.abs(levels - exact).max() <= 0.51
    assert torch.equal(read_image("y.tif").pixels, read_image("y-restored.png").pixels)


def test_hounsfield_in_gives_hounsfield_out(here, capsys):
    run(f"slice.png {SCAN} --hounsfield --out slice-out.png {FAST}")
    run(f"slice.png {SCAN} --hounsfield --out slice-out.npy {FAST}")
    levels, mode = stored("slice-out.png")
    image = np.load("slice-out.npy")
    assert mode == "I;16" and levels.max() <= 4095
    assert np.abs(levels - image.clip(0, 1) * 4095).max() <= 0.51
    assert np.abs(image - PIXELS).mean() < 0.05
    assert capsys.readouterr().out == ""
    run(f"slice.png {SCAN} --out plain.npy {FAST.replace('--quiet', '')}")
    assert np.load("plain.npy").mean() < 0.1 * PIXELS.mean()  # as of any 16-bit PNG
    assert "if they are Hounsfield units + 1024, add --hounsfield" in capsys.readouterr().out
    run(f"x.png {SCAN} --out x-out.png {FAST.replace('--quiet', '')}")
    assert "add --hounsfield" not in capsys.readouterr().out
    run(f"y.npy ct --hounsfield --out y-out.png {FAST}")
    assert stored("y-out.png")[0].max() <= 4095


def test_errors_of_a_slice_are_told_and_drawn_in_hounsfield_units(here, capsys):
    fast = FAST.replace("--quiet", "")
    run(f"slice.png {SCAN} --hounsfield --out a.png --difference d.png {fast}")
    said = capsys.readouterr().out
    found = [
        float(re.search(rf"{when}: RMSE (\S+) HU, bias \S+ HU, noise", said)[1])
        for when in ("before", "after")
    ]
    truth, image = stored("slice.png")[0], stored("a.png")[0]
    body = truth - 1024 > -500
    assert found[1] == pytest.approx((image - truth)[body].std(), rel=0.2) and found[1] < found[0]
    width = truth.shape[1]
    drawn, mode = stored("d.png")
    assert mode == "L" and drawn.shape == (len(truth), 3 * width)
    shown = (np.clip((truth - 1024 + 160) / 400, 0, 1) * 255).round()
    assert np.abs(drawn[:, width : 2 * width] - shown).max() <= 1
    apart = (np.clip(0.5 + (image - truth) / 200, 0, 1) * 255).round()
    assert np.abs(drawn[:, 2 * width :] - apart).max() <= 2
    run(f"x.png {SCAN} --out x-out.png {fast}")
    assert "HU" not in capsys.readouterr().out


BAD_DIFFERENCES = [
    (f"x.png {SCAN}", "d.png", "x.png is no DICOM; add --hounsfield if"),
    ("y.npy ct", "d.png", "from one slice that is known"),
    ("x.png denoise --noise 0.1", "d.png", "from one slice that is known"),
    (f"slice.png {SCAN} --hounsfield", "d.npy", "a picture to look at, .png"),
    (f"slice.png {SCAN} --hounsfield", "slice.png", "slice.png exists"),
]


@pytest.mark.parametrize("words, place, said", BAD_DIFFERENCES)
def test_differences_that_cannot_be(here, capsys, words, place, said):
    assert main(f"restore {words} --difference {place} {FAST}".split()) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("problem", [SCAN, "deblur --blur-sigma 0.5 --noise 0.01"])
def test_dicom_in_gives_dicom_out(here, problem, capsys):
    pydicom = pytest.importorskip("pydicom")
    values = np.rint(PIXELS * 4095)
    values[0, :4] = -900  # as outside of the circle that a scanner sees
    save_dicom(Path("p.dcm"), values)
    run(f"p.dcm {problem} {FAST.replace('--quiet', '')}")
    assert "0.39 % of the pixels of p.dcm were outside -1024 .. 3071 HU" in capsys.readouterr().out
    source, copy = (pydicom.dcmread(name) for name in ("p.dcm", "p-restored.dcm"))
    assert copy.PatientName == source.PatientName == "Doe^Jane"
    assert copy.SOPInstanceUID != source.SOPInstanceUID
    run(f"p.dcm {problem} --out p.npy {FAST}")
    assert np.abs(np.load("p.npy") * 4095 - copy.pixel_array).max() <= 0.51
    said = refuse(f"restore p.dcm {problem} {FAST}", capsys)
    assert "p-restored.dcm exists already" in said


def test_the_default_prior(here, monkeypatch, capsys):
    asked = []

    def load(name, sha256):
        assert not sha256
        asked.append(name)
        raise ValueError("asked")

    monkeypatch.setattr(restore, "named_prior", load)
    quick = FAST.replace("--prior none", "")
    refuse(f"restore y.npy ct {quick}", capsys)
    refuse(f"restore y.npy ct {quick} --prior tv", capsys)
    refuse(f"restore x.png deblur --blur-sigma 1 --noise 0.1 {quick}", capsys)
    assert asked == ["lpn-ct", "tv", "lpn-gray"]


@pytest.mark.parametrize(
    "words, noise",
    [("y.npy ct", None), (f"x.png {SCAN}", None), ("x.png deblur --blur-sigma 1 --noise 0.1", 0.1)],
)
def test_the_noise_of_a_scan_is_that_of_its_operator(here, monkeypatch, words, noise, capsys):
    def told(y, op, prior, solver, **settings):
        known = float(op.noise_model.sigma)
        raise ValueError(f"told {settings['noise']}, known {known:.1f}")

    monkeypatch.setattr(restore, "restore", told)
    said = refuse(f"restore {words} {FAST}", capsys)
    assert f"told {noise}, known {noise or 0.2}" in said


@pytest.mark.parametrize("command", ["", "restore"])
def test_help_is_quick(command):
    code = f"from proxlab.commands.main import main; main('{command} --help'.split())"
    said = subprocess.run([sys.executable, "-v", "-c", code], capture_output=True, text=True)
    assert said.returncode == 0 and "--help" in said.stdout
    loaded = set(re.findall(r"^import '(\w+)'", said.stderr, re.MULTILINE))
    assert "argparse" in loaded and not loaded & {"torch", "deepinv", "numpy"}
