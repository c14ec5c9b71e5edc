"""The size of a mixture potential, and the spectra that its components start from."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from proxlab.priors.lpn.tapered_bases import frequencies

FINE, COARSE = 8, 4
"""Side of the pixels in a window's middle, and of the grid of local means across the window."""


@dataclass(frozen=True)
class MixtureConfig:
    """The size of a mixture potential."""

    components: int = 24
    """Gaussian components in each basis of 8 x 8 filters."""
    coarse_components: int = 32
    """Gaussian components for the filters on local means."""
    context: int = 5
    """Side of the neighbourhood of windows over which energies are averaged: 1, 3, 5 or 7."""
    bases: int = 8
    """Orthonormal bases of 8 x 8 filters."""
    kept: int = 24
    """Filters kept of each basis; the rest of the window counts by its energy."""
    channels: int = 1
    """1 for gray, 3 for colour."""
    alpha: float = 1e-3
    """Share of |v|^2 / 2 in psi, the least eigenvalue of its Hessian."""
    lean: bool = False
    """Whether a basis has those numbers alone that tell in its kept filters, of which it can learn
    the same by fewer parameters."""
    seed: int = 0
    """Seed of the random spectra and rotations that training starts from."""

    def __post_init__(self):
        if min(self.components, self.coarse_components, self.bases) < 1:
            raise ValueError(
                f"a mixture needs at least 1 component and 1 basis, got {self.components}, "
                f"{self.coarse_components} coarse ones and {self.bases} bases"
            )
        if self.context not in (1, 3, 5, 7):
            raise ValueError(f"context is the side of a square, 1, 3, 5 or 7, got {self.context}")
        if self.channels not in (1, 3):
            raise ValueError(f"images have 1 channel or 3, got {self.channels}")
        full = self.channels * (FINE**2 - 1)
        if not 0 < self.kept < full:
            raise ValueError(f"a basis keeps from 1 to {full - 1} filters, got {self.kept}")
        if not 0 <= self.alpha < 1:
            raise ValueError(f"alpha is a share, expected 0 <= alpha < 1, got {self.alpha}")


def random_spectra(config: MixtureConfig, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Variances of responses by component, [bases, components, kept + 1] and [1, J', 15 C + 1].

    They are oriented power laws, weaker for chroma than for brightness. Contrasts, exponents and
    orientations are spread over what photographs show, so that even the untrained network denoises.
    """

    def bank(n: int, j: int, contrasts: tuple[float, float]) -> Tensor:
        angle, stretch, exponent = torch.rand(3, j, 1, generator=generator)
        angle, stretch, exponent = angle * math.pi, stretch * 0.94, 1.5 + 2 * exponent
        u, v = torch.meshgrid(torch.arange(n), torch.arange(n), indexing="ij")
        u, v = u.flatten()[1:].float(), v.flatten()[1:].float()
        along = u * angle.cos().abs() + v * angle.sin().abs()
        across = u * angle.sin().abs() + v * angle.cos().abs()
        frequency = (1 - stretch) * (u * u + v * v).sqrt() + stretch * along.minimum(across) + 0.3
        low, high = (math.log10(c) for c in contrasts)
        spectra = torch.logspace(low, high, j)[:, None] * frequency**-exponent
        return torch.cat([spectra] + [spectra / 20] * (config.channels - 1), 1)

    total = config.bases * config.components
    fine = bank(FINE, total, (1e-5, 0.3))[torch.randperm(total, generator=generator)]
    fine = fine[:, frequencies(FINE, config.channels).argsort(stable=True)]
    rest = fine[:, config.kept :].mean(1, keepdim=True)
    fine = torch.cat([fine[:, : config.kept], rest], 1)
    coarse = bank(COARSE, config.coarse_components, (1e-5, 10.0))
    coarse = torch.cat([coarse, coarse[:, -1:]], 1)  # the coarse filters leave nothing over
    return fine.unflatten(0, (config.bases, config.components)), coarse[None]
