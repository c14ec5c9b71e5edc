"""Scans in npy, TIFF and HDF5 files: the order of their axes, fields and angles."""

import sys

import numpy as np
import pytest
import tifffile

from proxlab.images.operator_files import read_angles
from proxlab.operators.tomography.scan_files import LAYOUTS, open_scan, read_frames

S, V, D = 3, 5, 7
STACK = np.random.default_rng(0).uniform(1, 2, (S, V, D)).astype(np.float32)


def saved(path, array):
    if path.suffix == ".npy":
        np.save(path, array)
    else:
        tifffile.imwrite(path, array, photometric="minisblack")
    return path


def exchange(path, **changed):
    """A file of Data Exchange of STACK."""
    h5py = pytest.importorskip("h5py")
    sets = {
        "data": STACK.swapaxes(0, 1),
        "data_white": np.full((4, S, D), 3.0),
        "data_dark": np.zeros((2, S, D)),
        "theta": np.arange(V) * 36.0,
    } | changed
    with h5py.File(path, "w") as file:
        for name, values in sets.items():
            if values is not None:
                file[f"exchange/{name}"] = values
    return path


@pytest.mark.parametrize("suffix", [".npy", ".tif"])
def test_slices_and_projections_are_told_by_the_views(tmp_path, suffix):
    for name, turned in (("slices", STACK), ("projections", STACK.swapaxes(0, 1))):
        path = saved(tmp_path / f"{name}{suffix}", np.ascontiguousarray(turned))
        found = open_scan(path, views=V)
        assert found.shape == (S, V, D)
        np.testing.assert_array_equal(found.read(1, 3), STACK[1:3])
        assert ("was taken for [views,slices,detectors]" in found.note) == (name == "projections")


@pytest.mark.parametrize("suffix", [".npy", ".tif"])
def test_one_sinogram_and_its_transpose(tmp_path, suffix):
    for name, turned in (("a", STACK[0]), ("b", STACK[0].T)):
        path = saved(tmp_path / f"{name}{suffix}", np.ascontiguousarray(turned))
        found = open_scan(path, views=V)
        assert found.shape == (1, V, D) and bool(found.note) == (name == "b")
        np.testing.assert_array_equal(found.read(0, 1)[0], STACK[0])
    assert open_scan(path).shape == (1, D, V)  # nobody told how many views there are


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_told_order_is_taken(tmp_path, layout):
    names = layout.split(",")
    sizes = {"slices": S, "views": V, "detectors": D}
    full = STACK if "slices" in names else STACK[0]
    ours = [n for n in ("slices", "views", "detectors") if n in names]
    path = saved(tmp_path / "a.npy", full.transpose([ours.index(n) for n in names]))
    found = open_scan(path, layout=layout)
    assert found.shape == (sizes["slices"] if len(names) == 3 else 1, V, D)
    np.testing.assert_array_equal(found.read(0, 1)[0], STACK[0])


def test_what_the_shape_does_not_tell_is_asked_for(tmp_path):
    square = saved(tmp_path / "square.npy", np.ones((V, V)))
    with pytest.raises(ValueError, match=r"two axes as long .*--layout views,detectors or detec"):
        open_scan(square, views=V)
    assert open_scan(square, views=V, layout="detectors,views").shape == (1, V, V)
    cube = saved(tmp_path / "cube.npy", np.ones((V, V, D)))
    with pytest.raises(ValueError, match="--layout slices,views,detectors or views,slices,"):
        open_scan(cube, views=V)
    with pytest.raises(ValueError, match=r"has shape \[5, 5, 7\], and --layout detectors,views an"):
        open_scan(cube, layout="detectors,views")


def test_data_exchange_is_known_by_its_keys(tmp_path):
    found = open_scan(exchange(tmp_path / "a.h5"))
    assert found.shape == (S, V, D) and found.note == ""
    np.testing.assert_array_equal(found.read(0, S), STACK)
    assert found.flat.shape == (4, S, D) and found.dark.shape == (2, S, D)
    np.testing.assert_array_equal(found.angles, np.arange(V) * 36.0)
    alone = open_scan(exchange(tmp_path / "b.h5", data_white=None, data_dark=None, theta=None))
    assert alone.flat is None and alone.dark is None and alone.angles is None


def test_what_is_wrong_in_hdf5_is_said(tmp_path, monkeypatch):
    for name, match, changed in (
        ("a.h5", "no data set /exchange/data", {"data": None}),
        ("b.h5", r"has shape \(3, 5\), not \[views", {"data": np.ones((3, 5))}),
        ("c.h5", r"data_white of .* has shape \(4, 2, 2\)", {"data_white": np.ones((4, 2, 2))}),
        ("d.h5", "4 angles in /exchange/theta for 5 projections", {"theta": np.arange(4)}),
    ):
        with pytest.raises(ValueError, match=match):
            open_scan(exchange(tmp_path / name, **changed))
    (tmp_path / "cut.h5").write_bytes((tmp_path / "a.h5").read_bytes()[:300])
    with pytest.raises(ValueError, match="may be damaged"):
        open_scan(tmp_path / "cut.h5")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ValueError, match=r"h5py is not installed; pip install proxlab\[hdf5\]"):
        open_scan(tmp_path / "a.h5")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_three_slices_that_tifffile_took_for_colours(tmp_path):
    whole = (100 * STACK).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", whole)  # photometric guessed, RGB
    found = open_scan(tmp_path / "a.tif", views=V)
    np.testing.assert_array_equal(found.read(0, 3), whole)
    assert "stores 3 colours apart" in found.note
    tifffile.imwrite(tmp_path / "b.tif", whole.transpose(1, 2, 0), photometric="rgb")
    with pytest.raises(ValueError, match="has colours, and a sinogram has none"):
        open_scan(tmp_path / "b.tif", views=V)


def test_other_files_are_refused(tmp_path):
    np.save(tmp_path / "flat.npy", np.ones(4))
    np.save(tmp_path / "nan.npy", np.full((2, 3), np.nan))
    (tmp_path / "a.png").write_bytes(b"x")
    for name, match in (("flat", "a sinogram is"), ("nan", "NaN or infinite")):
        with pytest.raises(ValueError, match=match):
            open_scan(tmp_path / f"{name}.npy")
    with pytest.raises(ValueError, match="is no sinogram; those read here are .npy, .tif"):
        open_scan(tmp_path / "a.png")
    with pytest.raises(ValueError, match="npy or TIFF"):
        read_frames(tmp_path / "a.png")
    np.testing.assert_array_equal(read_frames(tmp_path / "flat.npy"), np.ones(4))


def test_angles_in_json(tmp_path):
    for text in (
        "[0, 1.25, 42.5]",
        '{"angles": [0, 1.25, 42.5]}',
        '{"theta": [0, 1.25,42.5]}',
    ):
        (tmp_path / "a.json").write_text(text)
        np.testing.assert_array_equal(read_angles(tmp_path / "a.json"), [0, 1.25, 42.5])
    for text in ('{"x": [1]}', "3", '["a"]', "[true]"):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(ValueError, match="holds no list of degrees"):
            read_angles(tmp_path / "a.json")
