"""The potential of a learned proximal network: a function psi, convex in the image, with its slope.

Images enter in units of the noise, v = x / s, [B, C, H, W], and `sigma` [B] holds the level s of
each. Scaled back, the potential at noise level s is s^2 psi(x / s, s).
"""

from typing import Any, Protocol, runtime_checkable

from torch import Tensor

REFERENCE = 25 / 255
"""The noise level at which log s is zero where a potential depends on it."""


class Potential(Protocol):
    """psi(v, s), convex in v at every s; an nn.Module.

    `alpha`, `fixed_size`, `reach` and `alignment` are what the `Capabilities` of its network say.
    """

    channels: int
    """3 for colour images, 1 for gray ones."""
    config: Any
    """Frozen dataclass of the numbers that it was built from."""

    @property
    def alpha(self) -> float:
        """Strong convexity, 0 to 1: psi - alpha |v|^2 / 2 is convex too."""
        ...

    @property
    def fixed_size(self) -> bool:
        """Whether it takes images of a single size."""
        ...

    @property
    def reach(self) -> int | None:
        """Pixels beyond an aligned block on which the gradient in it depends; None: all pixels."""
        ...

    @property
    def alignment(self) -> int:
        """Distance in pixels between the lines along which an image may be cut."""
        ...

    def gradient(self, v: Tensor, sigma: Tensor) -> Tensor:
        """grad psi, of the shape of v."""
        ...

    def gradient_and_gap(self, v: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """grad psi, and |v|^2 / 2 - psi [B] in float64."""
        ...

    def value(self, v: Tensor, sigma: Tensor) -> Tensor:
        """psi, [B]."""
        ...

    def parameter_groups(self, learning_rate: float) -> list[dict]:
        """Groups of parameters for an optimiser, each with its rate."""
        ...


@runtime_checkable
class PartedPotential(Protocol):
    """A potential whose gap |v|^2 / 2 - psi is a sum over the image, known part by part."""

    @property
    def memory(self) -> tuple[int, int]:
        """Bytes at a time for each number of v: in float32 on a CPU, and on another device."""
        ...

    def gradient_and_part(
        self, v: Tensor, sigma: Tensor, part: tuple[slice, slice]
    ) -> tuple[Tensor, Tensor]:
        """grad psi, and the gap that those rows and columns hold, [B] in float64."""
        ...


class Hessian(Protocol):
    """The second derivative of a potential at a batch of images; what it keeps needs no graph."""

    def __call__(self, u: Tensor) -> Tensor:
        """The product with u, [B, C, H, W] -> the same."""
        ...

    def gradient(self) -> Tensor:
        """The gradient of the potential at those images, of the same pass."""
        ...

    def diagonal(self) -> Tensor:
        """The diagonal, [B, C, H, W], exact."""
        ...


@runtime_checkable
class HasHessian(Protocol):
    """A potential whose Hessian is known in closed form."""

    def hessian(self, v: Tensor, sigma: Tensor) -> Hessian:
        """The Hessian of psi at v."""
        ...
