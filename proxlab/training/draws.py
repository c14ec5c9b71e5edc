"""What each training step draws: by (seed, step) alone, and so in any order, ahead of its turn."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

Pairs = Callable[[int, torch.Generator], tuple[Tensor, Tensor, Tensor]]
"""(batch, generator) -> (target, input, condition): `NoisyPatches.draw` of clean images, or other.
The condition is what the network is told beside its input: noise levels [B], or rows [B, ...]."""


def draws(
    pairs: Pairs, batch: int, seed: int, steps: range, ahead: int = 0
) -> Iterator[tuple[int, tuple[Tensor, Tensor, Tensor]]]:
    """(step, its pairs) in turn, while the next `ahead` steps are drawn in as many threads.

    What is drawn for a step does not depend on `ahead` or on the step begun with. Raises whatever
    `pairs` does, at the step whose draw it was.
    """

    def draw(step: int) -> tuple[Tensor, Tensor, Tensor]:
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
    bound = getattr(os, "sched_getaffinity", None)  # not on every system
    cores = len(bound(0)) if bound else os.cpu_count() or 1
    return min(8, max(1, cores - 1))
