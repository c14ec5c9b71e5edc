"""ADMM: alternate the proxes of f and g, and let a dual variable pull their answers together."""

from collections.abc import Generator
from itertools import count

import torch
from torch import Tensor

from solvers.protocols import (
    DataTerm,
    Evaluation,
    Image,
    Prior,
    State,
    envelope,
    go_on,
    narrow,
    per_image,
    prox_and_value,
    prox_with_misfit,
    relative,
)
from solvers.schedules import Tau, at, check_relaxation, steps_of


def admm(
    f: DataTerm, g: Prior, x: Image, *, tau: Tau, relaxation: float = 1.0
) -> Generator[State, Tensor | None, None]:
    """min f(x) + g(z) subject to x = z, scaled form, tau = 1/rho. [Boyd11, Sec. 3.1.1 and 3.4.3]

    x = prox_{tau f}(h - u),   u = u + x - h,   z = prox_{tau g}(x + u),
    h = x + relaxation (z - x),   h_0 = x, u_0 = 0,   0 < relaxation < 2.

    This is Boyd's box with the prior as its first block (prior, data, dual), entered at the data
    step. For convex f and g either order of the blocks converges at any tau. For convex f and
    nonconvex g, a learned proximal network say, this order is the one that is proved to converge to
    critical points, as the dual follows the smooth block, u = -tau grad f(x). It needs tau < 1/L,
    L the Lipschitz constant of grad f. [Themelis20, Sec. 5], [Fang24, Sec. 3]

    A relaxation above 1 goes further along each step, to the same limits and under the same bounds
    on tau (`solvers.conditions`); near 2 it may swing. [Eckstein92]

    Uses f.prox, f.value, g.prox. Residual |x - z| / |z|, as all that a step remembers is h - u,
    which moves by relaxation (z - x). Objective f + g at z, which is State.x; it may rise between
    steps. Merit the augmented Lagrangian: for tau < 1/L it never rises and is never below the
    objective. Raises ValueError for a relaxation that is not in (0, 2).

    >>> from types import SimpleNamespace as Function
    >>> y = torch.tensor([[3.0, 0.5]])
    >>> f = Function(
    ...     value=lambda x: (x - y).square().sum(1) / 2,
    ...     prox=lambda v, tau: (v + tau * y) / (1 + tau),
    ... )
    >>> g = Function(
    ...     value=lambda x: x.abs().sum(1), prox=lambda v, tau: v.sign() * (v.abs() - tau).relu()
    ... )
    >>> result = solvers.run(solvers.admm(f, g, y, tau=0.9), max_steps=100, tol=1e-6)
    >>> result.x, result.certified   # the least of |x - y|^2 / 2 + |x|_1
    (tensor([[2., 0.]]), [True])
    """
    check_relaxation(relaxation)
    taus = steps_of(tau, x)
    v, h = x, None  # v is h - u, all that a step remembers
    for k in count():
        t, settled = at(taus, k)
        if h is not None:  # a step of a schedule
            # u is tau times the dual; it is the dual that must not jump
            v = h + (v - h) * per_image(t / taus[k - 1], v)
        x, misfit_of_x = prox_with_misfit(f, v, t)
        asked_at = torch.lerp(v, x, 2.0)  # x + u, u = x - v
        del v  # it is made again of x and asked_at: of large images each copy counts
        z, g_z = prox_and_value(g, asked_at, t)
        misfit = f.value(z)
        gap = z - x
        objective = merit = None
        if g_z is not None:
            objective, merit = misfit + g_z, envelope(misfit_of_x(), g_z, x, asked_at, gap, t)
        h = torch.add(x, gap, alpha=relaxation) if k + 1 < len(taus) else None
        v = go_on(x, asked_at, gap, relaxation)
        asked = Evaluation(asked_at, x, t, g_z)
        residual = relative(gap, z)
        del gap
        index = yield State(z, residual, objective, misfit, settled, merit, asked)
        del x, z, asked_at, asked
        f, g, v, h, taus = narrow(index, f, g, v, h, taus)
