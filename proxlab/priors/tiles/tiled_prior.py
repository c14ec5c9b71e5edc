"""A prior that is computed tile by tile: the memory of a tile, the answer of the whole image.

A prior has two properties by which its images may be cut. `alignment`: tiles begin and end at
multiples of so many pixels, or at the image's border, and the grids inside the network (windows,
tokens, cells) then lie in a tile as in the whole image. `reach`: what the prior makes of a block
with aligned sides depends on nothing farther than so many pixels from it, neither on values nor on
where the image ends; a multiple of the alignment, and exact: with one alignment less seams appear
(with two less for gradient steps). Both follow from the architecture. A tile is a core and `reach`
pixels around it, and of the answer the core is kept. Where the image has its border so has the
tile, and its treatment is the prior's.

deepinv.distributed tiles denoisers for several devices. It needs a process group for that, is told
the reach, pads the whole image by reflection, which is not what networks here do at borders, moves
the last tile inwards, off their grids, and knows no values.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from math import ceil
from typing import NamedTuple

import torch
from deepinv.models import Denoiser
from torch import Tensor

from proxlab.priors.arguments import check_images, up_to
from proxlab.priors.contract import HasParts, Prior
from solvers.large.freed import give_back_freed_memory
from solvers.protocols import float_for_sums


class Tile(NamedTuple):
    """Rows and columns, as two slices each."""

    core: tuple[slice, slice]
    """The part of the image that the tile answers for; all cores make up the image."""
    seen: tuple[slice, slice]
    """The part of the image that the prior is given: the core and what is around it."""
    inside: tuple[slice, slice]
    """The core, counted within what is seen."""


class TiledPrior(Denoiser):
    """A prior whose prox is computed tile by tile; `proxlab.Tiled`, which says more, is its door.

    The prior is handed copies of what it sees, and what it answers is copied: it can write over
    neither the image that was asked about nor the answer.
    Raises ValueError for a side below 1, a reach below 0, and for a prior without a finite reach
    unless `reach` tells one.
    """

    def __init__(
        self,
        prior: Prior,
        side: int = 512,
        *,
        reach: int | None = None,
        alignment: int | None = None,
    ):
        super().__init__()
        self.prior = prior
        own = prior.capabilities
        if reach is None and own.reach is None:
            raise ValueError(
                f"{self.prior.name} has no finite reach by its architecture, so tiles would leave "
                "seams; use it whole, or give Tiled a reach in pixels and measure with seam_error"
            )
        if side < 1 or (reach or 0) < 0 or (alignment is not None and alignment < 1):
            raise ValueError(
                "tiles have a side and an alignment of at least 1 pixel and a reach of at least 0, "
                f"got {side}, {alignment} and {reach}"
            )
        self.name, self.sigma_range = self.prior.name, self.prior.sigma_range
        self.alignment = alignment or own.alignment
        self.side = up_to(side, self.alignment)
        self.reach = up_to((own.reach or 0) if reach is None else reach, self.alignment)
        cut_right = self.alignment % own.alignment == 0
        self.sure = own.reach is not None and self.reach >= own.reach and cut_right
        self.capabilities = replace(
            own,
            exact=self.sure and own.exact,
            convex=self.sure and own.convex,
            reach=None,
            alignment=1,
            parts=False,
        )
        if self.sure and own.parts and isinstance(self.prior, HasParts):
            self.prox_and_value = partial(_prox_and_value, self, self.prior)

    def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """The same as `prox`."""
        return self.prox(x, sigma)

    def prox(self, v: Tensor, sigma: float | Tensor) -> Tensor:
        """The prior's prox at v, [B, C, H, W] -> the same. Raises as the prior's."""
        check_images(v)
        give_back_freed_memory(v)
        x = torch.empty_like(v)
        for tile in self.tiles(v.shape[-2:]):
            prior = self.prior if self.sure else copy.deepcopy(self.prior)
            seen = prior.prox(v[_at(tile.seen)].clone(), sigma)
            x[_at(tile.core)] = seen[_at(tile.inside)]
            del seen
        give_back_freed_memory(v)
        return x

    def tiles(self, size: Sequence[int]) -> Iterator[Tile]:
        """The tiles of an image of H x W pixels, row by row; the cores as equal as can be."""
        height, width = size
        for rows in self._lines(height):
            for columns in self._lines(width):
                yield Tile(*zip(rows, columns, strict=True))

    def cost(self, size: Sequence[int]) -> float:
        """Pixels computed for one of an image of H x W, less than the formula's near its border."""
        seen = [[s.stop - s.start for _, s, _ in self._lines(length)] for length in size]
        return sum(seen[0]) * sum(seen[1]) / (size[0] * size[1])

    def _lines(self, length: int) -> Iterator[tuple[slice, slice, slice]]:
        """Core, seen and inside, along one axis."""
        side = up_to(ceil(length / ceil(length / self.side)), self.alignment)
        for start in range(0, length, side):
            stop = min(start + side, length)
            first, last = max(0, start - self.reach), min(stop + self.reach, length)
            yield slice(start, stop), slice(first, last), slice(start - first, stop - first)


def _prox_and_value(
    tiled: TiledPrior, prior: HasParts, v: Tensor, sigma: float | Tensor
) -> tuple[Tensor, Tensor]:
    """The prox x of R_sigma at v, and R_sigma(x) [B] in float64. Raises as the prior's.

    A tile adds what its core holds of R.
    """
    check_images(v)
    give_back_freed_memory(v)
    x, value = torch.empty_like(v), v.new_zeros(len(v), dtype=float_for_sums(v))
    for tile in tiled.tiles(v.shape[-2:]):
        seen, r = prior.prox_and_part(v[_at(tile.seen)].clone(), sigma, tile.inside)
        x[_at(tile.core)] = seen[_at(tile.inside)]
        value = value + r
        del seen
    give_back_freed_memory(v)
    return x, value


def _at(where: tuple[slice, slice]) -> tuple:
    return (..., *where)
