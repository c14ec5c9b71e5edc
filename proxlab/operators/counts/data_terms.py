"""Data terms of counts: f(x) = E(A x) + d(x), in closed form for masks, by Newton for any A.

    f = data_term(y, op)      # of `restoration`, where op's noise model counts photons

E is the likelihood of `counts.likelihood`, d keeps x from going below zero (`counts.floor`). f is
convex and its gradient Lipschitz: that of E(A x) as of a quadratic data term of weight
strength / m, that of d with a quarter of it. So what is proved of convex, smooth data terms and of
the steps that their L allows is proved of f.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from proxlab.operators.contract import Accuracy, ByProducts, Missed, QuadraticDataTerm
from proxlab.operators.counts.blurred import BlurredCounts, counts_by_products
from proxlab.operators.counts.floor import Floor
from proxlab.operators.counts.likelihood import CountLikelihood
from proxlab.operators.data_terms.arguments import checked
from proxlab.operators.foreign import as_operator, binary_mask
from proxlab.operators.noise import Weights
from solvers.protocols import Image, PerImage

FLOOR = 0.25
"""Curvature of d, over strength / m: it adds to L, and a shorter step takes more of them."""


def count_data_term(
    y: Tensor, op: LinearPhysics, likelihood: CountLikelihood, accuracy: Accuracy
) -> "MaskedCounts | BlurredCounts":
    """The data term of y = op(x), as `usable` leaves it, image units [B, ...].

    >>> from proxlab.operators.contract import Accuracy
    >>> from proxlab.operators.counts.camera import counting
    >>> from proxlab.operators.counts.data_terms import count_data_term
    >>> from proxlab.operators.counts.likelihood import CountLikelihood
    >>> op = proxlab.operators.inpaint(torch.ones(4, 4), proxlab.operators.CameraNoise(0.1))
    >>> y = op(torch.full((1, 1, 4, 4), 0.5))
    >>> loss = CountLikelihood.of(y, counting(op.noise_model, y), torch.ones(1))
    >>> f = count_data_term(y, op, loss, Accuracy())
    >>> f.tol, torch.allclose(f.prox(y, 1.0), y, atol=1e-5)   # a closed form; f is least at y
    (0.0, True)
    """
    mask = binary_mask(op, y)
    weights = Weights(likelihood.bound(), None)
    bound = as_operator(op).data_term(y, weights, accuracy)
    if mask is not None:
        seen = mask.to(y).expand_as(y)
        floor = Floor(FLOOR * likelihood.bound(), 1 - seen)
        return MaskedCounts(likelihood.above_zero(), floor, seen, bound)
    floor = Floor(FLOOR * likelihood.bound())
    return BlurredCounts(likelihood, floor, op, bound, accuracy)


@dataclass(frozen=True)
class MaskedCounts:
    """f(x) = sum of E(x_i) over the pixels seen, of d(x_i) over the others.

    `count_data_term` makes it.

    >>> op = proxlab.operators.inpaint(torch.tensor([[1.0, 0.0]]), proxlab.operators.CameraNoise(1))
    >>> f = proxlab.data_terms.data_term(torch.tensor([[[[4.0, 0.0]]]]), op)
    >>> x = torch.tensor([[[[4.0, 9.0]]]])   # the 4 was counted, the 9 not seen
    >>> f.value(x), f.grad(x), f.prox(x, 1.0)
    (tensor([0.], dtype=torch.float64), tensor([[[[0., 0.]]]]), tensor([[[[4., 9.]]]]))
    >>> torch.equal(f.lipschitz(), f.weight), f.select(torch.tensor([0])).value(x)
    (True, tensor([0.], dtype=torch.float64))
    >>> f.by_products(op, x).what
    'the likelihood of the counts'
    """

    likelihood: CountLikelihood
    floor: Floor
    """Values for the pixels that were not seen."""
    mask: Tensor
    """1 where a pixel was seen, else 0, [B, C, H, W]."""
    bound: QuadraticDataTerm
    """Quadratic data term that is nowhere less curved."""
    tol: float = field(default=0.0, init=False)
    stopped_short: Sequence[Missed] = field(default=(), init=False)

    @property
    def weight(self) -> PerImage:
        """strength / m, [B]."""
        return self.likelihood.bound()

    def value(self, x: Image) -> PerImage:
        """f(x), float64 [B]."""
        seen = self.mask * checked(x, self.mask.shape)
        return self.likelihood.value(seen) + self.floor.value(x)

    def grad(self, x: Image) -> Image:
        """The slope of E where a pixel was seen, else that of the floor."""
        slope = self.mask * self.likelihood.slope(checked(x, self.mask.shape))
        return slope + self.floor.grad(x)

    def prox(self, v: Image, tau: float | PerImage) -> Image:
        """The root of a quadratic where a pixel was seen, elsewhere v, pulled up to 0."""
        seen = self.likelihood.prox(checked(v, self.mask.shape), tau)
        return torch.where(self.mask > 0, seen, self.floor.prox(v, tau))

    def lipschitz(self) -> PerImage:
        """strength / m, [B]."""
        return self.bound.lipschitz()

    def by_products(self, op: LinearPhysics, x: Image) -> ByProducts:
        """f(x) and its gradient, by op's products in place of the mask."""
        return counts_by_products(self.likelihood, self.floor, op, x)

    def select(self, index: Tensor) -> "MaskedCounts":
        """The term for the images `index` alone."""
        likelihood, floor = self.likelihood.select(index), self.floor.select(index)
        return MaskedCounts(likelihood, floor, self.mask[index], self.bound.select(index))
