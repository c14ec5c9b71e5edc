"""Random numbers that the measurement itself decides, for checks and bounds.

No seed is set and none is asked for; the same measurement draws the same numbers, another one
others. So a run can be repeated, an image draws alone what it draws in a batch, and an operator
that was written beforehand cannot hide from the draw.
"""

import hashlib

import torch
from torch import Tensor

ENTRIES = 4096
"""Entries of each image's measurement that decide, evenly spread."""


class Draws:
    """Standard normal numbers for the images behind y [B, ...], of a sequence for each image."""

    def __init__(self, y: Tensor):
        self._generators = [torch.Generator().manual_seed(_seed(one)) for one in y.detach()]

    def normal(self, like: Tensor) -> Tensor:
        """The next numbers, in the shape [B, ...], dtype and device of `like`."""
        shape = like.shape[1:]
        drawn = [torch.randn(shape, generator=g, dtype=torch.float64) for g in self._generators]
        return torch.stack(drawn).to(like)


def _seed(y: Tensor) -> int:
    """A whole number of 63 bits, the same for float32 and for its exact copy in float64."""
    entries = y.flatten()
    entries = entries[:: -(-len(entries) // ENTRIES)].double().cpu()
    return int.from_bytes(hashlib.sha256(entries.numpy().tobytes()).digest()[:8], "big") >> 1
