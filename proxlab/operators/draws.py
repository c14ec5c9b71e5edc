"""Random numbers that the measurement itself decides, for checks and bounds.

No seed is set and none is asked for; the same measurement draws the same numbers, another one
others. So a run can be repeated, an image draws alone what it draws in a batch, and an operator
that was written beforehand cannot hide from the draw.
"""

import hashlib
from itertools import pairwise

import torch
from torch import Tensor

ENTRIES = 4096
"""Entries of each image's measurement that decide, evenly spread."""
PIECE = 2**18
"""Numbers that are drawn at once. torch makes them sixteen at a time, so a multiple of that many
leaves the sequence as it is."""


class Draws:
    """Standard normal numbers for the images behind y [B, ...], of a sequence for each image."""

    def __init__(self, y: Tensor):
        self._generators = [torch.Generator().manual_seed(_seed(one)) for one in y.detach()]

    def normal(self, like: Tensor) -> Tensor:
        """The next numbers, in the shape [B, ...], dtype and device of `like`."""
        drawn = torch.empty(like.shape, dtype=like.dtype)
        for one, generator in zip(drawn, self._generators, strict=True):
            for part in _pieces(one.view(-1)):
                part.copy_(torch.randn(len(part), generator=generator, dtype=torch.float64))
        return drawn.to(like.device)


def _pieces(numbers: Tensor) -> list[Tensor]:
    """Parts of [n] in their order, of `PIECE` numbers, or fewer than two such at the end."""
    count = max(1, len(numbers) // PIECE)
    ends = [i * PIECE for i in range(count)] + [len(numbers)]
    return [numbers[start:stop] for start, stop in pairwise(ends)]


def _seed(y: Tensor) -> int:
    """A whole number of 63 bits, the same for float32 and for its exact copy in float64."""
    entries = y.flatten()
    entries = entries[:: -(-len(entries) // ENTRIES)].cpu().double()
    return int.from_bytes(hashlib.sha256(entries.numpy().tobytes()).digest()[:8], "big") >> 1
