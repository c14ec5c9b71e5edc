"""Folders of images and of data sets: what they hold, and what is said of what they lack."""

import pytest

from proxlab.images import list_images
from proxlab.images.data_sets import find_data


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
