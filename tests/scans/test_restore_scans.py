"""`proxlab restore INPUT ct` of counts, stacks, HDF5 and scikit-image's sinograms."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from proxlab.commands.main import main
from proxlab.images import read_image
from proxlab.operators import ct
from proxlab.operators.tomography.abdomen import abdomen
from tests.scans.test_scan_files import exchange

N, V, K, S = 40, 48, 0.03, 3
GOLDEN = np.mod(111.246117975 * np.arange(V), 180)
X = ((abdomen(N) + 1024) / 4095).float() * torch.tensor([1.0, 0.8, 0.6]).view(-1, 1, 1, 1)
OP = ct(N, GOLDEN, detector_offset=1.5)
D = OP.scan.detectors
FLAT = 4000 * (1 + 0.3 * np.sin(np.arange(D)))
DARK = np.full(D, 200.0)
RUN = "--prior tv --steps 25 --device cpu"


def counts():
    """[S, V, D], 5 counts a photon."""
    rng = np.random.default_rng(0)
    rays = FLAT / 5 * np.exp(-K * OP.A(X)[:, 0].double().numpy())
    return (DARK + 5 * rng.poisson(rays)).astype(np.float32)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("flat.npy", np.stack([DARK + FLAT] * 2))
    np.save("dark.npy", DARK)
    Path("golden.json").write_text(json.dumps(GOLDEN.tolist()))
    np.save("stack.npy", counts())
    np.save("one.npy", counts()[0])
    exchange(
        tmp_path / "scan.h5",
        data=counts().swapaxes(0, 1),
        data_white=np.stack([DARK + FLAT] * S)[None],
        data_dark=np.stack([DARK] * S)[None],
        theta=GOLDEN,
    )


GEOMETRY = f"--size {N} --detector-offset 1.5"
TOLD = f"--angles-file golden.json {GEOMETRY}"
FIELDS = "--flat flat.npy --dark dark.npy"


def run(words):
    assert main(f"restore {words} {RUN}".split()) == 0


def error(path, page=None):
    pages = np.atleast_3d(tifffile.imread(path).T).T if path.endswith(".tif") else None
    image = read_image(path, unbounded=True).pixels[0, 0].numpy() if pages is None else pages[page]
    return float(np.abs(image - X[page or 0, 0].numpy()).mean())


def test_counts_of_one_slice(here, capsys):
    run(f"one.npy ct {TOLD} {FIELDS} --attenuation {K} --photons 800 --out a.npy")
    said = capsys.readouterr().out
    assert "line integrals taken from counts, 2 flat and 1 dark frames averaged" in said
    assert "noise estimated" not in said and error("a.npy") < 0.025
    run(f"one.npy ct {TOLD} {FIELDS} --attenuation {K} --out b.npy")
    assert "noise estimated at" in capsys.readouterr().out and error("b.npy") < 0.03
    run(f"one.npy ct {TOLD} --flat flat.npy --attenuation {K} --photons 800 --out c.npy")
    assert error("c.npy") > 1.2 * error("a.npy")  # a dark field that is left out is seen


def test_the_attenuation_of_bright_pixels_is_taken_and_said(here, capsys):
    run(f"one.npy ct {TOLD} {FIELDS} --photons 800 --out a.npy")
    said = re.search(r"attenuation of 1 in the image taken as (\S+) per", capsys.readouterr().out)
    bright = float(X[0].flatten().sort().values[-3])
    assert float(said[1]) == pytest.approx(K * bright, rel=0.4)
    a = np.load("a.npy") * float(said[1]) / K
    assert np.abs(a - X[0, 0].numpy()).mean() < 0.03


def test_rings_and_zingers_are_removed_and_said(here, capsys):
    spoilt = counts()[0]
    spoilt[:, ::7] = DARK[::7] + 1.1 * (spoilt[:, ::7] - DARK[::7])
    spoilt[[5, 9, 20, 33], [20, 31, 28, 15]] = 60000
    np.save("spoilt.npy", spoilt)
    base = f"spoilt.npy ct {TOLD} {FIELDS} --attenuation {K} --photons 800"
    run(f"{base} --out a.npy")
    capsys.readouterr()
    run(f"{base} --rings --zingers --out b.npy")
    said = capsys.readouterr().out
    hit = int(re.search(r"zingers: (\d+) of \d+ rays", said)[1])
    assert 4 <= hit <= 12 and re.search(r"rings: stripes of \S+ rms taken off", said)
    assert error("b.npy") < 0.7 * error("a.npy")


@pytest.mark.parametrize("name", ["stack.npy", "scan.h5", "projections.tif"])
def test_stacks_become_a_tiff(here, capsys, name):
    tifffile.imwrite("projections.tif", counts().swapaxes(0, 1), photometric="minisblack")
    own = f"{name} ct {GEOMETRY}" if name == "scan.h5" else f"{name} ct {TOLD} {FIELDS}"
    run(f"{own} --attenuation {K} --photons 800 --trace t.json")
    said = capsys.readouterr().out
    out = f"{Path(name).stem}-restored.tif"
    pages = tifffile.imread(out)
    assert pages.shape == (S, N, N) and pages.dtype == np.float32
    assert max(error(out, page) for page in range(S)) < 0.025
    assert re.search(r"certified: (all 3|\d of 3) slices", said) and said.strip().endswith(out)
    assert len(json.loads(Path("t.json").read_text())["slices"]) == S
    assert ("was taken for [views,slices,detectors]" in said) == (name == "projections.tif")
    run(f"{own} --attenuation {K} --photons 800 --page 2 --out two.npy")
    np.testing.assert_allclose(np.load("two.npy"), pages[1], atol=2e-3)


def test_a_stack_becomes_a_dicom_series(here, capsys):
    pydicom = pytest.importorskip("pydicom")
    lengths = "--pixel-spacing 1 --detector-spacing 1"
    run(f"scan.h5 ct {GEOMETRY} {lengths} --attenuation {K} --photons 800 --out series")
    assert "taken for mm: pixels of 1, slices 1 apart" in capsys.readouterr().out
    files = [pydicom.dcmread(path) for path in sorted(Path("series").iterdir())]
    assert [int(one.InstanceNumber) for one in files] == [1, 2, 3]
    assert len({one.SeriesInstanceUID for one in files}) == 1
    assert len({one.SOPInstanceUID for one in files}) == 3
    for k, one in enumerate(files):
        assert not one.PatientName and not one.PatientID and one.RescaleType == "US"
        values = one.pixel_array * float(one.RescaleSlope) + float(one.RescaleIntercept)
        assert float(np.abs(values / K - X[k, 0].numpy()).mean()) < 0.025
        assert (list(one.PixelSpacing), one.ImagePositionPatient[2]) == ([1, 1], k)
        assert float(one.WindowWidth) == pytest.approx(K)


def test_line_integrals_become_a_series_in_hounsfield_units(here):
    pydicom = pytest.importorskip("pydicom")
    rng = torch.Generator().manual_seed(0)
    y = OP.A(X)[:, 0] + 0.2 * torch.randn(S, V, D, generator=rng)
    np.save("lines.npy", y.numpy())
    run(f"lines.npy ct {TOLD} --out series")
    one = pydicom.dcmread("series/slice-0001.dcm")
    assert one.RescaleType == "HU" and float(one.RescaleIntercept) == -1024
    back = read_image("series/slice-0001.dcm")
    assert float((back.pixels - X[:1].clamp(0, 1)).abs().mean()) < 0.02


def test_the_offset_is_found_in_the_middle_slice(here, capsys):
    run(f"scan.h5 ct --size {N} --detector-offset auto --attenuation {K} --photons 800")
    found = re.search(r"detector offset estimated in slice 2 at (\S+) \+-", capsys.readouterr().out)
    assert float(found[1]) == pytest.approx(1.5, abs=0.2)


def test_detectors_first_is_recognised(here, capsys):
    np.save("turned.npy", np.load("one.npy").T)
    for name in ("one", "turned"):
        run(f"{name}.npy ct {TOLD} {FIELDS} --attenuation {K} --photons 800 --out {name}-r.npy")
    said = capsys.readouterr().out
    assert "turned.npy was taken for [detectors,views], since 48 are the views" in said
    assert Path("one-r.npy").read_bytes() == Path("turned-r.npy").read_bytes()


BAD = [
    (f"one.npy ct {TOLD} --photons 800", "--photons weighs rays by a flat field.*give --flat"),
    (f"one.npy ct {TOLD} --dark dark.npy", "--dark needs a flat field"),
    (f"one.npy ct {TOLD} --flat dark.npy", r"most rays counted over 1.1 times as much"),
    (f"one.npy ct {TOLD} --flat stack.npy", r"stack\.npy has shape \[3, 48, 57\]|and the scan"),
    (f"scan.h5 ct {GEOMETRY} --angles 48", "tells the angles of its views"),
    (f"stack.npy ct {TOLD} {FIELDS} --page 9", "holds 3 slices; --page is not 9"),
    (f"stack.npy ct {TOLD} {FIELDS} --out a.png", r"3 slices, which become a \.tif, or a folder"),
    (f"one.npy ct --angles 57 --size 40 {FIELDS}", "views"),
]


@pytest.mark.parametrize("words, sentence", BAD, ids=[sentence for _, sentence in BAD])
def test_it_refuses_in_a_sentence(here, words, sentence, capsys):
    before = sorted(Path(".").iterdir())
    assert main(f"restore {words} {RUN} --quiet".split()) == 1
    said = capsys.readouterr().err
    assert re.search(sentence, said) and said.count("\n") == 1
    assert sorted(Path(".").iterdir()) == before
