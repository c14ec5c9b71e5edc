"""Settings of a restoration: its solver, how long it runs, how much prior and data weigh."""

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np
import torch
from torch import Tensor

from solvers.conditions import PROVED
from solvers.witness import PAIRS

ALGORITHMS: dict[str, Callable] = {algorithm.__name__: algorithm for algorithm in PROVED}
"""The solvers by the names that scripts use: all of which it is known what is proved."""


@dataclass(frozen=True)
class Checks:
    """Checks that a certificate rests on, and which of them a user does without.

    Raises ValueError for pairs < 2.

    >>> op = proxlab.operators.inpaint(proxlab.operators.random_mask((32, 32), 0.5), noise=0.05)
    >>> y = op(torch.full((1, 1, 32, 32), 0.5))
    >>> fewer = proxlab.Checks(values=False, pairs=8)
    >>> proxlab.restore(y, op, "lpn-gray", checks=fewer).evidence[0].looked_at
    5
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
    """Settings of one restoration. Raises ValueError for what cannot be.

    >>> from proxlab.restoration import Settings
    >>> Settings(solver="drs", weight=0.5, steps=100, noise="auto").tol
    0.0001
    >>> Settings(sigma=25)
    Traceback (most recent call last):
        ...
    ValueError: sigma is in image units, expected 0 < sigma < 1, got 25; divide by 255?
    """

    solver: str | None = None
    """One of `ALGORITHMS`; if None, "pdhg" for a convex prior that it can solve, "hqs" for
    another prior of an operator that names a level (`HasPriorLevel`), else "admm"."""
    sigma: float | Tensor | None = None
    """Noise level of the prior at the end, image units, 0 to 1, a number or [B]; `default_sigma` of
    each image if None, with "hqs" the operator's if it names one."""
    steps: int | None = None
    """Largest number of steps, those of the descent included; `STEPS` of the solver if None."""
    tol: float | Tensor = 1e-4
    """Relative residual at which an image stops, a number or [B]; for "pdhg" the duality gap over
    the objective."""
    weight: float | Tensor | None = None
    """Factor of the prior, positive, a number or [B]; if None that of the operator, which noise
    alone has, or else the prior's own, `capabilities.default_weight`."""
    noise: float | Tensor | str | None = None
    """Standard deviation of the measurement in its own units, a number or [B]; that of the operator
    if None; "auto" for an estimate."""
    checks: Checks = Checks()

    def __post_init__(self):
        if self.solver is not None and self.solver not in ALGORITHMS:
            raise ValueError(f"solver is one of {', '.join(ALGORITHMS)}, got {self.solver!r}")
        steps = self.steps
        if steps is not None and (not isinstance(steps, Integral) or steps < 1):
            raise ValueError(f"a restoration needs a whole number of steps >= 1, got {steps!r}")
        _all("tol is a relative residual, above 0", self.tol, lambda tol: tol > 0)
        if self.weight is not None:
            _all("weight multiplies the prior, positive and finite", self.weight, _positive)
        if self.sigma is not None:
            sigma = _numbers("sigma is a noise level in image units", self.sigma)
            if not bool(((sigma > 0) & (sigma < 1)).all()):
                raise ValueError(
                    f"sigma is in image units, expected 0 < sigma < 1, got {_told(self.sigma)}"
                    + ("; divide by 255?" if bool((sigma >= 1).any()) else "")
                )
        if isinstance(self.noise, str) and self.noise != "auto":
            raise ValueError(
                f'noise is a number, a tensor of one for each image, or "auto", got {self.noise!r}'
            )
        if self.noise is not None and not isinstance(self.noise, str):
            words = 'noise is a standard deviation, positive and finite ("auto" estimates it)'
            _all(words, self.noise, _positive)


def _positive(number: Tensor) -> Tensor:
    return (number > 0) & number.isfinite()


def _all(what: str, number: object, allowed: Callable[[Tensor], Tensor]) -> None:
    """Raise ValueError unless it is a number, or are some, of the kind that is allowed."""
    if not bool(allowed(_numbers(what, number)).all()):
        raise ValueError(f"{what}, got {_told(number)}")


def _numbers(what: str, number: object) -> Tensor:
    if isinstance(number, (Real, np.ndarray, Tensor)):
        # a Python number of 1e-300 would be 0 in float32
        each = torch.as_tensor(number, dtype=None if isinstance(number, Tensor) else torch.float64)
        if each.ndim <= 1 and each.numel() > 0 and not each.is_complex():
            return each.detach()
    raise ValueError(f"{what}, a number or one for each image, got {_told(number)}")


def _told(number: object) -> str:
    """The number, or the numbers, as a sentence has them."""
    if isinstance(number, (np.ndarray, Tensor)):
        return str(number.tolist())[:100]
    return repr(number)[:100]
