"""The sums over windows in the gradient of a mixture potential: by their pixels, by their means.

Each function computes such a sum, band by band and tile by tile (`cache_blocks`), and the energies
that each window lacks of |v|^2 / 2, by which psi is known to all its digits. Windows lie on a grid,
where q [h, w] says how much each counts.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from proxlab.priors.lpn.cache_blocks import adjoint, behind, lines_at_once
from proxlab.priors.lpn.mixture_config import COARSE, FINE
from proxlab.priors.lpn.window_mixture import Level, WindowMixture

WINDOW = FINE + 4 * (COARSE - 1)
"""Side of a window, pixels."""
INSET = (WINDOW - FINE) // 4
"""Blocks of 2 x 2 pixels from a window's corner to the pixels in its middle."""
SHARED = COARSE * COARSE
"""Number of windows that share a local mean."""


class Extended(NamedTuple):
    """An image as far as windows reach."""

    blocks: Tensor
    """Its pixels, [B, 4 C, h', w']."""
    energies: Tensor
    """Energies of tapered windows, [B, 1, h'', w'']."""
    q: Tensor
    """Weight of each window, [h, w]."""


class Pixels(NamedTuple):
    """The result of `by_pixels`."""

    back: Tensor
    """The gradient as blocks, [B, 4 C, h', w']."""
    left: Tensor
    """The slopes by the energies of tapered windows, [B, 1, h'', w'']."""
    lacking: Tensor | None
    """The energy that each window lacks, [B, h, w]."""


def by_pixels(
    image: Extended,
    filters: Tensor,
    context: Tensor,
    mixture: WindowMixture,
    level: Level,
    want_lacking: bool,
) -> Pixels:
    """Sum of m1(a^2, k * a_1^2) over windows: by the responses a of their bases and their energies.

    `filters` are [bases * kept, 4 C, 4, 4], `context` holds the averages k, [kept + 1, 1, side,
    side].
    """
    blocks, whole, q = image
    back, left = torch.zeros_like(blocks), torch.zeros_like(whole)
    lacking = blocks.new_zeros(len(blocks), *q.shape)
    flat = mixture.flat(level) if want_lacking else None
    kept, reach, more = len(context) - 1, context.shape[-1] - 1, FINE // 2 - 1
    start, everywhere, lends = INSET - reach // 2, slice(0, q.shape[1]), shares(q, reach + 1)
    # The first basis is the one whose energies the neighbours see.
    seen_by = filters[:kept]
    followed = blocks, filters, level.weights
    for rows in lines_at_once(len(q), *followed):
        under = behind(rows, everywhere, reach + more, start)
        near = behind(rows, everywhere, reach, start)
        share = lends[behind(rows, everywhere, reach)]
        first = F.conv2d(blocks[under], seen_by)
        squares = first * first
        seen = torch.cat([squares, whole[near] - squares.sum(1, keepdim=True)], 1)
        around = F.conv2d(seen * share, context, groups=kept + 1)
        lent = torch.zeros_like(around)
        for columns in lines_at_once(q.shape[1], *followed):
            pixels = behind(rows, columns, more, INSET)
            a = F.conv2d(blocks[pixels], filters)
            here, count, beside = behind(rows, columns, 0, INSET), q[rows, columns], (..., columns)
            slopes = mixture(
                (a * a).flatten(2).unflatten(1, (-1, kept)),
                whole[here].flatten(1),
                around[beside].flatten(2),
                level,
                count.flatten(),
                want_lacking,
            )
            assert slopes.around is not None and level.share is not None
            back[pixels].add_(adjoint(a * slopes.own.view_as(a), filters))
            left[here].add_(slopes.whole.view(-1, 1, *count.shape))
            lent[beside] = slopes.around.view(-1, kept + 1, *count.shape)
            if slopes.deficit is not None and flat is not None:
                # What a window lends and nobody counts, near the border, is lacking too.
                unseen = level.share / 2 * (whole[here][:, 0] - around[beside].sum(1)).flatten(1)
                each = slopes.deficit + (unseen - flat) * count.flatten()
                lacking[:, rows, columns] = each.view(-1, *count.shape)
        lent = F.conv_transpose2d(lent, context, groups=kept + 1) * share
        back[under].add_(adjoint(first * (lent[:, :-1] - lent[:, -1:]), seen_by))
        left[near].add_(lent[:, -1:])
    return Pixels(back, left, lacking if want_lacking else None)


def by_means(
    means: Tensor,
    q: Tensor,
    filters: Tensor,
    mixture: WindowMixture,
    level: Level,
    want_lacking: bool,
) -> tuple[Tensor, Tensor | None]:
    """Sum of m2(c^2 / 16) + |d|^2 / 32 over windows: the gradient by means, and what is lacking.

    `means` are [B, C, h', w'], and the gradient is too; `filters` [16, 1, 4, 4] give d / 4 first,
    then the c. What each window lacks is [B, h, w], None where not wanted.
    """
    up, lacking = torch.zeros_like(means), means.new_zeros(len(means), *q.shape)
    flat, reach = mixture.flat(level) if want_lacking else None, 2 * (COARSE - 1)
    for rows in lines_at_once(len(q), means, filters, level.weights):
        under, count = behind(rows, slice(0, q.shape[1]), reach), q[rows].flatten()
        each = means[under].flatten(0, 1)[:, None]  # colour by colour
        c, d = (F.conv2d(each, f, dilation=2) for f in (filters[1:], filters[:1]))
        energies = (c * c / SHARED).view(len(means), 1, -1, len(count))
        slopes = mixture(energies, energies.sum((1, 2)), None, level, count, want_lacking)
        gains = (slopes.own[:, 0] + slopes.whole[:, None]).view_as(c)
        part = adjoint(torch.cat([d * q[rows], c * gains], 1), filters, dilation=2)
        up[under].add_(part.view_as(means[under]) / SHARED)
        if slopes.deficit is not None and flat is not None:
            each = slopes.deficit - flat * count
            lacking[:, rows] = each.view(-1, *q[rows].shape)
    return up, lacking if want_lacking else None


def shares(q: Tensor, side: int) -> Tensor:
    """Share of its energy that a window lends to contexts of side x side, padded by their reach.

    Without it neighbours that count more than the window would make it weigh more than q in all.
    """
    return F.pad(q / F.max_pool2d(q[None], side, 1, side // 2)[0], [side // 2] * 4)
