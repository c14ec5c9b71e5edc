"""Settings and figures of the machine: float32 in full, few kernels, freed memory, peak memory."""

import os
import sys
import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

MOST_KEPT = 32
"""Constants that are kept at a time, those of about ten noise levels or sizes."""
_T = TypeVar("_T")
NAMED_PRECISION = torch.__version__ >= "2.9"  # compared as versions, not as strings
"""Whether torch has a name for the precision of convolutions; before, TF32 was on or off."""
FULL = "ieee" if NAMED_PRECISION else False
"""All of float32, as this torch puts it."""
_lock, _inside, _before = threading.Lock(), 0, FULL
CLEAR, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
"""Files of Linux: one resets the memory's high-water mark, the other says it. [proc(5)]"""


@contextmanager
def full_precision() -> Iterator[None]:
    """Convolutions on a GPU in all of float32, where torch by default keeps ten bits of a number.

    Those ten bits, TF32, are enough for a denoiser and too few for an exact prox: the value that
    comes with it differs by 1e-3 from that of the point returned, and no restoration comes to rest
    at its tolerance. For use as a decorator or in a `with`; afterwards the setting is as it was.

        @full_precision()
        def prox(self, v, sigma): ...
    """
    global _inside, _before
    with _lock:  # the setting is of the process: the first one in sets it, the last one out resets
        if _inside == 0:
            _before = _precision()
            _set_precision(FULL)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside = max(0, _inside - 1)
            if _inside == 0:
                _set_precision(_before)


def _forked() -> None:
    """A forked process has one thread, which holds no lock and is in no block of another's."""
    global _lock, _inside
    if _inside:
        _set_precision(_before)
    _lock, _inside = threading.Lock(), 0


if sys.platform != "win32":  # where nothing forks
    os.register_at_fork(after_in_child=_forked)


def followed(module: nn.Module, *inputs: torch.Tensor) -> bool:
    """Whether autograd follows the weights of a module, or one of the inputs."""
    if not torch.is_grad_enabled():
        return False
    return any(x.requires_grad for x in (*inputs, *module.parameters()))


def by_kernels(x: torch.Tensor, module: nn.Module, on_cpu: bool = False) -> bool:
    """Whether what `module` does to x is best done in few kernels, all of it at once.

    A GPU takes 5 to 8 microseconds to start a kernel, however small, and has no caches to fill; a
    CPU starts one at once, and mostly wants pieces that its caches hold: `on_cpu` says that here it
    does not. This one place decides for all priors. Where autograd follows x or the weights, the
    answer is no: what is written for few kernels writes over its own numbers.
    """
    return (on_cpu or x.device.type != "cpu") and not followed(module, x)


class Constants:
    """Memory of what was made from the same weights for the same level, size, dtype and device."""

    def __init__(self):
        self._weights: Hashable = None
        self._made: dict[Hashable, object] = {}

    def of(self, module: nn.Module, key: Hashable, make: Callable[[], _T]) -> _T:
        """The same as `make()`, made once for a key; all is forgotten where the weights change."""
        weights = tuple(_identity(p) for p in module.parameters())
        if weights != self._weights or len(self._made) >= MOST_KEPT:
            self._weights, self._made = weights, {}
        made = self._made  # another thread may begin another one meanwhile
        if key not in made:
            made[key] = make()
        return made[key]  # type: ignore[return-value]


def _identity(weight: torch.Tensor) -> Hashable:
    """An identity that differs once a weight is another or has changed."""
    # a tensor made in inference mode counts no changes
    version = 0 if weight.is_inference() else weight._version
    return id(weight), weight.data_ptr(), version, _sum(weight)


def _sum(weight: torch.Tensor) -> float:
    """The sum on a CPU, since torch counts no change through `.data`; 0 where one would wait."""
    return float(weight.detach().sum()) if weight.device.type == "cpu" else 0.0


@cache
def keep_freed_memory() -> None:
    """Keep freed memory with the process, where the C library is glibc.

    glibc hands freed memory back to the system and fetches it anew page by page, until one large
    piece has been freed (mallopt(3), M_MMAP_THRESHOLD). That takes an eighth of the time of a
    learned prox, and a third of that of a diffusion network. The piece that is freed here is never
    touched and costs nothing.
    """
    torch.empty(30 * 2**20, dtype=torch.uint8)


class PeakMemory:
    """Memory that a block used at most, beyond what was in use before it, in MiB.

    On a GPU it is that of torch's allocator, which an Apple GPU's does not tell; on a CPU the
    resident memory of the process, whose high-water mark Linux can reset [proc(5), clear_refs] and
    other systems cannot.

        with PeakMemory(device) as memory:
            restore(...)
        memory.peak     # None where it cannot be known
    """

    def __init__(self, device: str = "cpu"):
        self.device = device
        self.peak: float | None = None

    def __enter__(self) -> "PeakMemory":
        self.before = self._begin()
        return self

    def __exit__(self, *_) -> None:
        if self.before is not None:
            self.peak = round((self._most() - self.before) / 2**20, 1)

    def _begin(self) -> int | None:
        kind = torch.device(self.device).type
        if kind == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            return torch.cuda.memory_allocated(self.device)
        if kind != "cpu":
            return None
        try:
            CLEAR.write_text("5")
            return _status("VmRSS")
        except OSError:
            return None

    def _most(self) -> int:
        if torch.device(self.device).type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        return _status("VmHWM")


def _precision() -> str | bool:
    """The precision of convolutions that is set, as this torch puts it."""
    cudnn: Any = torch.backends.cudnn  # to a type checker it has no `conv`
    return cudnn.conv.fp32_precision if NAMED_PRECISION else cudnn.allow_tf32


def _set_precision(precision: str | bool) -> None:
    cudnn: Any = torch.backends.cudnn
    if NAMED_PRECISION:
        cudnn.conv.fp32_precision = precision
    else:
        cudnn.allow_tf32 = precision


def _status(name: str) -> int:
    """The figure in a line of /proc/self/status, in bytes."""
    line = next(x for x in STATUS.read_text().splitlines() if x.startswith(f"{name}:"))
    return 1024 * int(line.split()[1])
