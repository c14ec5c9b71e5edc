"""PDHG and Condat-Vu: f + h(K x) without an inner solve, each with a duality gap that proves it.

    result = run(pdhg(f, g, x), max_steps=1000, tol=1e-9)      # f.prox in closed form
    result = run(condat_vu(f, g, x, lipschitz=f.lipschitz()), max_steps=1000, tol=1e-9)

Both walk down f and up the dual of h at once: a product with K and one with its transpose a step,
and of f one prox, or one gradient. State.gap is computed, not believed: whatever the steps were, it
bounds from above how much lower the objective can be (`partial_gap`).
"""

from collections.abc import Generator
from itertools import count
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from solvers.curvature import Curvature
from solvers.protocols import (
    DataTerm,
    Image,
    PerImage,
    Prior,
    Selectable,
    State,
    descend,
    dot,
    guarded,
    norm,
    per_image,
    relative,
    select,
)
from solvers.schedules import check_relaxation

EVERY = 10
"""Steps between two looks at objective and gap; between them `State` repeats the last look."""
RELAXATION = 1.9
"""Over-relaxation of both, below 2: a third fewer steps than without on TV."""
REACH = 0.12
"""Primal over dual step of `pdhg`: pixels are expected to move by so much of their root mean
square. The best of .02 to .5 for deblurring and inpainting with TV, within a factor of two."""
REACH_IN_METRIC = 0.04
"""The same of `condat_vu`, whose metric has taken the large steps out of it."""


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
        """How large an entry of u may become, positive: the weight of the norm."""
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


def pdhg(
    f: DataTerm,
    g: Composite,
    x: Image,
    *,
    tau: float | PerImage | None = None,
    relaxation: float = RELAXATION,
) -> Generator[State, Tensor | None, None]:
    """min f(x) + h(K x) for an f whose prox has a closed form. [Chambolle11, Alg. 1; Condat13]

    x' = prox_{tau f}(x - tau K^T u),   u' = prox_{s h*}(u + s K (2 x' - x)),   s tau |K|^2 = 1,
    (x, u) = (x, u) + relaxation ((x', u') - (x, u)),   u_0 = 0,   0 < relaxation < 2.

    Converges to a minimum at any tau, a float or [B]; without one it is set by the size of the
    images (`REACH`). f is quadratic, |A x - y|^2 / (2 s^2). Uses f.prox, f.grad, f.value. x,
    objective, misfit, residual and gap of State belong together and are renewed at the first step
    and at every tenth. Residual |x' - x| / |x|. Raises ValueError for tau <= 0 or a relaxation
    outside (0, 2).
    """
    check_relaxation(relaxation)
    size = _size(f, x)
    t = _default_tau(g, size, x) if tau is None else _checked_tau(tau, size)
    s = 1 / (t * g.norm_squared)
    Kx = g.forward(x)
    u = torch.zeros_like(Kx)
    state = None
    for k in count(1):
        moved = f.prox(descend(x, t, g.adjoint(u)), t)
        K_moved = g.forward(moved)
        ahead = torch.lerp(Kx, K_moved, 2.0)
        lifted = g.project(torch.addcmul(u, ahead, per_image(s, u)))
        last = x
        x, u = torch.lerp(x, moved, relaxation), torch.lerp(u, lifted, relaxation)
        Kx = torch.lerp(Kx, K_moved, relaxation)
        if state is None or k % EVERY == 0:
            feasible = g.project(u)
            pull, ball = g.adjoint(feasible), torch.maximum(size, norm(x).double())
            q = f.grad(x) + pull
            # Where f is steep, x rounded to float32 leaves a gradient of L eps |x|; one prox from
            # x has none. Its step makes tau |K^T u| about as large as x.
            far = ball / guarded(norm(pull).double())
            far = torch.minimum(torch.maximum(far, t), 1e3 * t)
            near = f.prox(descend(x, far, pull), far)
            at = near, (x - near) / per_image(far, x)
            gap = torch.minimum(
                partial_gap(g, x, feasible, q, ball), partial_gap(g, x, feasible, q, ball, at)
            )
            state = _state(f, g, x, relative(moved - last, x), gap)
        index = yield state
        f, g, x, u, Kx, t, s, size, state = _narrow(index, f, g, x, u, Kx, t, s, size, state)


