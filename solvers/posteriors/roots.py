"""Noise of a covariance that is known by its products alone: its root, times white noise."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from solvers.protocols import PerImage, per_image
from solvers.spectrum import krylov


def root_times(
    apply: Callable[[Tensor], Tensor], z: Tensor, products: int
) -> tuple[Tensor, Tensor, PerImage]:
    """M^(1/2) z for the symmetric nonnegative map M = `apply`, z [B, ...], by so many calls of it.

    |z| Q T^(1/2) e_1, with Q the Krylov basis that begins with z and T = Q^T M Q [Golub13, Sec.
    10.3]. Of a map that is not symmetric the symmetric part on that space is taken, of negative
    eigenvalues zero. Beside it M z, and |T - T^T| / |T|, [B], which tells.
    """
    products = min(products, z[0].numel())
    space = krylov(apply, z, products)
    table = space.table[:, :products]
    skew = (table - table.mT).flatten(1).norm(dim=1)
    skew = skew / table.flatten(1).norm(dim=1).clamp(min=torch.finfo(table.dtype).tiny)
    values, vectors = torch.linalg.eigh((table + table.mT) / 2)
    weights = vectors @ (values.clamp(min=0).sqrt() * vectors[:, 0])[..., None]
    size = z.flatten(1).norm(dim=1, keepdim=True)
    root = _combined(weights[..., 0] * size, space.basis)
    return root, _combined(space.table[:, :2, 0] * size, space.basis), skew


def _combined(weights: Tensor, basis: Sequence[Tensor]) -> Tensor:
    """The sum of the first of the basis [B, ...], one weight of [B, k] each."""
    total = torch.zeros_like(basis[0])
    for weight, q in zip(weights.unbind(1), basis, strict=False):
        total += per_image(weight.to(q), q) * q
    return total
