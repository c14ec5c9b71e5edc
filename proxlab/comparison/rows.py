"""Rows of a comparison on the disk: lines of JSON, appended whole, found after an interrupt."""

import json
import os
import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from proxlab.comparison.case import Case, Settings

ROWS = "results.jsonl"


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a file; a last line that an interrupt left unfinished is cut off the file.

    Raises ValueError for another line that is not JSON.
    """
    if not path.exists():
        return []
    text = path.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    if whole != text:
        with open(path, "r+b") as file:
            file.truncate(len(whole))
    rows = []
    for i, line in enumerate(whole.splitlines(), 1):
        try:
            rows.append(json.loads(line))
        except ValueError:
            raise ValueError(f"line {i} of {path} is not JSON; remove that line") from None
    return rows


def append(path: Path, row: dict[str, Any]) -> None:
    """Add a row to the file in one write, on the disk when this returns."""
    line = (json.dumps(row, allow_nan=False) + "\n").encode()
    place = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        os.write(place, line)
        os.fsync(place)
    finally:
        os.close(place)


@cache
def environment() -> dict[str, Any]:
    """What a row has to say to be made again elsewhere: versions, commit, machine, threads."""
    folder = Path(__file__).parent
    try:
        commit = subprocess.run(
            ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        commit = None
    return {
        "versions": {name: version(name) for name in ("proxlab", "torch", "deepinv")}
        | {"python": platform.python_version()},
        "commit": commit,
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
    }


def key_of(row: dict[str, Any]) -> str:
    """That of the case a row is of."""
    fields = {name: row[name] for name in Case.__dataclass_fields__}
    return Case(**fields | {"settings": Settings(**row["settings"])}).key
