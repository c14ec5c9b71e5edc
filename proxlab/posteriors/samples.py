"""Samples of the posterior of a measurement, and what they say of each pixel."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, cast

import numpy as np
import torch
from torch import Tensor

from proxlab.images.layouts import Kind, as_samples
from proxlab.images.pictures import SHOWN, Picture, draw, heat, page, picture
from proxlab.posteriors.quality import interval


@dataclass(frozen=True, repr=False)
class Posterior(Generic[Kind]):
    """Samples of the images behind a measurement, see `proxlab.posterior`.

    >>> op = proxlab.operators.inpaint(proxlab.operators.random_mask((16, 16), 0.5), noise=0.05)
    >>> y = op(torch.full((1, 1, 16, 16), 0.5))
    >>> post = proxlab.posterior(y, op, "lpn-gray-small", n=9, steps=3)
    >>> low, high = post.interval(0.8)
    >>> post.mean.shape, post.std.shape, bool((low < high).all())
    (torch.Size([1, 1, 16, 16]), torch.Size([1, 1, 16, 16]), True)
    >>> post.evaluations, len(post.levels)
    (3, 3)
    >>> post   # a notebook shows mean, deviation and samples too
    Posterior of 9 samples [1, 1, 16, 16], 3 levels from 0.191 to 0.0294
      3 evaluations and at most ... products each, deviation ...; no doubts
    """

    samples: Kind
    """[n, B, C, H, W], in image units, a little outside of [0, 1] where noise led. Of a measurement
    that was one image as an array, [n, H, W] or [n, H, W, C]; so are the images below."""
    levels: tuple[float, ...]
    """Noise levels that each sample went through, image units."""
    evaluations: int
    """Evaluations of the prior for each sample."""
    products: int
    """Products with the prior's Jacobian for each sample, at most; each costs about as much."""
    doubts: tuple[str, ...]
    """Sentences on why the samples may be of another law than is said, empty if nothing tells."""
    noise: Tensor
    """Standard deviation of each measurement, [B], by which it was trusted."""

    @property
    def mean(self) -> Kind:
        """Mean of the samples, the estimate of least mean square error, [B, C, H, W]."""
        return self._kind(self._tensor.mean(0))

    @property
    def std(self) -> Kind:
        """Standard deviation of each pixel, [B, C, H, W]. Raises ValueError for one sample."""
        if len(self.samples) < 2:
            raise ValueError("a deviation takes at least 2 samples, got 1; draw more")
        return self._kind(self._tensor.std(0))

    def interval(self, level: float) -> tuple[Kind, Kind]:
        """Ends of the central interval of each pixel, [B, C, H, W] each; see `quality.interval`.

        Raises ValueError for a level that is no probability, or that takes more samples: 9 for 0.8,
        19 for 0.9.
        """
        low, high = interval(self._tensor, level)
        return self._kind(low), self._kind(high)

    def plot(self, b: int = 0):
        """Pictures of image b, drawn by pyplot: the mean, the deviation and the first samples.

        The axes, an array of matplotlib. A notebook shows them by itself; a script calls
        `matplotlib.pyplot.show()`. Raises IndexError for an image that is not there.

        >>> op = proxlab.operators.inpaint(torch.ones(16, 16), noise=0.05)
        >>> post = proxlab.posterior(torch.ones(1, 1, 16, 16), op, "lpn-gray-small", 2, steps=2)
        >>> post.plot().shape
        (1, 4)
        """
        return draw([self._pictures(b)])

    def __repr__(self) -> str:
        return "\n  ".join(self._lines())

    def _repr_html_(self) -> str:
        """The first image's mean, deviation and samples, as a notebook shows them."""
        heading, *lines = self._lines()
        if len(self.samples) == 0:
            return page(heading, [], [])
        return page(heading, self._pictures(0), [("", line) for line in lines])

    def _lines(self) -> list[str]:
        """A heading, and a sentence on cost, deviation and doubts."""
        n, levels = len(self.samples), self.levels
        several = "" if len(levels) < 2 else f" to {levels[-1]:.3g}"
        heading = f"Posterior of {n} sample{'' if n == 1 else 's'} {list(self.samples.shape[1:])}"
        if levels:
            number = f"{len(levels)} level{'' if len(levels) == 1 else 's'}"
            heading += f", {number} from {levels[0]:.3g}{several}"
        spread = "" if n < 2 else f", deviation {float(self._tensor.std(0).mean()):.3g}"
        return [
            heading,
            f"{self.evaluations} evaluations and at most {self.products} products each{spread}; "
            f"{'; '.join(self.doubts) or 'no doubts'}",
        ]

    def _pictures(self, b: int) -> list[Picture]:
        samples, number = self._batches, "" if self._batches.shape[1] == 1 else f" {b + 1}"
        found = [picture(f"mean{number}", samples[:, b].mean(0))]
        if len(samples) > 1:
            found.append(heat("deviation", samples[:, b].std(0)))
        most = SHOWN - 2
        return found + [picture(f"sample {i + 1}", x[b]) for i, x in enumerate(samples[:most])]

    @property
    def _tensor(self) -> Tensor:
        return torch.as_tensor(self.samples)

    @property
    def _batches(self) -> Tensor:
        """The samples as [n, B, C, H, W], whatever their layout."""
        return as_samples(self.samples)

    def _kind(self, x: Tensor) -> Kind:
        """A tensor, or an array where the samples are one."""
        return cast(Kind, x.numpy() if isinstance(self.samples, np.ndarray) else x)


def joined(parts: Sequence[Posterior[Tensor]]) -> Posterior[Tensor]:
    """The samples of all parts as one posterior."""
    told = dict.fromkeys(doubt for part in parts for doubt in part.doubts)
    return Posterior(
        torch.cat([part.samples for part in parts]),
        parts[0].levels,
        parts[0].evaluations,
        max(part.products for part in parts),
        tuple(told),
        parts[0].noise,
    )
