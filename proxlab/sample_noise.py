"""Noise that belongs to a sample, not to a batch: sample i of a seed is the same in any company."""

import numpy as np
import torch
from torch import Tensor


class SampleNoise:
    """A source of noise for `solvers.proxdm` and `solvers.score`: x -> standard normal, like x.

    Row j of a batch is fed by a counter-based generator of its own, with the key (seed, indices[j])
    [Salmon11]: neither the batch size nor the device changes a sample, and no two share numbers.
    Drawn in float32 on the CPU and moved. Raises ValueError for a seed outside 0 .. 2^64 - 1, and
    for a batch that is not of len(indices) rows.
    """

    def __init__(self, seed: int, indices: range):
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**64:
            raise ValueError(f"a seed is a whole number from 0 to 2^64 - 1, got {seed}")
        if not len(indices) or indices[0] < 0 or indices[-1] < 0:
            raise ValueError(f"samples are numbered from 0, at least one of them, got {indices}")
        keys = (np.array([seed, i], dtype=np.uint64) for i in indices)
        self.generators = [np.random.Generator(np.random.Philox(key=key)) for key in keys]

    def __call__(self, x: Tensor) -> Tensor:
        if len(x) != len(self.generators):
            raise ValueError(f"this noise is for {len(self.generators)} samples, got {len(x)}")
        rows = np.empty((len(x), x[0].numel()), dtype=np.float32)
        for row, generator in zip(rows, self.generators, strict=True):
            generator.standard_normal(dtype=np.float32, out=row)
        return torch.from_numpy(rows).view(x.shape).to(x)
