"""The diagonal of a matrix of pixels that is known by its products, from random signs on grids."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from proxlab.priors.jacobians.contract import PROBES, Diagonal, check_probes


def probed_diagonal(
    product: Callable[[Tensor], Tensor], like: Tensor, probes: int = PROBES, seed: int = 0
) -> Diagonal:
    """An estimate of the diagonal, [B, C, H, W], by at most so many products with the matrix.

    z * M z is the diagonal and what M mixes into it from other pixels, with random signs where
    those of z are random [Hutchinson90; Tang12]. A prox mixes near pixels most, so each z lives on
    one grid of pixels, k apart, in one channel: C k^2 products for all pixels, and the same again
    with other signs, whose difference is the standard error; k = 6 for 72 probes of a gray image.
    Every image of the batch is given the same signs, and none sees its neighbours.
    Raises ValueError for probes below 1.

    >>> from proxlab.priors.jacobians.probes import probed_diagonal
    >>> probed_diagonal(lambda u: 2 * u, torch.zeros(1, 1, 1, 2), probes=4).value
    tensor([[[[2., 2.]]]])
    """
    check_probes(probes, seed)
    generator = torch.Generator().manual_seed(seed)
    halves = [_estimate(product, like, each) for each in _signs(like, probes, generator)]
    if len(halves) == 1:
        return Diagonal(halves[0], torch.full_like(halves[0], math.inf))
    return Diagonal((halves[0] + halves[1]) / 2, (halves[0] - halves[1]).abs() / 2)


def _estimate(
    product: Callable[[Tensor], Tensor], like: Tensor, probes: Iterator[Tensor]
) -> Tensor:
    total = torch.zeros_like(like)
    for z in probes:
        total += z * product(z.expand_as(total))
    return total


def _signs(v: Tensor, probes: int, generator: torch.Generator) -> Iterator[Iterator[Tensor]]:
    """Probes [1, C, H, W] that cover all pixels once, and once more if there are enough of them."""
    repeats = 2 if probes >= 2 else 1
    each = probes // repeats
    apart = max(1, math.isqrt(each // v.shape[1]))
    for _ in range(repeats):
        random = torch.randint(0, 2, v.shape[1:], generator=generator)
        signs = (2 * random - 1).to(v)[None]
        yield _grids(signs, apart, together=each < v.shape[1])


def _grids(signs: Tensor, apart: int, together: bool) -> Iterator[Tensor]:
    """The signs on one grid of pixels of one channel at a time; of all channels if `together`."""
    channels = [slice(None)] if together else [slice(c, c + 1) for c in range(signs.shape[1])]
    for channel in channels:
        for row in range(min(apart, signs.shape[2])):
            for column in range(min(apart, signs.shape[3])):
                z = torch.zeros_like(signs)
                here = (slice(None), channel, slice(row, None, apart), slice(column, None, apart))
                z[here] = signs[here]
                yield z
