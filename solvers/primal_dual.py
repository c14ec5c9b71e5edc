"""PDHG and Condat-Vu: f + h(K x) without an inner solve, each with a duality gap that proves it.

    result = run(pdhg(f, g, x), max_steps=1000, tol=1e-9)      # f.prox in closed form
    result = run(condat_vu(f, g, x, lipschitz=f.lipschitz()), max_steps=1000, tol=1e-9)

Both walk down f and up the dual of h at once: a product with K and one with its transpose a step,
and of f one prox, or one gradient. State.gap is computed, not believed: whatever the steps were, it
bounds from above how much lower the objective can be (`partial_gap`).
"""

from collections.abc import Generator
from itertools import count

import torch
from torch import Tensor

from solvers.duality.composite import Composite, HasComposite, HasWarmStart, partial_gap
from solvers.duality.curvature import Curvature
from solvers.duality.restarts import Restarts, known_none, shaped
from solvers.protocols import (
    DataTerm,
    Image,
    PerImage,
    Selectable,
    State,
    descend,
    dot,
    float_for_sums,
    guarded,
    norm,
    per_image,
    relative,
    select,
)
from solvers.schedules import check_relaxation

__all__ = ["Composite", "HasComposite", "HasWarmStart", "condat_vu", "partial_gap", "pdhg"]

EVERY = 10
"""Steps between two looks at objective and gap; between them `State` repeats the last look."""
RELAXATION = 1.9
"""Over-relaxation of both, below 2."""
REACH = 0.25
"""Dual step: u crosses its ball while K x moves by so much of a pixel's root mean square. Of .12,
.25 and .5 the one that is best or nearly so for total variation and wavelets, deblurring and
inpainting three photographs that were held out of bsds400; |K| does not enter."""
REACH_IN_METRIC = 0.16
"""The same of `condat_vu`, whose metric has taken the large steps out of it: of .08, .16 and .32 on
scans of the same three. Total variation alone would go quicker at .08, wavelets at .32."""


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
    images (`REACH`). It starts again from the mean of its steps where that pays (`Restarts`).
    f is quadratic, |A x - y|^2 / (2 s^2). Uses f.prox, f.grad, f.value. Looks at the first step and
    at every tenth: x, objective, misfit and gap of State are those of the least gap seen so far,
    and belong together. Residual |x' - x| / |x|, of the last look. Raises ValueError for tau <= 0
    or a relaxation outside (0, 2).

    >>> op = proxlab.operators.inpaint(proxlab.operators.random_mask((16, 16), 0.5), noise=0.1)
    >>> y = op(torch.full((1, 1, 16, 16), 0.5))
    >>> f, g = proxlab.data_terms.data_term(y, op), proxlab.classical.TV().composite()
    >>> result = solvers.run(solvers.pdhg(f, g, y), max_steps=2000, tol=1e-4)
    >>> result.certified, result.trace.gap[-1] < 1e-4 * result.trace.objective[-1]
    ([True], tensor([True]))
    """
    check_relaxation(relaxation)
    size = _size(f, x)
    if tau is None:
        tau = 1 / (_dual_step(g, size, x, REACH) * g.norm_squared)
    t = _checked_tau(tau, size)
    s = 1 / (t * g.norm_squared)
    Kx = g.forward(x)
    u = torch.zeros_like(Kx)
    means, state = Restarts.at(x, u), None
    for k in count(1):
        last, moved = x, f.prox(descend(x, t, g.adjoint(u)), t)
        K_moved = g.forward(moved)
        lifted = g.project(torch.addcmul(u, torch.lerp(Kx, K_moved, 2.0), per_image(s, u)))
        x, u = torch.lerp(x, moved, relaxation), torch.lerp(u, lifted, relaxation)
        Kx = torch.lerp(Kx, K_moved, relaxation)
        means.add(x, u)
        if state is None or k % EVERY == 0:
            x_mean, u_mean = means.means()
            gap, gap_mean = _gap(f, g, x, u, size, t), _gap(f, g, x_mean, u_mean, size, t)
            state = _least(state, f, g, (x, gap), (x_mean, gap_mean), relative(moved - last, x))
            again, x, u = means.restarted(gap, gap_mean, x, u)
            if again is not None:
                Kx = torch.where(shaped(again, Kx), g.forward(x), Kx)
        index = yield state
        f, g, x, u, Kx, t, s, size, means, state = _narrow(
            index, f, g, x, u, Kx, t, s, size, means, state
        )


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
    with A^T a step, and f.value every tenth. Restarts and State as in `pdhg`. Images [B, C, H, W].
    Raises ValueError for a relaxation outside (0, 2).

    >>> op = proxlab.operators.ct(16, angles=12, noise=0.1)
    >>> y = op(torch.full((1, 1, 16, 16), 0.5))
    >>> f, g = proxlab.data_terms.data_term(y, op), proxlab.classical.TV().composite()
    >>> start = torch.zeros(1, 1, 16, 16)
    >>> steps = solvers.condat_vu(f, g, start, lipschitz=f.lipschitz())
    >>> solvers.run(steps, max_steps=3000, tol=1e-3).certified
    [True]
    """
    check_relaxation(relaxation)
    size = _size(f, x)
    s = _dual_step(g, size, x, REACH_IN_METRIC)
    curvature = Curvature.measured(f.grad, x, lipschitz)
    Kx, grad = g.forward(x), f.grad(x)
    u = torch.zeros_like(Kx)
    means, state, spectrum = Restarts.at(x, u, grad), None, g.spectrum(x)
    for k in count(1):
        q = grad + g.adjoint(u)
        moved = x - curvature.solve(q, s, spectrum)
        K_moved = g.forward(moved)
        lifted = g.project(torch.addcmul(u, torch.lerp(Kx, K_moved, 2.0), per_image(s, u)))
        step, climb, last_grad = moved - x, K_moved - Kx, grad
        x, u = torch.lerp(x, moved, relaxation), torch.lerp(u, lifted, relaxation)
        Kx, grad = torch.lerp(Kx, K_moved, relaxation), f.grad(x)
        means.add(x, u, grad)
        if state is None or k % EVERY == 0:
            room = -dot(step, q) - s * dot(climb, climb)  # <step, (M - s K^T K) step>
            needed = dot(step, grad - last_grad) / relaxation
            curvature = curvature.raised(needed > (1 + 1e-3) * room)
            x_mean, u_mean, grad_mean = means.means()  # grad f is affine: that of x_mean
            gap = _gap_by_gradient(g, x, u, grad, size)
            gap_mean = _gap_by_gradient(g, x_mean, u_mean, grad_mean, size)
            state = _least(state, f, g, (x, gap), (x_mean, gap_mean), relative(step, x))
            again, x, u, grad = means.restarted(gap, gap_mean, x, u, grad)
            if again is not None:
                Kx = torch.where(shaped(again, Kx), g.forward(x), Kx)
        index = yield state
        f, g, x, u, Kx, grad, s, size, curvature, means, state = _narrow(
            index, f, g, x, u, Kx, grad, s, size, curvature, means, state
        )
        if index is not None:
            spectrum = g.spectrum(x)


