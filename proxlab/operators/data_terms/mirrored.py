"""The data term of an operator that mirrors images at their edges, by one that wraps around.

M x, the image and its mirror images in one, is [2 H, 2 W] and has no edges. If A_c, which wraps
around, keeps such images symmetric, then A = M^T A_c M / 4 does to an image what A_c does to its
mirror images. Each term of a prox is then four times itself on them, and the minimiser symmetric.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from proxlab.operators.contract import Missed, QuadraticDataTerm
from proxlab.operators.data_terms.arguments import checked
from solvers.protocols import Image, PerImage


@dataclass(frozen=True)
class MirroredData:
    """f(x) = f_c(M x) / 4, f_c the data term of the mirrored measurement.

    >>> kernel = proxlab.operators.gaussian_kernel(1.0, even=True)
    >>> op = proxlab.operators.superres(2, kernel, noise=0.1, boundary="reflect")
    >>> x = torch.rand(2, 1, 16, 16)
    >>> f = proxlab.data_terms.data_term(op.A(x), op)
    >>> f.value(x) < 1e-6, f.grad(x).abs().max() < 1e-3, f.tol, f.stopped_short
    (tensor([True, True]), tensor(True), 0.0, ())
    >>> f.weight.round()   # 1 / noise^2
    tensor([100., 100.], dtype=torch.float64)
    >>> torch.allclose(f.prox(x, 0.1), x, atol=1e-5), len(f.select(torch.tensor([1])).lipschitz())
    (True, 1)
    """

    circle: QuadraticDataTerm
    """f_c."""
    shape: torch.Size
    """Shape of the images, B included."""

    @property
    def tol(self) -> float:
        """Relative error of the prox of f_c."""
        return self.circle.tol

    @property
    def stopped_short(self) -> Sequence[Missed]:
        """Calls of the prox of f_c that stopped short."""
        return self.circle.stopped_short

    @property
    def weight(self) -> PerImage:
        """w, [B]."""
        return self.circle.weight

    def value(self, x: Image) -> PerImage:
        """f(x), float64 [B]."""
        return self.circle.value(self._around(x)) / 4

    def grad(self, x: Image) -> Image:
        """w A^T (A x - y)."""
        return quarter(self.circle.grad(self._around(x)))

    def prox(self, v: Image, tau: float | PerImage) -> Image:
        """The upper left quarter of that of f_c."""
        return quarter(self.circle.prox(self._around(v), tau))

    def lipschitz(self) -> PerImage:
        """w |A|^2, [B], or what waves that cannot be mirrored add to it."""
        return self.circle.lipschitz()

    def select(self, index: Tensor) -> "MirroredData":
        """The term for the images `index` alone."""
        chosen = self.circle.select(index)
        return MirroredData(chosen, torch.Size([len(chosen.weight), *self.shape[1:]]))

    def _around(self, x: Image) -> Image:
        return mirrored(checked(x, self.shape))


def mirrored(x: Tensor) -> Tensor:
    """The image [..., H, W] and its mirror images, [..., 2 H, 2 W], pixels at edges twice."""
    for dim in (-2, -1):
        x = torch.cat([x, x.flip(dim)], dim)
    return x


def quarter(x: Tensor) -> Tensor:
    """The image [..., H / 2, W / 2] that x [..., H, W] shows and mirrors."""
    height, width = (n // 2 for n in x.shape[-2:])
    return x[..., :height, :width].contiguous()
