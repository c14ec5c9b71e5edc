"""Processes that share the cases of a comparison, as torchrun started them.

    torchrun --nproc-per-node 2 --max-restarts 3 -m proxlab compare ... --resume

Each process takes the next case that nobody has taken, by a counter that all of them reach, so
that none waits for a slow one. It writes rows to a file of its own, and the first process gathers
the files when there are no cases left. If a process is lost, torchrun stops the others and, told
--max-restarts, starts all of them again; a case that has a row is not run again. Processes on
several machines need a folder in common.
"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from torch.distributed import (
    PrefixStore,  # pyright: ignore[reportPrivateImportUsage] (missing from torch's __all__ alone)
    Store,  # pyright: ignore[reportPrivateImportUsage]
    is_torchelastic_launched,
)
from torch.distributed.rendezvous import rendezvous

from proxlab.comparison.case import Row
from proxlab.comparison.rows import ROWS, read_rows
from proxlab.images.files import writing

LONGEST_WAIT = timedelta(days=30)
"""Time that one process waits for another. Cases may be slow, and torchrun ends what is lost."""
Item = TypeVar("Item")


class Alone:
    """A team of one process, with the methods of `Team`."""

    rank = 0

    def begin(self) -> None:
        """Do nothing: there is nobody to meet."""

    def agree(self, finished: Sequence[str]) -> Sequence[str]:
        """`finished`."""
        return finished

    def share(self, items: Sequence[Item]) -> Iterable[Item]:
        """All items."""
        return items

    def end(self, out: Path) -> None:
        """Do nothing: all rows are in one file already."""


class Team:
    """The processes of a comparison, as one of them sees them."""

    def __init__(self, store: Store, rank: int, count: int):
        """The process number `rank` of `count`.

        store: what the processes have in common; each attempt needs a new one, or a new prefix.
        """
        store.set_timeout(LONGEST_WAIT)
        self.rank, self.count = rank, count
        self._whole, self._rounds = store, 0

    def begin(self) -> None:
        """Begin another comparison. Every process must have ended the last one."""
        self._store = PrefixStore(f"comparison/{self._rounds}", self._whole)
        self._rounds += 1

    def agree(self, finished: Sequence[str]) -> list[str]:
        """Keys that the first process found finished; the others may have looked later."""
        if self.rank == 0:
            self._store.set("finished", json.dumps(finished))
        return json.loads(self._store.get("finished"))

    def share(self, items: Sequence[Item]) -> Iterator[Item]:
        """Items of this process, each as it is taken; `items` are the same in every process."""
        while (i := self._store.add("taken", 1) - 1) < len(items):
            yield items[i]

    def end(self, out: Path) -> None:
        """Wait for the others. Afterwards the rows of all are in one file."""
        self._store.set(f"ended/{self.rank}", "")
        if self.rank == 0:
            self._store.wait([f"ended/{rank}" for rank in range(self.count)])
            gather(out)
            self._store.set("gathered", "")
        self._store.wait(["gathered"])


def team() -> Alone | Team:
    """Team that torchrun started this process in; `Alone` without torchrun."""
    if not is_torchelastic_launched():
        return Alone()
    store, rank, count = next(rendezvous("env://"))
    # torchrun keeps its store when it starts all again, and with it what the last attempt counted
    attempt = os.environ["TORCHELASTIC_RESTART_COUNT"]
    return Team(PrefixStore(f"attempt/{attempt}", store), rank, count)


def own_device(device: str) -> str:
    """Device of this process: of "cuda", under torchrun, the GPU that has its number."""
    several = device == "cuda" and is_torchelastic_launched()
    return f"cuda:{os.environ['LOCAL_RANK']}" if several else device


def part(team: Alone | Team) -> str:
    """Name of the file that this process writes its rows to."""
    return f"part-{team.rank}-{ROWS}" if isinstance(team, Team) else ROWS


def gather(out: Path) -> list[Row]:
    """All rows of the folder, moved into one file, with those of processes that were lost."""
    parts = sorted(out.glob(f"part-*-{ROWS}"))
    rows = read_rows(out / ROWS)
    if not parts:
        return rows
    known = {json.dumps(row) for row in rows}  # an interrupt below leaves rows in two files
    for path in parts:
        rows += [row for row in read_rows(path) if json.dumps(row) not in known]
    with writing(out / ROWS, overwrite=True) as temporary:
        temporary.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    for path in parts:
        path.unlink()
    return rows
