"""What a decoder says of a file: a failure becomes one sentence, remarks wait until it is over."""

import contextlib
import logging
import sys
import threading
import warnings
from collections.abc import Iterator

from proxlab.images.shards import ImageFile


@contextlib.contextmanager
def decoding(path: ImageFile) -> Iterator[None]:
    """Turn whatever a decoder raises into one sentence, and drop its own remarks then.

    Remarks of a decoder that succeeds go where the caller sends warnings: under `python -W error`
    the first one is raised, as what it is and not as damage of the file.
    """
    with _held_back():
        # On damaged input decoders raise whatever they stumble over: struct.error, KeyError, ...
        try:
            yield
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ValueError(
                f"{path} cannot be decoded, it may be damaged or cut short ({reason}); "
                "copy it again, or save it anew as PNG, TIFF or npy"
            ) from error


@contextlib.contextmanager
def _held_back() -> Iterator[None]:
    """Log records and warnings wait for the end of the block; an exception takes their place.

    In the main thread only: filters of warnings are of the whole process, and of two threads that
    change and restore them by turns the last leaves behind what it found in the middle.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loggers = [logging.getLogger(n) for n in ("tifffile", "PIL.TiffImagePlugin", "pydicom")]
    records: list[logging.LogRecord] = []
    hold = records.append  # As a filter its None means: drop the record.
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
    """The name by which filters of the caller know a module; a record of a warning has it not.

    Of a file that is no module the path, as `warnings` has it: for None a warning would be lost.
    """
    for name, module in list(sys.modules.items()):
        # Not getattr, at which lazy modules import what may be missing.
        if getattr(module, "__dict__", {}).get("__file__") == filename:
            return name
    return filename.removesuffix(".py")
