"""Folders of images and of data sets: what they hold, and what is said of what they lack."""

import numpy as np
import pytest

from proxlab.images import list_images
from proxlab.images.data_sets import find_data
from proxlab.images.folders import load_ct
from tests.images.test_dicom import save_dicom


def test_listing_a_folder(tmp_path):
    for name in ("b.png", "a.JPG", "c.tif", ".hidden.png", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "d.png").mkdir()
    assert [p.name for p in list_images(tmp_path)] == ["a.JPG", "b.png", "c.tif"]
    for folder, match in [("d.png", "holds no image"), ("e", "not exist"), ("b.png", "is a file")]:
        with pytest.raises(ValueError, match=match):
            list_images(tmp_path / folder)


def test_finding_data(tmp_path, monkeypatch):
    monkeypatch.delenv("PROXLAB_DATA", raising=False)
    with pytest.raises(ValueError, match="set12.*PROXLAB_DATA.*github.com/cszn/DnCNN"):
        find_data("set12")
    monkeypatch.setenv("PROXLAB_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"levin09.npz is missing.*Levin et al. 2009"):
        find_data("kernels/levin09.npz")
    with pytest.raises(FileNotFoundError, match="test001.png is missing.*get it here: BSD68"):
        find_data("bsd68/test001.png")
    with pytest.raises(FileNotFoundError, match="known are bsds400, set12"):
        find_data("faces")
    (tmp_path / "set12").mkdir()
    assert find_data("set12") == tmp_path / "set12"


def test_slices_without_a_suffix_are_found_and_notes_are_not(tmp_path):
    save_dicom(tmp_path / "1.2.840.2", np.full((2, 3), 1024))
    save_dicom(tmp_path / "IM0001", np.full((2, 3), 4095 + 1024))
    (tmp_path / "README").write_text("notes")
    (tmp_path / "3.1").write_text("")
    assert [p.name for p in list_images(tmp_path)] == ["1.2.840.2", "IM0001"]
    assert [round(float(x[0, 0]) * 4095) for x in load_ct(tmp_path)] == [1024, 4095]
