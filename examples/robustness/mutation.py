"""Mutation testing: what share of small planted mistakes does a test notice?

    python -m examples.robustness.mutation solvers --mutants 200 --out solvers.jsonl

Once, the tests of a part run with every line noted that each of them comes by. Then each mutant
runs in a process forked from this one, which has torch loaded and the part not: an import hook
gives the changed file, so no file on disk is touched. Only tests that come by the changed line run,
the quickest first, until one fails. Mutants are drawn with a fixed seed. Tests that start Python
anew see no mutant.

Survivors are printed, to be read: some change nothing (`<` for `<=` between floats), the others
are mistakes that no test would notice. A run that was stopped goes on with the same --out.

mutmut 3 and cosmic-ray start a new Python with torch for each mutant, 5 to 10 s before any test;
a fork costs 0.3 s.
"""

import argparse
import contextlib
import json
import math
import os
import random
import resource
import signal
import sys
import tempfile
import time
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import coverage
import pytest

from examples.robustness.mutants import Mutant, mutants

ROOT = Path(__file__).parents[2]


class Part(NamedTuple):
    """Files to plant mistakes in, as patterns, and the tests that are to notice."""

    files: tuple[str, ...]
    tests: tuple[str, ...]


PARTS = {
    "solvers": Part(
        ("solvers/**/*.py",),
        (
            "tests/solvers",
            "tests/operators/test_lipschitz_bounds.py",
            "tests/robustness/test_killed_mutants.py",
        ),
    ),
    "priors": Part(
        (
            "proxlab/priors/lpn/*.py",
            "proxlab/priors/exact/mixture*.py",
            "proxlab/priors/classical.py",
            "proxlab/priors/explicit_prior.py",
            "proxlab/priors/denoiser_prior.py",
            "proxlab/priors/gradient_step.py",
            "proxlab/priors/inversion.py",
            "proxlab/priors/local_gains.py",
            "proxlab/priors/total_variation.py",
            "proxlab/priors/wavelets.py",
            "proxlab/priors/weighted_length.py",
        ),
        ("tests/priors",),
    ),
    "data": Part(
        (
            "proxlab/operators/data_terms/*.py",
            "proxlab/operators/blur.py",
            "proxlab/operators/inpainting.py",
            "proxlab/operators/kernels.py",
            "proxlab/operators/noise.py",
            "proxlab/restoration/data_terms.py",
        ),
        (
            "tests/restoration/test_data_terms.py",
            "tests/restoration/test_selected_images.py",
            "tests/restoration/test_settings.py",
            "tests/operators/test_by_hand.py",
            "tests/operators/test_contract.py",
            "tests/operators/test_first_estimates.py",
            "tests/operators/test_lipschitz_bounds.py",
            "tests/operators/test_operator_doors.py",
            "tests/operators/test_operators.py",
            "tests/operators/test_photon_counts.py",
            "tests/operators/test_preconditioner.py",
        ),
    ),
    "evidence": Part(
        (
            "proxlab/restoration/evidence.py",
            "proxlab/restoration/fixed_level.py",
            "proxlab/restoration/judging.py",
            "proxlab/restoration/premises.py",
            "proxlab/restoration/restoring.py",
            "proxlab/restoration/settings.py",
            "proxlab/operators/checks.py",
            "proxlab/operators/data_term_checks.py",
        ),
        (
            "tests/restoration/test_closed_form_runs.py",
            "tests/restoration/test_descent.py",
            "tests/restoration/test_doubts_of_closed_forms.py",
            "tests/restoration/test_gaps_of_closed_forms.py",
            "tests/restoration/test_numbers_of_evidence.py",
            "tests/restoration/test_premises.py",
            "tests/restoration/test_settings.py",
            "tests/restoration/test_values_at_the_door.py",
            "tests/operators/test_operator_checks.py",
            "tests/operators/test_remembered_checks.py",
        ),
    ),
}
KILLED, SURVIVED, HUNG, UNSEEN = "killed", "survived", "hung", "no test comes by"
SLOWEST = 6.0
"""Seconds of the processor, whatever else runs; tests that take longer are not asked."""
PATIENCE = 20.0
"""The same that the tests of a mutant may take beyond ten times their usual ones."""
WAITING = 20
"""Times as many seconds of the clock until one that does nothing is given up."""


class Seen(NamedTuple):
    """What the tests did without a mistake."""

    by_line: dict[str, dict[int, list[str]]]
    """File -> line -> tests that came by it; "" is its import."""
    seconds: dict[str, float]
    """Of the processor, for each test that passed."""

    def tests(self, path: str, mutant: Mutant) -> list[str]:
        """Tests that come by a mutant; of one that an import runs, all that need the file."""
        lines = self.by_line.get(path, {})
        names = {name for there in lines.values() for name in there}
        if mutant.inside:
            names = set(lines.get(mutant.line, ()))
        return sorted(names & set(self.seconds), key=self.seconds.__getitem__)


