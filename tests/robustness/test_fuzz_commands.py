"""Every command, with right and odd words: files written, or one sentence and nothing left behind.

The words are those of `command_words`, the input files are of every kind of wrong. A refusal is
`proxlab: ...` in one line with status 1, made of an error of ours (`rule`), or argparse's usage
with status 2. `compare` keeps what it finished before a case failed, `restore` the pages that did
not diverge.
"""

import contextlib
import io
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import tifffile
from budget import tries
from command_words import WORDS
from hypothesis import given
from PIL import Image
from rule import ForeignError, check_warnings, is_ours, patient

from proxlab.commands import main as command
from proxlab.commands.arguments import COMMANDS

pytestmark = pytest.mark.fuzz


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of input, right and wrong."""
    here = tmp_path_factory.mktemp("fuzz")
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (9, 11), np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        patch.delenv("PROXLAB_DATA", raising=False)
        for name in ("photos", "one", "empty"):
            Path(name).mkdir()
        Path("file").write_text("no folder")
        Path("old.png").write_text("old")
        Path("empty.png").write_bytes(b"")
        Path("text.png").write_text("no picture")
        Path("trap.pt").write_bytes(b"\x80\x04N.")
        Image.fromarray(pixels).save("photo.png")
        Image.fromarray(pixels[:2, :1]).save("tiny.png")
        Image.fromarray(np.dstack([pixels] * 3)).save("rgb.png")
        Image.fromarray(pixels.astype(np.uint16) * 257).save("deep.png")
        large = rng.integers(0, 256, (80, 80), np.uint8)
        Image.fromarray(large).save("one/a.png")
        for name in "ab":
            Image.fromarray(np.tile(large, (2, 2))).save(f"photos/{name}.png")
        Path("cut.png").write_bytes(Path("photo.png").read_bytes()[:50])
        tifffile.imwrite("stack.tif", np.stack([pixels, 255 - pixels, pixels // 2]), imagej=True)
        tifffile.imwrite("bad.tif", np.stack([pixels / 255, pixels / 0.0001]).astype("f4"))
        Path("many").mkdir()
        for name in ("photo.png", "deep.png", "stack.tif"):
            shutil.copy(name, f"many/{name}")
        np.save("photo.npy", pixels / 255)
        np.save("scan.npy", rng.random((4, 17)))
        np.save("bytes.npy", pixels.astype(float))
        np.save("row.npy", pixels[0] / 255)
        np.save("nan.npy", pixels / 255 * np.nan)
        np.save("kernel.npy", np.ones((3, 3)) / 9)
        np.save(
            "psf.npy", np.exp(-(np.linspace(-4, 4, 9) ** 2)[:, None] - np.linspace(-4, 4, 9) ** 2)
        )
        np.save("mask.npy", np.eye(9, 11))
        np.save("pickle.npy", np.array([{}], dtype=object), allow_pickle=True)
        yield here


def stored(folder: Path) -> dict[Path, bytes | None]:
    """Every file and folder below, and what is in it."""
    return {p: p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


def check(words: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a command; ForeignError unless it does what a command should. New files are removed."""
    before, errors = stored(folder), []
    sentence = command._sentence
    monkeypatch.setattr(command, "_sentence", lambda e: errors.append(e) or sentence(e))
    out, err = io.StringIO(), io.StringIO()
    try:
        with (
            warnings.catch_warnings(record=True) as caught,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            patient(),
        ):
            warnings.simplefilter("always")
            status = command.main(words)
    except SystemExit as end:
        status = end.code
    except Exception as error:
        raise ForeignError(f"{type(error).__name__}: {error}\nof {words}") from error
    said = err.getvalue()
    after = stored(folder)
    for path in sorted(set(after) - set(before), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    if status == 0:
        check_warnings(caught)
        right = set(before) <= set(after)
    elif status == 1:
        right = said.startswith("proxlab: ") and said.count("\n") == 1 and said.endswith("\n")
        partly = words[:1] == ["compare"] or "all others are restored" in said
        kept = before.items() <= after.items() if partly else after == before
        right = right and kept and all(is_ours(error) for error in errors)
    else:
        right = status == 2 and ": error: " in said.splitlines()[-1] and after == before
    if not right:
        raise ForeignError(f"status {status}, {said!r}, {errors}\nof {words}")


@pytest.mark.parametrize("name", WORDS)
def test_files_or_a_sentence(name, folder):
    made, share = WORDS[name]

    @tries(share)
    @given(words=made())
    def fuzzed(words):
        with pytest.MonkeyPatch.context() as patch:
            check(words, folder, patch)

    fuzzed()


def test_every_command_is_drawn():
    drawn = {"restore", "posterior", "sample", "train", "adapt", "audit", "compare"}
    drawn |= {"demo", "models"}
    assert drawn == set(COMMANDS) and set(", ".join(WORDS).split(", ")) == drawn


def foreign(words):
    return int("no number")


def messy(words):
    Path("half.png").write_bytes(b"half")
    print("proxlab: no", file=sys.stderr)
    return 1


def wordy(words):
    print("proxlab: no\n  because", file=sys.stderr)
    return 1


def lossy(words):
    Path("old.png").unlink()
    return 0


def loud(words):
    warnings.warn("of torch", stacklevel=1)
    return 0


@pytest.mark.parametrize("planted", [foreign, messy, wordy, lossy, loud, lambda words: 3])
def test_the_check_catches_planted_faults(planted, folder, monkeypatch):
    monkeypatch.setattr(command, "main", planted)
    with pytest.raises(ForeignError):
        check([], folder, monkeypatch)
    (folder / "old.png").write_text("old")


def test_the_check_catches_a_foreign_message(folder, monkeypatch):
    monkeypatch.setattr(command, "_run", foreign)
    with pytest.raises(ForeignError, match="invalid literal"):
        check(["models"], folder, monkeypatch)
