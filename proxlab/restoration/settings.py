"""Settings of a restoration: its solver, how long it runs, how much prior and data weigh."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.conditions import PROVED
from solvers.witness import PAIRS

ALGORITHMS: dict[str, Callable] = {algorithm.__name__: algorithm for algorithm in PROVED}
"""The solvers by the names that scripts use: all of which it is known what is proved."""


@dataclass(frozen=True)
class Checks:
    """Checks that a certificate rests on, and which of them a user does without.

    proxlab.restore(y, op, prior, checks=proxlab.Checks(adjoint=False))

    Raises ValueError for pairs < 2.
    """

    adjoint: bool = True
    """Whether an A_adjoint that is not the adjoint of A is an error; if not, it is a doubt."""
    values: bool = True
    """Whether values that the prior reports are tested together with its proxes, and its objective
    is reported; if not, the proxes are tested alone, as those of a prior without values."""
    pairs: int = PAIRS
    """Evaluations of the prior that are looked at, at most, for each image."""

    def __post_init__(self):
        if self.pairs < 2:
            raise ValueError(f"evidence looks at pairs >= 2 evaluations, got {self.pairs}")


@dataclass(frozen=True)
class Settings:
    """Settings of one restoration. Raises ValueError for what cannot be."""

    solver: str | None = None
    """One of `ALGORITHMS`; if None, "pdhg" for a convex prior that it can solve, else "admm"."""
    sigma: float | None = None
    """Noise level of the prior at the end, image units, 0 to 1; `default_sigma` if None."""
    steps: int | None = None
    """Largest number of steps, those of the descent included; `STEPS` of the solver if None."""
    tol: float = 1e-4
    """Relative residual at which an image stops; for "pdhg" the duality gap over the objective."""
    weight: float | None = None
    """Factor of the prior, positive; its `capabilities.default_weight` if None."""
    noise: float | Tensor | str | None = None
    """Standard deviation of the measurement in its own units, a number or [B]; that of the operator
    if None; "auto" for an estimate."""
    checks: Checks = Checks()

    def __post_init__(self):
        if self.solver is not None and self.solver not in ALGORITHMS:
            raise ValueError(f"solver is one of {', '.join(ALGORITHMS)}, got {self.solver!r}")
        if self.steps is not None and self.steps < 1:
            raise ValueError(f"a restoration needs steps >= 1, got {self.steps}")
        if not self.tol > 0:
            raise ValueError(f"a relative residual is compared with tol > 0, got {self.tol}")
        if self.weight is not None and not 0 < self.weight < math.inf:
            raise ValueError(f"weight multiplies the prior, positive and finite, got {self.weight}")
        if isinstance(self.noise, str) and self.noise != "auto":
            raise ValueError(f'noise is a number, one an image, or "auto", got {self.noise!r}')
        if self.noise is not None and not isinstance(self.noise, str):
            level = torch.as_tensor(self.noise)
            if not bool((level > 0).all() and level.isfinite().all()):
                raise ValueError(
                    f"noise is a standard deviation, positive and finite, got {self.noise}; "
                    '"auto" estimates it'
                )
