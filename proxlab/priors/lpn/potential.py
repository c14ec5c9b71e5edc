"""What a learned proximal network asks of its potential, a function psi convex in the image.

Images enter in units of the noise, v = x / s, [B, C, H, W]; `sigma` [B] tells which s. Scaled back,
the potential at noise level s is s^2 psi(x / s, s).
"""

from typing import Any, Protocol, runtime_checkable

from torch import Tensor

REFERENCE = 25 / 255
"""The noise level at which log s is zero where a potential depends on it."""


class Potential(Protocol):
    """psi(v, s), convex in v at every s; an nn.Module, with what it was built from as `config`.

    Its attributes are those of `Capabilities` in `proxlab.priors.contract`, for the same use.
    """

    channels: int
    """3 if it takes colour images alone, 1 if it takes gray ones."""
    config: Any
    """What it was built from: a frozen dataclass of numbers."""

    @property
    def alpha(self) -> float:
        """Strong convexity, 0 to 1."""
        ...

    @property
    def fixed_size(self) -> bool:
        """Whether it takes images of a single size."""
        ...

    @property
    def reach(self) -> int | None:
        """Pixels beyond an aligned block on which its gradient depends; None: all of the image."""
        ...

    @property
    def alignment(self) -> int:
        """Pixels from one line at which an image may be cut to the next."""
        ...

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


@runtime_checkable
class PartedPotential(Protocol):
    """A potential that is a sum over the image, and known part by part."""

    def gradient_and_part(
        self, v: Tensor, sigma: Tensor, part: tuple[slice, slice]
    ) -> tuple[Tensor, Tensor]:
        """As `gradient_and_gap`, but the gap of those rows and columns alone."""
        ...
