"""A convex g(x) = h(K x) as primal-dual algorithms take it, and the gap that proves an answer."""

from typing import Protocol, runtime_checkable

from torch import Tensor

from solvers.protocols import Image, PerImage, Prior, dot, norm


class Composite(Protocol):
    """g(x) = h(K x), h convex and positively homogeneous: a norm of K x, as total variation is.

    Images are independent. The dual variable u has the batch as its first dimension, and may have
    any shape beyond that. It may be `Selectable`, and must be if images have weights of their own.
    """

    @property
    def norm_squared(self) -> float:
        """A bound on |K|^2."""
        ...

    @property
    def radius(self) -> float | PerImage:
        """Largest size of an entry of u, positive: the weight of the norm."""
        ...

    def forward(self, x: Image) -> Tensor:
        """K x."""
        ...

    def adjoint(self, u: Tensor) -> Image:
        """K^T u."""
        ...

    def project(self, u: Tensor) -> Tensor:
        """The prox of h*: u onto the dual ball, where h*(u) = 0 and <K x, u> <= g(x) for any x."""
        ...

    def value(self, x: Image) -> PerImage:
        """g(x), float64 [B]."""
        ...

    def spectrum(self, x: Image) -> Tensor:
        """A bound on K^T K that is diagonal in Fourier, against `torch.fft.rfft2(x)`."""
        ...


@runtime_checkable
class HasComposite(Protocol):
    """A prior whose R_sigma is sigma^2 g with one convex g = h(K x)."""

    def composite(self) -> Composite:
        """g, the same for every sigma."""
        ...


@runtime_checkable
class HasWarmStart(Protocol):
    """A prior whose prox is an iteration, which goes quicker from where the last call ended."""

    def for_run(self) -> Prior:
        """The same prior for one run on one batch, `Selectable`: it remembers, this one never."""
        ...


def partial_gap(
    g: Composite,
    x: Image,
    u: Tensor,
    q: Image,
    ball: PerImage,
    at: tuple[Image, Image] | None = None,
) -> PerImage:
    """Bound from above on F(x) - F(z), F = f + g, for every z with |z - x| <= ball. [B]

    g(x) - <K x, u> + ball |q|, where u lies in the dual ball and q = grad f(x) + K^T u. Proof:
    g(z) >= <K z, u> and f(z) >= f(x) + <grad f(x), z - x> by convexity; add them, and
    F(x) - F(z) <= g(x) - <K x, u> - <q, z - x>. (Further away the bound grows with |z - x|, as F
    is convex: at k times the distance it is k times as large.)
    With `at` = (x', q'), f's tangent is taken at x' instead, q' = grad f(x') + K^T u, which costs
    f(x) - f(x') - <grad f(x'), x - x'> = <x - x', q - q'> / 2, as f is quadratic, and needs |q'|
    alone to be small. [Chambolle11, Sec. 3.1] has the partial gap.
    """
    slack = g.value(x) - dot(g.forward(x), u)
    if at is None:
        return slack + ball * norm(q)
    near, rest = at
    return slack + (dot(x - near, q - rest) / 2).clamp(min=0) + ball * norm(rest)
