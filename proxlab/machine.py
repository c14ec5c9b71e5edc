"""The machine that numbers are computed on: their precision, memory kept, memory used at most."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch

CLEAR, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


@contextmanager
def full_precision() -> Iterator[None]:
    """Convolutions on a GPU in all of float32, where torch by default keeps ten bits of a number.

    Those ten bits, TF32, are enough for a denoiser and too few for an exact prox: its value then is
    not that of the point it returns, to 1e-3, and no restoration comes to rest at its tolerance.
    As a decorator or in a `with`; what was set before is set again afterwards.
    """
    conv = getattr(torch.backends.cudnn, "conv", None)  # since torch 2.9
    place, name, full = (
        (torch.backends.cudnn, "allow_tf32", False)
        if conv is None
        else (conv, "fp32_precision", "ieee")
    )
    before = getattr(place, name)
    setattr(place, name, full)
    try:
        yield
    finally:
        setattr(place, name, before)


@cache
def keep_freed_memory() -> None:
    """Make freed memory stay with the process, where the C library is glibc.

    glibc hands freed memory back to the system, and fetches it anew page by page, until one large
    piece was freed (mallopt(3), M_MMAP_THRESHOLD): an eighth of the time of a learned prox, and a
    third of that of a diffusion network. The piece here is never touched and costs nothing.
    """
    torch.empty(30 * 2**20, dtype=torch.uint8)


class PeakMemory:
    """`with PeakMemory(device) as memory: ...`, then `memory.peak` in MiB; None if not to be known.

    On a GPU that of torch's allocator; else the resident memory of the process, whose high-water
    mark Linux can reset [proc(5), clear_refs] and other systems cannot.
    """

    def __init__(self, device: str = "cpu"):
        self.device, self.peak = device, None

    def __enter__(self) -> "PeakMemory":
        self.before = self._begin()
        return self

    def __exit__(self, *_) -> None:
        if self.before is not None:
            self.peak = round((self._most() - self.before) / 2**20, 1)

    def _begin(self) -> int | None:
        if self.device != "cpu":
            torch.cuda.reset_peak_memory_stats(self.device)
            return torch.cuda.memory_allocated(self.device)
        try:
            CLEAR.write_text("5")
            return _status("VmRSS")
        except OSError:
            return None

    def _most(self) -> int:
        if self.device != "cpu":
            return torch.cuda.max_memory_allocated(self.device)
        return _status("VmHWM")


def _status(name: str) -> int:
    """A line of /proc/self/status, in bytes."""
    line = next(x for x in STATUS.read_text().splitlines() if x.startswith(f"{name}:"))
    return 1024 * int(line.split()[1])
