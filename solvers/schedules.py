"""Schedules of step sizes: what step k of an algorithm uses, and how such sequences are made.

A step size `tau` is a float, a tensor [B] with one entry per image, or a sequence of those. A
sequence is a schedule: step k uses entry k, and every step after its end the last entry.
"""

import math
from collections.abc import Sequence

from torch import Tensor

from solvers.protocols import Image

Tau = float | Tensor | Sequence[float | Tensor]


def steps_of(tau: Tau, x: Image) -> tuple[float | Tensor, ...]:
    """The entries of a schedule for the batch x; a constant has one.

    Raises ValueError for an empty schedule, for a step that is not positive and finite, and for a
    tensor that has not one entry per image.
    """
    entries = tuple(tau) if isinstance(tau, Sequence) else (tau,)
    if not entries:
        raise ValueError("a schedule for tau needs at least one entry, got an empty one")
    return tuple(_checked(entry, x) for entry in entries)


def at(taus: tuple[float | Tensor, ...], k: int) -> tuple[float | Tensor, bool]:
    """Entry for step k = 0, 1, ..., and whether the schedule is over.

    It is once the step before used the last entry too; a constant is from the start.
    """
    return taus[min(k, len(taus) - 1)], len(taus) == 1 or k >= len(taus)


def check_relaxation(relaxation: float) -> None:
    """Raise ValueError unless 0 < relaxation < 2; at 2 a splitting need not come to rest."""
    if not 0 < relaxation < 2:
        raise ValueError(f"a relaxation lies between 0 and 2, got {relaxation}; 1 is none")


def geometric(first: float, last: float, steps: int) -> list[float]:
    """`steps` numbers from first to last in equal ratios, ends included; a single one is `last`.

    geometric(1.0, 0.01, 3) is [1.0, 0.1, 0.01] to rounding. Raises ValueError unless both ends are
    positive and finite and steps >= 1.
    """
    if not (first > 0 and last > 0 and math.isfinite(first) and math.isfinite(last)):
        raise ValueError(f"a geometric sequence runs between positive numbers, got {first}, {last}")
    if steps < 1:
        raise ValueError(f"a geometric sequence needs steps >= 1, got {steps}")
    ratio = last / first
    return [first * ratio ** (k / (steps - 1)) for k in range(steps - 1)] + [last]


def _checked(tau: float | Tensor, x: Image) -> float | Tensor:
    if isinstance(tau, Tensor):
        if tau.ndim and tau.shape != x.shape[:1]:
            raise ValueError(
                f"a tensor tau has one entry per image, expected shape [{x.shape[0]}], "
                f"got {list(tau.shape)}; a schedule is a list"
            )
        positive = bool(((tau > 0) & tau.isfinite()).all())
        tau = tau.to(x)
    else:
        positive = 0 < tau < math.inf
    if not positive:
        raise ValueError(f"a step size is positive and finite, got tau = {tau}")
    return tau
