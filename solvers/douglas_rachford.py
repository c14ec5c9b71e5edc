"""Douglas-Rachford splitting: the steps of ADMM in other variables, with one array less to keep."""

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


def drs(
    f: DataTerm, g: Prior, x: Image, *, tau: Tau, relaxation: float = 1.0
) -> Generator[State, Tensor | None, None]:
    """min f(x) + g(x) by reflecting through prox_f before prox_g. [Lions79]

    x = prox_{tau f}(v),   z = prox_{tau g}(2 x - v),   v = v + relaxation (z - x),   v_0 = x.

    With v = h - u these are the steps of `admm`, iterate for iterate. For convex f and g it
    converges at any tau and 0 < relaxation < 2 [Eckstein92]. For convex f and nonconvex g its limit
    points are critical if tau < 1/L, L the Lipschitz constant of grad f, at the same relaxations;
    this order of the two proxes is part of the theorem [Themelis20, Sec. 4].

    Uses f.prox, f.value, g.prox. Residual |x - z| / |z|. Objective f + g at z, which is State.x; it
    may rise between steps. Merit the Douglas-Rachford envelope: for tau < 1/L it never rises and is
    never below the objective. Raises ValueError for a relaxation that is not in (0, 2).

    >>> from types import SimpleNamespace as Function
    >>> y = torch.tensor([[3.0, 0.5]])
    >>> f = Function(
    ...     value=lambda x: (x - y).square().sum(1) / 2,
    ...     prox=lambda v, tau: (v + tau * y) / (1 + tau),
    ... )
    >>> g = Function(prox=lambda v, tau: v.sign() * (v.abs() - tau).relu())   # |x|_1
    >>> solvers.run(solvers.drs(f, g, y, tau=0.9), max_steps=100, tol=1e-6).x
    tensor([[2., 0.]])
    """
    check_relaxation(relaxation)
    taus = steps_of(tau, x)
    v, h = x, None
    for k in count():
        t, settled = at(taus, k)
        if h is not None:  # a step of a schedule
            # h - v is tau times the dual; it is the dual that must not jump
            v = h + (v - h) * per_image(t / taus[k - 1], v)
        x, misfit_of_x = prox_with_misfit(f, v, t)
        reflected = torch.lerp(v, x, 2.0)
        del v  # it is made again of x and reflected: of large images each copy counts
        z, g_z = prox_and_value(g, reflected, t)
        gap = z - x
        misfit = f.value(z)
        objective = merit = None
        if g_z is not None:
            objective, merit = misfit + g_z, envelope(misfit_of_x(), g_z, x, reflected, gap, t)
        h = torch.add(x, gap, alpha=relaxation) if k + 1 < len(taus) else None
        v = go_on(x, reflected, gap, relaxation)
        asked = Evaluation(reflected, x, t, g_z)
        residual = relative(gap, z)
        del gap
        index = yield State(z, residual, objective, misfit, settled, merit, asked)
        del x, z, reflected, asked
        f, g, v, h, taus = narrow(index, f, g, v, h, taus)
