"""The Jacobian of any prox that autograd can follow.

    jacobian = AutogradJacobian(prior.prox, v, 0.1, name=prior.name)
    jacobian(u)                     # (J + J^T) u / 2
    jacobian.diagonal(probes=72)    # an estimate, and its standard error

The graph of one pass is kept as long as the object: for a network the feature maps of all its
layers, and of a prox whose Jacobian is not symmetric, once a product is asked for, those of the
backward pass too. The diagonal alone needs no such second graph.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from proxlab.priors.jacobians.contract import PROBES, Diagonal
from proxlab.priors.jacobians.probes import probed_diagonal

Prox = Callable[[Tensor, float | Tensor], Tensor]
"""(v, sigma) -> the prox, both [B, C, H, W]."""


class AutogradJacobian:
    """The Jacobian of `prox` at v [B, C, H, W], by one backward pass a product where symmetric.

    Elsewhere J u takes two, J^T u one, and the product is (J + J^T) u / 2: the nearest symmetric
    matrix, which may have negative eigenvalues. Raises ValueError where no gradient passes.

    >>> from proxlab.priors.jacobians.autograd import AutogradJacobian
    >>> v, prior = torch.rand(2, 1, 8, 8), proxlab.load("unet-gray-small")
    >>> jacobian = AutogradJacobian(prior.prox, v, 0.1, name=prior.name)
    >>> jacobian.symmetric, jacobian(torch.ones_like(v)).shape
    (False, torch.Size([2, 1, 8, 8]))
    """

    def __init__(
        self, prox: Prox, v: Tensor, sigma: float | Tensor, name: str, symmetric: bool = False
    ):
        self.symmetric, self.name = symmetric, name
        with torch.enable_grad():
            self._v = v.detach().requires_grad_()
            self._answer = prox(self._v, sigma)
        if not self._answer.requires_grad:
            raise ValueError(
                f"no gradient passes through the prox of {name}, so its Jacobian is not known; "
                "take a network, lpn-gray say"
            )
        self._pulled: tuple[Tensor, Tensor] | None = None

    def __call__(self, u: Tensor) -> Tensor:
        """The product with u, [B, C, H, W] -> the same."""
        back = self._transposed(u)
        return back if self.symmetric else (back + self._forward(u)) / 2

    def prox(self) -> Tensor:
        """The prox at v, [B, C, H, W], which the Jacobian was made from.

        >>> from proxlab.priors.jacobians.autograd import AutogradJacobian
        >>> thirds = lambda v, sigma: v / 3
        >>> AutogradJacobian(thirds, torch.ones(1, 1, 1, 2), 0.1, name="thirds").prox()
        tensor([[[[0.3333, 0.3333]]]])
        """
        return self._answer.detach()

    def diagonal(self, probes: int = PROBES, seed: int = 0) -> Diagonal:
        """An estimate of the diagonal by at most so many products, see `probed_diagonal`.

        >>> from proxlab.priors.jacobians.autograd import AutogradJacobian
        >>> thirds = lambda v, sigma: v / 3
        >>> jacobian = AutogradJacobian(thirds, torch.rand(1, 1, 2, 2), 0.1, name="thirds")
        >>> jacobian.diagonal(probes=2).value[0, 0, 0]
        tensor([0.3333, 0.3333])
        """
        return probed_diagonal(self._transposed, self._v.detach(), probes, seed)

    def _transposed(self, u: Tensor) -> Tensor:
        return torch.autograd.grad(self._answer, self._v, u, retain_graph=True)[0]

    def _forward(self, u: Tensor) -> Tensor:
        """J u: the derivative of J^T w by w, which is no matter, in the direction of u."""
        if self._pulled is None:
            with torch.enable_grad():
                w = torch.zeros_like(self._answer, requires_grad=True)
                (pulled,) = torch.autograd.grad(self._answer, self._v, w, create_graph=True)
            self._pulled = w, pulled
        w, pulled = self._pulled
        return torch.autograd.grad(pulled, w, u, retain_graph=True)[0]
