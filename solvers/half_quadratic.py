"""Half-quadratic splitting: alternate the two proxes; tau decides how far x and z may part."""

from collections.abc import Generator
from itertools import count

from torch import Tensor

from solvers.protocols import (
    DataTerm,
    Evaluation,
    Image,
    Prior,
    State,
    dot,
    narrow,
    prox_and_value,
    relative,
)
from solvers.schedules import Tau, at, steps_of


def hqs(f: DataTerm, g: Prior, x: Image, *, tau: Tau) -> Generator[State, Tensor | None, None]:
    """min over x and z of f(x) + g(z) + |x - z|^2 / (2 tau), block by block. [Geman95]

    x = prox_{tau f}(z),   z = prox_{tau g}(x),   z_0 = x.

    It minimises that splitting energy, not f + g. With x eliminated, z, which is State.x, minimises
    g plus the Moreau envelope of f at tau; that tends to f + g only as tau -> 0, hence the usual
    decreasing schedule of tau. At constant tau each block is minimised exactly, so the energy never
    rises, whether f and g are convex or not.

    Uses f.prox, f.value, g.prox. Residual |z - z_old| / |z|; objective the energy; misfit f(z).

    >>> from types import SimpleNamespace as Function
    >>> y = torch.tensor([[3.0, 0.5]])
    >>> f = Function(
    ...     value=lambda x: (x - y).square().sum(1) / 2,
    ...     prox=lambda v, tau: (v + tau * y) / (1 + tau),
    ... )
    >>> g = Function(prox=lambda v, tau: v.sign() * (v.abs() - tau).relu())   # |x|_1
    >>> tau = [1.0, 0.3, 0.1, 0.03, 0.01]   # one for each step; the last one from there on
    >>> solvers.run(solvers.hqs(f, g, y, tau=tau), max_steps=999, tol=1e-6).x.round(decimals=2)
    tensor([[1.9900, 0.0000]])
    """
    taus = steps_of(tau, x)
    z = x
    for k in count():
        t, settled = at(taus, k)
        z_old = z
        x = f.prox(z, t)
        z, g_z = prox_and_value(g, x, t)
        energy = None
        if g_z is not None:
            gap = x - z
            energy = f.value(x) + g_z + dot(gap, gap) / (2 * t)
        asked = Evaluation(x, z_old, t, g_z)
        residual = relative(z - z_old, z)
        index = yield State(z, residual, energy, f.value(z), settled, evaluation=asked)
        del x, z_old, asked
        f, g, z, taus = narrow(index, f, g, z, taus)
