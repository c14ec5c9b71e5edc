"""The two nearest distinct training images of each image, and the ratio of their distances.

A copy of a training image is much nearer to it than to any other; what was made anew is about as
far from the second as from the nearest. So the ratio r = |x - x1| / |x - x2| tells copies
[Buchanan25], whatever the scale of distances. Images that occur twice in the training set count
once: a copy of such an image would have r = 1.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

CHUNK = 1024
"""Training images at once."""


class Nearest(NamedTuple):
    """Ratio and distance of the nearest training image, of n images."""

    ratio: Tensor
    """Distance to the nearest over that to the second nearest training image, float64 [n]."""
    distance: Tensor
    """Distance to the nearest, root of the sum of squares, float64 [n]."""
    index: Tensor
    """Its place in the training set, [n]."""


def distance_ratio(images: Tensor, train: Iterable[Tensor]) -> Nearest:
    """Nearest distinct training images of images [n, C, H, W].

    train: tensor [N, C, H, W], or training images [C, H, W] one by one, of which only those in use
    are held; uint8 counts 255 as 1. Raises ValueError for fewer than two distinct training images,
    and for images of another shape.

    >>> from proxlab.audits.nearest import distance_ratio
    >>> train = torch.tensor([0.0, 1.0, 1.0, 4.0]).view(4, 1, 1, 1)
    >>> distance_ratio(torch.tensor([0.25, 3.0]).view(2, 1, 1, 1), train).ratio
    tensor([0.3333, 0.5000], dtype=torch.float64)
    """
    x = _flat(images)
    best = x.new_full((2, len(x)), torch.inf)  # squared distances
    place = torch.full((2, len(x)), -1)
    winners = x.new_zeros(2, *x.shape)
    center, distinct = None, 0
    for first, rows, chunk in _chunks(train, tuple(images.shape[1:])):
        distinct += len(rows)
        center = chunk.mean(0) if center is None else center
        a, b = x - center, chunk - center
        squares = (a.square().sum(1)[:, None] - 2 * a @ b.T + b.square().sum(1)).clamp(min=0)
        near, which = squares.topk(min(2, len(chunk)), dim=1, largest=False)
        for found, row in zip(near.T, which.T, strict=True):
            _insert(best, place, winners, found, rows[row] + first, chunk[row])
    if distinct < 2:
        raise ValueError(
            f"a ratio takes two distinct training images, got {distinct}; give the whole set"
        )
    # squared distances by their expansion lose digits near 0: those of the winners by differences
    one, two = (x[None] - winners).square().sum(2).sqrt()
    swapped = two < one
    one, two = torch.where(swapped, two, one), torch.where(swapped, one, two)
    return Nearest(one / two, one, torch.where(swapped, place[1], place[0]))


def _insert(best: Tensor, place: Tensor, winners: Tensor, found: Tensor, at: Tensor, rows: Tensor):
    """Put what was found among the two nearest, in place, where it is nearer."""
    first, second = found < best[0], (found >= best[0]) & (found < best[1])
    for table, new in ((best, found), (place, at), (winners, rows)):
        wide = (..., None) if new.ndim == 2 else ...
        moved = torch.where(first[wide], table[0], torch.where(second[wide], new, table[1]))
        table[0] = torch.where(first[wide], new, table[0])
        table[1] = moved


def _chunks(
    train: Iterable[Tensor], shape: tuple[int, ...]
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """(place of the first, places of those kept after it, they [m, d]), without doubles."""
    seen: set[bytes] = set()
    for first, part in _parts(train):
        if part.shape[1:] != shape:
            raise ValueError(
                f"images to audit are {list(shape)} and training images {list(part.shape[1:])}; "
                "both have to be what the model was trained on"
            )
        flat, kept = _flat(part), []
        for i, row in enumerate(flat):
            key = row.numpy().tobytes()
            if key not in seen:
                seen.add(key)
                kept.append(i)
        if kept:
            rows = torch.tensor(kept)
            yield first, rows, flat[rows]


def _parts(train: Iterable[Tensor]) -> Iterator[tuple[int, Tensor]]:
    if isinstance(train, Tensor):
        yield from ((i, train[i : i + CHUNK]) for i in range(0, len(train), CHUNK))
        return
    held: list[Tensor] = []
    first = 0
    for image in train:
        held.append(image)
        if len(held) == CHUNK:
            yield first, torch.stack(held)
            first, held = first + CHUNK, []
    if held:
        yield first, torch.stack(held)


def _flat(images: Tensor) -> Tensor:
    """[n, d] in float64, 0 to 1."""
    flat = images.detach().cpu().flatten(1).double()
    return flat / 255 if images.dtype == torch.uint8 else flat


def chosen(train: Tensor | Sequence[Tensor], places: Sequence[int]) -> Tensor:
    """Some of the training images, float64 [m, C, H, W], 0 to 1."""
    images = [train[i] for i in places]
    stack = torch.stack(images)
    return _flat(stack).view(len(stack), *stack.shape[1:])
