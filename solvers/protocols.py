"""Protocols of f, g and an algorithm's state, and the conventions that every file here keeps.

Conventions
-----------
Images are float tensors [B, C, H, W] (any [B, ...] works); B counts independent problems, and what
happens to one image never depends on the others in its batch.
The problem is always `min_x f(x) + g(x)`: f is the data term, g the prior.
`prox(v, tau) = argmin_x |x - v|^2 / 2 + tau h(x)`, h being the f or g that has the method and tau a
float or a tensor [B].
`value(x)` is per image: a tensor [B], summed in float64, so that descent can be told from rounding.
A data term is `|A x - y|^2 / (2 s^2)`: its 1/2 and its noise variance s^2 are part of it.
Device and dtype follow the input. Randomness comes in as a generator. Nothing is seeded here.
Gradient tracking is the caller's decision.

Every algorithm here is an endless generator of `State`. It may be sent the positions of the images
that still matter (`narrow`), and otherwise knows nothing of stopping, printing or devices.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeVar, overload, runtime_checkable

import torch
from torch import Tensor

from solvers.large.parts import by_rows

Image = Tensor
"""[B, C, H, W]"""
PerImage = Tensor
"""[B]"""
WITHOUT_DOUBLES = {"mps"}  # devices


class DataTerm(Protocol):
    """Data term f: smooth, with a closed-form or iterative prox.

    An algorithm uses only the methods that its docstring names. A data term may be
    `HasProxAndValue` and `Selectable` besides.

    >>> class Near:   # f(x) = |x - y|^2 / 2
    ...     def __init__(self, y): self.y = y
    ...     def value(self, x): return (x - self.y).square().flatten(1).sum(1) / 2
    ...     def grad(self, x): return x - self.y
    ...     def prox(self, v, tau): return (v + tau * self.y) / (1 + tau)
    >>> f, x = Near(torch.zeros(1, 2)), torch.ones(1, 2)
    >>> f.value(x), f.grad(x), f.prox(x, 1.0)
    (tensor([1.]), tensor([[1., 1.]]), tensor([[0.5000, 0.5000]]))
    """

    def value(self, x: Image) -> PerImage:
        """f(x) of each image, [B]."""
        ...

    def grad(self, x: Image) -> Image:
        """Gradient of f at x, shaped like x."""
        ...

    def prox(self, v: Image, tau: float | PerImage) -> Image:
        """prox_{tau f}(v), shaped like v."""
        ...


class Prior(Protocol):
    """Prior g: known through its prox.

    It may be `HasProxAndValue` or `HasValue` besides; without either, a solver has no objective to
    report. It may be `Selectable`.

    >>> class NonNegative:   # g is 0 on images without negative pixels and infinite on others
    ...     def prox(self, v, tau): return v.relu()
    >>> NonNegative().prox(torch.tensor([[2.0, -1.0]]), 0.5)
    tensor([[2., 0.]])
    """

    def prox(self, v: Image, tau: float | PerImage) -> Image:
        """prox_{tau g}(v), shaped like v."""
        ...


@runtime_checkable
class HasValue(Protocol):
    """Function that can be evaluated at any image.

    `isinstance(thing, HasValue)` asks whether the method is there, not what it takes or returns; so
    it is with `HasProxAndValue` and `Selectable`. A method counts if the object or its class holds
    it; one that `__getattr__` makes up does not count from Python 3.12 on.

    >>> class L1:
    ...     def value(self, x): return x.abs().flatten(1).sum(1)
    >>> L1().value(torch.ones(2, 3)), isinstance(L1(), solvers.HasValue)
    (tensor([3., 3.]), True)
    """

    def value(self, x: Image, /) -> PerImage: ...


@runtime_checkable
class HasProxAndValue(Protocol):
    """Function whose prox knows the function's value there, at little or no further cost.

    A learned proximal network does, and can tell its value elsewhere only by an inversion. The
    answer is the prox at v and the value at that prox [B], or None in place of the value where it
    is not known after all. The second argument is what the object's own `prox` takes: tau here.

    >>> class L1:
    ...     def prox_and_value(self, v, tau):
    ...         x = v.sign() * (v.abs() - tau).relu()
    ...         return x, x.abs().flatten(1).sum(1)
    >>> isinstance(L1(), solvers.HasProxAndValue)
    True
    >>> L1().prox_and_value(torch.tensor([[3.0, 0.5]]), 1.0)
    (tensor([[2., 0.]]), tensor([2.]))
    """

    def prox_and_value(
        self, v: Image, tau: float | PerImage, /
    ) -> tuple[Image, PerImage | None]: ...


_S = TypeVar("_S", bound="Selectable")


@runtime_checkable
class Selectable(Protocol):
    """Function on a batch that can be had for some of its images alone.

    The index is a tensor of positions in the batch, as in `x[index]`. What is the same for every
    image returns itself. Where both f and g have it, a batch shrinks as its images finish; see
    `narrow`.

    >>> class Near:   # f(x) = |x - y|^2 / 2, with a y for each image
    ...     def __init__(self, y): self.y = y
    ...     def select(self, index): return Near(self.y[index])
    >>> f = Near(torch.tensor([[1.0], [2.0], [3.0]]))
    >>> f.select(torch.tensor([0, 2])).y
    tensor([[1.],
            [3.]])
    """

    def select(self: _S, index: Tensor, /) -> _S: ...


class Evaluation(NamedTuple):
    """One evaluation of the prior's prox at v, whose answer is `State.x`: what evidence is made of.

    Every algorithm here asks for it after a step down f: v = point - tau grad f(point).
    """

    v: Image
    """Image that the prox was asked about."""
    point: Image
    """Image at which f's gradient was taken; for `hqs` that of f's Moreau envelope."""
    tau: float | PerImage
    """Step, as the prox was told it."""
    value: PerImage | None
    """g at the answer as the prior reports it [B], None if it reports none."""


class State(NamedTuple):
    """State of an algorithm after a step, as it yields it; only the driver reads it.

    >>> from types import SimpleNamespace as Function
    >>> f = Function(value=lambda x: x.square().sum(1) / 2, grad=lambda x: x)
    >>> g = Function(value=lambda x: torch.zeros(len(x)), prox=lambda v, tau: v)
    >>> state = next(solvers.pgd(f, g, torch.ones(1, 2), tau=0.5))
    >>> state.x, state.objective, state.residual
    (tensor([[0.5000, 0.5000]]), tensor([0.2500]), tensor([1.]))
    """

    x: Image
    """Estimate: always an output of the prior's prox."""
    residual: PerImage
    """Relative fixed-point residual [B]; zero exactly where the algorithm has come to rest."""
    objective: PerImage | None
    """Value of what the algorithm minimises (its docstring says what); None if g has none."""
    misfit: PerImage
    """Data term f(x)."""
    settled: bool
    """False while a parameter schedule still runs: the fixed point is still moving."""
    merit: PerImage | None = None
    """Function that the algorithm's theorem makes fall; None where that is the objective."""
    evaluation: Evaluation | None = None
    """Evaluation of the prior's prox that gave x; None where x is no answer of a prox."""
    gap: PerImage | None = None
    """Duality gap: the objective is at most so far above its least value; None if not computed."""


