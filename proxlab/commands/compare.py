"""The command `proxlab compare`: names in, a folder of rows, restorations and tables out."""

from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from proxlab.commands.device import device
from proxlab.comparison.case import PriorSettings, Row
from proxlab.comparison.comparing import check_new, compare, find_problem, load_priors
from proxlab.comparison.figure import draw_comparison
from proxlab.comparison.plan import ComparisonRun, Plan
from proxlab.comparison.report import report
from proxlab.comparison.rows import ROWS
from proxlab.comparison.settings import read_settings, write_settings
from proxlab.comparison.table import latex, markdown
from proxlab.comparison.team import gather, own_device, team
from proxlab.comparison.tuning import tune
from proxlab.foreign_weights import listed
from proxlab.images.files import writing
from solvers.progress import NoBar, on_terminal, progress_bar

Number = TypeVar("Number", int, float)


def compare_files(args: Namespace) -> None:
    """Compare as args say and write the tables, the page and the figure into args.out.

    Raises ValueError for what cannot be compared, and RuntimeError if cases failed.
    """
    priors = load_priors(args.priors.split(","), listed(args.allow_weights))
    problems = [find_problem(name) for name in args.problems.split(",")]
    plan = Plan(
        noises=_numbers("--noises", args.noises, float) if args.noises else (),
        seeds=_numbers("--seeds", args.seeds, int),
        solvers=args.solvers.split(","),
        default=PriorSettings(steps=args.steps, tol=args.tol),
        lpips=args.lpips,
    )
    ours, failed = team(), []
    run = ComparisonRun(args.resume, own_device(device(args.device)), team=ours)
    if args.tune is not None:
        if ours.rank == 0:  # said before hours of tuning, not after them
            check_new(gather(args.out), args.out, args.resume)
        folder = args.out / "tuning"
        tuned = partial(compare, run=replace(run, resume=True))
        settings = tune(tuned, priors, problems, args.tune, folder, plan)
        if ours.rank == 0:
            write_settings(args.out / "settings.json", settings, problems, plan.noises)
        plan = replace(plan, settings=settings)
    elif args.settings is not None:
        settings = read_settings(args.settings, problems, plan.default, plan.noises)
        if not any(prior in priors for prior, _ in settings):
            raise ValueError(
                f"{args.settings} has no settings of {args.priors} on {args.problems} at this "
                "noise; choose them with --tune, or leave out --settings"
            )
        plan = replace(plan, settings=settings)
    bar_wanted = not args.quiet and ours.rank == 0 and on_terminal()
    with _resumable(args.out), progress_bar(bar_wanted, unit="case") as bar:
        run = replace(run, watch=lambda row: _seen(row, failed, bar))
        rows = compare(priors, problems, args.images, args.out, plan, run)
        if ours.rank > 0:
            return  # the first has seen all rows
        _write(rows, args)
    _print(rows, args)
    if failed:
        first = failed[0]
        raise RuntimeError(
            f"{len(failed)} cases failed, first {first['prior']} on {first['problem']} of "
            f"{first['image']}: {first['error']}; --resume tries them again"
        )


def _write(rows: list[Row], args: Namespace) -> None:
    """Write what is made of rows into args.out."""
    if rows:
        made = {
            "table.md": markdown(rows),
            "table.tex": latex(rows),
            "report.html": report(rows, args.out),
        }
        for name, text in made.items():
            with writing(args.out / name, overwrite=True) as path:
                path.write_text(text, encoding="utf-8")
        for name in ("figure.png", "figure.pdf"):
            with writing(args.out / name, overwrite=True) as path:
                draw_comparison(path, rows, args.out)


def _print(rows: list[Row], args: Namespace) -> None:
    """Print the table, unless told to be quiet."""
    if not args.quiet and rows:
        print(markdown(rows) + f"\nreport: {args.out / 'report.html'}   rows: {args.out / ROWS}")


@contextmanager
def _resumable(out: Path) -> Iterator[None]:
    """Have an interrupt, and a disk that takes no more, say that what is finished is kept.

    Raises RuntimeError in place of OSError.
    """
    kept = f"every finished case is kept in {out}, and --resume runs the others"
    try:
        yield
    except KeyboardInterrupt as error:
        raise type(error)(kept) from None
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        raise RuntimeError(f"{place}{error.strerror or error}; {kept}") from error


def _seen(row: Row, failed: list[Row], bar: tqdm | NoBar) -> None:
    """Move the bar, and add the row to those that failed if it has."""
    if "error" in row:
        failed.append(row)
    bar.update()
    bar.set_postfix_str(f"{row['prior']}, {row['problem']}, {row['image']}")


def _numbers(option: str, text: str, kind: Callable[[str], Number]) -> list[Number]:
    """Numbers of an option, with commas between. Raises ValueError for other text."""
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        what = "whole numbers" if kind is int else "numbers"
        raise ValueError(f"{option} is {what} with commas between, got {text!r}") from None
