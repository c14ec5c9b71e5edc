"""Progress bars, for every loop of both packages; they are drawn on a terminal alone."""

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


def progress_bar(
    wanted: bool,
    total: int | None = None,
    *,
    unit: str = "step",
    done: int = 0,
    label: str | None = None,
    leave: bool = True,
) -> tqdm | NoBar:
    """A bar for a `with`, drawn if `wanted` and stderr is a terminal; each `update()` counts one.

    total: how many units there are, None if that is not known; unit: what one is called; done:
    units of an earlier run; label: text before the bar; leave: whether the bar stays when all is
    done.

        with progress_bar(True, len(images), unit="image") as bar:
            bar.update()
    """
    if not (wanted and sys.stderr.isatty()):
        return NoBar()
    return tqdm(total=total, unit=unit, initial=done, desc=label, leave=leave)
