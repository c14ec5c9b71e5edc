"""Checks before a file is opened or memory taken: that it is an ordinary one, and not huge.

A FIFO blocks whoever opens it, a device answers without end, and a header of 100 bytes can promise
an image of a terabyte. Whatever of this package reads a file asks here first.
"""

import json
import math
import stat
from collections.abc import Sequence
from pathlib import Path

MOST_VALUES = 2**28
"""Values, pixels times channels, of the largest image that is read: 16384 x 16384 of gray."""
MOST_BYTES = 2**31
"""Bytes of the largest file that is read in one piece: so many values in float64."""
MOST_TEXT = 2**26
"""Bytes of the largest JSON file."""

_MILLION = 10**6
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class Unreadable(ValueError):  # noqa: N818  (as Diverged: what happened, in a word)
    """A file that is not damaged and cannot be read here all the same; the message is a sentence.

    It is raised inside of `decoder_failures.decoding` too, which passes it on.
    """


def regular_file(path: str | Path) -> Path:
    """The path of an ordinary file, or of a link to one, which is not opened here.

        weights = regular_file("mine.safetensors").read_bytes()

    Raises ValueError for a folder, FIFO, socket or device and for links to them, which are then
    never opened, and for a file that is not there or may not be looked at.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise Unreadable(f"{path} does not exist; check the name") from None
    except OSError as error:
        raise Unreadable(f"{path} cannot be opened: {error.strerror}; check the rights") from None
    except ValueError:  # of a zero byte
        raise Unreadable(f"{str(path)!r} is no file name; check it") from None
    if not stat.S_ISREG(mode):
        what = _KINDS.get(stat.S_IFMT(mode), "no ordinary file")
        raise Unreadable(f"{path} is {what}; name an ordinary file")
    return path


def in_words(content: object) -> str:
    """Text from inside of a file, for a sentence: one line, at most 200 characters, all printable.

    A terminal obeys what is not.
    """
    text = " ".join(str(content).split())
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    return text if len(text) <= 200 else text[:197] + "..."


def read_json(path: str | Path) -> object:
    """Content of a JSON file.

    Raises ValueError, "PATH is not JSON (...)" without a remedy, for what is not JSON or UTF-8 or
    is nested too deeply, and as `regular_file` and `check_bytes`.
    """
    path = regular_file(path)
    check_bytes(path, path.stat().st_size, MOST_TEXT)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"{path} is not JSON ({in_words(error)})") from None
    except OSError as error:
        raise Unreadable(f"{path} cannot be opened: {error.strerror}; check the rights") from None


def check_values(path: object, shape: Sequence[int]) -> None:
    """Raise ValueError if an image of that shape has more than MOST_VALUES values.

    `path` is what the error names.
    """
    values = math.prod(map(int, shape))
    if values > MOST_VALUES:
        raise Unreadable(
            f"{path} is {' x '.join(map(str, shape))}, {_count(values)} values, and at "
            f"most {_count(MOST_VALUES)} are read; cut it into parts, or raise "
            "proxlab.images.admission.MOST_VALUES"
        )


def check_bytes(path: object, size: int, most: int | None = None, what: str = "has") -> None:
    """Raise ValueError if `size` is above `most` bytes, MOST_BYTES if None.

    what: verb of the sentence, such as "unpacks to".
    """
    most = MOST_BYTES if most is None else most
    if size > most:
        raise Unreadable(
            f"{path} {what} {_count(size)} bytes or more, and at most "
            f"{_count(most)} are read; is it what you meant?"
        )


def _count(number: int) -> str:
    return f"{number / _MILLION:.0f} million" if number >= 10 * _MILLION else str(number)
