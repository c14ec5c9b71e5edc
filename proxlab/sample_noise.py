"""Noise that belongs to a sample, not to a batch: sample i of a seed is the same in any batch."""

import math

import numpy as np
import torch
from torch import Tensor

PER_COUNT = 8
"""Random numbers of 32 bits that one count of Philox gives."""
AHEAD = 6
"""Number of calls whose answers are computed at once."""


class SampleNoise:
    """Source of noise for `solvers.proxdm` and `solvers.score`: x -> standard normal, like x.

        noise = SampleNoise(seed=0, indices=range(64, 128))  # of the second batch of 64

    Call k of a source takes the counter-based generator with the key (seed, k) [Salmon11], and
    sample i the part of its sequence that begins at i times the size of a sample. So neither batch
    nor device changes a sample, and no two samples share numbers. Normal numbers are made on the
    CPU, in float32, by the method of Box and Muller, which takes as many numbers as it gives.
    """

    def __init__(self, seed: int, indices: range, calls: int = 0):
        """Noise of the samples `indices`, the numbers of a batch, from call number `calls` on.

        Raises ValueError for a seed outside 0 .. 2^64 - 1, and for samples that are not numbered
        one after the other from 0 or later.
        """
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**64:
            raise ValueError(f"a seed is a whole number from 0 to 2^64 - 1, got {seed}")
        if not len(indices) or indices[0] < 0 or (len(indices) > 1 and indices.step != 1):
            raise ValueError(f"samples are numbered from 0, one after the other, got {indices}")
        self.seed, self.indices, self.calls = seed, indices, calls
        self._ready: list[Tensor] = []

    def __call__(self, x: Tensor) -> Tensor:
        """Fresh noise like x. Raises ValueError for a batch of another length than `indices`."""
        if len(x) != len(self.indices):
            raise ValueError(f"this noise is for {len(self.indices)} samples, got {len(x)}")
        size = x[0].numel()
        if not self._ready or self._ready[-1].shape[1] != size:
            # Several calls' worth: torch takes more than one thread only for long arrays, and the
            # first call after a network has filled the caches costs twice as much as the others.
            words = [self._words(self.calls + ahead, size) for ahead in range(AHEAD)]
            pairs = torch.from_numpy(np.concatenate(words)).view(AHEAD * len(x), 2, -1)
            self._ready = list(box_muller(pairs)[:, :size].split(len(x)))[::-1]
        self.calls += 1
        return self._ready.pop().reshape(x.shape).to(x)

    def _words(self, call: int, size: int) -> np.ndarray:
        """Random int32 [n] of one call, n >= B size."""
        counts = -(-size // PER_COUNT)
        key = np.array([self.seed, call], dtype=np.uint64)
        bits = np.random.Philox(key=key, counter=self.indices[0] * counts)
        return bits.random_raw(len(self.indices) * counts * PER_COUNT // 2).view(np.int32)


def box_muller(words: Tensor) -> Tensor:
    """Normal float32 [B, 2 N] from random int32 [B, 2, N], which are overwritten."""
    # 24 bits are what float32 holds, and the half keeps the logarithm finite; it has to be added by
    # itself, since 2^23 + 1/2 is no float32.
    u = words.bitwise_right_shift_(8).float().add_(2.0**23).add_(0.5).mul_(2.0**-24)
    radius, angle = u.unbind(1)
    radius, angle = radius.log().mul_(-2).sqrt_(), angle.mul(2 * math.pi)
    return torch.cat([angle.cos().mul_(radius), angle.sin_().mul_(radius)], 1)
