"""`proxlab restore INPUT ct` refuses in one sentence: geometry, files that do not fit."""

import re
from pathlib import Path

import numpy as np
import pytest
from test_bad_input import refuse

from proxlab.commands.main import main
from tests.images.test_dicom import save_dicom
from tests.operators.ct_files import FAST, PIXELS, SCAN, make_ct_files


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_ct_files()


BAD = [
    (f"colour.png {SCAN}", r"colour\.png has colours, .*; save it as gray"),
    (f"oblong.png {SCAN} --size 32", r"is 30 x 32, but --size says 32; leave --size out"),
    (f"byte.png {SCAN} --hounsfield", r"has 8 bits and 1 channel.*; a CT slice is DICOM, or"),
    (f"x.png {SCAN} --hounsfield", r"values up to \d+, Hounsfield units \+ 1024 end at 4095"),
    ("x.png ct --simulate --angles 0 --noise 1", r"at least one view, got angles=0"),
    ("x.png ct --simulate --angles 9 --noise -1", r"standard deviation .*, >= 0, got -1\.0"),
    ("x.png ct --simulate --angles 9 --noise nan", r"standard deviation .* got nan"),
    (f"x.png {SCAN} --detectors 0", r"detectors of a scan is a whole number from 1 on, got 0"),
    (f"x.png {SCAN} --detector-spacing 0", r"detector_spacing is a length, .* got 0\.0"),
    (f"x.png {SCAN} --pixel-spacing nan", r"pixel_spacing is a length, .* got nan"),
    (f"x.png {SCAN} --fan 3", r"--fan is two lengths SOURCE_TO_AXIS,.*, got '3'"),
    (f"x.png {SCAN} --fan 10,20", r"the source, 10 from the axis, would pass through"),
    (f"x.png {SCAN} --fan 0,20", r"source_to_axis of a fan beam is a length, .* got 0"),
    ("x.png ct --simulate --noise 1 --angles-file no.txt", r"no\.txt does not exist; check"),
    ("x.png ct --simulate --noise 1 --angles-file words.txt", r"words\.txt is no table of numbers"),
    ("x.png ct --simulate --noise 1 --angles-file empty.txt", r"empty\.txt has shape \(0,.*\)"),
    ("x.png ct --simulate --noise 1 --angles-file x.npy", r"x\.npy has shape \(32, 32\); angles"),
    ("x.png ct --simulate --noise 1 --angles-file radians.npy", r"seem to be in radians"),
    (f"x.png {SCAN} --save-sinogram s.png", r"a sinogram is an \.npy file; name it so"),
    (f"x.png {SCAN} --save-sinogram y.npy", r"y\.npy exists already; .*--overwrite"),
    (f"x.png {SCAN} --save-sinogram s.npy --out s.npy", r"both to be s\.npy; choose another"),
    (f"x.png {SCAN} --save-sinogram s.npy --trace s.json", r"both to be s\.json; choose"),
    (f"x.png {SCAN} --out new.dcm", r"only as a copy of the DICOM .* x\.png is none; use \.png"),
    ("x.png ct --angles 9 --noise 1", r"x\.png is no sinogram, .*; .* add --simulate"),
    ("bare.npy ct --noise 1", r"no bare\.json beside it .*; give --angles or --angles-file, and"),
    ("bare.npy ct --noise 1 --angles 12", r"no bare\.json beside it .*--size"),
    ("bare.npy ct --angles 13 --size 32 --noise 1", r"= \[12, 46\], .* 13 views of 46 detectors"),
    ("bare.npy ct --angles 46 --size 32 --noise 1 --detectors 46", r"46 views .* of 12|= \[46, 12"),
    ("nan.npy ct --angles 12 --size 32 --noise 1", r"552 values NaN or infinite; replace them"),
    ("broken.npy ct", r"broken\.json is not JSON"),
    ("y.npy ct --angles 11", r"--angles means 11 angles .* says 12 angles from 0 to 165 degrees"),
    ("y.npy ct --angles-file uneven.txt", r"--angles-file means 12 angles from 0 to 36"),
    ("y.npy ct --detectors 45", r"--detectors means 45, but y\.json says 46; leave the option"),
    ("y.npy ct --detector-spacing 2", r"--detector-spacing means 2\.0, but y\.json says 1\.0"),
    ("y.npy ct --pixel-spacing 2", r"--pixel-spacing means 2\.0, but"),
    ("y.npy ct --size 31", r"--size means 31, but y\.json says 32"),
    ("y.npy ct --fan 80,120", r"--fan means a fan of 80 and 120, but y\.json says parallel rays"),
    ("fan.npy ct --noise 1 --fan 81,120", r"a fan of 81 and 120, but .* a fan of 80 and 120"),
    ("y.npy ct --noise 0.3", r"--noise says 0\.3, but y\.json says 0\.2; .*--weight"),
    ("hu.npy ct", r"hu\.npy holds values from -.*Hounsfield units, measure \(HU \+ 1024\) / 4095"),
    ("y.npy ct --out new.jpg", r"an image from a sinogram has 16 bits and \.jpg only 8"),
    ("y.npy ct --out new.dcm", r"y\.npy is none; use \.png or \.npy"),
]


@pytest.mark.parametrize("words, sentence", BAD, ids=[sentence for _, sentence in BAD])
def test_it_refuses_in_a_sentence(here, words, sentence, capsys):
    assert re.search(sentence, refuse(f"restore {words} {FAST}", capsys))


def test_a_blurred_slice_that_grows_is_no_dicom(here, capsys):
    save_dicom(Path("p.dcm"), np.rint(PIXELS * 4095))
    valid = f"restore p.dcm deblur --blur-sigma 0.5 --noise 0.01 --boundary valid {FAST}"
    assert "--boundary valid the result is larger" in refuse(f"{valid} --out new.dcm", capsys)
    assert main(valid.split()) == 0
    assert Path("p-restored.png").exists()


@pytest.mark.parametrize(
    "words",
    [
        "x.png ct --simulate --noise 1",
        "x.png ct --simulate --angles 9",
        "x.png ct --simulate --angles 9 --noise auto",
        "x.png ct --simulate --angles 9 --angles-file even.txt --noise 1",
        "x.png ct --simulate --angles 9 --noise 1 --blur-sigma 1",
        "x.png ct --simulate --angles 9 --noise 1 --missing 0.5",
        "y.npy ct --save-sinogram new.npy",
        "x.png deblur --blur-sigma 1 --simulate",
        "x.png deblur --blur-sigma 1 --noise 0.1 --angles 0",
        "x.png deblur --blur-sigma 1 --noise 0.1 --missing 0",
        "x.png deblur --blur-sigma 1 --noise 0.1 --start crate-completion",
        "x.png inpaint --noise 0.1",
        "x.png inpaint --missing 0.5 --simulate",
        "x.png inpaint --missing 0.5 --noise 0.1 --boundary valid",
        "x.png inpaint --missing 0.5 --noise 0.1 --hounsfield",
        "x.png inpaint --missing 0.5 --noise 0.1 --save-sinogram new.npy",
    ],
)
def test_bad_usage_exits_2(here, words, capsys):
    with pytest.raises(SystemExit) as stop:
        main(f"restore {words} {FAST}".split())
    assert stop.value.code == 2 and "proxlab restore: error: " in capsys.readouterr().err


def test_an_option_of_another_problem_is_named(here, capsys):
    with pytest.raises(SystemExit):
        main(f"restore x.png inpaint --noise 0.1 --missing 0.5 --pixel-spacing 0 {FAST}".split())
    assert "--pixel-spacing is for ct, not for inpaint" in capsys.readouterr().err
