"""Light is not negative: the squared distance to images without pixels below zero.

    d(x) = c |max(-x, 0)|^2 / 2,

the Moreau envelope of the constraint x >= 0. Without it a blur that is undone rings below zero
around what is bright on black.
"""

from dataclasses import dataclass

from torch import Tensor

from solvers.protocols import Image, PerImage, doubles, per_image


@dataclass(frozen=True)
class Floor:
    """d of images [B, C, H, W].

    >>> from proxlab.operators.counts.floor import Floor
    >>> d, x = Floor(torch.tensor([4.0])), torch.tensor([[[[1.0, -0.5]]]])
    >>> d.value(x), d.grad(x), d.curvature(x)
    (tensor([0.5000], dtype=torch.float64), tensor([[[[-0., -2.]]]]), tensor([[[[0., 4.]]]]))
    """

    stiffness: PerImage
    """c, [B]."""
    where: Tensor | None = None
    """1 for the pixels that are meant, 0 for others; all if None."""

    def value(self, x: Image) -> PerImage:
        """d(x), float64 [B]."""
        below = doubles(self._below(x)).square().flatten(1).sum(1)
        return self.stiffness * below.to(self.stiffness.device) / 2

    def grad(self, x: Image) -> Image:
        """-c max(-x, 0)."""
        return self._below(x) * per_image(-self.stiffness, x)

    def curvature(self, x: Image) -> Image:
        """c where a pixel is below 0."""
        return (self._below(x) > 0) * per_image(self.stiffness, x)

    def prox(self, v: Image, tau: float | PerImage) -> Image:
        """argmin_x |x - v|^2 / 2 + tau d(x)."""
        s = tau * self.stiffness
        return v + self._below(v) * per_image(s / (1 + s), v)

    def select(self, index: Tensor) -> "Floor":
        """The same for the images `index` alone."""
        return Floor(self.stiffness[index], None if self.where is None else self.where[index])

    def _below(self, x: Image) -> Image:
        below = (-x).clamp(min=0)
        return below if self.where is None else self.where * below
