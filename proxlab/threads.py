"""Independent pieces of work on a CPU side by side, one torch thread each.

Torch shares every operation among its threads, which wait for each other after each. A learned prox
is many short operations: beside another busy process such waits take ten times as long as the work.
Pieces of an image that wait for each other once, at the end, lose no time so, and on an idle
machine they are sooner done as well. `torch.set_num_threads` and OMP_NUM_THREADS say how many
threads there are, here as for torch.
"""

import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

_T = TypeVar("_T")
_pools: dict[int, ThreadPoolExecutor] = {}
_lock = threading.Lock()


def threads_for(*inputs: Tensor) -> int:
    """Number of pieces that can be worked on at a time: torch's threads, or 1.

    It is 1 where autograd follows an input, on other devices than a CPU, and inside an autocast or
    a dispatch mode, which other threads are not in.
    """
    followed = torch.is_grad_enabled() and any(x.requires_grad for x in inputs)
    elsewhere = any(x.device.type != "cpu" for x in inputs)
    if followed or elsewhere or torch.is_autocast_enabled("cpu") or is_in_torch_dispatch_mode():
        return 1
    return torch.get_num_threads()


def side_by_side(tasks: Sequence[Callable[[], _T]], *inputs: Tensor) -> list[_T]:
    """The results of the tasks, in order, by as many threads as `threads_for` the inputs.

    One thread does them in turn, here. A single task has one thread too: short operations are
    sooner done than shared. Raises what a task raises.

    >>> from proxlab.threads import side_by_side
    >>> halves = torch.ones(4).split(2)
    >>> side_by_side([half.sum for half in halves], *halves)
    [tensor(2.), tensor(2.)]
    """
    threads = threads_for(*inputs)
    if threads == 1:
        return [task() for task in tasks]
    inference = torch.is_inference_mode_enabled()

    def run(task: Callable[[], _T]) -> _T:
        with torch.no_grad(), torch.inference_mode(inference):  # a thread begins with neither
            return task()

    return list(_pool(threads).map(run, tasks))


def _pool(threads: int) -> ThreadPoolExecutor:
    """So many threads, each with one of torch's."""
    with _lock:
        if threads not in _pools:
            all_there = threading.Barrier(threads)

            def begin(_: int) -> None:
                torch.set_num_threads(1)
                torch.get_num_threads()  # a thread that first asks later is given all of them
                all_there.wait()

            _pools[threads] = pool = ThreadPoolExecutor(threads, "proxlab")
            list(pool.map(begin, range(threads)))
            torch.set_num_threads(threads)  # for threads to come; ours has kept its number
        return _pools[threads]


def _forked() -> None:
    """A forked process has one thread, whatever the pools say."""
    global _lock
    _lock = threading.Lock()
    _pools.clear()


if sys.platform != "win32":  # where nothing forks
    os.register_at_fork(after_in_child=_forked)
