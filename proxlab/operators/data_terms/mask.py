"""The data term of missing pixels: all that is asked of it happens pixel by pixel."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from proxlab.operators.contract import Missed
from proxlab.operators.data_terms.arguments import Latest, checked, scaled, squares
from solvers.protocols import Image, PerImage, per_image


@dataclass(frozen=True)
class MaskData:
    """f(x) = w |A x - y|^2 / 2 with A = diag(m). What y holds where m = 0 is not looked at.

    >>> op = proxlab.operators.inpaint(torch.tensor([[1.0, 0.0]]), noise=1.0)
    >>> f = proxlab.data_terms.data_term(torch.tensor([[[[4.0, 9.0]]]]), op)   # the 9 was not seen
    >>> x = torch.zeros(1, 1, 1, 2)
    >>> f.value(x), f.grad(x), f.prox(x, 1.0)
    (tensor([8.], dtype=torch.float64), tensor([[[[-4.,  0.]]]]), tensor([[[[2., 0.]]]]))
    >>> f.lipschitz(), f.select(torch.tensor([0])).value(x)
    (tensor([1.], dtype=torch.float64), tensor([8.], dtype=torch.float64))
    """

    mask: Tensor
    """m, broadcasts against y; usually 0 and 1, any real number will do."""
    y: Tensor
    """[B, C, H, W], zero where m is."""
    weight: PerImage
    """w, [B]."""
    tol: float = field(default=0.0, init=False)
    stopped_short: Sequence[Missed] = field(default=(), init=False)
    """None: see `operators.contract`."""
    _latest: Latest = field(default_factory=Latest, init=False, repr=False, compare=False)
    """Share of the misfit that the last prox took."""

    def value(self, x: Image) -> PerImage:
        """f(x), float64 [B]."""
        r = torch.addcmul(self.y, self.mask, checked(x, self.y.shape), value=-1)
        return self.weight * squares(r).flatten(1).sum(1) / 2

    def grad(self, x: Image) -> Image:
        """w m (m x - y)."""
        r = self.mask * checked(x, self.y.shape) - self.y
        return per_image(self.weight, x) * self.mask * r

    def prox(self, v: Image, tau: float | PerImage) -> Image:
        """v + s m (y - m v) / (1 + s m^2), s = tau w."""
        r = torch.addcmul(self.y, self.mask, checked(v, self.y.shape), value=-1)
        return torch.addcmul(v, self._latest.of(tau, v, self._share), r)

    def lipschitz(self) -> PerImage:
        """w |A|^2, [B]."""
        return self.weight * self.mask.flatten(1).abs().amax(1) ** 2

    def select(self, index: Tensor) -> "MaskData":
        """The term for the images `index` alone."""
        mask = self.mask[index] if len(self.mask) > 1 else self.mask
        return replace(self, mask=mask, y=self.y[index], weight=self.weight[index])

    def _share(self, tau: float | PerImage, v: Image) -> Tensor:
        """s m / (1 + s m^2)."""
        s = scaled(tau, self.weight, v)
        return s * self.mask / (1 + s * self.mask**2)
