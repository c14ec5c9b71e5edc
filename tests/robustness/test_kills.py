"""A few kills of each command, at moments drawn with a seed; hundreds by examples/robustness."""

import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest

from examples.robustness import kills
from examples.robustness.kills import JOBS, Ended, Job, check, forked, given, survived

pytestmark = [
    pytest.mark.kills,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
]


@pytest.mark.parametrize("name", JOBS)
def test_kills_are_survived(name, tmp_path):
    kills = 1 if name == "compare" else 2  # whose every start imports matplotlib
    assert survived(name, kills, random.Random(0), tmp_path) >= kills


def slow(given: Path, out: Path) -> int:
    """A job that writes its file in two halves, with a pause between."""
    with (out / "x.txt").open("w") as file:
        file.write("half")
        file.flush()
        time.sleep(0.5)
        file.write(" whole")
    return 0


def text(out: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in out.glob("*.txt")}


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM])
def test_the_check_catches_a_file_that_is_half_written(by, tmp_path):
    end = forked(lambda: slow(tmp_path, tmp_path), 0.2, by)
    assert end.status == -by
    with pytest.raises(AssertionError, match="half of"):
        check(Job(slow, text), end, by, tmp_path, {"x.txt": b"half whole"})


@pytest.mark.parametrize(
    "end",
    [
        Ended(1, "", 0.0),
        Ended(0, "interrupted; nothing was left half-written", 0.0),
        Ended(1, "Traceback\ninterrupted; nothing was left half-written", 0.0),
    ],
)
def test_the_check_catches_an_end_without_a_sentence(end, tmp_path):
    with pytest.raises(AssertionError):
        check(Job(slow, text), end, signal.SIGINT, tmp_path, {})


def test_a_job_that_forgets_where_it_was_is_caught(tmp_path, monkeypatch):
    def forgetful(given: Path, out: Path) -> int:
        count = out / "count"
        count.write_text(str(int(count.read_text()) + 1 if count.exists() else 1))
        time.sleep(0.3)
        (out / "x.txt").write_bytes(count.read_bytes())
        return 0

    monkeypatch.setitem(kills.JOBS, "forgetful", Job(forgetful, text))
    with pytest.raises(AssertionError, match="otherwise than in peace"):
        survived("forgetful", 3, random.Random(0), tmp_path)


def test_sigterm_and_sigint_are_said_in_a_sentence(tmp_path):
    source = given(tmp_path / "given")
    words = f"restore {source}/photos/a.png deblur --blur-sigma 1 --noise 0.05 --prior none --quiet"
    words += " --steps 100000000 --tol 1e-30"
    for by, how in ((signal.SIGTERM, "terminated"), (signal.SIGINT, "interrupted")):
        end = forked(lambda: kills.command(words.split()), 1.0, by)
        assert (end.status, end.said) == (1, f"proxlab: {how}; nothing was left half-written\n")
    assert sorted(p.name for p in (source / "photos").iterdir()) == ["a.png", "b.png"]


def test_the_process_keeps_its_own_use_of_sigterm(capsys):
    assert kills.command(["models", "--quiet"]) == 0
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        assert kills.command(["models", "--quiet"]) == 0
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
    assert "tv" in capsys.readouterr().out and sys.stdout is not None
