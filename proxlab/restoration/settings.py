"""Settings of a restoration: its solver, how long it runs, how much prior and data weigh."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from solvers.conditions import PROVED

ALGORITHMS: dict[str, Callable] = {algorithm.__name__: algorithm for algorithm in PROVED}
"""The solvers by the names that scripts use: all of which it is known what is proved."""


@dataclass(frozen=True)
class Settings:
    """Settings of one restoration. Raises ValueError for what cannot be."""

    solver: str = "admm"
    """One of `ALGORITHMS`."""
    sigma: float | None = None
    """Noise level of the prior at the end, image units, 0 to 1; `default_sigma` if None."""
    steps: int = 400
    """Largest number of steps, those of the descent included."""
    tol: float = 1e-4
    """Relative residual at which an image stops."""
    weight: float | None = None
    """Factor of the prior, positive; its `capabilities.default_weight` if None."""
    noise: float | None = None
    """Standard deviation of the measurement in its own units; that of the operator if None."""

    def __post_init__(self):
        if self.solver not in ALGORITHMS:
            raise ValueError(f"solver is one of {', '.join(ALGORITHMS)}, got {self.solver!r}")
        if self.steps < 1:
            raise ValueError(f"a restoration needs steps >= 1, got {self.steps}")
        if self.weight is not None and not 0 < self.weight < math.inf:
            raise ValueError(f"weight multiplies the prior, positive and finite, got {self.weight}")
