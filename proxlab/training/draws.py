"""Pairs of each training step, drawn by (seed, step) alone: in any order, ahead of their turn."""

import os
import sys
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

Drawn = tuple[Tensor, Tensor, Tensor]
"""Target, input and condition of a batch. The condition is what the network is told beside its
input: noise levels [B], or rows [B, ...]."""
Pairs = Callable[[int, torch.Generator], Drawn]
"""(batch, generator) -> what is drawn: `NoisyPatches.draw` of clean images, or another."""
MOST_THREADS = 8


def draws(
    pairs: Pairs, batch: int, seed: int, steps: range, ahead: int = 0
) -> Generator[tuple[int, Drawn], None, None]:
    """(step, its pairs) in turn, while the next `ahead` steps are drawn in as many threads.

    What is drawn for a step does not depend on `ahead` or on the first of `steps`. Raises whatever
    `pairs` raises, at the step whose draw it was.
    """

    def draw(step: int) -> Drawn:
        return pairs(batch, torch.Generator().manual_seed(seed * 1_000_003 + step))

    if not ahead:
        for step in steps:
            yield step, draw(step)
        return
    pool = ThreadPoolExecutor(ahead, "draw")
    try:
        drawn = deque(pool.submit(draw, step) for step in steps[: ahead + 1])
        for step in steps:
            current = drawn.popleft().result()
            yield step, current
            if (later := step + ahead + 1) in steps:
                drawn.append(pool.submit(draw, later))
    finally:
        pool.shutdown(cancel_futures=True)


def spare_threads() -> int:
    """Threads that draw beside the one that trains: one where there is one core, at most 8."""
    on_linux = sys.platform.startswith("linux")  # elsewhere a process is bound to no cores
    cores = len(os.sched_getaffinity(0)) if on_linux else os.cpu_count() or 1
    return min(MOST_THREADS, max(1, cores - 1))
