"""Progress bars, for every loop of both packages; they are drawn on a terminal alone."""

from tqdm import tqdm


def progress_bar(
    wanted: bool,
    total: int | None = None,
    *,
    unit: str = "step",
    done: int = 0,
    label: str | None = None,
    leave: bool = True,
) -> tqdm:
    """A bar for a `with`, drawn if `wanted` and stderr is a terminal; each `update()` counts one.

    total: how many units there are, None if that is not known; unit: what one is called; done:
    units of an earlier run; label: text before the bar; leave: whether the bar stays when all is
    done.

        with progress_bar(True, len(images), unit="image") as bar:
            bar.update()
    """
    silent = None if wanted else True  # None: by whether stderr is a terminal
    return tqdm(total=total, unit=unit, initial=done, desc=label, leave=leave, disable=silent)
