"""Files of settings, prior by problem: a tuning writes one, and one is shipped with the package."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from proxlab.comparison.case import PriorSettings, parameters
from proxlab.comparison.problems import Problem
from proxlab.images.files import write_json

SHIPPED = Path(__file__).with_name("settings.json")
"""Settings of the shipped priors, which `proxlab compare --tune` chose on images that no prior was
trained on."""


def write_settings(
    path: Path,
    settings: Mapping[tuple[str, str], PriorSettings],
    problems: Sequence[Problem],
    noises: Sequence[float] = (),
) -> None:
    """Write settings by (prior, problem), and that they are for `noises`; replaces the file.

    noises: the levels that the settings were chosen at; empty: each problem's own.
    """
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
    path: Path, problems: Sequence[Problem], default: PriorSettings, noises: Sequence[float] = ()
) -> dict[tuple[str, str], PriorSettings]:
    """Settings by (prior, problem), those that were chosen for these problems at these noises.

    A problem counts if all its parameters are the same; noises: empty for each problem's own. The
    tolerance is that of `default`, whose steps are never exceeded. Raises ValueError for a file
    that does not hold settings.
    """
    of = {problem.name: problem for problem in problems}
    found = {}
    if not path.is_file():  # a FIFO would be waited for
        raise ValueError(
            f"there is no file {path} of settings; write it by `proxlab compare --tune`"
        )
    try:
        for entry in json.loads(path.read_text(encoding="utf-8")):
            problem, settings = of.get(entry["problem"]), PriorSettings(**entry["settings"])
            if problem is None or entry["parameters"] != parameters(problem):
                continue
            if list(entry["noises"]) == list(noises or problem.levels):
                steps = [n for n in (settings.steps, default.steps) if n is not None]
                settings = dataclasses.replace(
                    settings, steps=min(steps, default=None), tol=default.tol
                )
                found[entry["prior"], problem.name] = settings
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{path} does not hold settings ({type(error).__name__}: {error}); write it by "
            "`proxlab compare --tune`"
        ) from None
    return found
