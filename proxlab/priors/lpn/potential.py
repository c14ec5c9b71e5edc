"""What a learned proximal network asks of its potential, a function psi convex in the image.

Images enter in units of the noise, v = x / s, [B, C, H, W]; `sigma` [B] tells which s. Scaled back,
the potential at noise level s is s^2 psi(x / s, s).
"""

from typing import Any, Protocol

from torch import Tensor

REFERENCE = 25 / 255
"""The noise level at which log s is zero where a potential depends on it."""


class Potential(Protocol):
    """psi(v, s), convex in v at every s; an nn.Module, with what it was built from as `config`.

    One that takes images of a single size says so by an attribute `fixed_size`, True. Any other may
    have `reach` and `alignment`, by which images are cut (`tiled`), and
    `gradient_and_part(v, sigma, part)`, as `gradient_and_gap` for what rows and columns hold of it.
    """

    channels: int
    config: Any

    def gradient(self, v: Tensor, sigma: Tensor) -> Tensor:
        """grad psi, the shape of v."""
        ...

    def gradient_and_gap(self, v: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """grad psi, and |v|^2 / 2 - psi [B] in float64."""
        ...

    def value(self, v: Tensor, sigma: Tensor) -> Tensor:
        """psi, [B]."""
        ...

    def parameter_groups(self, learning_rate: float) -> list[dict]:
        """For an optimiser."""
        ...