def prox_and_value(g: Prior, v: Image, tau: float | PerImage) -> tuple[Image, PerImage | None]:
    """prox_{tau g}(v) and g there [B], at the lowest price; None in its place if g has no value."""
    if isinstance(g, HasProxAndValue):
        return g.prox_and_value(v, tau)
    x = g.prox(v, tau)
    return x, g.value(x) if isinstance(g, HasValue) else None


def select(index: Tensor, *things: Any) -> tuple[Any, ...]:
    """Things restricted to the images `index`, a tensor of positions in the batch.

    Tensors are indexed along the batch, tuples entry by entry, whatever is `Selectable` selects
    itself; a number or another object is shared by the batch and stays.
    """

    def one(thing: Any) -> Any:
        if isinstance(thing, Tensor):  # before `Selectable`: torch's `select` is another
            return thing[index] if thing.ndim else thing
        if isinstance(thing, tuple):
            return select(index, *thing)
        return thing.select(index) if isinstance(thing, Selectable) else thing

    return tuple(one(thing) for thing in things)


def narrow(index: Tensor | None, f: DataTerm, g: Prior, *variables: Any) -> tuple[Any, ...]:
    """f, g and an algorithm's variables for the images `index`: its answer to the driver's offer.

    The offer is declined, and everything stays as it is, unless both f and g are `Selectable`:
    from outside, an object shared by the batch looks like one that keeps data per image, and a
    wrong guess would mix up images. So leaving `select` out costs time, never correctness.
    """
    if index is None or not (isinstance(f, Selectable) and isinstance(g, Selectable)):
        return f, g, *variables
    return select(index, f, g, *variables)


@overload
def per_image(value: PerImage, like: Image) -> Tensor: ...
@overload
def per_image(value: float, like: Image) -> float: ...
def per_image(value: float | PerImage, like: Image) -> float | Tensor:
    """A float as it is, a tensor [B] shaped to broadcast against `like`.

    Raises ValueError for a tensor with another number of entries than `like` has images.
    """
    if not isinstance(value, Tensor) or value.ndim == 0:
        return value
    if value.shape != like.shape[:1]:
        raise ValueError(
            f"a per-image parameter has one entry per image, expected shape [{like.shape[0]}], "
            f"got {list(value.shape)}"
        )
    return value.to(like).view(-1, *[1] * (like.ndim - 1))