class _Notes:
    """Plugin of pytest: tells the coverage which test runs, and takes the times."""

    def __init__(self, cover: coverage.Coverage):
        self.cover, self.seconds, self.failed, self.began = cover, {}, set(), 0.0

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.cover.switch_context(nodeid)
        self.began = time.process_time()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] = time.process_time() - self.began
        if not report.passed:
            self.failed.add(report.nodeid)


class Planted(MetaPathFinder, Loader):
    """Import hook that gives one module with a mistake in it."""

    def __init__(self, path: Path, mutant: Mutant):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        self.name, self.path, self.mutant = name, path, mutant

    def find_spec(self, fullname: str, path: object, target: object = None) -> ModuleSpec | None:
        """The spec of that module, None for every other."""
        if fullname != self.name:
            return None
        return spec_from_file_location(fullname, self.path, loader=self)

    def exec_module(self, module: ModuleType) -> None:
        """Run the changed code as the module."""
        tree = self.mutant.tree(self.path.read_text())
        exec(compile(tree, str(self.path), "exec"), module.__dict__)


def forked(work, patience: float) -> int | None:
    """Exit status of `work()` in a process of its own, None if it had to be ended.

    patience: seconds of the processor that it may take.
    """
    child = os.fork()
    if child == 0:
        os.setsid()
        most = math.ceil(time.process_time() + patience)
        resource.setrlimit(resource.RLIMIT_CPU, (most, most))
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
        status = 70
        with contextlib.suppress(BaseException):
            status = int(work())
        os._exit(status)
    end = time.monotonic() + WAITING * patience
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            return None if code in (-signal.SIGKILL, -signal.SIGXCPU) else code
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def look(part: Part) -> Seen:
    """Run the part's tests once, and note which lines each comes by."""
    with tempfile.TemporaryDirectory() as folder:
        data, times = Path(folder) / "lines", Path(folder) / "times.json"

        def work() -> int:
            cover = coverage.Coverage(data_file=str(data), source=["proxlab", "solvers"])
            cover.start()
            notes = _Notes(cover)
            pytest.main([*part.tests, "-q", "-p", "no:cacheprovider"], plugins=[notes])
            cover.stop()
            cover.save()
            good = {k: v for k, v in notes.seconds.items() if k not in notes.failed}
            times.write_text(json.dumps(good))
            return 0

        if forked(work, 3600) != 0:
            raise RuntimeError(f"the tests of {part.tests} could not be run without a mistake")
        found = coverage.CoverageData(str(data))
        found.read()
        by_line = {
            str(Path(p).relative_to(ROOT)): found.contexts_by_lineno(p)
            for p in found.measured_files()
        }
        seconds = {k: v for k, v in json.loads(times.read_text()).items() if v <= SLOWEST}
        return Seen(by_line, seconds)


def verdict(path: Path, mutant: Mutant, seen: Seen) -> str:
    """What the tests that come by a mutant say to it."""
    tests = seen.tests(str(path.relative_to(ROOT)), mutant)
    if not tests:
        return UNSEEN

    def work() -> int:
        sys.meta_path.insert(0, Planted(path, mutant))
        return pytest.main([*tests, "-x", "-q", "-p", "no:cacheprovider", "--no-header"])

    status = forked(work, PATIENCE + 10 * sum(seen.seconds[t] for t in tests))
    return HUNG if status is None else SURVIVED if status == 0 else KILLED


def drawn(part: Part, count: int, seed: int) -> list[tuple[Path, Mutant]]:
    """So many mutants of a part's files, without repetition."""
    paths = sorted({p for pattern in part.files for p in ROOT.glob(pattern)})
    every = [(path, mutant) for path in paths for mutant in mutants(path.read_text())]
    return random.Random(seed).sample(every, min(count, len(every)))


def main(argv: list[str] | None = None) -> None:
    """Print every survivor, and how many of how many mutants were killed."""
    asked = argparse.ArgumentParser(description="mutation testing of a part")
    asked.add_argument("part", choices=list(PARTS))
    asked.add_argument("--mutants", type=int, default=200)
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--out", type=Path, required=True, help="a JSON line for each mutant")
    args = asked.parse_args(argv)
    import deepinv  # noqa: F401  # once, before the forks
    import skimage.metrics  # noqa: F401

    done = [json.loads(t) for t in args.out.read_text().splitlines()] if args.out.exists() else []
    seen = look(PARTS[args.part])
    for path, mutant in drawn(PARTS[args.part], args.mutants, args.seed)[len(done) :]:
        row = {"file": str(path.relative_to(ROOT)), "line": mutant.line, "what": mutant.what}
        done.append(row | {"verdict": verdict(path, mutant, seen)})
        with args.out.open("a") as out:
            out.write(json.dumps(done[-1]) + "\n")
    noticed = sum(row["verdict"] in (KILLED, HUNG) for row in done)
    for row in done:
        if row["verdict"] not in (KILLED, HUNG):
            print(f"{row['file']}:{row['line']}  {row['what']}  ({row['verdict']})")
    print(f"{args.part}: {noticed} of {len(done)} mutants killed, {noticed / len(done):.1%}")


if __name__ == "__main__":
    main()
