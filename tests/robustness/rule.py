"""The rule of the fuzzing: a right answer, or one clear sentence of ours, and nothing else.

A refusal is ours if its exception is of a documented type, its last frame is a `raise` statement in
a file of `proxlab` or `solvers`, and its message is one line. What torch, numpy, skimage or Python
itself has to say ends in a frame of theirs, or in a line of ours that raises nothing: that is a
foreign message, whatever it says. An error of the operating system is a sentence where it names
the file. A warning is ours if its words are in `WARNINGS`. A call that lasts longer than `PATIENCE`
hangs.
"""

import ast
import contextlib
import functools
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator
from inspect import getclosurevars
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Tensor

ROOT = Path(__file__).parents[2]
PACKAGES = tuple(str(ROOT / name) for name in ("proxlab", "solvers"))
OURS = (ValueError, TypeError, RuntimeError, ArithmeticError, MemoryError, FileExistsError)
"""Types that docstrings speak of."""
WARNINGS = ("is trained for", "stopped short of tol", "least squares stopped after")
"""Words of the warnings that the package gives on purpose."""
PATIENCE = 60
"""Seconds; the slowest call of the default run takes a second."""


class Refused(NamedTuple):
    """A call that ended in a sentence."""

    error: Exception


class ForeignError(AssertionError):
    """A call that ended in something else."""


@functools.cache
def _raises(path: str) -> frozenset[int]:
    """Lines of a file that belong to a `raise` statement with an exception of its own."""
    tree = ast.parse(Path(path).read_text())
    return frozenset(
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    )


def is_ours(error: BaseException) -> bool:
    """Whether the exception is a sentence of ours."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror and error.filename:
        return True
    last = traceback.extract_tb(error.__traceback__)[-1]
    return (
        isinstance(error, OURS)
        and last.filename.startswith(PACKAGES)
        and last.lineno in _raises(last.filename)
        and bool(text.strip())
        and "\n" not in text
    )


@contextlib.contextmanager
def patient() -> Iterator[None]:
    """Raises ForeignError in a block that lasts longer than `PATIENCE`."""

    def late(signum: int, frame: object) -> None:
        raise ForeignError(f"no answer within {PATIENCE} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(PATIENCE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def outcome(call: Callable[[], object]) -> object:
    """What the call returns, or `Refused`; ForeignError for anything else that happens."""
    with warnings.catch_warnings(record=True) as caught, patient():
        warnings.simplefilter("always")
        try:
            answer = call()
        except ForeignError:
            raise
        except Exception as error:
            if not is_ours(error):
                last = traceback.extract_tb(error.__traceback__)[-1]
                raise ForeignError(
                    f"{type(error).__name__} at {last.filename}:{last.lineno}: {error}\n"
                    f"of {described(call)}"
                ) from error
            answer = Refused(error)
    check_warnings(caught)
    return answer


def described(call: Callable[[], object]) -> str:
    """What a drawn call was made of, for a person who wants to make it again."""
    return ", ".join(f"{k} = {_short(v)}" for k, v in getclosurevars(call).nonlocals.items())


def _short(value: object) -> str:
    if isinstance(value, Tensor | np.ndarray):
        return f"{value.dtype} {list(value.shape)} {str(value.reshape(-1)[:3])[:60]}"
    return " ".join(str(value).split())[:120]


def check_warnings(caught: list[warnings.WarningMessage]) -> None:
    """Raises ForeignError for a warning that is none of ours."""
    for warning in caught:
        said = str(warning.message)
        if not any(words in said for words in WARNINGS):
            raise ForeignError(f"{warning.category.__name__}: {said}")
