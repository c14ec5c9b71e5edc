"""Settings of priors on problems as a file: written by a tuning, shipped for the shipped priors."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from proxlab.comparison.case import Settings, parameters
from proxlab.comparison.problems import Problem
from proxlab.images.files import write_json

SHIPPED = Path(__file__).with_name("settings.json")
"""Made by `proxlab compare --tune`, on images held out of training."""


def write_settings(
    path: Path,
    settings: Mapping[tuple[str, str], Settings],
    problems: Sequence[Problem],
    noises: Sequence[float] = (),
) -> None:
    """By (prior, problem), chosen at `noises` or each problem's own; replaces the file."""
    of = {problem.name: problem for problem in problems}
    entries = [
        {
            "prior": prior,
            "problem": name,
            "parameters": parameters(of[name]),
            "noises": list(noises or of[name].levels),
            "settings": dataclasses.asdict(found),
        }
        for (prior, name), found in settings.items()
    ]
    write_json(path, entries, overwrite=True)


def read_settings(
    path: Path, problems: Sequence[Problem], default: Settings, noises: Sequence[float] = ()
) -> dict[tuple[str, str], Settings]:
    """Those that are of these very problems, at `noises` or their own, by (prior, problem).

    Steps are at most those of `default`, and the tolerance is its. Raises ValueError for a file
    that does not hold settings.
    """
    of = {problem.name: problem for problem in problems}
    found = {}
    try:
        for entry in json.loads(path.read_text(encoding="utf-8")):
            problem, settings = of.get(entry["problem"]), Settings(**entry["settings"])
            if problem is None or entry["parameters"] != parameters(problem):
                continue
            if list(entry["noises"]) == list(noises or problem.levels):
                steps = min(settings.steps, default.steps)
                settings = dataclasses.replace(settings, steps=steps, tol=default.tol)
                found[entry["prior"], problem.name] = settings
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} does not hold settings ({type(error).__name__}: {error}); write it by "
            "`proxlab compare --tune`"
        ) from None
    return found
