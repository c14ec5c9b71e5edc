"""The Jacobian of any prox that autograd can follow.

    jacobian = AutogradJacobian(prior.prox, v, 0.1, name=prior.name)
    jacobian(u)                     # (J + J^T) u / 2
    jacobian.diagonal(probes=72)    # an estimate, and its standard error

The graph of one pass is kept as long as the object: for a network the feature maps of all its
layers, and of a prox whose Jacobian is not symmetric, once a product is asked for, those of the
backward pass too. The diagonal alone needs no such second graph.
"""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from proxlab.priors.jacobians.contract import PROBES, Diagonal, check_probes

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

    def diagonal(self, probes: int = PROBES, seed: int = 0) -> Diagonal:
        """An estimate of the diagonal by at most so many products. [Hutchinson90; Tang12]

        z * J z is the diagonal and what J mixes into it from other pixels, with random signs where
        those of z are random. A prox mixes near pixels most, so each z lives on one grid of pixels,
        k apart, in one channel: C k^2 products for all pixels, and the same again with other signs,
        whose difference is the standard error; k = 6 for 72 probes of a gray image. Every image of
        the batch is given the same signs, and none sees its neighbours.
        Raises ValueError for probes below 1.

        >>> from proxlab.priors.jacobians.autograd import AutogradJacobian
        >>> thirds = lambda v, sigma: v / 3
        >>> jacobian = AutogradJacobian(thirds, torch.rand(1, 1, 2, 2), 0.1, name="thirds")
        >>> jacobian.diagonal(probes=2).value[0, 0, 0]
        tensor([0.3333, 0.3333])
        """
        check_probes(probes, seed)
        generator = torch.Generator().manual_seed(seed)
        halves = [self._estimate(z) for z in _signs(self._v, probes, generator)]
        if len(halves) == 1:
            return Diagonal(halves[0], torch.full_like(halves[0], math.inf))
        return Diagonal((halves[0] + halves[1]) / 2, (halves[0] - halves[1]).abs() / 2)

    def _estimate(self, probes: Iterator[Tensor]) -> Tensor:
        total = torch.zeros_like(self._v, requires_grad=False)
        for z in probes:
            total += z * self._transposed(z.expand_as(total))
        return total

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


def _signs(v: Tensor, probes: int, generator: torch.Generator) -> Iterator[Iterator[Tensor]]:
    """Probes [1, C, H, W] that cover all pixels once, and once more if there are enough of them."""
    repeats = 2 if probes >= 2 else 1
    each = probes // repeats
    apart = max(1, math.isqrt(each // v.shape[1]))
    for _ in range(repeats):
        random = torch.randint(0, 2, v.shape[1:], generator=generator)
        signs = (2 * random - 1).to(v)[None]
        yield _grids(signs, apart, together=each < v.shape[1])


def _grids(signs: Tensor, apart: int, together: bool) -> Iterator[Tensor]:
    """The signs on one grid of pixels of one channel at a time; of all channels if `together`."""
    channels = [slice(None)] if together else [slice(c, c + 1) for c in range(signs.shape[1])]
    for channel in channels:
        for row in range(min(apart, signs.shape[2])):
            for column in range(min(apart, signs.shape[3])):
                z = torch.zeros_like(signs)
                here = (slice(None), channel, slice(row, None, apart), slice(column, None, apart))
                z[here] = signs[here]
                yield z
