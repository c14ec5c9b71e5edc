"""The prior of a run where none is told: that of the problem, and one for colour for colours."""

import argparse

from proxlab.commands.problems.measurement import Source
from proxlab.commands.problems.options import COLOR_PRIOR, DEFAULT_PRIOR, PROBLEM_OPTIONS


def prior_name(args: argparse.Namespace, source: Source) -> str:
    """Name of the prior that a run takes."""
    own = PROBLEM_OPTIONS[args.problem].prior
    return args.prior or (COLOR_PRIOR if _for_colour(args, source) else own)


def chosen(args: argparse.Namespace, source: Source) -> str:
    """A sentence on a prior that was chosen by the colours of INPUT; else empty."""
    if not _for_colour(args, source):
        return ""
    return (
        f"{args.input} has colours, so the prior is {COLOR_PRIOR}; --prior {DEFAULT_PRIOR} would "
        "take each channel by itself"
    )


def _for_colour(args: argparse.Namespace, source: Source) -> bool:
    gray = PROBLEM_OPTIONS[args.problem].prior == DEFAULT_PRIOR
    return args.prior is None and gray and source.channels() == 3
