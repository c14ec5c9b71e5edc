"""Progress bars, for every loop of both packages: drawn for whoever asked for one."""

import sys
import warnings
from typing import Protocol

import torch
from torch import Tensor
from tqdm import tqdm


class Follower(Protocol):
    """A function that is called after each step of a run, and ends it by returning True.

    k: number of the step, from 1; x: estimates of all images, a copy [B, C, H, W]; residual: [B],
    NaN of an image that came to rest earlier.
    """

    def __call__(self, k: int, x: Tensor, residual: Tensor, /) -> object: ...


def ends(answer: object) -> bool:
    """Whether a follower's answer ends its run: True or False, of any library, or None.

    Raises TypeError for anything else, which would be taken for one of them by accident.
    """
    if answer is None or isinstance(answer, bool):
        return bool(answer)
    try:
        told = torch.as_tensor(answer)
    except (TypeError, ValueError, RuntimeError):  # whatever torch makes of what is no number
        told = torch.empty(0)
    if told.dtype != torch.bool or told.numel() != 1:
        raise TypeError(
            "a function that follows a run returns True to end it, and False or nothing to go on, "
            f"got {type(answer).__name__}"
        )
    return bool(told)


class NoBar:
    """A bar that is not drawn.

    A disabled bar of tqdm would do, but for the lock it takes, which all forked processes share,
    and the thread it starts: a worker that is killed inside leaves the others waiting for ever.
    """

    def __enter__(self) -> "NoBar":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def update(self, n: float = 1) -> None:
        """Nothing."""

    def set_postfix_str(self, text: str) -> None:
        """Nothing."""


def on_terminal() -> bool:
    """Whether a person may be reading along: what a program asks that was not told itself."""
    return _open() and sys.stderr.isatty()


def progress_bar(
    wanted: bool | None,
    total: int | None = None,
    *,
    unit: str = "step",
    done: int = 0,
    label: str | None = None,
    leave: bool = True,
) -> tqdm | NoBar:
    """A bar for a `with`, drawn if `wanted`; each `update()` counts one.

    It is drawn whatever stderr is: in a notebook, and in many an editor, that is no terminal. In a
    notebook with ipywidgets it is a widget, everywhere else text on stderr; a stderr that is closed
    is left alone. Programs that write to log files as well want it `on_terminal()`.

    total: how many units there are, None if that is not known; unit: what one is called; done:
    units of an earlier run; label: text before the bar; leave: whether the bar stays when all is
    done.

        with progress_bar(True, len(images), unit="image", label="restore") as bar:
            bar.update()
    """
    if not (wanted and _open()):
        return NoBar()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "IProgress not found")  # then text is drawn
        from tqdm.auto import tqdm as drawn  # late: it looks for a notebook
    return drawn(total=total, unit=unit, initial=done, desc=label, leave=leave)


def fill(bar: tqdm | NoBar) -> None:
    """Let the bar of a loop that had less to do than its total end full: of what was done.

    A notebook's widget that is closed below its total is drawn as one that failed.
    """
    if isinstance(bar, tqdm) and bar.total is not None and bar.n < bar.total:
        bar.total = bar.n
        bar.refresh()


def _open() -> bool:
    return sys.stderr is not None and not sys.stderr.closed
