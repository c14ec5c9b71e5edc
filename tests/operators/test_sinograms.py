"""Sinograms in files: what is written comes back to the bit, with its scan; all else refused."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from proxlab.operators import ct
from proxlab.operators.tomography.scan import FanBeam, Scan, even_angles
from proxlab.operators.tomography.sinograms import (
    check_line_integrals,
    read_geometry,
    read_sinogram,
    write_sinogram,
)
from tests.images.pictures import names

PARALLEL = Scan(8, 6, even_angles(7, 180.0), 11, 0.9, 0.7, (0.5, -1.0))
FAN = Scan(8, 6, (0.1, 1 / 3, 90.0), 11, beam=FanBeam(50.5, 90.25))


def sinogram(scan, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, 1, len(scan.angles), scan.detectors, generator=generator)


@pytest.mark.parametrize("scan", [PARALLEL, FAN], ids=["parallel", "fan"])
def test_what_is_written_comes_back(tmp_path, scan):
    path, y = tmp_path / "y.npy", sinogram(scan)
    write_sinogram(path, y.double(), scan, noise=0.1, unit="mm")
    back, found = read_sinogram(path)
    assert torch.equal(back, y) and back.dtype == torch.float32 and found == scan
    assert read_geometry(path)[1:] == (0.1, "mm")
    assert names(tmp_path) == ["y.json", "y.npy"]
    assert np.load(path).shape == (len(scan.angles), 11)  # what other programs will find


@pytest.mark.parametrize("field", ["height", "angles", "detector_spacing", "axis", "beam"])
def test_that_check_sees_a_field_that_is_lost(tmp_path, field):
    write_sinogram(tmp_path / "y.npy", sinogram(FAN), FAN)
    card = json.loads((tmp_path / "y.json").read_text())
    other = {"height": 9, "angles": [0, 1, 2], "detector_spacing": 2, "axis": [1, 0]}
    card[field] = other.get(field, {"kind": "parallel"})
    (tmp_path / "y.json").write_text(json.dumps(card))
    assert read_sinogram(tmp_path / "y.npy")[1] != FAN


@pytest.mark.parametrize("dtype", ["<f8", ">f4", "<f2", "<u2", "<i4"])
def test_a_sinogram_of_another_program(tmp_path, dtype):
    values = np.arange(12).reshape(3, 4).astype(dtype)
    np.save(tmp_path / "y.npy", values)
    y, scan = read_sinogram(tmp_path / "y.npy")
    assert scan is None and y.dtype == torch.float32
    assert torch.equal(y[0, 0], torch.arange(12.0).reshape(3, 4))


@pytest.mark.parametrize(
    "values, match",
    [
        (np.zeros(77), r"shape \(77,\); a sinogram is \[views, detectors\], not empty"),
        (np.zeros((1, 1, 7, 11)), r"shape \(1, 1, 7, 11\)"),
        (np.zeros((0, 11)), r"shape \(0, 11\)"),
        (np.full((7, 11), np.nan), "77 values NaN or infinite; replace"),
        (np.full((7, 11), 1e300), "77 values NaN or infinite"),  # beyond float32
        (np.zeros((7, 11), complex), "type complex128; save real numbers"),
        (np.zeros((11, 7)), r"= \[11, 7\], .*y\.json tell of 7 views of 11 .*; transpose it\?"),
        (np.zeros((7, 12)), r"= \[7, 12\], .* of 7 views of 11 detectors; one of them belongs"),
    ],
)
def test_bad_sinograms(tmp_path, values, match):
    write_sinogram(tmp_path / "y.npy", sinogram(PARALLEL), PARALLEL)
    np.save(tmp_path / "y.npy", values)
    refused(tmp_path / "y.npy", match)


LACKING = {"objective": [1, 2]}


@pytest.mark.parametrize(
    "change, match",
    [
        ("{", r"y\.json is not JSON \(.*\); write it anew, or remove it"),
        ("\xff", r"y\.json is not JSON"),
        ("[1, 2]", r"y\.json lacks height, width, angles, detectors, .* of a CT scan; write"),
        (json.dumps(LACKING), r"y\.json lacks height"),
        ({"angles": None}, r"no CT scan \(angles are a list of degrees, got .*\); write it anew"),
        ({"angles": [3, 2, 3]}, r"the view at 3 degrees is there twice"),
        ({"angles": ["a"]}, r"no CT scan \(.*\); write it anew"),
        ({"detectors": 10.5}, r"detectors of a scan is a whole number from 1 on, got 10\.5"),
        ({"pixel_spacing": math.nan}, r"pixel_spacing is a length, .* got nan"),
        ({"detector_spacing": "1"}, r"detector_spacing is a length, .* got 1"),
        ({"axis": 3}, r"no CT scan"),
        ({"axis": ["a", "b"]}, r"no CT scan"),
        ({"beam": "fan"}, r"no CT scan"),
        ({"beam": {"kind": "cone"}}, r"no CT scan \('cone'\)"),
        ({"beam": {"kind": "fan", "source_to_axis": 1}}, r"no CT scan .*source_to_detector"),
        ({"beam": {"kind": "fan", "source_to_axis": 1, "source_to_detector": 9}}, "pass through"),
        ({"noise": -1}, r"noise is a standard deviation >= 0, got -1"),
        ({"noise": "loud"}, r"noise is a standard deviation >= 0, got loud"),
        ({"noise": True}, r"noise is a standard deviation >= 0, got True"),
    ],
)
def test_bad_geometry(tmp_path, change, match):
    write_sinogram(tmp_path / "y.npy", sinogram(PARALLEL), PARALLEL)
    card = tmp_path / "y.json"
    if isinstance(change, dict):
        change = json.dumps(json.loads(card.read_text()) | change)
    card.write_bytes(change.encode("latin-1"))
    refused(tmp_path / "y.npy", match)


def refused(path, match):
    with pytest.raises(ValueError, match=match) as caught:
        read_sinogram(path)
    assert "\n" not in str(caught.value) and path.stem in str(caught.value)


@pytest.mark.parametrize(
    "name, y, match",
    [
        ("y.txt", sinogram(PARALLEL), r"a sinogram is an \.npy file; name it so"),
        ("no/y.npy", sinogram(PARALLEL), "there is no folder"),
        ("y.npy", sinogram(PARALLEL)[0, 0], r"\[1, 1, views, detectors\], got \[7, 11\]"),
        ("y.npy", sinogram(PARALLEL).expand(2, -1, -1, -1), r"got \[2, 1, 7, 11\]"),
        ("y.npy", sinogram(PARALLEL).mT, r"= \[11, 7\], but the fields .*; transpose it\?"),
        ("y.npy", sinogram(PARALLEL) * math.nan, "77 values are NaN or infinite; look upstream"),
    ],
)
def test_bad_writes_leave_nothing(tmp_path, name, y, match):
    with pytest.raises(ValueError, match=match):
        write_sinogram(tmp_path / name, y, PARALLEL)
    assert names(tmp_path) == []


@pytest.mark.parametrize("old", ["y.npy", "y.json"])
def test_neither_file_is_overwritten_unasked(tmp_path, old):
    (tmp_path / old).write_bytes(b"old")
    with pytest.raises(FileExistsError, match=f"{old} exists already"):
        write_sinogram(tmp_path / "y.npy", sinogram(PARALLEL), PARALLEL)
    assert names(tmp_path) == [old] and (tmp_path / old).read_bytes() == b"old"
    write_sinogram(tmp_path / "y.npy", sinogram(PARALLEL), PARALLEL, overwrite=True)
    assert read_sinogram(tmp_path / "y.npy")[1] == PARALLEL


def test_line_integrals_of_an_image_pass_and_those_of_other_units_do_not():
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(1, 1, 32, 32, generator=generator)
    op = ct(32, 12, noise=0.5)
    for image in (x, torch.ones_like(x), torch.zeros_like(x)):
        check_line_integrals("y.npy", op(image, generator=generator), op.scan, 0.5)
    hounsfield = op.A(4095 * 0.3 * x - 1024)
    air = op.A(torch.full_like(x, -1.0))  # 1000 HU as 1
    for y, match in [
        (hounsfield, r"not negative; .* measure \(HU \+ 1024\) / 4095"),
        (air, "not negative"),
        (op.A(255 * x), r"at most its length; divide by the largest value that"),
        (op.A(x) * 10, r"45\.25 long"),
    ]:
        with pytest.raises(ValueError, match=match):
            check_line_integrals("y.npy", y, op.scan, 0.5)
    finer = replace(op.scan, pixel_spacing=10.0)  # lengths ten times as long
    check_line_integrals("y.npy", op.A(x) * 10, finer, 0.5)
