"""The bridge from coding rates to attention and to an exact prox, measured by autograd.

    python examples/crate_bridge.py

Tokens of one length lie in subspaces U_k, which are tilted towards the first by an angle and are
orthogonal at angle 0. A layer of CRATE was derived from the step Z - grad R^c(Z; U) / alpha, which
autograd gives. The distances from that step, relative to its norm, are printed for

- subspace self-attention itself: one layer with tied weights, unit sharpness and no positions;
- the gradient of psi(z) = logsumexp_k |U_k^T z|^2 / 2, a mixture potential such as `lpn-gray` has.
  It is convex, so its gradient is an exact prox. A token knows its subspace by itself there, where
  attention asks the other tokens.

The last row is for tokens a quarter as long. The derivation takes softmax for a projection onto the
tokens of a subspace, and short tokens do not tell the subspaces apart.
"""

import argparse
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from proxlab.priors.crate.attention import Windows
from proxlab.priors.crate.coding_rate import compressed_rate
from proxlab.priors.crate.layers import SubspaceAttention

PRECISION = 0.2
"""Precision of the coding rate."""
ACROSS, HEADS, DIMENSION, LENGTH = 32, 4, 16, 8.0
"""Tokens along each side of the grid, subspaces, dimension of these, and length of a token."""
TILTS = (0.8, 0.4, 0.2, 0.1, 0.0)


def tokens(tilt: float, length: float = LENGTH) -> tuple[Tensor, Tensor]:
    """Tokens [1, N, d], and their subspaces [K, p, d]; tilt: towards the first one, radian."""
    generator = torch.Generator().manual_seed(0)
    d = HEADS * DIMENSION
    square = torch.randn(d, d, dtype=torch.float64, generator=generator)
    bases = torch.linalg.qr(square).Q.T.reshape(HEADS, DIMENSION, d)
    bases = torch.cat([bases[:1], math.cos(tilt) * bases[1:] + math.sin(tilt) * bases[:1]])
    shape = HEADS, ACROSS**2 // HEADS, DIMENSION
    codes = torch.randn(shape, dtype=torch.float64, generator=generator)
    codes = length * codes / codes.norm(dim=2, keepdim=True)
    z = torch.einsum("knp,kpd->knd", codes, bases).flatten(0, 1)
    return z[torch.randperm(len(z), generator=generator)][None], bases


def rate_step(z: Tensor, bases: Tensor) -> Tensor:
    """Step Z - grad R^c / alpha, by autograd."""
    z = z.clone().requires_grad_()
    (slope,) = torch.autograd.grad(compressed_rate(z, bases, PRECISION).sum(), z)
    return (z - slope * (z.shape[1] * PRECISION**2 / DIMENSION)).detach()


def attended(z: Tensor, bases: Tensor) -> Tensor:
    """Subspace self-attention MSSA(Z | U), by the layer of the denoisers."""
    layer = SubspaceAttention(z.shape[2], HEADS, Windows(ACROSS), 1).double()
    with torch.no_grad():
        layer.U.copy_(bases)
        layer.W.copy_(bases.flatten(0, 1).T)
        layer.sharpness.bias.zero_()
        layer.places.zero_()
        return layer(z.view(1, ACROSS, ACROSS, -1), torch.zeros(1, 1).double()).view_as(z)


def mixture_gradient(z: Tensor, bases: Tensor) -> Tensor:
    """Gradient of psi, by autograd."""
    z = z.clone().requires_grad_()
    energies = torch.einsum("bnd,kpd->bnkp", z, bases).square().sum(3) / 2
    (slope,) = torch.autograd.grad(energies.logsumexp(2).sum(), z)
    return slope


def miss(step: Tensor, z: Tensor, bases: Tensor) -> float:
    """Distance of a step from that of `rate_step`, over the norm of the latter."""
    wanted = rate_step(z, bases)
    return float((step - wanted).norm() / wanted.norm())


def main(argv: Sequence[str] | None = None) -> list[tuple[float, float, float, float]]:
    """Print the table; return its rows, (tilt, length, attention, mixture)."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.parse_args(argv)
    print("tilt, radian  length  attention  mixture potential")
    rows = []
    for tilt, length in [(tilt, LENGTH) for tilt in TILTS] + [(0.0, LENGTH / 4)]:
        z, bases = tokens(tilt, length)
        errors = [miss(step(z, bases), z, bases) for step in (attended, mixture_gradient)]
        rows.append((tilt, length, *errors))
        print(f"{tilt:12.1f}{length:8.0f}{errors[0]:11.3f}{errors[1]:19.3f}")
    return rows


if __name__ == "__main__":
    main()
