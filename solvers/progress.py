"""Progress bars, for every loop of both packages: drawn for whoever asked for one."""

import sys

from tqdm import tqdm


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
    """A bar for a `with`, drawn on stderr if `wanted`; each `update()` counts one.

    Whatever stderr is: in a notebook, and in many an editor, it is no terminal. Programs that write
    to log files as well want it `on_terminal()`. A stderr that is closed is left alone.

    total: how many units there are, None if that is not known; unit: what one is called; done:
    units of an earlier run; label: text before the bar; leave: whether the bar stays when all is
    done.

        with progress_bar(True, len(images), unit="image") as bar:
            bar.update()
    """
    if not (wanted and _open()):
        return NoBar()
    return tqdm(total=total, unit=unit, initial=done, desc=label, leave=leave)


def _open() -> bool:
    return sys.stderr is not None and not sys.stderr.closed
