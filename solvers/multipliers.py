"""ADMM: alternate the proxes of f and g, and let a dual variable pull their answers together."""

from collections.abc import Generator
from itertools import count

import torch
from torch import Tensor

from solvers.protocols import (
    DataTerm,
    Image,
    Prior,
    State,
    envelope,
    narrow,
    per_image,
    prox_and_value,
    relative,
)
from solvers.schedules import Tau, at, steps_of


def admm(f: DataTerm, g: Prior, x: Image, *, tau: Tau) -> Generator[State, Tensor | None, None]:
    """min f(x) + g(z) subject to x = z, scaled form, tau = 1/rho. [Boyd11, Sec. 3.1.1]

    x = prox_{tau f}(z - u),   u = u + x - z,   z = prox_{tau g}(x + u),   z_0 = x, u_0 = 0.

    This is Boyd's box with the prior as its first block (prior, data, dual), entered at the data
    step. Either order converges for convex f and g at any tau. For convex f and nonconvex g, a
    learned proximal network say, convergence to critical points is proved for this one, where the
    dual follows the smooth block, so that u = -tau grad f(x): it needs tau < 1/L, L the Lipschitz
    constant of grad f. [Themelis20, Sec. 5], [Fang24, Sec. 3]

    Uses f.prox, f.value, g.prox. Residual |x - z| / |z|: all that a step remembers is z - u, which
    moves by z - x. Objective f + g at z, which is State.x and need not decrease from step to step;
    what does for tau < 1/L is the merit, the augmented Lagrangian, which is never below it.
    """
    taus = steps_of(tau, x)
    z, u = x, torch.zeros_like(x)
    for k in count():
        t, settled = at(taus, k)
        if 0 < k < len(taus):
            # u is tau times the dual; it is the dual that must not jump
            u = u * per_image(t / taus[k - 1], u)
        v = z - u
        x = f.prox(v, t)
        u = x - v
        z, g_z = prox_and_value(g, x + u, t)
        misfit = f.value(z)
        gap = z - x
        objective = merit = None
        if g_z is not None:
            objective, merit = misfit + g_z, envelope(f, g_z, x, u, gap, t)
        index = yield State(z, relative(gap, z), objective, misfit, settled, merit)
        f, g, z, u, taus = narrow(index, f, g, z, u, taus)
