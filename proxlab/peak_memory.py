"""How much memory a piece of work took at most, beyond what was held before."""

from pathlib import Path

import torch

CLEAR, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


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
