"""Large images through overlapping tiles: the memory of a tile, the answer of the whole image.

    prior = proxlab.Tiled(proxlab.load("lpn-gray"), side=512)
    result = proxlab.restore(y, op, prior)

`restore` does so by itself where the prior would need much memory (`priors.tiles.within_memory`).
How a prior may be cut, `priors.tiles.tiled_prior` says.
"""

import copy
from typing import NamedTuple

import torch
from torch import Tensor

from proxlab.named_priors import as_prior
from proxlab.priors.tiles.tiled_prior import TiledPrior


class Tiled(TiledPrior):
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
        super().__init__(as_prior(prior), side, reach=reach, alignment=alignment)


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
    change, error = (whole - v).cpu().double(), (x - whole).cpu().double()
    at_seam = torch.zeros(v.shape[-2:], dtype=torch.bool, device=error.device)
    for rows, columns in (tile.core for tile in tiled.tiles(v.shape[-2:])):
        at_seam[[i for i in (rows.start - 1, rows.start) if rows.start]] = True
        at_seam[:, [i for i in (columns.start - 1, columns.start) if columns.start]] = True
    size = _rms(change) or 1.0
    return SeamError(
        float(error.abs().max()) / (float(change.abs().max()) or 1.0),
        _rms(error[..., at_seam]) / size,
        _rms(error[..., ~at_seam]) / size,
    )


def _rms(x: Tensor) -> float:
    return float(x.square().mean().sqrt()) if x.numel() else 0.0
