"""Noise of a covariance that is known by its products alone: its root, times white noise."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from solvers.protocols import PerImage, dot, per_image
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


def root_by_one(apply: Callable[[Tensor], Tensor], z: Tensor, most: float) -> tuple[Tensor, Tensor]:
    """M^(1/2) z for white z [B, ...] and eigenvalues from 0 to about `most`, by one product; M z.

    Lanczos with two products seeks the root in the span of z and M z as well. The second one tells
    it <q, M q> alone, q the part of M z across z: a third moment of the eigenvalues, as z sees
    them. Here they are taken for those of a beta distribution on [0, most], whose mean m and
    variance v the first product tells, and which has

        <q, M q> = m + 2 (most - 2 m) v / (v + m (most - m)).

    Of z with few entries these moments are rough, and so is the root; where M has one eigenvalue it
    is exact. Where no distribution up to `most` has such moments, a larger one is taken.

    >>> from solvers.posteriors.roots import root_by_one
    >>> root_by_one(lambda z: 4 * z, torch.ones(1, 3), most=9.0)
    (tensor([[2., 2., 2.]]), tensor([[4., 4., 4.]]))
    """
    product, squares = apply(z), dot(z, z)
    tiny = torch.finfo(squares.dtype).tiny
    m = (dot(z, product) / squares.clamp(min=tiny)).clamp(min=0)
    across = product - per_image(m, z) * z
    v = dot(across, across) / squares.clamp(min=tiny)
    above = torch.maximum(most - m, v / m.clamp(min=tiny))
    third = m + 2 * (above - m) * v / (v + m * above).clamp(min=tiny)
    # of a matrix T of two rows, the root is (T + d) / sqrt(trace + 2 d), d^2 the determinant
    d = (m * third - v).clamp(min=0).sqrt()
    size = (m + third + 2 * d).clamp(min=tiny).sqrt()
    return (product + per_image(d, z) * z) / per_image(size, z), product


def _combined(weights: Tensor, basis: Sequence[Tensor]) -> Tensor:
    """The sum of the first of the basis [B, ...], one weight of [B, k] each."""
    total = torch.zeros_like(basis[0])
    for weight, q in zip(weights.unbind(1), basis, strict=False):
        total += per_image(weight.to(q), q) * q
    return total
