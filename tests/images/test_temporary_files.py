"""Temporary files of killed runs are removed by the next run; those in use never are."""

import fcntl
import multiprocessing
import os
import resource
import sys
import time
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from proxlab.images import temporary_files, write_image
from proxlab.images.decoders.npy import read_npy, write_npy_parts
from proxlab.images.files import check_folder, check_writable, write_json, writing
from proxlab.images.temporary_files import remove_left_over, temporary_file
from tests.images.pictures import names

FORK = multiprocessing.get_context("fork")


def _write(folder, ready):
    with temporary_file(folder, ".npy") as path:
        path.write_bytes(b"half")
        ready.set()
        time.sleep(100)


def test_what_a_killed_run_left_is_removed_by_the_next_and_no_sooner(tmp_path, monkeypatch):
    (tmp_path / ".tmp-of-somebody-else.npy").touch()
    ready = FORK.Event()
    work = FORK.Process(target=_write, args=(tmp_path, ready))
    work.start()
    try:
        assert ready.wait(60) and len(names(tmp_path)) == 2
        assert remove_left_over(tmp_path) == []  # it is at work
    finally:
        work.kill()
        work.join()
    assert len(names(tmp_path)) == 2
    monkeypatch.setattr(temporary_files, "_swept", set())
    write_json(tmp_path / "a.json", 1)
    assert names(tmp_path) == [".tmp-of-somebody-else.npy", "a.json"]


def test_files_in_use_here_are_kept(tmp_path):
    with temporary_file(tmp_path) as outer, temporary_file(tmp_path, ".npy") as inner:
        assert remove_left_over(tmp_path) == [] and outer.exists() and inner.suffix == ".npy"
        inner.unlink()
        assert remove_left_over(tmp_path) == []
    assert names(tmp_path) == []


@pytest.mark.parametrize("age, kept", [(60, True), (48 * 3600, False)])
@pytest.mark.parametrize("name", [".tmp-0123456789ab.png", ".tmp-00000000-0123456789ab.npy"])
def test_those_of_other_machines_and_older_versions_are_kept_for_a_day(tmp_path, name, age, kept):
    path = tmp_path / name
    path.touch()
    os.utime(path, (time.time() - age,) * 2)
    assert remove_left_over(tmp_path) == ([] if kept else [path])


def test_where_there_are_no_locks_age_tells(tmp_path, monkeypatch):
    """As on Windows, where fcntl is not to be had."""
    monkeypatch.setattr(temporary_files, "_LOCKS", False)
    monkeypatch.setitem(sys.modules, "fcntl", None)
    old = tmp_path / f".tmp-{temporary_files._MACHINE}-0123456789ab.npy"
    old.touch()
    assert remove_left_over(tmp_path) == []
    os.utime(old, (time.time() - 48 * 3600,) * 2)
    with temporary_file(tmp_path, ".npy") as path:
        assert not old.exists() and remove_left_over(tmp_path) == [] and path.exists()
    write_json(tmp_path / "a.json", 1)
    assert names(tmp_path) == ["a.json"]


def test_only_ordinary_files_of_our_names_go(tmp_path):
    ours = f".tmp-{temporary_files._MACHINE}-0123456789a"
    os.mkfifo(tmp_path / f"{ours}0")
    (tmp_path / f"{ours}1").mkdir()
    (tmp_path / f"{ours}2").symlink_to("kept.png")
    for name in ("kept.png", f"{ours}3.pn g", f"x{ours}4", f"{ours}45"):
        (tmp_path / name).touch()
    before = names(tmp_path)
    assert remove_left_over(tmp_path) == []
    (tmp_path / f"{ours}6.png").touch()
    assert remove_left_over(tmp_path) == [tmp_path / f"{ours}6.png"]
    assert names(tmp_path) == before and remove_left_over(tmp_path / "none") == []


