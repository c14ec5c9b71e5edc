"""Quality of samples of a posterior, where the truth is known: do their intervals hold?

If a truth and n samples are draws of one law, the truth is as likely to be the least of the n + 1
as any other: its rank is uniform, and the interval from the k-th sample to the k-th last holds it
with probability (n + 1 - 2 k) / (n + 1), whatever the law. That is what is counted here, by pixels.
Truths that a prior did not draw are of another law than its samples, and the count tells that too.
[Talts18] for ranks, [Gneiting07] for the energy score.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from proxlab.images.layouts import as_images, as_samples
from solvers.protocols import doubles

LEVELS = (0.5, 0.8, 0.9)
"""Levels of the intervals that are looked at, where there are samples enough."""
QUARTERS = 4
WINDOW = 7
"""Side of the windows whose variance tells busy parts of a truth from flat ones, pixels."""


@dataclass(frozen=True)
class PosteriorQuality:
    """Figures of how far samples of posteriors hold what they say, see `posterior_quality`.

    >>> samples, truth = torch.randn(19, 2, 1, 32, 32), torch.randn(2, 1, 32, 32)
    >>> quality = proxlab.posterior_quality(samples, truth)   # all of one law
    >>> round(quality.coverage[0.8], 1), quality.ranks.sum()
    (0.8, tensor(1., dtype=torch.float64))
    """

    coverage: dict[float, float]
    """Level of a central interval -> share of the true pixels inside; calibrated is the level."""
    coverage_by_quarter: dict[float, list[float]]
    """The same for each quarter of the pixels, from the flat ones to the busy ones, by the local
    variance of the mean of the samples; empty for truths that are no images."""
    spread_over_error: float
    """Root mean square error that the mean of the samples should have, by their variance, over the
    one that it has; calibrated is 1, below it the samples are too sure."""
    spread_over_error_by_quarter: list[float]
    """The same for each quarter; empty for truths that are no images."""
    ranks: Tensor
    """Share of the pixels in which the truth is the first, second, ... of itself and the samples,
    [n + 1]; calibrated is 1 / (n + 1) each."""
    energy_score: Tensor
    """E |X - x| - E |X - X'| / 2 of each truth x, [B]: the less, the better; in expectation least
    for the posterior itself."""
    mean_square_error: Tensor
    """Mean square error of the mean of the samples, of each truth, [B]."""


def posterior_quality(
    samples: Tensor | np.ndarray,
    truth: Tensor | np.ndarray,
    levels: Sequence[float] = LEVELS,
) -> PosteriorQuality:
    """Quality of samples [n, B, ...] of the posteriors of B measurements by the truths [B, ...].

    Arrays may be of one image as `proxlab.posterior` returns them, [n, H, W] or [n, H, W, C].
    Levels of intervals for which n is too small are left out: a level takes 2 / (1 - level) - 1.
    Raises ValueError for fewer than 3 samples, for shapes that do not go together and for entries
    that are not finite.

    >>> truth = torch.randn(4, 1, 32, 32)
    >>> sure = proxlab.posterior_quality(0.5 * torch.randn(9, 4, 1, 32, 32), truth)
    >>> sure.coverage[0.8] < 0.6, round(sure.spread_over_error, 1), list(sure.coverage)
    (True, 0.5, [0.5, 0.8])
    """
    samples, truth = as_samples(samples), as_images(truth)
    if samples.ndim < 3 or samples.shape[1:] != truth.shape or not truth.numel():
        raise ValueError(
            f"samples [n, B, ...] are of truths [B, ...], got {list(samples.shape)} and "
            f"{list(truth.shape)}"
        )
    n = len(samples)
    if n < 3:
        raise ValueError(f"samples are judged from 3 on, got {n}; draw more")
    if not (samples.isfinite().all() and truth.isfinite().all()):
        raise ValueError("some of the samples or of the truth are NaN or infinite")
    samples, truth = doubles(samples), doubles(truth)
    mean = samples.mean(0)
    error, variance = (truth - mean).square(), samples.var(0)
    known = [level for level in levels if _enough(n, level)]
    inside = {level: within(samples, truth, level) for level in known}
    parts = _quarters(mean) if mean.ndim == 4 else []
    return PosteriorQuality(
        coverage={level: _share(held) for level, held in inside.items()},
        coverage_by_quarter={
            level: [_share(held[part]) for part in parts] for level, held in inside.items() if parts
        },
        spread_over_error=_ratio(variance, error, n),
        spread_over_error_by_quarter=[_ratio(variance[part], error[part], n) for part in parts],
        ranks=_ranks(samples, truth),
        energy_score=_energy_score(samples, truth),
        mean_square_error=error.flatten(1).mean(1),
    )


def interval(samples: Tensor, level: float) -> tuple[Tensor, Tensor]:
    """Ends of the central interval that holds a further draw with the probability `level`.

    samples: [n, ...], from the same law. The ends are at the ranks (1 -+ level) / 2 of n + 1, in
    between by a line: at whole ranks the probability is exact whatever the law. Raises ValueError
    unless 0 < level <= (n - 1) / (n + 1).

    >>> from proxlab.posteriors.quality import interval
    >>> interval(torch.tensor([5.0, 1.0, 3.0]), 0.5)   # three samples part the line in four
    (tensor(1.), tensor(5.))
    """
    n = len(samples)
    if not 0 < level < 1:
        raise ValueError(
            f"the level of an interval is a probability above 0 and below 1, got {level}"
        )
    if not _enough(n, level):
        raise ValueError(
            f"an interval of {100 * level:g} % takes at least {_needed(level)} samples, got {n}; "
            "draw more or ask for less"
        )
    ordered = samples.sort(0).values
    place = max((1 - level) / 2 * (n + 1) - 1, 0.0)
    first = min(int(place), n - 2)
    rest = place - first
    low = ordered[first].lerp(ordered[first + 1], rest)
    return low, ordered[n - 1 - first].lerp(ordered[n - 2 - first], rest)


def within(samples: Tensor, truth: Tensor, level: float) -> Tensor:
    """Whether each entry of a truth [...] lies in the interval of its samples [n, ...].

    >>> from proxlab.posteriors.quality import within
    >>> within(torch.tensor([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]), torch.tensor([1.5, 2.5]), 0.5)
    tensor([ True, False])
    """
    low, high = interval(samples, level)
    return (truth >= low) & (truth <= high)


def _needed(level: float) -> int:
    """Samples that an interval of this level takes."""
    return -int(-(2 / (1 - level) - 1 - 1e-9) // 1)


def _enough(n: int, level: float) -> bool:
    return 0 < level < 1 and n >= _needed(level)


def _share(held: Tensor) -> float:
    return float(held.double().mean())


def _ratio(variance: Tensor, error: Tensor, n: int) -> float:
    """Spread over error; the mean of n samples errs by a further variance / n."""
    return float((variance.mean() * (1 + 1 / n) / error.mean()).sqrt())


def _ranks(samples: Tensor, truth: Tensor) -> Tensor:
    """Shares of the ranks; of samples that are as the truth is, one half count as below."""
    below = (samples < truth).double().sum(0) + (samples == truth).double().sum(0) / 2
    places = below.floor().long().flatten()
    return torch.bincount(places, minlength=len(samples) + 1).double() / places.numel()


def _energy_score(samples: Tensor, truth: Tensor) -> Tensor:
    n, flat = len(samples), samples.flatten(2).transpose(0, 1)  # [B, n, pixels]
    near = (flat - truth.flatten(1)[:, None]).norm(dim=2).mean(1)
    return near - torch.cdist(flat, flat).sum((1, 2)) / (2 * n * (n - 1))


def _quarters(mean: Tensor) -> list[Tensor]:
    """Quarters of the pixels as masks [B, C, H, W], by the variance around them, the flat first.

    Of the mean, which the measurement knows: of the truth, pixels with large errors would be
    chosen for their errors, and no samples would be calibrated.
    """
    margin = [min(WINDOW // 2, side - 1) for side in mean.shape[-2:]]
    padded = F.pad(mean, (margin[1], margin[1], margin[0], margin[0]), mode="reflect")
    window = [2 * m + 1 for m in margin]
    around = F.avg_pool2d(padded, window, stride=1)
    variance = F.avg_pool2d(padded.square(), window, stride=1) - around.square()
    parts = []
    for places in variance.flatten().argsort(stable=True).tensor_split(QUARTERS):
        part = torch.zeros(mean.numel(), dtype=torch.bool, device=mean.device)
        part[places] = True
        parts.append(part.view(mean.shape))
    return parts
