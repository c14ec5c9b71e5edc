"""Samples of the posterior of a measurement, and what they say of each pixel."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from proxlab.posteriors.quality import interval


@dataclass(frozen=True)
class Posterior:
    """Samples of the images behind a measurement, see `proxlab.posterior`.

    >>> op = proxlab.operators.inpaint(proxlab.operators.random_mask((16, 16), 0.5), noise=0.05)
    >>> y = op(torch.full((1, 1, 16, 16), 0.5))
    >>> post = proxlab.posterior(y, op, "lpn-gray-small", n=9, steps=3)
    >>> low, high = post.interval(0.8)
    >>> post.mean.shape, post.std.shape, bool((low < high).all())
    (torch.Size([1, 1, 16, 16]), torch.Size([1, 1, 16, 16]), True)
    >>> post.evaluations, len(post.levels)
    (3, 3)
    """

    samples: Tensor
    """[n, B, C, H, W], in image units, a little outside of [0, 1] where noise led."""
    levels: tuple[float, ...]
    """Noise levels that each sample went through, image units."""
    evaluations: int
    """Evaluations of the prior for each sample."""
    products: int
    """Products with the prior's Jacobian for each sample, at most; each costs about as much."""
    doubts: tuple[str, ...]
    """Sentences on why the samples may be of another law than is said, empty if nothing tells."""

    @property
    def mean(self) -> Tensor:
        """Mean of the samples, the estimate of least mean square error, [B, C, H, W]."""
        return self.samples.mean(0)

    @property
    def std(self) -> Tensor:
        """Standard deviation of each pixel, [B, C, H, W]. Raises ValueError for one sample."""
        if len(self.samples) < 2:
            raise ValueError("a deviation takes at least 2 samples, got 1; draw more")
        return self.samples.std(0)

    def interval(self, level: float) -> tuple[Tensor, Tensor]:
        """Ends of the central interval of each pixel, [B, C, H, W] each; see `quality.interval`.

        Raises ValueError for a level that is no probability, or that takes more samples: 9 for 0.8,
        19 for 0.9.
        """
        return interval(self.samples, level)


def joined(parts: Sequence[Posterior]) -> Posterior:
    """The samples of all parts as one posterior."""
    told = dict.fromkeys(doubt for part in parts for doubt in part.doubts)
    return Posterior(
        torch.cat([part.samples for part in parts]),
        parts[0].levels,
        parts[0].evaluations,
        max(part.products for part in parts),
        tuple(told),
    )
