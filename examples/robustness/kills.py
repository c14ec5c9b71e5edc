"""Commands killed at random moments and begun again: how many kills do they survive?

    python -m examples.robustness.kills --kills 100

Each job runs in a process forked from this one, is ended by SIGKILL, SIGTERM or SIGINT at a moment
drawn with a seed, and is begun again, as a person would, until it comes to its end. Survived is a
kill after which

- no file under a name of its own is half of one: it is absent, or that of a run left in peace, or
  a model of a training that goes on, which loads;
- SIGTERM and SIGINT ended the command in one sentence and left no temporary file;
- and in the end all files equal those of a run left in peace, bit by bit.

A fork, not a new Python, for torch takes seconds to load and is never in the way of a file.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from proxlab.checkpoints import load
from proxlab.commands.main import main as command
from proxlab.priors.lpn.mixture_config import MixtureConfig
from proxlab.training.config import Run, TrainConfig
from proxlab.training.recipes.photographs import lpn_gray

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
SENTENCES = ("interrupted; nothing was left half-written", "terminated; nothing was left")
COSTS = ("seconds", "peak_mib")
"""Entries of a row of `compare` that differ from run to run."""


class Job(NamedTuple):
    """Something that is killed: it takes its input from a folder and writes into another."""

    work: Callable[[Path, Path], int]
    """(input, output) -> status; begun again after a kill, it ends as if nothing had been."""
    made: Callable[[Path], dict[str, bytes]]
    """What it made, by name, without times and dates."""


class Ended(NamedTuple):
    """The end of a process."""

    status: int
    """Its status, or minus the signal that ended it."""
    said: str
    """What it printed on stderr."""
    seconds: float


def _command(words: str) -> Callable[[Path, Path], int]:
    """A job that is a command; {i} and {o} are the folders."""

    def work(given: Path, out: Path) -> int:
        return command([w.format(i=given, o=out) for w in words.split()])

    return work


def _train(given: Path, out: Path) -> int:
    config = TrainConfig(steps=12, batch=1, patch=16, checkpoint_every=1, evaluate_every=5)
    start = MixtureConfig(4, 2, context=1)
    lpn_gray(given / "photos", out / "run", config=config, start=start, run=Run(resume=True))
    return 0


def _compare(given: Path, out: Path) -> int:
    words = f"compare --priors none,tv --problems deblur --images {given / 'photos'} --steps 2"
    words += f" --out {out / 'found'} --resume --quiet"
    return command(words.split())


def _files(*patterns: str) -> Callable[[Path], dict[str, bytes]]:
    def made(out: Path) -> dict[str, bytes]:
        found = {p for pattern in patterns for p in out.glob(pattern)}
        return {str(p.relative_to(out)): p.read_bytes() for p in found if p.is_file()}

    return made


def _models(out: Path) -> dict[str, bytes]:
    """Models whose training is over; those of one that goes on must load, and may be any."""
    found = {p: load(p) for p in out.glob("run/*.safetensors") if p.with_suffix(".json").exists()}
    over = [p for p in found if "unfinished" not in p.with_suffix(".json").read_text()]
    return {str(p.relative_to(out)): p.read_bytes() for p in over}


def _rows(out: Path) -> dict[str, bytes]:
    """Rows of a comparison in any order, without what they cost."""
    rows: dict[str, bytes] = {}
    for path in out.glob("found/*.jsonl"):
        for line in path.read_text().splitlines():
            row = {k: v for k, v in json.loads(line).items() if k not in COSTS}
            name = "/".join(str(row.get(k)) for k in ("prior", "problem", "image", "seed"))
            rows[name] = json.dumps(row, sort_keys=True).encode()
    return rows


def _unless_there(name: str, words: str) -> Callable[[Path, Path], int]:
    """A command that is not begun again once its file is there."""
    work = _command(words)
    return lambda given, out: 0 if (out / name).exists() else work(given, out)


JOBS = {
    "restore": Job(
        _unless_there(
            "x.png",
            "restore {i}/photos/a.png deblur --blur-sigma 1 --noise 0.05 --steps 12 --prior "
            "lpn-gray-small --quiet --tol 1e-9 --out {o}/x.png",
        ),
        _files("x.png"),
    ),
    "sample": Job(
        _unless_there("x.npy", "sample proxdm-mnist --n 3 --batch 1 --quiet --out {o}/x.npy"),
        _files("x.npy"),
    ),
    "train": Job(_train, _models),
    "compare": Job(_compare, _rows),
}


def given(folder: Path) -> Path:
    """Two photographs to work on."""
    rng = np.random.default_rng(0)
    (folder / "photos").mkdir(parents=True)
    for name in "ab":
        pixels = rng.integers(0, 256, (9, 9), np.uint8).repeat(10, 0).repeat(10, 1)
        Image.fromarray(pixels).save(folder / f"photos/{name}.png")
    return folder


def forked(
    work: Callable[[], int], delay: float | None = None, by: signal.Signals = signal.SIGKILL
) -> Ended:
    """The end of `work()` in a process of its own, to which a signal is sent after `delay`."""
    reading, writing = os.pipe()
    ready, go = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(writing, 2)
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
        signal.signal(signal.SIGINT, signal.default_int_handler)
        status = 70
        try:
            os.write(go, b"!")
            status = work()
        except KeyboardInterrupt:  # of a job that is no command
            print("proxlab: interrupted; nothing was left half-written", file=sys.stderr)
            status = 1
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
        finally:
            with contextlib.suppress(BaseException):
                sys.stdout.flush()
            os._exit(status)
    os.close(writing)
    os.close(go)
    os.read(ready, 1)
    os.close(ready)
    started = time.monotonic()
    if delay is not None:
        time.sleep(delay)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, by)
    with os.fdopen(reading, errors="backslashreplace") as said:
        text = said.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return Ended(status, text, time.monotonic() - started)


def survived(name: str, kills: int, rng: random.Random, folder: Path) -> int:
    """Kill a job so many times; how many, AssertionError at the first that is not survived."""
    job, source = JOBS[name], given(folder / "given")
    peace = folder / "peace"
    peace.mkdir()
    whole = forked(lambda: job.work(source, peace))
    assert whole.status == 0, whole
    right, done, run = job.made(peace), 0, 0
    assert right
    while done < kills:
        out = folder / f"run{run}"
        out.mkdir()
        run += 1
        finished = False
        while not finished:
            by = rng.choice(SIGNALS)
            delay = rng.uniform(0, 1.1 * whole.seconds) if done < kills else None
            end = forked(lambda out=out: job.work(source, out), delay, by)
            finished = end.status == 0
            if not finished:
                done += 1
                check(job, end, by, out, right)
        assert job.made(out) == right, f"{name} ended otherwise than in peace"
        left = [p for p in out.rglob(".tmp-*")]
        assert not left, f"{name} left {left}"
    return done


def check(job: Job, end: Ended, by: signal.Signals, out: Path, right: dict[str, bytes]) -> None:
    """AssertionError unless the kill left nothing half-done."""
    if by == signal.SIGKILL or end.status == -by:  # SIGTERM before the command listens to it
        assert end.status == -by, end
    else:
        assert end.status == 1 and any(words in end.said for words in SENTENCES), end
        assert "Traceback" not in end.said, end
        assert not list(out.rglob(".tmp-*")), list(out.rglob(".tmp-*"))
    made = job.made(out)
    assert made.items() <= right.items(), f"half of {sorted(made)}"


def main(argv: list[str] | None = None) -> None:
    """Print how many kills each job survived."""
    asked = argparse.ArgumentParser(description="kill commands at random moments")
    asked.add_argument("--kills", type=int, default=100, help="in all")
    asked.add_argument("--jobs", default=",".join(JOBS))
    asked.add_argument("--seed", type=int, default=0)
    args = asked.parse_args(argv)
    names, total = args.jobs.split(","), 0
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            rng = random.Random(f"{args.seed} {name}")
            count = survived(name, -(-args.kills // len(names)), rng, Path(folder))
        print(f"{name:8s} {count:4d} kills survived", flush=True)
        total += count
    print(f"all      {total:4d} kills survived")


if __name__ == "__main__":
    main()
