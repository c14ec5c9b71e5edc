"""Files written whole or not at all: under a temporary name beside their place, then renamed."""

import contextlib
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path


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
    or a device, or if its folder is missing or cannot be written to.
    """
    target = Path(path).resolve()
    _check_place(path, target, overwrite)
    temporary = target.with_name(f".tmp-{secrets.token_hex(6)}{target.suffix}")
    try:
        _create(path, temporary)
        yield temporary
        os.replace(temporary, target)
    finally:
        # After the rename there is nothing to remove; after a failure its exception matters more
        # than one from the cleaning up.
        with contextlib.suppress(OSError):
            temporary.unlink()


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
    try:
        text = json.dumps(obj, indent=2, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"cannot write {path} as JSON: {error}; pass numbers, strings, lists and dicts, "
            "and None in place of NaN or infinity"
        ) from None
    with writing(path, overwrite) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def _try(path: str | Path, folder: Path) -> None:
    temporary = folder / f".tmp-{secrets.token_hex(6)}"
    try:
        _create(path, temporary)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _create(path: str | Path, temporary: Path) -> None:
    try:
        # Created by the plain open, not by mkstemp, so that the user's umask decides who may read
        # the result.
        temporary.open("xb").close()
    except OSError as error:
        raise ValueError(
            f"cannot write {path}: {error.strerror} in folder {temporary.parent}; "
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
