"""A preconditioner for the system of a draw, from the noise of that draw.

In units of the noise the system is I + M, M = A C A^T / s^2. The root of C that a draw needs knows
C z for white z as well. In any orthonormal basis the coefficients of A z / s times those of
A C z / s have the diagonal of M as their mean [Bekas07]; neighbours have similar ones, so averages
over them estimate it at no product with C. Two bases are tried: the entries of y, in which masks
are diagonal, and frequencies, in which blur is. By Hadamard's inequality
log det(I + M) <= sum log(1 + d), d the diagonal of M in a basis, and equal where the basis
diagonalises M: so each image takes the basis of the smaller sum. A preconditioner changes how soon
a solution is found, and not which.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from solvers.protocols import per_image

ENTRIES, FREQUENCIES = 9, 5
"""Sides of the squares of neighbours that are averaged."""


def preconditioner(seen: Tensor, covered: Tensor) -> Callable[[Tensor], Tensor]:
    """About (I + M)^-1 on residuals [B, ...]: linear, symmetric and positive, each image by itself.

    seen, covered: A z / s and A C z / s of one white z, [B, ...]. Neighbours are those of the last
    two axes, of the last one where there are no two. An entry at which `seen` is 0 is taken for one
    that A leaves out.

    >>> from solvers.posteriors.preconditioner import preconditioner
    >>> mask = (torch.arange(32) % 2).float()   # every other entry is seen, of covariance 9
    >>> z = torch.randn(1, 32, generator=torch.Generator().manual_seed(0))
    >>> preconditioner(mask * z, mask * 9 * z)(torch.ones(1, 32))[0, 10:14].round(decimals=1)
    tensor([1.0000, 0.1000, 1.0000, 0.1000])
    """
    shape = seen.shape
    flat = (len(seen), -1, 1, shape[-1]) if seen.ndim < 4 else (len(seen), -1, *shape[-2:])
    entries = _by_entry(seen.reshape(flat), covered.reshape(flat))
    powers = _by_frequency(seen.reshape(flat), covered.reshape(flat))
    least = entries.log1p().flatten(1).sum(1) <= powers.log1p().flatten(1).sum(1)
    half = powers[..., : shape[-1] // 2 + 1]

    def apply(r: Tensor) -> Tensor:
        here = r.reshape(flat)
        filtered = torch.fft.irfft2(torch.fft.rfft2(here) / (1 + half), s=here.shape[-2:])
        chosen = torch.where(per_image(least, here).bool(), here / (1 + entries), filtered)
        return chosen.reshape(r.shape)

    return apply


def _by_entry(seen: Tensor, covered: Tensor) -> Tensor:
    """The diagonal by entries, [B, C, H, W], 0 where nothing is seen."""
    there = (seen != 0).to(seen)
    total = _averaged(torch.cat([seen * covered, there]), ENTRIES, "zeros").clamp(min=0)
    products, count = total.chunk(2)
    return there * products / count.clamp(min=torch.finfo(seen.dtype).tiny)


def _by_frequency(seen: Tensor, covered: Tensor) -> Tensor:
    """The diagonal by frequencies, [B, C, H, W], even in them."""
    products = torch.fft.fft2(seen, norm="ortho").conj() * torch.fft.fft2(covered, norm="ortho")
    return _averaged(products.real, FREQUENCIES, "around").clamp(min=0)


def _averaged(x: Tensor, side: int, border: str) -> Tensor:
    """Means over squares, or what of them fits into x, that end at the border or go around it."""
    window = [min(side, n - (n + 1) % 2) for n in x.shape[-2:]]
    rows, columns = (n // 2 for n in window)
    mode = "circular" if border == "around" else "constant"
    return F.avg_pool2d(F.pad(x, (columns, columns, rows, rows), mode), window, stride=1)
