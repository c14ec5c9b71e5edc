"""Counts of kernels and of waits for the device, an operation at a time, and where they come from.

A GPU is told its work kernel by kernel, at 5 to 8 microseconds each whatever it is, and is left
idle while the program waits for a number from it. Both are counted on the stand-in device: a kernel
is an operation that is neither a view nor an allocation; a wait is a number or a table fetched from
the device, an operation whose answer has a size that depends on numbers, and a copy onto the device
that does not say `non_blocking`.
"""

import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from examples.kernels.stand_in import OnDevice

HERE = f"{Path(__file__).parent}/"
ROOT = f"{Path(__file__).parents[2]}/"
WAITS = {
    "_local_scalar_dense",
    "nonzero",
    "equal",
    "is_nonzero",
    "masked_select",
    "_unique2",
    "unique_dim",
    "unique_consecutive",
    "_linalg_check_errors",
}
"""Operations that wait for the device, whatever they are given."""
ALLOCATIONS = {"empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided", "set_"}
VIEWS = {"_unsafe_view", "_reshape_alias", "lift_fresh", "detach"}
"""Views that torch's schema does not call so."""


@dataclass
class Counts:
    """A listener of `stand_in.Accelerator`: kernels and waits, by operation and place."""

    kernels: Counter = field(default_factory=Counter)
    """(operation, place) -> times; a place is a file and a line of this project."""
    waits: Counter = field(default_factory=Counter)

    def clear(self) -> None:
        """Begin anew."""
        self.kernels.clear()
        self.waits.clear()

    def __call__(self, name: str, args: tuple, kwargs: dict) -> None:
        """One operation that is about to run."""
        word, overload = name.split(".")[1:3]
        if waited(word, overload, args, kwargs):
            self.waits[word, _place()] += 1
        if launched(word, overload, args, kwargs):
            self.kernels[word, _place()] += 1


def launched(word: str, overload: str, args: tuple, kwargs: dict) -> bool:
    """Whether an operation is a kernel: no view, no allocation, no copy from device to host."""
    if word in ALLOCATIONS or word in VIEWS or word == "_local_scalar_dense":
        return False
    if word in ("_to_copy", "copy_"):
        return not _between(word, args, kwargs)
    operation = getattr(getattr(torch.ops.aten, word), overload)
    return not operation.is_view or word == "_conj"  # which what comes next has to make


def waited(word: str, overload: str, args: tuple, kwargs: dict) -> bool:
    """Whether the program waits for the device before it goes on."""
    if word in WAITS or (word == "repeat_interleave" and overload == "Tensor"):
        return True
    if word in ("index", "index_put", "index_put_", "_index_put_impl_"):
        return any(
            isinstance(i, Tensor) and i.dtype in (torch.bool, torch.uint8)
            for i in tree_leaves(args[1])
        )
    if word in ("_to_copy", "copy_"):
        return _between(word, args, kwargs) and not _free(word, args, kwargs)
    return False


def _between(word: str, args: tuple, kwargs: dict) -> bool:
    """Whether a copy goes from the device to the host, or the other way."""
    if word == "copy_":
        return isinstance(args[0], OnDevice) != isinstance(args[1], OnDevice)
    there = kwargs.get("device")
    target = args[0].device if there is None else torch.device(there)
    return args[0].device.type != target.type


def _free(word: str, args: tuple, kwargs: dict) -> bool:
    """Whether a copy onto the device is let run by itself; from the device it is waited for."""
    onto = isinstance(args[0], OnDevice) if word == "copy_" else not isinstance(args[0], OnDevice)
    return onto and bool(kwargs.get("non_blocking"))


def _place() -> str:
    """File and line of this project that asked, the innermost."""
    frame = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(ROOT) and not name.startswith(HERE):
            return f"{name[len(ROOT) :]}:{frame.f_lineno}"
        frame = frame.f_back
    return "elsewhere"
