"""FISTA: proximal gradient descent with Nesterov's momentum, for convex f + g."""

from collections.abc import Generator
from itertools import count
from math import sqrt

import torch
from torch import Tensor

from solvers.protocols import (
    DataTerm,
    Evaluation,
    Image,
    Prior,
    State,
    descend,
    narrow,
    prox_and_value,
    relative,
)
from solvers.schedules import Tau, at, steps_of


def fista(f: DataTerm, g: Prior, x: Image, *, tau: Tau) -> Generator[State, Tensor | None, None]:
    """min f(x) + g(x), f and g convex, tau <= 1/L. [Beck09, Sec. 4]

    x+ = prox_{tau g}(y - tau grad f(y)),   t+ = (1 + sqrt(1 + 4 t^2)) / 2,
    y+ = x+ + (t - 1) / t+ (x+ - x),   t_1 = 1, y_1 = x_0.
    F(x_k) - min F <= 2 |x_0 - x*|^2 / (tau (k + 1)^2), where `pgd` has 1/k. A schedule for tau must
    not increase. The objective may rise between steps, and nothing is promised for nonconvex g.

    Uses f.grad, f.value, g.prox. Residual |x+ - y| / |x+|; objective f + g at x+.

    >>> from types import SimpleNamespace as Function
    >>> A, y = torch.tensor([[1.0, 0.5], [0.5, 1.0]]) / 1.5, torch.tensor([[3.0, 0.5]])   # |A| = 1
    >>> f = Function(
    ...     value=lambda x: (x @ A - y).square().sum(1) / 2, grad=lambda x: (x @ A - y) @ A
    ... )
    >>> g = Function(value=lambda x: torch.zeros(len(x)), prox=lambda v, tau: v.relu())   # x >= 0
    >>> solvers.run(solvers.fista(f, g, y, tau=1.0), max_steps=500, tol=1e-7).x
    tensor([[3.9000, 0.0000]])
    """
    taus = steps_of(tau, x)
    y, t = x, 1.0
    for k in count():
        tau_k, settled = at(taus, k)
        x_old, y_old = x, y
        v = descend(y, tau_k, f.grad(y))
        x, g_x = prox_and_value(g, v, tau_k)
        t_old, t = t, (1 + sqrt(1 + 4 * t * t)) / 2
        y = torch.lerp(x_old, x, 1 + (t_old - 1) / t)  # y+ in one pass over memory
        misfit = f.value(x)
        objective = None if g_x is None else misfit + g_x
        asked = Evaluation(v, y_old, tau_k, g_x)
        residual = relative(x - y_old, x)
        index = yield State(x, residual, objective, misfit, settled, evaluation=asked)
        del x_old, y_old, v, asked
        f, g, x, y, taus = narrow(index, f, g, x, y, taus)
