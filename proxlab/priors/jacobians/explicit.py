"""The Jacobian of the prox of a potential whose Hessian is known in closed form."""

from dataclasses import dataclass

import torch
from torch import Tensor

from proxlab.machine import full_precision
from proxlab.priors.gradients import stopped
from proxlab.priors.jacobians.contract import PROBES, Diagonal, check_probes
from proxlab.priors.lpn.potential import Hessian

NO_GRADIENT = (
    "what a Jacobian gives is not differentiated by the images that it was taken at; detach them, "
    "v.detach(), or differentiate the prox twice"
)


@dataclass(frozen=True)
class HessianJacobian:
    """J = Hess psi, of images [n, channels, H, W] that stand for images v [B, C, H, W].

    >>> v = torch.rand(1, 3, 16, 16)
    >>> jacobian = proxlab.load("lpn-gray-small").jacobian(v, 0.1)   # channel by channel
    >>> flat = torch.ones_like(v)
    >>> torch.allclose(jacobian(flat), flat, atol=1e-5), jacobian.diagonal().value.min() > 0
    (True, tensor(True))
    """

    hessian: Hessian
    v: Tensor
    channels: int
    s: Tensor
    """Noise level of each of the n images, [n, 1, 1, 1]."""
    symmetric: bool = True
    """True: the Hessian of a function is."""

    @full_precision()
    def __call__(self, u: Tensor) -> Tensor:
        """The product with u, [B, C, H, W] -> the same. Raises ValueError for another shape."""
        if u.shape != self.v.shape:
            raise ValueError(
                f"a Jacobian at images {list(self.v.shape)} takes those, got {list(u.shape)}"
            )
        gray = u.reshape(-1, self.channels, *u.shape[2:])
        return stopped(NO_GRADIENT, self.hessian(gray.detach()).view_as(u), self.v, u)

    @full_precision()
    def prox(self) -> Tensor:
        """The prox at v, [B, C, H, W], from the pass that the Jacobian took.

        >>> prior, v = proxlab.load("lpn-gray-small"), torch.rand(1, 1, 9, 9)
        >>> torch.allclose(prior.jacobian(v, 0.1).prox(), prior.prox(v, 0.1), atol=1e-5)
        True
        """
        found = (self.s * self.hessian.gradient()).view_as(self.v)
        return stopped(NO_GRADIENT, found, self.v)

    @full_precision()
    def diagonal(self, probes: int = PROBES, seed: int = 0) -> Diagonal:
        """The diagonal, exact; probes and seed are checked and not used."""
        check_probes(probes, seed)
        value = self.hessian.diagonal().view_as(self.v)
        return Diagonal(stopped(NO_GRADIENT, value, self.v), torch.zeros_like(value))
