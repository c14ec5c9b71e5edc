"""Large images through overlapping tiles: the memory of a tile, the answer of the whole image.

    prior = proxlab.Tiled(proxlab.load("lpn-gray"), side=512)
    result = proxlab.restore(y, op, prior)

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

from proxlab.named_priors import as_prior
from proxlab.priors.arguments import check_images, up_to
from proxlab.priors.contract import HasParts


class Tile(NamedTuple):
    """Rows and columns, as two slices each."""

    core: tuple[slice, slice]
    """The part of the image that the tile answers for; all cores make up the image."""
    seen: tuple[slice, slice]
    """The part of the image that the prior is given: the core and what is around it."""
    inside: tuple[slice, slice]
    """The core, counted within what is seen."""


class Tiled(Denoiser):
    """A prior whose prox is computed tile by tile, equal to that of the whole image to rounding.

    `side` is that of the cores, at most, in pixels, made up to the prior's alignment. A tile in the
    middle of an image has ((side + 2 reach) / side)^2 times the pixels of its core, which is the
    factor of the cost, and (side + 2 reach)^2 pixels need memory at a time, for each image of a
    batch. With cores of 512 pixels:

        lpn-gray        reach  20    factor 1.16        unet-gray-wide     48      1.41
        dncnn-gray             19           1.15        crate-gray        208      3.29
        crate-gray-step       416           6.89

    `prox_and_value`, and with it an objective and certificates, is there for a prior whose value is
    known part by part: learned networks with a mixture potential, gradient steps, "none". Without
    it a restoration has no objective.

    A prior without a finite reach is refused with a ValueError, total variation and denoisers from
    elsewhere, unless `reach` tells how far to look, and `alignment` where to cut. Nobody vouches
    then: `seam_error` measures what it costs; there is no value, `exact` is False, and each tile is
    given a copy of the prior, for an iteration may start from its last state. So too where `reach`
    is below the prior's own. Raises ValueError for a side below 1 or a reach below 0.

    >>> prior, v = proxlab.load("lpn-gray-small"), torch.rand(1, 1, 96, 96)
    >>> tiled = proxlab.Tiled(prior, side=48)
    >>> torch.allclose(tiled.prox(v, 0.1), prior.prox(v, 0.1), atol=1e-5)
    True
    >>> len(list(tiled.tiles((96, 96)))), round(tiled.cost((96, 96)), 2)
    (4, 2.01)
    >>> torch.equal(tiled(v, 0.1), tiled.prox(v, 0.1))   # deepinv's solvers call it so
    True
    """

    def __init__(
        self,
        prior: object,
        side: int = 512,
        *,
        reach: int | None = None,
        alignment: int | None = None,
    ):
        super().__init__()
        self.prior = as_prior(prior)
        own = self.prior.capabilities
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
        x = torch.empty_like(v)
        for tile in self.tiles(v.shape[-2:]):
            prior = self.prior if self.sure else copy.deepcopy(self.prior)
            x[_at(tile.core)] = prior.prox(v[_at(tile.seen)], sigma)[_at(tile.inside)]
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


class SeamError(NamedTuple):
    """Error of a prox through tiles, relative to the change that the prox of the whole makes."""

    largest: float
    """Largest difference of a pixel, over the largest change of one."""
    seams: float
    """Root mean square on the two lines of pixels at each seam, over that of all changes."""
    elsewhere: float
    """The same ratio on all other pixels."""


def seam_error(
    prior: object,
    v: Tensor,
    sigma: float | Tensor,
    side: int = 512,
    *,
    reach: int | None = None,
    alignment: int | None = None,
) -> SeamError:
    """Distance of `Tiled(prior, side)` from the prior itself on images v [B, C, H, W].

    Changes are those from v to its prox; where it changes nothing, errors are not divided. Up to
    1e-5 is rounding in float32. Takes the memory of the whole image, so measure on a part of a
    large one, two tiles or more on a side. Raises as `Tiled` and as the prior.

    >>> prior = proxlab.load("lpn-gray-small")
    >>> error = proxlab.seam_error(prior, torch.rand(1, 1, 96, 96), 0.1, side=48)
    >>> error.largest < 1e-4
    True
    """
    tiled = Tiled(prior, side, reach=reach, alignment=alignment)
    with torch.no_grad():
        whole = copy.deepcopy(tiled.prior).prox(v, sigma)
        return compared(tiled, v, whole, tiled.prox(v, sigma))


def compared(tiled: Tiled, v: Tensor, whole: Tensor, x: Tensor) -> SeamError:
    """The error of x, a prox at v through these tiles, where `whole` is right."""
    change, error = (whole - v).double(), (x - whole).double()
    at_seam = torch.zeros(v.shape[-2:], dtype=torch.bool, device=v.device)
    for rows, columns in (tile.core for tile in tiled.tiles(v.shape[-2:])):
        at_seam[[i for i in (rows.start - 1, rows.start) if rows.start]] = True
        at_seam[:, [i for i in (columns.start - 1, columns.start) if columns.start]] = True
    size = _rms(change) or 1.0
    return SeamError(
        float(error.abs().max()) / (float(change.abs().max()) or 1.0),
        _rms(error[..., at_seam]) / size,
        _rms(error[..., ~at_seam]) / size,
    )


def _prox_and_value(
    tiled: Tiled, prior: HasParts, v: Tensor, sigma: float | Tensor
) -> tuple[Tensor, Tensor]:
    """The prox x of R_sigma at v, and R_sigma(x) [B] in float64. Raises as the prior's.

    A tile adds what its core holds of R.
    """
    check_images(v)
    x, value = torch.empty_like(v), v.new_zeros(len(v), dtype=torch.float64)
    for tile in tiled.tiles(v.shape[-2:]):
        seen, r = prior.prox_and_part(v[_at(tile.seen)], sigma, tile.inside)
        x[_at(tile.core)] = seen[_at(tile.inside)]
        value = value + r
    return x, value


def _at(where: tuple[slice, slice]) -> tuple:
    return (..., *where)


def _rms(x: Tensor) -> float:
    return float(x.square().mean().sqrt()) if x.numel() else 0.0