def test_a_file_taken_before_it_is_locked_is_made_again(tmp_path, monkeypatch):
    flock, taken = fcntl.flock, []

    def late(handle, how):
        if not taken:
            taken.extend(tmp_path.iterdir())
            taken[0].unlink()
        flock(handle, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with temporary_file(tmp_path) as path:
        assert path.exists() and path not in taken


def _end_inside(context):
    context.__exit__(None, None, None)


def test_a_forked_child_leaves_its_parents_file(tmp_path):
    context = temporary_file(tmp_path)
    path = context.__enter__()
    child = FORK.Process(target=_end_inside, args=(context,))
    child.start()
    child.join()
    assert child.exitcode == 0 and path.exists()
    context.__exit__(None, None, None)
    assert not path.exists()


@contextmanager
def full_disk():
    """A limit of file sizes, which fails as a full disk does: in the middle of a write.

    It ends inside the test, because pytest's own output may be a file longer than that.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    "name, bits",
    [
        ("a.png", 8),
        ("b.png", 16),
        ("a.jpg", 8),
        ("a.tif", 8),
        ("b.tif", 16),
        ("c.tif", 32),
        ("a.npy", 32),
    ],
)
def test_a_full_disk_is_told_in_a_sentence_and_nothing_stays(tmp_path, name, bits):
    noise = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    said = rf"cannot write .*{name}: .*free some space, or choose"
    with full_disk(), pytest.raises(OSError, match=said) as e:
        write_image(tmp_path / name, noise, bits)
    assert "\n" not in str(e.value) and names(tmp_path) == []


def test_json_on_a_full_disk(tmp_path):
    with full_disk(), pytest.raises(OSError, match="cannot write .*a.json: File too large"):
        write_json(tmp_path / "a.json", list(range(10_000)))
    assert names(tmp_path) == []


def test_room_is_taken_before_the_first_part_is_computed(tmp_path):
    asked = []

    def parts():
        asked.append(1)
        yield np.zeros((4, 100, 100))

    with full_disk(), pytest.raises(OSError), writing(tmp_path / "a.npy") as path:
        write_npy_parts(path, (4, 100, 100), np.float64, parts())
    assert not asked and names(tmp_path) == []


def test_parts_become_one_array(tmp_path):
    whole = np.arange(60, dtype=np.float32).reshape(5, 3, 4)
    write_npy_parts(tmp_path / "a.npy", whole.shape, "f4", (p for p in (whole[:2], whole[2:])))
    assert np.array_equal(np.load(tmp_path / "a.npy"), whole)
    assert np.array_equal(read_npy(tmp_path / "a.npy"), whole)
    for shape in ((4, 3, 4), (6, 3, 4)):
        with pytest.raises(ValueError, match="bytes, and its parts 240"):
            write_npy_parts(tmp_path / "b.npy", shape, "f4", [whole])


@pytest.mark.parametrize(
    "array",
    [
        np.float64(3.5),
        np.zeros((0, 3)),
        np.eye(3, dtype=">u2"),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    ],
)
def test_every_array_is_read_as_numpy_reads_it(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    found = read_npy(tmp_path / "a.npy")
    assert found.dtype == array.dtype and np.array_equal(found, np.load(tmp_path / "a.npy"))


def test_a_place_is_tried_without_a_trace(tmp_path):
    check_folder(tmp_path / "new" / "er")
    check_writable(tmp_path / "a.png")
    assert names(tmp_path) == []


def test_names_that_are_no_text_are_read_and_written(tmp_path):
    path = tmp_path / os.fsdecode(b"\xff-\xe4.png")
    write_image(path, torch.zeros(1, 1, 4, 4))
    assert write_image(path, torch.zeros(1, 1, 4, 4), overwrite=True) == 0
    assert os.fsencode(path.name) == os.listdir(os.fsencode(tmp_path))[0]
    with pytest.raises(FileExistsError, match="exists already"):
        write_image(path, torch.zeros(1, 1, 4, 4))
