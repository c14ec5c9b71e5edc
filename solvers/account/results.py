"""The result of a run, and the trace of what was measured at each of its steps."""

from typing import NamedTuple

from torch import Tensor

from solvers.protocols import Image


class Trace(NamedTuple):
    """Measurements after each step: float64 [K, B] on the CPU, NaN once an image has stopped.

    >>> y, op = torch.ones(2, 1, 4, 4), proxlab.operators.deblur(torch.ones(1, 1))   # no blur
    >>> f, g = proxlab.data_terms.data_term(y, op), proxlab.classical.Identity()
    >>> steps = solvers.pgd(f, g, torch.zeros(2, 1, 4, 4), tau=0.5)
    >>> solvers.run(steps, max_steps=3, tol=1e-9).trace.objective   # a quarter is left at each step
    tensor([[2.0000, 2.0000],
            [0.5000, 0.5000],
            [0.1250, 0.1250]], dtype=torch.float64)
    """

    objective: Tensor | None
    """Value of what the algorithm minimises; None if the prior has no value."""
    residual: Tensor
    data_misfit: Tensor
    """f at the estimate."""
    merit: Tensor | None = None
    """Value of what the algorithm's theorem makes fall: `State.merit`, or the objective."""
    gap: Tensor | None = None
    """Duality gap, where the algorithm computes one."""


class Result(NamedTuple):
    """Result of a run; lists and [B] are in the order of the batch.

    >>> y, op = torch.ones(2, 1, 4, 4), proxlab.operators.deblur(torch.ones(1, 1))   # no blur
    >>> f, g = proxlab.data_terms.data_term(y, op), proxlab.classical.Identity()
    >>> steps = solvers.fista(f, g, torch.zeros(2, 1, 4, 4), tau=0.5)
    >>> result = solvers.run(steps, max_steps=99, tol=1e-6)
    >>> result.x.shape, result.stopped
    (torch.Size([2, 1, 4, 4]), ['tolerance', 'tolerance'])
    >>> result.trace.objective.shape == (max(result.steps), 2)
    True
    """

    x: Image
    """Estimates; NaN in every pixel of an image that diverged."""
    steps: Tensor
    """Steps that each image took, int64 [B]."""
    stopped: list[str]
    """End of each image's run: "tolerance", "max_steps", "diverged", or "callback" where a function
    that followed the run ended it."""
    trace: Trace
    certified: list[bool]
    """Whether the duality gap ended below tol; of an algorithm without one, whether the objective
    is known, neither it nor the merit ever rose after the schedule, and the residual ended below
    tol. Whether tau was within what is proved, `solvers.conditions` tells, and whether the prior's
    prox was one, `solvers.evidence`."""
    doubts: list[str]
    """Reasons why an image is not certified; empty if it is."""
