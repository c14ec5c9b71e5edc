"""Compare priors: every prior on every problem, image, noise level, seed and solver, a row each.

Rows are lines of a JSON file, appended one by one, so that an interrupt loses no finished case. A
comparison that is resumed runs the cases that have no row yet, and once more those that failed.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from proxlab.comparison.case import Case, Outcome, Row, failed, run_case
from proxlab.comparison.measured import write_measured
from proxlab.comparison.names import MEASURED, PLAIN, TRUTH, label, pictures
from proxlab.comparison.plan import Comparison, ComparisonRun, Plan
from proxlab.comparison.problems import PROBLEMS, OfSlices, Problem
from proxlab.comparison.rows import ROWS, append, environment, key_of, read_rows
from proxlab.comparison.settings import SHIPPED, read_settings
from proxlab.comparison.team import gather, part
from proxlab.foreign_weights import Weights
from proxlab.images import list_images, read_image, write_image
from proxlab.images.files import check_folder, write_json
from proxlab.images.hounsfield import read_slice
from proxlab.images.perceptual import SMALLEST_SIDE, Lpips
from proxlab.images.reading import read_shape
from proxlab.named_priors import Prior, as_prior, named_prior

ALEXNET = Weights(
    "torchvision's AlexNet, of which LPIPS is made",
    "alexnet-owt-7be5be79.pth",
    "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
)
"""Weights that LPIPS needs, of https://download.pytorch.org/models/, which nothing here fetches."""
UNREADABLE = (ValueError, OSError, MemoryError)
"""Errors of reading an image."""


def compare(
    priors: Sequence[str] | Mapping[str, Any],
    problems: Sequence[str | Problem],
    images: str | Path,
    out: str | Path,
    plan: Plan = Plan(),
    run: ComparisonRun = ComparisonRun(),
) -> list[Row]:
    """Run every case that has no row in the folder `out` yet; return all rows, in their order.

    priors: names that `proxlab.named_priors` knows, or priors by name; problems: names of
    `PROBLEMS`, or objects that have what `Problem` asks for; images: folder, read as gray levels;
    out: folder of the rows, results.jsonl, and of the restored images, images/; plan: the noise
    levels, seeds, solvers and settings; run: the device, whether to resume, and who watches.

    A case that fails is a row with an `error`, which is not among those returned; so are all cases
    of an image that cannot be read. Raises ValueError for a name that is not known, if `out` holds
    rows and is not to be resumed, and if LPIPS is asked for without AlexNet; TypeError for an
    object that is no prior (`proxlab.priors.adopted`); OSError, with what is finished kept, where
    nothing more can be written.

    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> for name in ("a.png", "b.png"):
    ...     _ = proxlab.images.write_image(folder / name, torch.rand(1, 1, 32, 32))
    >>> rows = proxlab.compare(["none", "tv"], ["inpaint"], folder, folder / "out")
    >>> [(row["prior"], row["image"]) for row in rows]
    [('none', 'a.png'), ('tv', 'a.png'), ('none', 'b.png'), ('tv', 'b.png')]
    """
    problems = [find_problem(p) for p in problems]
    settings = plan.settings
    if settings is None:
        settings = read_settings(SHIPPED, problems, plan.default, plan.noises)
    comparison = Comparison(
        _opened(priors, run.device),
        problems,
        list_images(images),
        plan,
        settings,
    )
    judge = _judge() if plan.lpips else None
    out, team = Path(out), run.team
    check_folder(out)
    team.begin()
    before = gather(out) if team.rank == 0 else []
    check_new(before, out, run.resume)
    shapes = {path.name: _shape(path) for path in comparison.images}
    judged = {name for name, shape in shapes.items() if plan.lpips and min(shape) >= SMALLEST_SIDE}
    finished = set(team.agree(list(_finished(before, out, judged))))
    todo = [pair for pair in comparison.cases() if pair[0].key not in finished]
    # the longest first, so that none is left to one process when the others are done
    todo.sort(key=lambda pair: -prod(shapes[pair[0].image]))
    for row in _run(comparison, team.share(todo), out, run, judge):
        if run.watch is not None:
            run.watch(row)
    team.end(out)
    rows = read_rows(out / ROWS)
    for row in rows[len(before) :]:
        if run.watch is not None and team.rank == 0 < row["process"]:
            run.watch(row)
    done = _finished(rows, out, judged)
    return [done[case.key] for case, _ in comparison.cases() if case.key in done]


def check_new(rows: list[Row], out: Path, resume: bool) -> None:
    """Raise ValueError if the folder `out` has rows and is not to be resumed."""
    if rows and not resume:
        raise ValueError(f"{out} holds a comparison; resume it, or choose another folder")


