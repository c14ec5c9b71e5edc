"""The cases of a comparison shared out among the processes that torchrun started.

    torchrun --nproc-per-node 2 --max-restarts 3 -m proxlab compare ... --resume

A process takes the next case that nobody has taken, by a counter that all reach, so that none
waits for a slow one. It writes rows to a file of its own, and the first process gathers the files
when all have run out of cases. Nothing is sent from one to another: should one be lost, torchrun
stops the rest and, told --max-restarts, starts all again, and what has a row is not run again.
Processes on several machines need a folder in common.
"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from torch.distributed import PrefixStore, Store, is_torchelastic_launched
from torch.distributed.rendezvous import rendezvous

from proxlab.comparison.rows import ROWS, read_rows
from proxlab.images.files import writing

PATIENCE = timedelta(days=30)
"""How long one process waits for another: cases may be slow, and torchrun ends what is lost."""
Item = TypeVar("Item")


class Alone:
    """One process, which shares with none."""

    rank = 0

    def begin(self) -> None:
        """Another comparison."""

    def agree(self, finished: Sequence[str]) -> Sequence[str]:
        """What was found finished."""
        return finished

    def share(self, items: Sequence[Item]) -> Iterable[Item]:
        """Those that are this process's."""
        return items

    def end(self, out: Path) -> None:
        """All rows are in one file."""


class Team:
    """The processes of a comparison, as one of them sees them."""

    def __init__(self, store: Store, rank: int, count: int):
        """`store` is common to all `count` processes; a new one, or prefix, for each attempt."""
        store.set_timeout(PATIENCE)
        self.rank, self.count = rank, count
        self._whole, self._rounds = store, 0

    def begin(self) -> None:
        """Another comparison; every process has to have ended the last."""
        self._store = PrefixStore(f"comparison/{self._rounds}", self._whole)
        self._rounds += 1

    def agree(self, finished: Sequence[str]) -> list[str]:
        """What the first process found finished; the others may have looked later."""
        if self.rank == 0:
            self._store.set("finished", json.dumps(finished))
        return json.loads(self._store.get("finished"))

    def share(self, items: Sequence[Item]) -> Iterator[Item]:
        """Those that are this process's; `items` are the same everywhere."""
        while (i := self._store.add("taken", 1) - 1) < len(items):
            yield items[i]

    def end(self, out: Path) -> None:
        """Wait for the others; the rows of all are in one file afterwards."""
        self._store.set(f"ended/{self.rank}", "")
        if self.rank == 0:
            self._store.wait([f"ended/{rank}" for rank in range(self.count)])
            gather(out)
            self._store.set("gathered", "")
        self._store.wait(["gathered"])


def team() -> Alone | Team:
    """That of this process: as torchrun started it, or alone."""
    if not is_torchelastic_launched():
        return Alone()
    store, rank, count = next(rendezvous("env://"))
    # torchrun keeps its store when it starts all again, and with it what the last attempt counted
    attempt = os.environ["TORCHELASTIC_RESTART_COUNT"]
    return Team(PrefixStore(f"attempt/{attempt}", store), rank, count)


def own_device(device: str) -> str:
    """Of this process on its machine: each of torchrun's processes has a GPU, where there are."""
    several = device == "cuda" and is_torchelastic_launched()
    return f"cuda:{os.environ['LOCAL_RANK']}" if several else device


def part(team: Alone | Team) -> str:
    """The file that this process writes its rows to."""
    return f"part-{team.rank}-{ROWS}" if isinstance(team, Team) else ROWS


def gather(out: Path) -> list[dict[str, Any]]:
    """All rows of the folder, moved into one file; parts may be of processes that were lost."""
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
