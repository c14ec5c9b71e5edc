"""A progress bar on a terminal, for every loop of both packages; elsewhere it says nothing."""

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
    """A bar for a `with`, drawn if `wanted` and stderr is a terminal; its `update` counts one.

    total: of units, None if it is not known; done: those of an earlier run; label: what stands
    before the bar; leave: whether it stays when all is done.
    """
    silent = None if wanted else True  # None: by whether stderr is a terminal
    return tqdm(total=total, unit=unit, initial=done, desc=label, leave=leave, disable=silent)
