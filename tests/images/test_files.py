"""A file is written whole or not at all, whatever interrupts it."""

import json
from pathlib import Path

import pytest
import torch

from proxlab.images import write_image
from proxlab.images.files import write_json, writing
from tests.images.pictures import names


def test_writing_renames_on_success(tmp_path):
    with writing(tmp_path / "a.b.npz") as temporary:
        assert temporary.parent == tmp_path and temporary.suffix == ".npz"
        assert names(tmp_path) == [temporary.name] and temporary.name.startswith(".")
        temporary.write_text("new")
    assert names(tmp_path) == ["a.b.npz"] and (tmp_path / "a.b.npz").read_text() == "new"


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, RuntimeError, GeneratorExit])
def test_an_interrupted_write_leaves_nothing_and_an_old_file_unharmed(tmp_path, error):
    path = tmp_path / "a.txt"
    for expected in ([], ["a.txt"]):
        with pytest.raises(error), writing(path, overwrite=True) as temporary:
            temporary.write_text("half")
            raise error
        assert names(tmp_path) == expected
        path.write_text("old")
    assert path.read_text() == "old"


def test_an_encoder_that_is_interrupted_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(path, data):
        with path.open("wb") as file:
            file.write(data[:4])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_image(tmp_path / "a.png", torch.zeros(1, 1, 4, 4))
    assert names(tmp_path) == []


def test_places_that_cannot_be_written_are_refused(tmp_path):
    (tmp_path / "file").write_text("old")
    for path, match in {
        tmp_path / "file" / "a.txt": "there is no folder .*file; create it",
        tmp_path / "none" / "a.txt": "there is no folder .*none; create it",
        tmp_path: "it is a folder; name a file in it",
        tmp_path / "more" / ".." / "none" / "a.txt": "there is no folder .*none; create it",
        "/proc/proxlab.txt": "folder /proc; choose a folder that you may write to",
        "/dev/null": "not an ordinary file",
    }.items():
        with pytest.raises(ValueError, match=match), writing(path, overwrite=True):
            raise AssertionError("must not get here")
    assert names(tmp_path) == ["file"] and (tmp_path / "file").read_text() == "old"


def test_a_link_is_followed_and_the_umask_obeyed(tmp_path):
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to(tmp_path / "real.txt")
    with writing(tmp_path / "link.txt", overwrite=True) as temporary:
        temporary.write_text("new")
    assert (tmp_path / "link.txt").is_symlink() and (tmp_path / "real.txt").read_text() == "new"
    (tmp_path / "plain.txt").touch()
    assert (tmp_path / "real.txt").stat().st_mode == (tmp_path / "plain.txt").stat().st_mode


def test_json(tmp_path):
    write_json(tmp_path / "a.json", {"psnr": [1.5, None]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"psnr": [1.5, None]}
    with pytest.raises(FileExistsError):
        write_json(tmp_path / "a.json", 1)
    write_json(tmp_path / "a.json", 2, overwrite=True)
    for bad in (float("nan"), float("inf"), torch.zeros(2), {1, 2}):
        with pytest.raises(ValueError, match="b.json as JSON: .*None in place of NaN"):
            write_json(tmp_path / "b.json", {"x": bad})
    assert names(tmp_path) == ["a.json"] and (tmp_path / "a.json").read_text() == "2\n"