def condat_vu(
    f: DataTerm,
    g: Composite,
    x: Image,
    *,
    lipschitz: PerImage,
    relaxation: float = RELAXATION,
) -> Generator[State, Tensor | None, None]:
    """min f(x) + h(K x) by gradients of f, in a metric M near its curvature. [Condat13, Pock11]

    x' = x - M^-1 (grad f(x) + K^T u),   u' = prox_{s h*}(u + s K (2 x' - x)),
    (x, u) = (x, u) + relaxation ((x', u') - (x, u)),   u_0 = 0,   0 < relaxation < 2.

    M = c H + s N is diagonal in Fourier, H near the Hessian of f and N >= K^T K (`Curvature`,
    `Composite.spectrum`), s set by the size of the images. With c H >= the Hessian, the step is
    the proximal one in the metric M - Hessian >= s K^T K, and converges as `pdhg` does. c is
    measured, and raised where a step shows it too small.
    f is quadratic; lipschitz [B] is that of its gradient. Uses f.grad, one product with A and one
    with A^T a step, and f.value every tenth. State as in `pdhg`. Images [B, C, H, W].
    Raises ValueError for a relaxation outside (0, 2).
    """
    check_relaxation(relaxation)
    size = _size(f, x)
    s = 1 / (_default_tau(g, size * REACH_IN_METRIC / REACH, x) * g.norm_squared)
    curvature = Curvature.measured(f.grad, x, lipschitz)
    Kx = g.forward(x)
    u, grad = torch.zeros_like(Kx), f.grad(x)
    state = None
    for k in count(1):
        q = grad + g.adjoint(u)
        moved = x - curvature.solve(q, s, g.spectrum(x))
        K_moved = g.forward(moved)
        ahead = torch.lerp(Kx, K_moved, 2.0)
        lifted = g.project(torch.addcmul(u, ahead, per_image(s, u)))
        last, last_grad, climb = x, grad, K_moved - Kx
        x, u = torch.lerp(x, moved, relaxation), torch.lerp(u, lifted, relaxation)
        Kx = torch.lerp(Kx, K_moved, relaxation)
        grad = f.grad(x)
        if state is None or k % EVERY == 0:
            step = moved - last
            room = -dot(step, q) - s * dot(climb, climb)  # <step, (M - s K^T K) step>
            needed = dot(step, grad - last_grad) / relaxation
            curvature = curvature.raised(needed > (1 + 1e-3) * room)
            feasible = g.project(u)
            ball = torch.maximum(size, norm(x).double())
            gap = partial_gap(g, x, feasible, grad + g.adjoint(feasible), ball)
            state = _state(f, g, x, relative(step, x), gap)
        index = yield state
        f, g, x, u, Kx, grad, s, size, curvature, state = _narrow(
            index, f, g, x, u, Kx, grad, s, size, curvature, state
        )


def _state(f: DataTerm, g: Composite, x: Image, residual: PerImage, gap: PerImage) -> State:
    misfit = f.value(x)
    return State(x, residual, misfit + g.value(x), misfit, True, gap=gap)


def _narrow(index: Tensor | None, f: DataTerm, g: Composite, *rest):
    """As `solvers.protocols.narrow`; the state on offer is narrowed too."""
    if index is None or not (isinstance(f, Selectable) and isinstance(g, Selectable)):
        return f, g, *rest
    *variables, state = rest
    return *select(index, f, g, *variables), State(*select(index, *state))


def _size(f: DataTerm, x: Image) -> PerImage:
    """Norm that images of this problem have, [B]: of x, or of the best step down f from there.

    The second is there for a start at zero: on a ball of radius |x| = 0 every gap would be zero.
    """
    down = f.grad(x)
    bend = dot(down, f.grad(x - down) - down).abs()
    # a quadratic's best step is |d|^2 / <d, H d>, and f.grad(x - d) - d = -H d
    best = norm(down).double() ** 3 / guarded(bend)
    size = torch.maximum(norm(x).double(), torch.where(bend > 0, best, 0))
    return torch.where(size > 0, size, 1.0)


def _default_tau(g: Composite, size: PerImage, x: Image) -> PerImage:
    pixel = size / x[0].numel() ** 0.5
    return REACH * pixel / (g.radius * g.norm_squared**0.5)


def _checked_tau(tau: float | PerImage, size: PerImage) -> PerImage:
    steps = torch.as_tensor(tau, dtype=size.dtype, device=size.device)
    if not bool((steps > 0).all()) or steps.ndim > 1 or steps.numel() not in (1, len(size)):
        raise ValueError(f"tau is a positive float, or one for each image, got {tau}")
    return steps.expand(len(size))
