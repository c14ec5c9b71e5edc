"""Orthonormal filters under a tapered window, several bases of them, learned by rotation.

A window is weighted by a taper h before it is analysed: pixels in its middle, whose surroundings it
knows, count more than those at its edge. The taper is separable and symmetric, and the h^2 of all
windows over a pixel add up to the same number everywhere, so that overlapping windows hold the
energy of an image exactly. In each basis the filters are b_i h with orthonormal b_i that are also
orthogonal to the taper, so that constant images have no response. What the `kept` filters do not
see of the window is its rest, known by its energy alone.

Colour windows have three channels. Their means along an orthonormal basis of colours (brightness,
two differences) are left to other filters; the b_i mix space and colour freely.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from proxlab.priors.local_gains import cosines
from proxlab.priors.lpn.windows import WINDOW_STRIDE

CHROMA = 3.0
"""Factor on the frequency of chroma filters where they are ranked among those of brightness."""


class Filters(NamedTuple):
    """Filters on blocks of 2 x 2 pixels, [filters, 4 C, size / 2, size / 2]."""

    fine: Tensor
    """Filters of zero mean, bases * kept of them."""
    mean: Tensor
    """The tapered mean, one filter a colour."""
    weight: Tensor
    """h^2 in each channel; applied to squares it gives the energy of a tapered window."""


class TaperedBases(nn.Module):
    """`bases` sets of `kept` orthonormal filters on windows of `size` pixels, with one taper.

    `lean` ones have only the numbers of a turn that can tell in the kept filters, `kept` rows.
    """

    def __init__(
        self,
        size: int,
        channels: int,
        bases: int,
        kept: int,
        generator: torch.Generator,
        *,
        lean: bool = False,
    ):
        super().__init__()
        full = channels * (size**2 - 1)
        self.size, self.channels, self.kept = size, channels, kept
        # A little disorder, or bases that start alike would stay so.
        rows = kept if lean else full
        self.turn = nn.Parameter(0.05 * torch.randn(bases, rows, full, generator=generator))
        place = torch.arange(0, size, 2) - (size - 1) / 2
        self.taper = nn.Parameter(-2 * (place / size) ** 2)

    def forward(self, like: Tensor) -> Filters:
        """The filters, in the dtype and on the device of `like`."""
        n, c = self.size, self.channels
        height = self._heights(like)
        h = (height[:, None] * height).flatten()
        rows = rotations(_square(self.turn.to(like)))[:, : self.kept] @ self._start(like)
        rows = _mirrored(rows.unflatten(-1, (c, n * n)), h / h.norm()) * h
        mean = _colours(c).to(like)[:, :, None] * (h * h / h.norm())
        weight = (h * h).expand(1, c, -1)
        shape = (-1, c, n, n)
        return Filters(
            *(F.pixel_unshuffle(k.reshape(shape), WINDOW_STRIDE) for k in (rows, mean, weight))
        )

    def _heights(self, like: Tensor) -> Tensor:
        """h along a line; h^2 adds up to size / 2 over even places and, mirrored, over odd ones."""
        even = self.size / WINDOW_STRIDE * self.taper.to(like).softmax(0)
        return torch.stack([even, even.flip(0)], 1).flatten().sqrt()

    def _start(self, like: Tensor) -> Tensor:
        """The cosine basis without its constants, low frequencies first, [full, C size^2]."""
        rows = frequencies(self.size, self.channels)
        space = cosines(self.size).flatten(1)
        basis = torch.einsum("cd,ip->cidp", _colours(self.channels), space[1:]).flatten(2)
        return basis.flatten(0, 1)[rows.argsort(stable=True)].to(like)


def rotations(turn: Tensor) -> Tensor:
    """Orthogonal [n, n] or [k, n, n] from any square matrices, the identity from 0. (Cayley)"""
    skew = (turn - turn.mT) / 2
    one = torch.eye(turn.shape[-1], dtype=turn.dtype, device=turn.device)
    if turn.ndim == 2 or turn.device.type != "cpu":
        return torch.linalg.solve(one + skew, one - skew)
    # One by one: torch 2.14 with MKL solves a batch of large systems wrongly, without a word, once
    # torch.set_num_threads was called with more than one thread.
    return torch.stack([torch.linalg.solve(one + s, one - s) for s in skew])


def _square(turn: Tensor) -> Tensor:
    """Matrices [G, n, n] with the turns of [G, k, n]: those of k axes against all, no others.

    The other n - k turned among themselves would leave the space of the k as it is.
    """
    k, n = turn.shape[1:]
    # below the first k rows stands what makes their part against the others skew as it is
    return turn if k == n else torch.cat([turn, F.pad(-turn[..., k:].mT, (0, n - k))], 1)


def frequencies(size: int, channels: int) -> Tensor:
    """Frequency of each vector of the cosine basis without constants, colour by colour."""
    u, v = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    radius = (u**2 + v**2).double().sqrt().flatten()[1:]
    return torch.cat([radius] + [CHROMA * radius] * (channels - 1))


def _mirrored(rows: Tensor, unit: Tensor) -> Tensor:
    """Orthonormal rows orthogonal to `unit`, from ones orthogonal to constants. (Householder)"""
    flat = torch.full_like(unit, len(unit) ** -0.5)
    v = flat - unit
    return rows - 2 / v.square().sum().clamp(min=1e-12) * (rows @ v)[..., None] * v


def _colours(channels: int) -> Tensor:
    """Orthonormal basis of colours as float64 rows, brightness first."""
    if channels == 1:
        return torch.ones(1, 1, dtype=torch.float64)
    rows = torch.tensor([[1, 1, 1], [1, 0, -1], [1, -2, 1]], dtype=torch.float64)
    return rows / rows.norm(dim=1, keepdim=True)
