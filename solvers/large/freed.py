"""Freed memory of the process, given back to the system where it would stay in gaps."""

import ctypes
from collections.abc import Callable
from functools import cache

from torch import Tensor

from solvers.large.parts import PIECE


def give_back_freed_memory(like: Tensor) -> None:
    """Hand memory that lies freed between what is in use back to the system, where glibc can.

    Parts of large images come and go among what stays, and the gaps between would be kept: beside a
    photograph of 4 megapixels 0.6 GB were (malloc_trim(3)). It takes milliseconds, and pages that
    are used again have to be fetched, so it is done for images larger than a part alone, as `like`
    may be.
    """
    trim = _trim() if like.device.type == "cpu" and like.numel() > PIECE else None
    if trim is not None:
        trim(0)


@cache
def _trim() -> Callable[[int], int] | None:
    """The C library's `malloc_trim`; None where there is none, as on macOS, Windows and musl."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # a library without it; Windows has no CDLL(None)
        return None
    trim.argtypes, trim.restype = [ctypes.c_size_t], ctypes.c_int
    return trim
