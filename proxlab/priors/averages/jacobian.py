"""The Jacobian of an average of proxes: the average of theirs."""

from collections.abc import Sequence

import torch
from torch import Tensor

from proxlab.priors.jacobians.contract import PROBES, Diagonal, Jacobian


class AverageJacobian:
    """The average of Jacobians with those weights, a `Jacobian`.

    >>> v, one = torch.rand(1, 1, 9, 9), torch.ones(1, 1, 9, 9)
    >>> both = proxlab.load("gs-unet+lpn-gray").jacobian(v, 0.1)
    >>> alone = [proxlab.load(name).jacobian(v, 0.1) for name in ("gs-unet", "lpn-gray")]
    >>> torch.allclose(both(one), (alone[0](one) + alone[1](one)) / 2, atol=1e-6), both.symmetric
    (True, True)
    """

    def __init__(self, weights: Sequence[float], parts: Sequence[Jacobian]):
        self.weights, self.parts = weights, parts
        self.symmetric = all(part.symmetric for part in parts)

    def __call__(self, u: Tensor) -> Tensor:
        """The product with u, [B, C, H, W] -> the same.

        >>> v = torch.rand(1, 1, 9, 9)
        >>> proxlab.load("gs-unet+lpn-gray").jacobian(v, 0.1)(v).shape
        torch.Size([1, 1, 9, 9])
        """
        total = torch.zeros_like(u)
        for weight, part in zip(self.weights, self.parts, strict=True):
            total = total + weight * part(u)
        return total

    def diagonal(self, probes: int = PROBES, seed: int = 0) -> Diagonal:
        """The diagonal, and a bound on its standard error: the parts share their probes.

        >>> v = torch.rand(1, 1, 9, 9)
        >>> proxlab.load("gs-unet+lpn-gray").jacobian(v, 0.1).diagonal(probes=4).value.shape
        torch.Size([1, 1, 9, 9])
        """
        found = [part.diagonal(probes, seed) for part in self.parts]
        pairs = list(zip(self.weights, found, strict=True))
        value, error = (
            torch.stack([weight * one[k] for weight, one in pairs]).sum(0) for k in (0, 1)
        )
        return Diagonal(value, error)
