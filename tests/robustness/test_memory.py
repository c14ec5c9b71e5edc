"""Fifty restorations, after which next to nothing more is held than after five."""

import torch

from examples.robustness.memory import SIZE, growth, restorations

IMAGE = SIZE * SIZE * 4 / 1024
"""KiB of an image in float32."""


def test_fifty_restorations_keep_nothing():
    found = growth(50, restorations())
    assert found.python < 8  # tables that fill up; over 1000 it is 0.06
    assert found.resident < 400  # over 1000 it is 1.5


def test_a_restoration_that_is_kept_is_seen():
    work, kept = restorations(), []

    def leaking(i: int) -> None:
        work(i)
        # much, since it may fill what earlier tests of this process left free
        kept.append([torch.ones(2**22), list(range(10_000))])

    found = growth(20, leaking)
    assert found.python > 50 and found.resident > 1000
    assert len(kept) == 20 and IMAGE == 1
