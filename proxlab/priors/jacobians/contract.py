"""The Jacobian of a prox at a batch of images, as an object: products, and the diagonal."""

from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor

PROBES = 72
"""Products with a Jacobian for its diagonal, where nothing else is asked for and none is exact."""


class Diagonal(NamedTuple):
    """The diagonal of a Jacobian, [B, C, H, W], exact or estimated.

    >>> from proxlab.priors.jacobians.contract import Diagonal
    >>> found = proxlab.load("lpn-gray-small").jacobian(torch.rand(1, 1, 9, 9), 0.1).diagonal()
    >>> isinstance(found, Diagonal), found.error.max()   # exact
    (True, tensor(0.))
    """

    value: Tensor
    error: Tensor
    """Standard error of each pixel: 0 where it is exact, infinite where nothing tells. From two
    halves of the probes, so it is rough for one pixel and sound as a mean of squares over many."""


class Jacobian(Protocol):
    """The Jacobian J of a prox at images v [B, C, H, W], each image by itself.

    >>> v = torch.rand(1, 1, 9, 9).double()
    >>> jacobian = proxlab.load("lpn-gray-small").double().jacobian(v, 0.1)
    >>> u, w = torch.rand(2, 1, 1, 9, 9).double()
    >>> jacobian.symmetric, torch.allclose((w * jacobian(u)).sum(), (u * jacobian(w)).sum())
    (True, True)
    >>> jacobian.diagonal().value.min() > 0   # and positive
    tensor(True)
    """

    @property
    def symmetric(self) -> bool:
        """Whether J is symmetric by construction; else products are those of (J + J^T) / 2."""
        ...

    def __call__(self, u: Tensor) -> Tensor:
        """The product with u, [B, C, H, W] -> the same."""
        ...

    def diagonal(self, probes: int = PROBES, seed: int = 0) -> Diagonal:
        """The diagonal: exact where it is known, else by at most so many products."""
        ...


@runtime_checkable
class KnowsProx(Protocol):
    """A Jacobian whose making has found the prox, or most of it.

    >>> from proxlab.priors.jacobians.contract import KnowsProx
    >>> isinstance(proxlab.load("lpn-gray-small").jacobian(torch.rand(1, 1, 9, 9), 0.1), KnowsProx)
    True
    """

    def prox(self) -> Tensor:
        """The prox at the images of the Jacobian, [B, C, H, W].

        >>> v = torch.rand(1, 1, 9, 9)
        >>> proxlab.load("lpn-gray-small").jacobian(v, 0.1).prox().shape
        torch.Size([1, 1, 9, 9])
        """
        ...


@runtime_checkable
class HasJacobian(Protocol):
    """A prior that knows more of its Jacobian than autograd does.

    >>> from proxlab.priors.jacobians.contract import HasJacobian
    >>> prior, v = proxlab.load("lpn-gray-small"), torch.rand(1, 1, 9, 9)
    >>> isinstance(prior, HasJacobian), prior.jacobian(v, 0.1)(v).shape
    (True, torch.Size([1, 1, 9, 9]))
    >>> isinstance(proxlab.load("unet-gray"), HasJacobian)
    False
    """

    def jacobian(self, v: Tensor, sigma: float | Tensor) -> Jacobian:
        """The Jacobian of its prox at v."""
        ...


def check_probes(probes: int, seed: int) -> None:
    """Raises ValueError for numbers that are not whole, probes below 1 and seeds below 0.

    >>> from proxlab.priors.jacobians.contract import check_probes
    >>> check_probes(0, seed=0)
    Traceback (most recent call last):
        ...
    ValueError: probes is a whole number from 1 on, got 0
    """
    for word, number, least in (("probes", probes, 1), ("seed", seed, 0)):
        whole = isinstance(number, int) and not isinstance(number, bool)
        if not whole or number < least or number >= 2**63:
            shown = number if whole or isinstance(number, float) else type(number).__name__
            raise ValueError(f"{word} is a whole number from {least} on, got {shown}")
