"""`proxlab compare`: names in, a folder of rows, restorations and tables out."""

from argparse import Namespace
from collections.abc import Callable
from functools import partial

from proxlab.commands.device import device
from proxlab.comparison.case import Settings
from proxlab.comparison.comparing import check_new, compare, find_problem, load_priors
from proxlab.comparison.figure import draw_comparison
from proxlab.comparison.report import report
from proxlab.comparison.rows import ROWS
from proxlab.comparison.settings import read_settings, write_settings
from proxlab.comparison.table import latex, markdown
from proxlab.comparison.team import gather, own_device, team
from proxlab.comparison.tuning import tune
from proxlab.images.files import writing
from solvers.progress import progress_bar


def compare_files(args: Namespace) -> None:
    """Raises ValueError for what cannot be compared, and RuntimeError where cases failed."""
    priors, problems = load_priors(args.priors.split(",")), args.problems.split(",")
    solvers, failed = args.solvers.split(","), []
    default = Settings(steps=args.steps, tol=args.tol)
    ours = team()
    run = partial(compare, device=own_device(device(args.device)), team=ours)
    settings, known = None, [find_problem(name) for name in problems]
    noises = _numbers("--noises", args.noises, float) if args.noises else []
    if args.tune is not None:
        if ours.rank == 0:  # said before hours of tuning, not after them
            check_new(gather(args.out), args.out, args.resume)
        folder = args.out / "tuning"
        settings = tune(run, priors, known, args.tune, folder, solvers[0], default, noises)
        if ours.rank == 0:
            write_settings(args.out / "settings.json", settings, known, noises)
    elif args.settings is not None:
        settings = read_settings(args.settings, known, default, noises)
        if not any(prior in priors for prior, _ in settings):
            raise ValueError(
                f"{args.settings} has no settings of {args.priors} on {args.problems} at this "
                "noise; choose them with --tune, or leave out --settings"
            )
    with progress_bar(not args.quiet and ours.rank == 0, unit="case") as bar:
        rows = run(
            priors,
            problems,
            args.images,
            args.out,
            noises=noises,
            seeds=_numbers("--seeds", args.seeds, int),
            solvers=solvers,
            settings=settings,
            default=default,
            resume=args.resume,
            watch=lambda row: _seen(row, failed, bar),
        )
    if ours.rank > 0:
        return  # the first has seen all rows
    _write(rows, args)
    if failed:
        first = failed[0]
        raise RuntimeError(
            f"{len(failed)} cases failed, first {first['prior']} on {first['problem']} of "
            f"{first['image']}: {first['error']}; --resume tries them again"
        )


def _write(rows: list[dict], args: Namespace) -> None:
    if rows:
        made = {
            "table.md": markdown(rows),
            "table.tex": latex(rows),
            "report.html": report(rows, args.out),
        }
        for name, text in made.items():
            with writing(args.out / name, overwrite=True) as path:
                path.write_text(text, encoding="utf-8")
        with writing(args.out / "figure.png", overwrite=True) as path:
            draw_comparison(path, rows, args.out)
    if not args.quiet and rows:
        print(markdown(rows) + f"\nreport: {args.out / 'report.html'}   rows: {args.out / ROWS}")


def _seen(row: dict, failed: list[dict], bar) -> None:
    if "error" in row:
        failed.append(row)
    bar.update()
    bar.set_postfix_str(f"{row['prior']}, {row['problem']}, {row['image']}")


def _numbers(option: str, text: str, kind: Callable) -> list:
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        what = "whole numbers" if kind is int else "numbers"
        raise ValueError(f"{option} is {what} with commas between, got {text!r}") from None
