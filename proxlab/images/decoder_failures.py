"""Failures of a decoder, told in one sentence; its remarks wait until it is over."""

import contextlib
import errno
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from types import ModuleType

from proxlab.images.admission import Unreadable, in_words
from proxlab.images.shards import ImageFile

_TROUBLE = (
    errno.EACCES,
    errno.EPERM,
    errno.ENOENT,
    errno.EIO,
    errno.ESTALE,
    errno.EMFILE,
    errno.ENFILE,
    errno.ETIMEDOUT,
)
"""Errors of a system that cannot read a file; others (EINVAL) come of offsets in damaged ones."""


@contextlib.contextmanager
def decoding(path: ImageFile) -> Iterator[None]:
    """Turn whatever a decoder raises into a ValueError of one sentence, and drop its remarks then.

    The sentence calls the file damaged, unless the fault is another: `Unreadable`, which is passed
    on, too little memory, a package that is missing, a disk that cannot be read.

    Remarks of a decoder that succeeds go where the caller sends warnings: under `python -W error`
    the first one is raised, as what it is and not as damage of the file.
    """
    with _held_back():
        # On damaged input decoders raise whatever they stumble over: struct.error, KeyError, ...
        try:
            yield
        except Unreadable:
            raise
        except Exception as error:
            raise ValueError(f"{path} {_told(error)}") from error


def _told(error: Exception) -> str:
    """Words on the fault, and the remedy."""
    reason = in_words(error) or type(error).__name__
    if isinstance(error, MemoryError):
        return f"does not fit into the memory that is free ({reason}); cut it into parts"
    if isinstance(error, ImportError):
        return f"cannot be decoded without a package that is missing ({reason}); install it"
    if isinstance(error, OSError) and error.errno in _TROUBLE:
        return f"cannot be read: {error.strerror}; check the disk and the rights"
    return (
        f"cannot be decoded, it may be damaged or cut short ({reason}); "
        "copy it again, or save it anew as PNG, TIFF or npy"
    )


@contextlib.contextmanager
def _held_back() -> Iterator[None]:
    """Hold log records and warnings back until the block ends; an exception takes their place.

    This is done in the main thread only. The filters of warnings belong to the whole process, and
    if two threads change and restore them by turns, the last one leaves behind what it found in the
    middle.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loggers = [logging.getLogger(n) for n in ("tifffile", "PIL.TiffImagePlugin", "pydicom")]
    records: list[logging.LogRecord] = []

    def hold(record: logging.LogRecord) -> bool:
        records.append(record)
        return False  # as a filter: drop the record

    for logger in loggers:
        logger.addFilter(hold)
    try:
        with warnings.catch_warnings(record=True) as remarks:
            warnings.simplefilter("always")  # A remark that is raised here would end the decoding.
            yield
    finally:
        for logger in loggers:
            logger.removeFilter(hold)
    for record in records:
        logging.getLogger(record.name).handle(record)
    for w in remarks:
        module = _module_of(w.filename)
        warnings.warn_explicit(w.message, w.category, w.filename, w.lineno, module, source=w.source)


def _module_of(filename: str) -> str:
    """Name of the module in a file: a recorded warning lacks it, and the caller's filters need it.

    For a file that is no module it is the path, as `warnings` has it: with None the warning would
    be lost.
    """
    for name, module in list(sys.modules.items()):
        # not module.__file__, for which a lazy module imports what may be missing
        if isinstance(module, ModuleType) and vars(module).get("__file__") == filename:
            return name
    return filename.removesuffix(".py")
