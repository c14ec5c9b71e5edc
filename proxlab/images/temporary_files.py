"""Temporary files under names of our own: those that a killed run left are removed by the next.

A temporary file is locked while it is written, and the system drops the lock of a process that is
gone, however it went: what can be locked is left over. Names hold the machine as well, since a file
system that several share may not share its locks. Windows has none of these locks, and lets no open
file be renamed: there, what is left over is told by its age.
"""

import contextlib
import hashlib
import os
import platform
import re
import secrets
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_MACHINE = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
_OURS = re.compile(r"\.tmp-(?:([0-9a-f]{8})-)?[0-9a-f]{12}(?:\.\w+)?")
"""Names of temporary files; those of proxlab 0.2 and before name no machine."""
_OLD = 24 * 3600
"""Seconds after which a temporary file of another machine is left over, if nobody locks it."""
_LOCKS = sys.platform != "win32"
"""Whether the system drops the locks of a process that is gone."""
_swept: set[Path] = set()
"""Folders that this process has looked through: a large one takes a while."""


@contextlib.contextmanager
def temporary_file(folder: Path, suffix: str = "") -> Iterator[Path]:
    """The path of a new, empty, hidden file in a folder, which is removed in the end.

    By the process that made it alone: a forked child that ends meanwhile leaves it. The first call
    for a folder removes what killed runs left in it. Raises OSError if no file can be made there.
    """
    if folder not in _swept:
        _swept.add(folder)
        remove_left_over(folder)
    path, lock = _create(folder, suffix)
    maker = os.getpid()
    try:
        yield path
    finally:
        # After a rename there is nothing to remove; after a failure its exception matters more
        # than one from the cleaning up.
        if os.getpid() == maker:
            with contextlib.suppress(OSError):
                path.unlink()
        if lock is not None:
            os.close(lock)


def remove_left_over(folder: Path) -> list[Path]:
    """Remove the temporary files of runs that are gone; the result is which. Raises nothing."""
    removed = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            name = _OURS.fullmatch(entry.name)
            if name is None:
                continue
            path = Path(entry.path)
            with contextlib.suppress(OSError):
                untold = name[1] != _MACHINE or not _LOCKS
                if untold and time.time() - path.lstat().st_mtime < _OLD:
                    continue
                if _remove(path):
                    removed.append(path)
    return removed


def _remove(path: Path) -> bool:
    """Remove an ordinary file that nobody has locked."""
    if not stat.S_ISREG(path.lstat().st_mode):
        return False
    if not _LOCKS:
        path.unlink()
        return True
    import fcntl

    handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    finally:
        os.close(handle)
    return True


def _create(folder: Path, suffix: str) -> tuple[Path, int | None]:
    """A new file and the handle that keeps it locked, None where there are no locks."""
    while True:
        path = folder / f".tmp-{_MACHINE}-{secrets.token_hex(6)}{suffix}"
        # By open, not by mkstemp, so that the user's umask decides who may read the result.
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        if not _LOCKS:
            os.close(handle)
            return path, None
        import fcntl

        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return path, handle
        # Another process took it for left over, before it was locked.
        os.close(handle)
