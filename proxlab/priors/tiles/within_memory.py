"""Tiles that are chosen by themselves: as large as the memory allows that a prior may take.

    prior = within_memory(prior, image.shape, image.device)      # tiled where it has to be

A prior says how many bytes its prox holds for each number of its images (`Capabilities.memory`). An
image that takes more than a budget is cut into tiles that do not: the largest ones, or smaller ones
where these compute little twice. Only a prior is cut
that then gives the whole image's answer, and its value if it has one: see `TiledPrior`.
"""

from math import ceil, isqrt
from typing import NamedTuple

import torch

from proxlab.priors.contract import Prior
from proxlab.priors.tiles.tiled_prior import TiledPrior
from solvers.duality.composite import HasWarmStart
from solvers.primal_dual import HasComposite
from solvers.protocols import HasProxAndValue, Selectable

BUDGET = 512 * 2**20
"""Bytes that a prior may hold at a time on a CPU."""
SHARE = 4
"""Part of a GPU's free memory that it may hold there: one over this."""
UNKNOWN = 1024
"""Bytes for each number of an image, of a prior that does not say."""
TWICE = 0.08
"""Share of an image's pixels that may be computed twice: larger tiles save too little time for
what they hold."""
LEAST_SIDE = 256
"""Least side of a core, pixels: below it most of what is computed is computed twice."""


class Need(NamedTuple):
    """Memory that a prior would take."""

    whole: int
    """Bytes for all images of a batch, whole."""
    side: int | None
    """Side of the cores of tiles that take less, pixels; None where the images stay whole."""


def within_memory(prior: Prior, shape: torch.Size, device: torch.device) -> Prior:
    """The prior for images [B, C, H, W] on that device: itself, or in tiles within the budget."""
    side = need(prior, shape, device).side
    return prior if side is None else TiledPrior(prior, side)


def need(prior: Prior, shape: torch.Size, device: torch.device) -> Need:
    """Memory that the prior needs for images [B, C, H, W] on that device, and the tiles that help.

    A prior that is tiled already, by whoever made it, stays as it is.
    """
    batch, channels, height, width = shape
    claims = prior.capabilities
    each = UNKNOWN if claims.memory is None else claims.memory
    if device.type != "cpu" and claims.memory_elsewhere is not None:
        each = claims.memory_elsewhere
    whole, allowed = each * shape.numel(), budget(device)
    if whole <= allowed or claims.reach is None or not _can_be_cut(prior):
        return Need(whole, None)
    pixels = allowed // (each * batch * channels)
    enough = ceil(2 * claims.reach / ((1 + TWICE) ** 0.5 - 1))
    side = max(min(isqrt(pixels) - 2 * claims.reach, enough), LEAST_SIDE)
    side = side // claims.alignment * claims.alignment or claims.alignment
    seen = side + 2 * claims.reach
    helps = min(seen, height) * min(seen, width) < height * width
    return Need(whole, side if helps else None)


def budget(device: torch.device) -> int:
    """Bytes that a prior may hold at a time on that device."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] // SHARE
    return BUDGET


def _can_be_cut(prior: Prior) -> bool:
    """Whether tiles give all that the prior gives: its value, and what it keeps of an image."""
    keeps = isinstance(prior, TiledPrior | Selectable | HasWarmStart | HasComposite)
    if keeps or prior.capabilities.fixed_size:
        return False
    return prior.capabilities.parts or not isinstance(prior, HasProxAndValue)