def descend(x: Image, tau: float | PerImage, d: Image) -> Image:
    """x - tau d, in one pass over memory."""
    if isinstance(tau, Tensor):
        return torch.addcmul(x, d, per_image(tau, x), value=-1)
    return torch.sub(x, d, alpha=tau)


def norm(x: Image) -> PerImage:
    """Euclidean norm of each image, [B]."""
    return torch.linalg.vector_norm(x.flatten(1), dim=1)


def distance(x: Image, y: Image) -> PerImage:
    """|x - y| of each image, [B]."""
    if x.ndim < 3:
        return norm(x - y)
    lengths = [norm(a - b) for a, b in by_rows(x, y)]
    return lengths[0] if len(lengths) == 1 else norm(torch.stack(lengths, 1))


def dot(x: Image, y: Image) -> PerImage:
    """Inner product of each pair of images, [B], accumulated in float64.

    Each row of pixels is summed in its own dtype, which torch does pairwise, and only the sums of
    rows are added in float64: half the time, and within 1e-8 of float64 on images of usual size.
    """
    if x.ndim < 3:
        return (x * y).sum(1, dtype=float_for_sums(x))
    if x.shape != y.shape:
        x, y = torch.broadcast_tensors(x, y)
    return _summed([(a * b).sum(-1) for a, b in by_rows(x, y)])


def _summed(rows: list[Tensor]) -> PerImage:
    """Sums of rows [B, rows], added up in float64."""
    every = rows[0] if len(rows) == 1 else torch.cat(rows, 1)
    return every.sum(1, dtype=float_for_sums(every))


def prox_with_misfit(
    f: DataTerm, v: Image, tau: float | PerImage
) -> tuple[Image, Callable[[], PerImage]]:
    """x = prox_{tau f}(v), and f(x) when it is asked for; free where f knows both."""
    if isinstance(f, HasProxAndValue):
        x, f_x = f.prox_and_value(v, tau)
    else:
        x, f_x = f.prox(v, tau), None
    return x, lambda: f.value(x) if f_x is None else f_x


def envelope(f_x: PerImage, g_z: PerImage, x: Image, asked: Image, gap: Image, tau) -> PerImage:
    """f(x) + g(z) + <grad f(x), gap> + |gap|^2 / (2 tau), z = x + gap, asked = x - tau grad f(x).

    [B]; `asked` is the image whose prox z is.

    The Douglas-Rachford envelope, which is ADMM's augmented Lagrangian [Themelis20, Sec. 2]. For
    tau <= 1 / L it is never below f + g at z, and it equals f + g once z = x.
    """
    if x.ndim < 3:
        product = dot(gap, torch.add(gap, x - asked, alpha=2.0))
    else:  # <gap, gap - 2 u>, u = asked - x
        rows = by_rows(x, asked, gap)
        product = _summed([(g * torch.add(g, a - b, alpha=2.0)).sum(-1) for a, b, g in rows])
    return f_x + g_z + product / (2 * tau)


def go_on(x: Image, asked: Image, gap: Image, relaxation: float) -> Image:
    """v + relaxation gap, where asked = 2 x - v is all that is kept of v."""
    v = torch.lerp(asked, x, 2.0)
    if v.requires_grad or gap.requires_grad:
        return torch.add(v, gap, alpha=relaxation)
    return v.add_(gap, alpha=relaxation)


def relative(change: Image, x: Image) -> PerImage:
    """|change| / |x| of each image, [B]; 0 / 0 is 0."""
    return norm(change) / guarded(norm(x))


def guarded(size: PerImage) -> PerImage:
    """Norms [B] that can be divided by: the root of the smallest float at least.

    One over the smallest float itself would overflow.
    """
    return size.clamp(min=torch.finfo(size.dtype).tiny ** 0.5)


def float_for_sums(x: Image) -> torch.dtype:
    """Type to add up sums in: float64, except on devices that have none.

    There sums are of sums of rows, in float32: torch adds a row pairwise, so that rounding grows
    with the logarithm of its length. What has to be known better is asked of `doubles`.
    """
    return torch.float32 if x.device.type in WITHOUT_DOUBLES else torch.float64


def doubles(x: Tensor) -> Tensor:
    """x in float64, on the CPU where its device has none: for what is asked once a run."""
    return (x.cpu() if x.device.type in WITHOUT_DOUBLES else x).double()
