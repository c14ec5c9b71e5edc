"""Files written whole or not at all: under a temporary name beside their place, then renamed."""

import contextlib
import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path

from proxlab.images.temporary_files import temporary_file

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a disk, a quota or a limit of file sizes that is reached."""


@contextlib.contextmanager
def writing(path: str | Path, overwrite: bool = False) -> Iterator[Path]:
    """A temporary path to write to, which becomes `path` only if the block ends well.

    The temporary file lies in the folder of `path` (a rename is atomic only within one file
    system), is hidden, and keeps the suffix, by which many writers choose the format. Any
    exception, KeyboardInterrupt included, removes it and leaves an old file as it was. A link is
    followed: what it points to is replaced.

        with writing("result.npz") as temporary:
            np.savez(temporary, image=image)

    Raises FileExistsError if `path` exists and `overwrite` is false; ValueError if it is a folder
    or a device, or if its folder is missing or cannot be written to; OSError with a sentence if the
    disk becomes full.
    """
    target = Path(path).resolve()
    _check_place(path, target, overwrite)
    with contextlib.ExitStack() as stack:
        temporary = _enter(stack, path, target.parent, target.suffix)
        try:
            yield temporary
        except OSError as error:
            if error.errno not in _FULL:
                raise
            raise OSError(
                f"cannot write {path}: {error.strerror} ({target.parent}); nothing of it was kept: "
                "free some space, or choose another folder"
            ) from error
        os.replace(temporary, target)


def check_writable(path: str | Path, overwrite: bool = False) -> None:
    """Raise at once what `writing` would raise after the work: see there. Leaves nothing behind."""
    target = Path(path).resolve()
    _check_place(path, target, overwrite)
    _try(path, target.parent)


def check_folder(path: str | Path) -> None:
    """Raise ValueError if files could not be written into folder `path`, made first if need be."""
    folder = Path(path).resolve()
    there = next(p for p in (folder, *folder.parents) if p.exists())
    if not there.is_dir():
        raise ValueError(f"cannot write into {path}: {there} is a file; choose another folder")
    _try(path, there)


def write_json(path: str | Path, obj: object, overwrite: bool = False) -> None:
    """Write `obj` as indented JSON, whole or not at all.

    Raises what `writing` raises, and ValueError for what JSON cannot hold: NaN, infinity, tensors.
    """
    text = as_json(path, obj)
    with writing(path, overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8")


def as_json(path: str | Path, obj: object) -> str:
    """The text of a file of indented JSON, for `path`. Raises ValueError as `write_json`."""
    try:
        return json.dumps(obj, indent=2, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"cannot write {path} as JSON: {error}; pass numbers, strings, lists and dicts, "
            "and None in place of NaN or infinity"
        ) from None


def _try(path: str | Path, folder: Path) -> None:
    with contextlib.ExitStack() as stack:
        _enter(stack, path, folder)


def _enter(stack: contextlib.ExitStack, path: str | Path, folder: Path, suffix: str = "") -> Path:
    """A temporary file for as long as the stack lasts."""
    try:
        return stack.enter_context(temporary_file(folder, suffix))
    except OSError as error:
        raise ValueError(
            f"cannot write {path}: {error.strerror} in folder {folder}; "
            "choose a folder that you may write to"
        ) from None


def _check_place(path: str | Path, target: Path, overwrite: bool) -> None:
    if target.is_dir():
        raise ValueError(f"cannot write {path}: it is a folder; name a file in it")
    if target.exists() and not target.is_file():
        # A rename would put an ordinary file in the place of, say, /dev/null.
        raise ValueError(f"cannot write {path}: it is not an ordinary file; choose another name")
    if target.exists() and not overwrite:
        raise FileExistsError(
            f"{path} exists already; choose another name, or overwrite it (--overwrite)"
        )
    if not target.parent.is_dir():
        raise ValueError(
            f"cannot write {path}: there is no folder {target.parent}; create it or choose another"
        )
