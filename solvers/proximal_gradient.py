"""Proximal gradient descent: the algorithm to try first when f has a gradient."""

from collections.abc import Generator
from itertools import count

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


def pgd(f: DataTerm, g: Prior, x: Image, *, tau: Tau) -> Generator[State, Tensor | None, None]:
    """min f(x) + g(x) by x+ = prox_{tau g}(x - tau grad f(x)). [Beck17, Sec. 10.2]

    With grad f L-Lipschitz and tau <= 1/L the objective never rises, whatever the shape of g, as
    long as its prox is exact: F(x+) <= F(x) - (1/tau - L) |x+ - x|^2 / 2. For tau < 1/L the steps
    die out and limit points are critical, also for nonconvex g [Attouch13, Thm. 5.1], learned
    proximal networks included [Fang24, Sec. 3]. Convex g allow tau < 2/L, and the bound falls from
    there to 1/L the more concave g is: see `solvers.conditions`.

    Uses f.grad, f.value, g.prox. Residual |x+ - x| / |x+|; objective f + g at x+. The first step
    raises ValueError if tau is not positive or has the wrong shape.

    >>> from types import SimpleNamespace as Function
    >>> y = torch.tensor([[3.0, 0.5]])
    >>> f = Function(value=lambda x: (x - y).square().sum(1) / 2, grad=lambda x: x - y)
    >>> g = Function(
    ...     value=lambda x: x.abs().sum(1), prox=lambda v, tau: v.sign() * (v.abs() - tau).relu()
    ... )
    >>> result = solvers.run(solvers.pgd(f, g, y, tau=0.9), max_steps=200, tol=1e-6)
    >>> result.x, result.trace.objective[-1]   # the least of |x - y|^2 / 2 + |x|_1
    (tensor([[2., 0.]]), tensor([2.6250], dtype=torch.float64))
    """
    taus = steps_of(tau, x)
    for k in count():
        t, settled = at(taus, k)
        x_old, v = x, descend(x, t, f.grad(x))
        x, g_x = prox_and_value(g, v, t)
        misfit = f.value(x)
        objective = None if g_x is None else misfit + g_x
        asked = Evaluation(v, x_old, t, g_x)
        residual = relative(x - x_old, x)
        index = yield State(x, residual, objective, misfit, settled, evaluation=asked)
        del x_old, v, asked
        f, g, x, taus = narrow(index, f, g, x, taus)
