"""A full disk, a shut folder, no stdout, no HOME, names that are no text: one sentence, no half."""

import contextlib
import errno
import json
import os
import resource
import sys
from pathlib import Path

import pytest
from PIL import Image

from examples.robustness.kills import forked, given
from proxlab.commands.main import main

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

BLUR = "deblur --blur-sigma 1 --noise 0.05 --prior none --steps 2"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(given(tmp_path))
    Path("file").write_text("no folder")
    return tmp_path


def contents(folder: Path) -> dict[Path, bytes | None]:
    return {p: p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


def stdout(handle: int) -> None:
    """In a child: print there from now on."""
    os.dup2(handle, 1)
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115


COMMANDS = {
    "png": f"restore photos/a.png {BLUR} --out x.png --quiet",
    "npy": f"restore photos/a.png {BLUR} --out x.npy --quiet",
    "tif": f"restore photos/a.png {BLUR} --out x.tif --quiet",
    "samples": "sample proxdm-mnist --n 1 --steps 5 --out x.npy --quiet",
    "sheet": "sample proxdm-mnist --n 1 --steps 5 --out x.png --quiet",
}
SHUT = {
    "restore": f"restore photos/a.png {BLUR} --out file/x.png",
    "posterior": f"posterior photos/a.png {BLUR} --out file/x",
    "sample": "sample proxdm-mnist --n 1 --out file/x.png",
    "train": "train lpn-gray --data photos --out file/x",
    "adapt": "adapt photos --noise 0.1 --out file/x.safetensors",
    "audit": "audit proxdm-mnist --train photos --held-out photos --json file/x.json",
    "compare": "compare --priors none --problems deblur --images photos --out file/x",
    "demo": "demo --out file/x",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_is_a_sentence_and_keeps_nothing(name, here):
    before = contents(here)

    def work():
        resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
        return main(COMMANDS[name].split())

    end = forked(work)
    assert end.status == 1 and end.said.startswith("proxlab: ") and end.said.count("\n") == 1
    assert "x." in end.said and contents(here) == before


def test_a_disk_that_fills_while_training_is_a_sentence(here):
    words = "train lpn-gray --data photos --out run --steps 3 --batch 1 --quiet"

    def work():
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        return main(words.split())

    end = forked(work)
    assert end.status == 1 and "state.pt" in end.said and end.said.count("\n") == 1
    assert not list(Path("run").glob("*.pt")) and not list(Path("run").rglob(".tmp-*"))


@pytest.mark.parametrize("name", SHUT)
def test_a_place_that_cannot_be_written_to_is_a_sentence(name, here, capsys):
    before = contents(here)
    assert main(SHUT[name].split()) == 1
    said = capsys.readouterr()
    assert said.err.startswith("proxlab: cannot write") and said.err.count("\n") == 1
    assert contents(here) == before


@pytest.mark.parametrize("number, name", [(errno.ENOSPC, "x.png"), (errno.EIO, "x.png")])
def test_an_error_of_the_disk_in_the_last_moment_is_a_sentence(
    number, name, here, monkeypatch, capsys
):
    def full(source, target):
        raise OSError(number, os.strerror(number), str(target))

    before = contents(here)
    monkeypatch.setattr(os, "replace", full)
    assert main(COMMANDS["png"].split()) == 1
    said = capsys.readouterr().err
    assert said.startswith("proxlab: ") and name in said and said.count("\n") == 1
    assert contents(here) == before


def test_a_reader_that_went_away_is_said_and_files_are_written(here):
    def work():
        reading, writing = os.pipe()
        os.close(reading)
        stdout(writing)
        return main(f"restore photos/a.png {BLUR} --out x.png".split())

    end = forked(work)
    assert end.said == "proxlab: nobody reads the output any more; all files are written\n"
    assert end.status == 1 and Image.open("x.png").size == (90, 90)


def test_a_full_disk_behind_stdout_is_a_sentence(here):
    def work():
        stdout(os.open("/dev/full", os.O_WRONLY))
        return main(f"restore photos/a.png {BLUR} --out x.png".split())

    end = forked(work)
    assert end.said == "proxlab: the output could not be printed: No space left on device\n"
    assert end.status == 1


@pytest.mark.parametrize("closed", [("stdout",), ("stdout", "stderr")])
def test_closed_streams_hinder_no_work(closed, here):
    def work():
        for name in closed:
            setattr(sys, name, None)
        return main(f"restore photos/a.png {BLUR} --out x.png".split())

    assert forked(work).status == 0 and Path("x.png").exists()


def test_no_home_hinders_no_work(here):
    def work():
        for name in ("HOME", "XDG_CACHE_HOME", "TORCH_HOME"):
            os.environ.pop(name, None)
        return main(f"restore photos/a.png {BLUR} --prior lpn-gray-small --out x.png".split())

    assert forked(work).status == 0


def test_a_name_that_is_no_text_is_restored_and_printed(here):
    name = os.fsdecode(b"caf\xe9.png")
    try:
        os.rename("photos/a.png", name)
    except OSError:
        pytest.skip("the file system takes text alone")
    end = forked(lambda: main(["restore", name, *BLUR.split(), "--trace", name + ".json"]))
    assert (end.status, end.said.split("\n")[-2:]) == (0, [""]), end
    assert Path(os.fsdecode(b"caf\xe9-restored.png")).exists()


def test_a_trace_holds_no_infinity(here):
    """One evaluation has an infinite margin, which JSON cannot hold."""
    words = f"restore photos/a.png {BLUR} --steps 1 --quiet --trace x.json"
    assert main(words.split()) == 0
    assert json.loads(Path("x.json").read_text())["evidence"]["margin"] is None


def test_a_name_that_is_no_text_is_compared(here):
    with contextlib.suppress(OSError):
        os.rename("photos/a.png", os.fsdecode(b"photos/caf\xe9.png"))
    words = "compare --priors none --problems deblur --images photos --steps 1 --out found --quiet"
    end = forked(lambda: main(words.split()))
    assert (end.status, end.said) == (0, "")
    assert {"table.md", "table.tex", "report.html"} <= {p.name for p in Path("found").iterdir()}
