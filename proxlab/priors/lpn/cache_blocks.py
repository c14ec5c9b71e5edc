"""Windows in parts so small that what lies between two layers stays in a CPU's cache.

The memory of such a part is also used again by the next one: asking the system for new memory, page
by page, can take as long as all the arithmetic. Where autograd keeps everything anyway, and on
other devices than a CPU, all windows of all images are one part. Several threads have a piece of
the images each (`proxlab.threads`).
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from proxlab.machine import keep_freed_memory
from proxlab.threads import threads_for

IMAGES, TILE = 4, 88
"""Most images of a part, and most rows and columns of windows."""
STRIP, PIXELS = 3, 2**16
"""Rows of a thread's own, at least, over those beyond that it needs, and pixels of an image that is
cut: fewer are not worth it."""


class Piece(NamedTuple):
    """Some rows of some images, of which one thread computes the gradient."""

    images: slice
    core: slice
    """Rows that it answers for."""
    seen: slice
    """The core, and other rows on which its gradient depends."""
    inside: slice
    """The core, counted within what is seen."""


def images_at_once(batch: int, *inputs: Tensor) -> list[slice]:
    """Parts of a batch, one for each thread at least; `inputs` are what autograd may follow."""
    keep_freed_memory()
    each = -(-batch // threads_for(*inputs))
    return _parts(batch, batch if _whole(inputs) else min(each, IMAGES))


def pieces(v: Tensor, reach: int, alignment: int, *inputs: Tensor) -> list[list[Piece]]:
    """The images v [B, C, H, W] cut for threads: parts of the batch, each in strips of rows.

    The gradient at a row depends on `reach` rows around it, and a strip begins at a multiple of
    `alignment`. A part is cut only if there are not enough of them. `inputs` as above.
    """
    batch, height = len(v), v.shape[-2]
    parts = images_at_once(batch, v, *inputs)
    most = height // (STRIP * reach) if v.shape[-2:].numel() >= PIXELS else 1
    strips = max(1, min(threads_for(v, *inputs) // len(parts), most))
    edges = [height * i // strips // alignment * alignment for i in range(strips)]

    def strip(images: slice, first: int, last: int) -> Piece:
        start, stop = max(0, first - reach), min(last + reach, height)
        inside = slice(first - start, last - start)
        return Piece(images, slice(first, last), slice(start, stop), inside)

    ends = [*edges[1:], height]
    return [[strip(few, *ends) for ends in zip(edges, ends, strict=True)] for few in parts]


def joined(strips: Sequence[tuple[Tensor, Tensor | None]]) -> tuple[Tensor, Tensor | None]:
    """The gradient [B, C, H, W] of a part, and a number for each window, from those of its strips.

    Strips lie below one another.
    """
    grads, numbers = zip(*strips, strict=True)
    if len(strips) == 1:
        return grads[0], numbers[0]
    return torch.cat(grads, 2), None if numbers[0] is None else torch.cat(numbers, 1)


def lines_at_once(n: int, *inputs: Tensor) -> list[slice]:
    """Parts of n rows or columns of windows; `inputs` as above."""
    return _parts(n, n if _whole(inputs) else TILE)


def bands_at_once(q: Tensor, *inputs: Tensor) -> list[slice]:
    """Parts of the rows of windows q [h, w], about as large as a tile, of all columns.

    What is kept of all windows is read from them without a copy.
    """
    rows, columns = q.shape
    return _parts(rows, rows if _whole(inputs) else max(1, TILE * TILE // columns))


def behind(rows: slice, columns: slice, by: int, start: int = 0) -> tuple:
    """Index of what those windows see: `start` farther on, and `by` more rows and columns."""
    return ..., *(slice(part.start + start, part.stop + start + by) for part in (rows, columns))


def adjoint(y: Tensor, filters: Tensor, dilation: int = 1) -> Tensor:
    """conv_transpose2d(y, filters) by a matrix product and a sum, in half the time on CPUs."""
    height, width = y.shape[-2:]
    side = filters.shape[-1]
    more = dilation * (side - 1)
    columns = filters.flatten(1).T @ y.flatten(2)
    if columns.requires_grad or columns.device.type != "cpu":
        return F.fold(columns, (height + more, width + more), side, dilation)
    # On the pieces of an image this takes a quarter to a half of the time of `fold`.
    columns = columns.view(len(y), -1, side, side, height, width)
    tall = columns.new_zeros(*columns.shape[:2], side, height + more, width)
    for i in range(side):
        tall[..., i * dilation : i * dilation + height, :].add_(columns[:, :, i])
    total = columns.new_zeros(*columns.shape[:2], height + more, width + more)
    for j in range(side):
        total[..., j * dilation : j * dilation + width].add_(tall[:, :, j])
    return total


def scattered(y: Tensor, filters: Tensor) -> Tensor:
    """conv_transpose2d(y, filters) by a convolution with the filters turned round.

    For y of one channel, or as many as there are colours, CPUs take a tenth of the time so.
    """
    more = [filters.shape[-1] - 1] * 4
    return F.conv2d(F.pad(y, more), filters.transpose(0, 1).flip(2, 3))


def _whole(inputs: tuple[Tensor, ...]) -> bool:
    followed = torch.is_grad_enabled() and any(x.requires_grad for x in inputs)
    return followed or inputs[0].device.type != "cpu"


def _parts(n: int, most: int) -> list[slice]:
    """0 ... n in the fewest parts of at most `most`, as equal as can be."""
    k = -(-n // most)
    return [slice(i * n // k, (i + 1) * n // k) for i in range(k)]
