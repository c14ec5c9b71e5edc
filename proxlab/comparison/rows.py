"""Rows of a comparison on the disk: lines of JSON, each written whole, so that none is lost."""

import errno
import json
import os
import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from proxlab.comparison.case import Case, PriorSettings, Row

ROWS = "results.jsonl"
"""Name of the file of rows in the folder of a comparison."""


def read_rows(path: Path) -> list[Row]:
    """Rows of a file, none if there is no file.

    A last line that an interrupt left unfinished is cut off the file. Raises ValueError for a line
    that is not a JSON object, and for a FIFO or a device in place of a file.
    """
    if not path.exists():
        return []
    if not path.is_file():
        raise ValueError(f"{path} is not an ordinary file; remove it, or choose another folder")
    text = path.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    if whole != text:
        with open(path, "r+b") as file:
            file.truncate(len(whole))
    rows = []
    for i, line in enumerate(whole.splitlines(), 1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise ValueError(f"line {i} of {path} is not a JSON object; remove that line")
        rows.append(row)
    return rows


def append(path: Path, row: Row) -> None:
    """Add a row to the file, in one write. It is on the disk when this returns.

    Raises OSError, with the name of the file, if it could not be written whole; then nothing of it
    is left in the file.
    """
    line = (json.dumps(row, allow_nan=False) + "\n").encode()
    try:
        place = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            before = os.fstat(place).st_size
            written = os.write(place, line)
            if written < len(line):  # a disk that is full takes a part, and says nothing
                os.ftruncate(place, before)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(place)
        finally:
            os.close(place)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


@cache
def environment() -> dict[str, Any]:
    """Versions, commit, machine and threads, which a row records so that it can be made again."""
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


def key_of(row: Row) -> str:
    """Key of the case that a row is of, `Case.key`. Raises ValueError for what is no such row."""
    try:
        fields: Row = {name: row[name] for name in Case.__dataclass_fields__}
        fields["settings"] = PriorSettings(**row["settings"])
        for name in ("prior", "problem", "image", "solver"):
            if not isinstance(row[name], str):
                raise TypeError(f"{name} is no text")
        if not isinstance(row["parameters"], dict):
            raise TypeError("parameters have no names")
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"a row of {ROWS} is not of a comparison by this version ({error}); remove its line: "
            f"{json.dumps(row)[:80]}"
        ) from error
    return Case(**fields).key
