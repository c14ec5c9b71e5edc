"""Freed memory given back: of large images alone, and nowhere a failure for want of malloc_trim."""

import ctypes
import mmap
import platform

import pytest
import torch

from solvers.large import freed
from solvers.large.freed import give_back_freed_memory


class Without:
    """A C library that knows no malloc_trim, as those of macOS and Alpine."""


class Library:
    """A C library that counts what it is asked."""

    def __init__(self):
        self.asked = []

        def malloc_trim(pad):
            self.asked.append(pad)
            return 1

        self.malloc_trim = malloc_trim


@pytest.fixture
def library(monkeypatch):
    """A function that puts something in place of `ctypes.CDLL`; all images count as large."""
    monkeypatch.setattr(freed, "PIECE", 3)
    freed._trim.cache_clear()
    yield lambda load: monkeypatch.setattr(ctypes, "CDLL", load)
    freed._trim.cache_clear()


def raising(error):
    def load(name):
        raise error

    return load


@pytest.mark.parametrize(
    "load",
    [
        lambda name: Without(),
        raising(OSError("no such library")),
        raising(TypeError("bad argument type for built-in operation")),  # as Windows says it
    ],
    ids=["macOS, musl", "none", "Windows"],
)
def test_where_the_library_cannot_nothing_happens(library, load):
    library(load)
    give_back_freed_memory(torch.zeros(4))
    assert freed._trim() is None


def test_where_it_can_it_is_asked_once_for_each_large_image(library):
    known = Library()
    library(lambda name: known)
    give_back_freed_memory(torch.zeros(3))  # not larger than a part
    give_back_freed_memory(torch.zeros(4, device="meta"))  # not of this memory
    assert known.asked == []
    give_back_freed_memory(torch.zeros(4))
    assert known.asked == [0]
    assert known.malloc_trim.argtypes == [ctypes.c_size_t]  # all 64 bits of the pad are told


def resident() -> int:
    """Bytes of memory that the process has now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * mmap.PAGESIZE


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone has malloc_trim")
def test_gaps_are_given_back(library):
    """A thousand blocks, every one but the last freed, lie below one that is still in use."""
    kept = [bytearray(2**16) for _ in range(1000)]
    held = resident()
    del kept[:-1]
    give_back_freed_memory(torch.zeros(4))
    assert held - resident() > 2**25