def _opened(priors: Sequence[str] | Mapping[str, Any], device: str) -> dict[str, Prior]:
    """Priors by name, those that are networks on the device. Raises TypeError for no prior."""
    given = priors if isinstance(priors, Mapping) else load_priors(priors)
    for prior in given.values():
        if isinstance(prior, torch.nn.Module):
            prior.to(device)
    return {name: as_prior(prior) for name, prior in given.items()}


def _judge() -> Lpips:
    """LPIPS, if its weights are at hand."""
    if not ALEXNET.path.is_file():
        raise ValueError(
            f"LPIPS needs torchvision's AlexNet, which proxlab does not fetch: put "
            f"https://download.pytorch.org/models/{ALEXNET.file} into {ALEXNET.path.parent}, or do "
            "without LPIPS"
        )
    return Lpips(ALEXNET.read())


def _shape(path: Path) -> tuple[int, ...]:
    """Height and width of an image file, zeros for one that cannot be read: its cases will fail."""
    try:
        return tuple(read_shape(path)[1:])
    except UNREADABLE:
        return 0, 0


def _finished(rows: list[Row], out: Path, judged: Collection[str]) -> dict[str, Row]:
    """Rows that did not fail, by the keys of their cases, and whose pictures are still there.

    judged: names of the images that a row has to have an LPIPS of.
    """
    found: dict[str, Row] = {}
    for row in rows:
        key = key_of(row)
        lacking = row["image"] in judged and row.get("lpips") is None
        if "error" not in row and not lacking and _pictured(row, out):
            found[key] = row
    return found


def _pictured(row: Row, out: Path) -> bool:
    """Whether the files that the page and the figure show are there."""
    folder = out / pictures(row)
    names = PLAIN, TRUTH, MEASURED, label(row)
    files = [*(f"{name}.png" for name in names), f"{MEASURED}.json", f"{label(row)}.json"]
    return all((folder / name).is_file() for name in files)


def _run(
    comparison: Comparison,
    todo: Iterable[tuple[Case, Problem]],
    out: Path,
    run: ComparisonRun,
    judge: Lpips | None,
) -> Iterator[Row]:
    """Run the cases; each row is yielded when it is on the disk."""
    out.mkdir(parents=True, exist_ok=True)
    paths = {path.name: path for path in comparison.images}
    truths: dict[tuple[str, bool], Tensor | Exception] = {}
    for case, problem in todo:
        read = case.image, isinstance(problem, OfSlices)
        if read not in truths:
            truths = {read: _truth(paths[case.image], read[1])}
        prior, truth = comparison.priors[case.prior], truths[read]
        if isinstance(truth, Exception):
            outcome = Outcome(failed(case, truth))
        else:
            outcome = run_case(case, problem, prior, truth, run.device, judge)
        row = outcome.row | {"device": run.device, "process": run.team.rank} | environment()
        if outcome.image is not None:
            folder = out / pictures(row)
            folder.mkdir(parents=True, exist_ok=True)
            named = {label(row): outcome.image, PLAIN: outcome.plain, TRUTH: truth}
            for name, pixels in named.items():
                clipped = write_image(folder / f"{name}.png", pixels, overwrite=True)
                if name == label(row):  # the PNG's; figures are of the restoration itself
                    row["clipped"] = clipped
            write_json(folder / f"{label(row)}.json", outcome.curves, overwrite=True)
            assert isinstance(truth, Tensor) and outcome.measured is not None
            assert outcome.op is not None
            write_measured(folder, outcome.measured, outcome.op, truth)
        append(out / part(run.team), row)
        yield row


def _truth(path: Path, is_slice: bool) -> Tensor | Exception:
    """Pixels of an image file; the error if it cannot be read, so that other images go on."""
    try:
        return read_slice(path).pixels if is_slice else read_image(path, gray=True).pixels
    except UNREADABLE as error:
        return error


def load_priors(names: Sequence[str], allowed: Collection[str] = ()) -> dict[str, Prior]:
    """Priors by the names that they have in the rows: as given, of a file its stem.

    allowed: sha256 of files of foreign weights that are let in (`named_prior`). Raises ValueError
    for a name that is not known, and for two priors of one name.
    """
    called = [Path(n).stem if str(n).endswith(".safetensors") else str(n) for n in names]
    if twice := {n for n in called if called.count(n) > 1}:
        raise ValueError(f"two priors are called {', '.join(sorted(twice))}; rename a file")
    return {name: named_prior(given, allowed) for name, given in zip(called, names, strict=True)}


def find_problem(problem: str | Problem) -> Problem:
    """Problem of that name in `PROBLEMS`, or the object itself. Raises ValueError for no name."""
    if not isinstance(problem, str):
        return problem
    if problem not in PROBLEMS:
        raise ValueError(f"no problem is called {problem!r}; known are {', '.join(PROBLEMS)}")
    return PROBLEMS[problem]
