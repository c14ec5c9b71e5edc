"""Plain least squares, min |A x - y|^2 / 2 without a prior: what tomography used before priors.

Where the measurement is noisy, neither should run until it converges: the number of steps is the
regularisation. Both take A and its adjoint as functions.
"""

from collections.abc import Callable, Generator

import torch
from torch import Tensor

from solvers.protocols import Image, State, dot, guarded, per_image, relative

Linear = Callable[[Tensor], Tensor]
"""A linear map between batches."""


def cgls(A: Linear, adjoint: Linear, y: Tensor, x: Image) -> Generator[State, object, None]:
    """Conjugate gradients on A^T A x = A^T y, without forming A^T A. [Bjorck96, Sec. 7.4]

    A takes images [B, ...] to measurements [B, ...] like y, adjoint takes them back; x is the first
    estimate. Residual |A^T (A x - y)| / |A^T y|; objective and misfit |A x - y|^2 / 2, which never
    rises.

    >>> A = torch.tensor([[1.0, 0.0, 1.0], [0.0, 2.0, 0.0]])   # 2 unknowns, 3 measurements
    >>> y = torch.tensor([[1.0, 4.0, 3.0]])
    >>> steps = solvers.cgls(lambda x: x @ A, lambda r: r @ A.T, y, torch.zeros(1, 2))
    >>> solvers.run(steps, max_steps=10, tol=1e-6).x
    tensor([[2.0000, 2.0000]])
    """
    size = guarded(dot(adjoint(y), adjoint(y)).sqrt())
    r = y - A(x)
    d = s = adjoint(r)
    gamma = dot(s, s)
    while True:
        q = A(d)
        length = dot(q, q)
        moving = length > 0
        alpha = torch.where(moving, gamma / torch.where(moving, length, 1), 0)
        x = x + per_image(alpha, x) * d
        r = r - per_image(alpha, r) * q
        s = adjoint(r)
        last, gamma = gamma, dot(s, s)
        d = s + per_image(torch.where(last > 0, gamma / torch.where(last > 0, last, 1), 0), s) * d
        misfit = dot(r, r) / 2
        yield State(x, gamma.sqrt() / size, misfit, misfit, True)


def sirt(A: Linear, adjoint: Linear, y: Tensor, x: Image) -> Generator[State, object, None]:
    """x+ = x + C A^T R (y - A x), R and C one over the sums of A's rows and columns. [Gregor08]

    For A with entries >= 0; arguments as in `cgls`. Each step is a gradient step, in the metric of
    C, on the objective <A x - y, R (A x - y)> / 2; its length is safe for every such A, so the
    objective never rises. Residual |x+ - x| / |x+|; misfit |A x - y|^2 / 2.

    >>> A = torch.tensor([[1.0, 0.0, 1.0], [0.0, 2.0, 0.0]])   # no entry below 0
    >>> y = torch.tensor([[1.0, 4.0, 3.0]])
    >>> steps = solvers.sirt(lambda x: x @ A, lambda r: r @ A.T, y, torch.zeros(1, 2))
    >>> solvers.run(steps, max_steps=10, tol=1e-6).x
    tensor([[2., 2.]])
    """
    rows, columns = A(torch.ones_like(x)), adjoint(torch.ones_like(y))
    R, C = (torch.where(sums > 0, 1 / sums.clamp(min=1e-12), 0) for sums in (rows, columns))
    r = y - A(x)
    while True:
        x_old = x
        x = x + C * adjoint(R * r)
        r = y - A(x)
        yield State(x, relative(x - x_old, x), dot(r, R * r) / 2, dot(r, r) / 2, True)
