"""Parts of large images: sums and transforms that hold a part of what they work in at a time.

    for rows, others in by_rows(x, y): ...         # views [B, some rows, W]
    for part in by_planes(x.shape): x[part]        # some channels of some images

A number of a whole image needs no further image as large, and a CPU is no slower for it. Images of
at most `PIECE` numbers are one part, so that a GPU is told few kernels.
"""

from collections.abc import Callable, Sequence
from math import prod

from torch import Tensor

PIECE = 2**22
"""Numbers of a part: 16 MiB in float32."""
Part = tuple[slice, slice]
"""Some images, and some of their channels."""
ALL = slice(None)


def by_rows(*images: Tensor) -> list[tuple[Tensor, ...]]:
    """Views [B, rows, W] of the same rows of images [B, ..., W], all of one shape.

    >>> from solvers.large.parts import by_rows
    >>> x = torch.zeros(1, 3, 2048, 2048)
    >>> [rows.shape for rows, _ in by_rows(x, x)]
    [torch.Size([1, 2048, 2048]), torch.Size([1, 2048, 2048]), torch.Size([1, 2048, 2048])]
    """
    first = images[0]
    flat = [image.flatten(1, -2) for image in images]
    if first.numel() <= PIECE:
        return [tuple(flat)]
    most = max(1, PIECE // max(len(first) * first.shape[-1], 1))
    return list(zip(*(image.split(most, 1) for image in flat), strict=True))


def by_planes(shape: Sequence[int]) -> list[Part]:
    """Parts of a batch [B, C, H, W], whole channels each, that make it up.

    >>> from solvers.large.parts import by_planes
    >>> len(by_planes((2, 3, 64, 64))), len(by_planes((2, 3, 2048, 2048)))
    (1, 6)
    """
    batch, channels = shape[:2]
    if prod(shape) <= PIECE:
        return [(ALL, ALL)]
    plane = max(1, prod(shape[2:]))
    if channels * plane <= PIECE:
        return [(few, ALL) for few in _cuts(batch, PIECE // (channels * plane))]
    few = _cuts(channels, max(1, PIECE // plane))
    return [(slice(b, b + 1), some) for b in range(batch) for some in few]


def cut(x: Tensor, part: Part) -> Tensor:
    """The part of x [B or 1, C or 1, ...], a view; what is the same for all stays.

    >>> from solvers.large.parts import cut
    >>> cut(torch.zeros(1, 3, 8, 8), (slice(1, 2), slice(0, 2))).shape
    torch.Size([1, 2, 8, 8])
    """
    images, channels = part
    if images == ALL and channels == ALL:
        return x
    return x[images if len(x) > 1 else ALL, channels if x.shape[1] > 1 else ALL]


def assembled(like: Tensor, work: Callable[[Part], Tensor]) -> Tensor:
    """The image shaped like `like` whose parts `work` makes, one after the other.

    >>> from solvers.large.parts import cut, assembled
    >>> x = torch.rand(2, 3, 8, 8)
    >>> torch.equal(assembled(x, lambda part: 2 * cut(x, part)), 2 * x)
    True
    """
    parts = by_planes(like.shape)
    if len(parts) == 1:
        return work(parts[0])
    whole = like.new_empty(like.shape)
    for part in parts:
        whole[part] = work(part)
    return whole


def _cuts(n: int, most: int) -> list[slice]:
    return [slice(start, min(start + most, n)) for start in range(0, n, most)]