def _gap(f: DataTerm, g: Composite, x: Image, u: Tensor, size: PerImage, t: PerImage) -> PerImage:
    """Partial gap by a prox of f. Where f is steep, x rounded to float32 leaves a gradient of
    L eps |x|; one prox from x has none. Its step makes tau |K^T u| about as large as x."""
    u = g.project(u)
    pull, ball = g.adjoint(u), torch.maximum(size, _length(x))
    q = f.grad(x) + pull
    far = ball / guarded(_length(pull))
    far = torch.minimum(torch.maximum(far, t), 1e3 * t)
    near = f.prox(descend(x, far, pull), far)
    at = near, (x - near) / per_image(far, x)
    return torch.minimum(partial_gap(g, x, u, q, ball), partial_gap(g, x, u, q, ball, at))


def _gap_by_gradient(g: Composite, x: Image, u: Tensor, grad: Image, size: PerImage) -> PerImage:
    u = g.project(u)
    ball = torch.maximum(size, _length(x))
    return partial_gap(g, x, u, grad + g.adjoint(u), ball)


def _least(
    state: State | None,
    f: DataTerm,
    g: Composite,
    now: tuple[Image, PerImage],
    mean: tuple[Image, PerImage],
    residual: PerImage,
) -> State:
    """The state of the least gap: the last one, this step's, or that of the mean."""
    (x, gap), (x_mean, gap_mean) = now, mean
    x = torch.where(shaped(gap_mean < gap, x), x_mean, x)
    gap = torch.minimum(gap, gap_mean)
    if state is not None and state.gap is not None and state.objective is not None:
        worse = gap >= state.gap  # NaN is not: the driver is to see it
        if known_none(~worse):
            return state._replace(residual=residual)
        x = torch.where(shaped(worse, x), state.x, x)
        gap = torch.where(worse, state.gap, gap)
    misfit = f.value(x)
    return State(x, residual, misfit + g.value(x), misfit, True, gap=gap)


def _narrow(index: Tensor | None, f: DataTerm, g: Composite, *rest):
    """The same as `solvers.protocols.narrow`; the state on offer is narrowed too."""
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
    length = _length(down)
    best = length * (length * (length / guarded(bend)))  # a cube is too large for float32
    size = torch.maximum(_length(x), torch.where(bend > 0, best, 0))
    return torch.where(size > 0, size, 1.0)


def _length(x: Image) -> PerImage:
    """Norm of each image as a sum is kept, [B]."""
    return norm(x).to(float_for_sums(x))


def _dual_step(g: Composite, size: PerImage, x: Image, reach: float) -> PerImage:
    return g.radius * x[0].numel() ** 0.5 / (reach * size)


def _checked_tau(tau: float | PerImage, size: PerImage) -> PerImage:
    steps = torch.as_tensor(tau, dtype=size.dtype, device=size.device)
    if not bool((steps > 0).all()) or steps.ndim > 1 or steps.numel() not in (1, len(size)):
        raise ValueError(f"tau is a positive float, or one for each image, got {tau}")
    return steps.expand(len(size))
