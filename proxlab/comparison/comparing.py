"""Compare priors: every prior on every problem, image, noise level, seed and solver, a row each.

Rows are lines of a JSON file, appended one by one, so that an interrupt loses no finished case; a
comparison that goes on runs what has no row yet, and what failed once more.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from proxlab.comparison.case import Case, Settings, parameters, run_case
from proxlab.comparison.problems import PROBLEMS, Problem
from proxlab.comparison.rows import ROWS, append, environment, key_of, read_rows
from proxlab.comparison.settings import SHIPPED, read_settings
from proxlab.comparison.team import Alone, Team, gather, part
from proxlab.images import list_images, read_image, write_image
from proxlab.images.files import check_folder, write_json
from proxlab.images.reading import read_shape
from proxlab.named_priors import named_prior
from proxlab.priors.classical import TV
from proxlab.restoration import ALGORITHMS

PLAIN, TRUTH = "plain", "truth"
"""Beside the restorations of a measurement: the estimate without a prior, and the image."""


@dataclass(frozen=True)
class Comparison:
    """What is compared. Raises ValueError for a name that nothing bears."""

    priors: Mapping[str, Any]
    """Objects with `prox(v, sigma)` by the name they have in the rows."""
    problems: Sequence[Problem]
    images: Sequence[Path]
    noises: Sequence[float] = ()
    """Of every problem; those of each problem itself if empty."""
    seeds: Sequence[int] = (0,)
    solvers: Sequence[str] = ("admm",)
    settings: Mapping[tuple[str, str], Settings] = field(default_factory=dict)
    """By (prior, problem)."""
    default: Settings = Settings()
    """Of other priors and problems."""

    def __post_init__(self):
        for solver in self.solvers:
            if solver not in ALGORITHMS:
                raise ValueError(f"solver is one of {', '.join(ALGORITHMS)}, got {solver!r}")
        names = [path.name for path in self.images]
        if twice := {n for n in names if names.count(n) > 1}:
            raise ValueError(
                f"images are told by their names, got {', '.join(sorted(twice))} twice"
            )

    def cases(self) -> Iterator[tuple[Case, Problem]]:
        """All of them; those of one measurement follow each other."""
        for problem, image, seed, solver in product(
            self.problems, self.images, self.seeds, self.solvers
        ):
            for noise, prior in product(self.noises or problem.levels, self.priors):
                settings = self.settings.get((prior, problem.name), self.default)
                yield (
                    Case(
                        prior,
                        problem.name,
                        parameters(problem),
                        image.name,
                        noise,
                        seed,
                        solver,
                        settings,
                    ),
                    problem,
                )


def compare(
    priors: Sequence[str] | Mapping[str, Any],
    problems: Sequence[str | Problem],
    images: str | Path,
    out: str | Path,
    *,
    noises: Sequence[float] = (),
    seeds: Sequence[int] = (0,),
    solvers: Sequence[str] = ("admm",),
    settings: Mapping[tuple[str, str], Settings] | None = None,
    default: Settings | None = None,
    resume: bool = False,
    device: str = "cpu",
    watch: Callable[[dict[str, Any]], object] | None = None,
    team: Alone | Team | None = None,
) -> list[dict[str, Any]]:
    """Run every case that has no row in the folder `out` yet; all rows, in the order of the cases.

    priors: names as `proxlab.named_priors` takes them, or objects by name; problems:
    names of `PROBLEMS`, or objects; images: a folder, read as gray levels; noises: in place of each
    problem's own; settings: by (prior, problem), those shipped if None, and `default` of the
    others, whose steps are the most and whose tolerance is that of the shipped. Rows go to
    `out`/results.jsonl, restored images to `out`/images. `watch` sees each new row. `team`: the
    processes to share the cases with, each of which calls this alike; the first of them watches the
    others' rows when all are done. Raises ValueError for an unknown name, and where `out` holds
    rows and is not to `resume`.
    """
    problems, default = [find_problem(p) for p in problems], default or Settings()
    if settings is None:
        settings = read_settings(SHIPPED, problems, default, noises)
    plan = Comparison(
        priors if isinstance(priors, Mapping) else load_priors(priors),
        problems,
        list_images(images),
        noises,
        seeds,
        solvers,
        settings,
        default,
    )
    out = Path(out)
    check_folder(out)
    team = team or Alone()
    team.begin()
    before = gather(out) if team.rank == 0 else []
    check_new(before, out, resume)
    finished = set(team.agree(list(_finished(before))))
    pixels = {path.name: prod(read_shape(path)[1:]) for path in plan.images}
    todo = [pair for pair in plan.cases() if pair[0].key not in finished]
    # the longest first, so that none is left to one process when the others are done
    todo.sort(key=lambda pair: -pixels[pair[0].image])
    for row in _run(plan, team.share(todo), out, team, device):
        if watch is not None:
            watch(row)
    team.end(out)
    rows = read_rows(out / ROWS)
    for row in rows[len(before) :]:
        if watch is not None and team.rank == 0 < row["process"]:
            watch(row)
    finished = _finished(rows)
    return [finished[case.key] for case, _ in plan.cases() if case.key in finished]


def check_new(rows: list[dict[str, Any]], out: Path, resume: bool) -> None:
    """ValueError if the folder `out` has rows and is not to be resumed."""
    if rows and not resume:
        raise ValueError(f"{out} holds a comparison; resume it, or choose another folder")


def _finished(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """By the keys of their cases."""
    return {key_of(row): row for row in rows if "error" not in row}


def _run(
    plan: Comparison,
    todo: Iterable[tuple[Case, Problem]],
    out: Path,
    team: Alone | Team,
    device: str,
) -> Iterator[dict[str, Any]]:
    """The row of each case when it is on the disk."""
    out.mkdir(parents=True, exist_ok=True)
    for prior in plan.priors.values():
        if isinstance(prior, torch.nn.Module):
            prior.to(device)
    truths: dict[str, Tensor] = {}
    for case, problem in todo:
        if case.image not in truths:
            path = next(p for p in plan.images if p.name == case.image)
            truths = {case.image: read_image(path, gray=True).pixels}
        prior, truth = plan.priors[case.prior], truths[case.image]
        outcome = run_case(case, problem, prior, truth, device)
        row = outcome.row | {"device": device, "process": team.rank} | environment()
        if outcome.image is not None:
            folder = out / pictures(row)
            folder.mkdir(parents=True, exist_ok=True)
            named = {label(row): outcome.image, PLAIN: outcome.plain, TRUTH: truth}
            for name, pixels in named.items():
                clipped = write_image(folder / f"{name}.png", pixels, overwrite=True)
                if name == label(row):  # the PNG's; figures are of the restoration itself
                    row["clipped"] = clipped
            write_json(folder / f"{label(row)}.json", outcome.curves, overwrite=True)
        append(out / part(team), row)
        yield row


def pictures(row: dict[str, Any]) -> Path:
    """Where in the folder of the comparison a measurement's restorations lie, PNG, and curves."""
    parts = [row["problem"], *(f"{x:g}" for x in row["parameters"].values())]
    where = "-".join([*parts, f"noise{row['noise']:g}", f"seed{row['seed']}"])
    return Path("images") / where / Path(row["image"]).stem


def label(row: dict[str, Any]) -> str:
    """What a restoration is called there."""
    return f"{row['prior'].replace(':', '-')}-{row['solver']}"


def load_priors(names: Sequence[str]) -> dict[str, Any]:
    """By what they are called in the rows: names, and of a file its stem."""
    called = [Path(n).stem if str(n).endswith(".safetensors") else str(n) for n in names]
    if twice := {n for n in called if called.count(n) > 1}:
        raise ValueError(f"two priors are called {', '.join(sorted(twice))}; rename a file")
    return {
        # a few inner steps from the last dual lead to the same minimum as many, ten times sooner
        name: TV(max_steps=15) if given == "tv" else named_prior(given)
        for name, given in zip(called, names, strict=True)
    }


def find_problem(problem: str | Problem) -> Problem:
    """By its name in `PROBLEMS`; an object as it is. Raises ValueError for an unknown name."""
    if not isinstance(problem, str):
        return problem
    if problem not in PROBLEMS:
        raise ValueError(f"no problem is called {problem!r}; known are {', '.join(PROBLEMS)}")
    return PROBLEMS[problem]
