"""The variance-preserving diffusion: how much signal and noise there is at time t, and time grids.

dX = -beta(t) / 2 X dt + sqrt(beta(t)) dW with beta linear in t, on [0, 1]. With
B(t) = int_0^t beta and a(t) = exp(-B(t)), X_t = sqrt(a) X_0 + sqrt(1 - a) e. [Song21, Sec. 3.4]

A grid is a list of times 0 = t_0 < t_1 < ... < t_N = 1; a sampler walks it from the end.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import torch
from torch import Tensor

Time = float | Tensor
"""A time, or a tensor of times of any shape; what is computed from it has the same shape."""


@dataclass(frozen=True)
class VP:
    """The schedule beta(t) = beta_min + t (beta_max - beta_min), and what follows from it.

    A float for a time gives a float, a tensor a tensor. Raises ValueError unless
    0 < beta_min <= beta_max.

    >>> schedule = solvers.VP()
    >>> schedule.beta(0.5), schedule.integral(0.0, 1.0)
    (10.049999999999999, 10.049999999999999)
    >>> round(schedule.signal(0.5), 3), round(schedule.noise(0.5), 3)   # they add up to 1
    (0.079, 0.921)
    >>> round(schedule.time_of_noise(1.0), 3), round(schedule.time_at(10.05), 3)
    (0.259, 1.0)
    """

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self):
        if not 0 < self.beta_min <= self.beta_max < math.inf:
            raise ValueError(
                "a schedule needs 0 < beta_min <= beta_max, got "
                f"{self.beta_min} and {self.beta_max}"
            )

    @overload
    def beta(self, t: float) -> float: ...
    @overload
    def beta(self, t: Tensor) -> Tensor: ...
    def beta(self, t: Time) -> Time:
        """The rate of noise at time t."""
        return self.beta_min + t * (self.beta_max - self.beta_min)

    @overload
    def integral(self, s: float, t: float) -> float: ...
    @overload
    def integral(self, s: Time, t: Time) -> Tensor: ...
    def integral(self, s: Time, t: Time) -> Time:
        """int_s^t beta, exactly."""
        return (t - s) * (self.beta_min + (t + s) / 2 * (self.beta_max - self.beta_min))

    @overload
    def signal(self, t: float) -> float: ...
    @overload
    def signal(self, t: Tensor) -> Tensor: ...
    def signal(self, t: Time) -> Time:
        """a(t), the share of the variance of X_t that is signal."""
        b = self.integral(0.0, t)
        return torch.exp(-b) if isinstance(b, Tensor) else math.exp(-b)

    @overload
    def noise(self, t: float) -> float: ...
    @overload
    def noise(self, t: Tensor) -> Tensor: ...
    def noise(self, t: Time) -> Time:
        """1 - a(t), without cancellation near t = 0."""
        b = self.integral(0.0, t)
        return -torch.expm1(-b) if isinstance(b, Tensor) else -math.expm1(-b)

    def time_at(self, integral: float) -> float:
        """The time t with int_0^t beta = `integral`. Raises ValueError for a negative one."""
        if not 0 <= integral < math.inf:
            raise ValueError(f"an integral of beta from 0 is not negative, got {integral}")
        slope = self.beta_max - self.beta_min
        root = math.sqrt(self.beta_min**2 + 2 * slope * integral)
        return 2 * integral / (self.beta_min + root)

    def time_of_noise(self, sigma: float) -> float:
        """The time t at which X_t / sqrt(a) is X_0 plus noise of standard deviation sigma.

        A sigma above sqrt((1 - a(1)) / a(1)) gives a t above 1, where no diffusion goes. Raises
        ValueError for a negative sigma.
        """
        if not 0 <= sigma < math.inf:
            raise ValueError(f"a standard deviation is not negative, got {sigma}")
        return self.time_at(math.log1p(sigma**2))


def uniform_grid(steps: int, first: float = 0.0) -> list[float]:
    """Times from `first` to 1 in equal steps, as in [Fang25].

    uniform_grid(4) is [0.0, 0.25, 0.5, 0.75, 1.0]. Raises as `power_grid`.

    >>> solvers.uniform_grid(4)
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    return power_grid(steps, 1.0, first)


def power_grid(steps: int, power: float, first: float = 0.0) -> list[float]:
    """Times t_k = first + (1 - first) (k / N)^power, k = 0 .. N = steps.

    A power above 1 makes the steps shorter near t = 0, where images form. Raises ValueError unless
    steps is a whole number >= 1, power > 0 and 0 <= first < 1.

    >>> solvers.power_grid(4, power=2.0)
    [0.0, 0.0625, 0.25, 0.5625, 1.0]
    """
    if not 0 < power < math.inf:
        raise ValueError(f"the power of a time grid is positive, got {power}")
    if not 0 <= first < 1:
        raise ValueError(f"a time grid starts in [0, 1), got {first}")
    n = _checked(steps)
    times = [first + (1 - first) * (k / n) ** power for k in range(n + 1)]
    check_grid(times)  # so large a power that two times are one
    return times


def karras_grid(
    steps: int, low: float, high: float, power: float = 7.0, schedule: VP = VP()
) -> list[float]:
    """Times 0 and those at which sigma^(1 / power) falls in equal steps from `high` to `low`.

    sigma = sqrt((1 - a) / a) is the noise over the signal, whose images lie in [-1, 1]. A sampler
    starts at `high`, where little more than the mean of the images is to be seen, and its last step
    goes from `low` to 0 [Karras22, Sec. 3.2]. Raises ValueError unless steps is a whole number from
    2 on, 0 < low < high and power > 0, and for a `high` above the sigma of t = 1.

    >>> [round(t, 3) for t in solvers.karras_grid(4, 0.5, 10.0)]
    [0.0, 0.145, 0.349, 0.538, 0.676]
    """
    n = _checked(steps)
    if n < 2 or not 0 < low < high or not 0 < power < math.inf:
        raise ValueError(
            "a grid of levels has at least 2 steps, 0 < low < high and a positive power, got "
            f"{steps} steps, {low} to {high} and {power}"
        )
    most = (schedule.noise(1.0) / schedule.signal(1.0)) ** 0.5
    if high > most * (1 + 1e-9):
        raise ValueError(
            f"the noise of this schedule ends at sigma = {most:.4g}, got high = {high}"
        )
    first, last = low ** (1 / power), high ** (1 / power)
    levels = [(first + k / (n - 1) * (last - first)) ** power for k in range(n)]
    times = [0.0, *(min(1.0, schedule.time_of_noise(sigma)) for sigma in levels)]
    check_grid(times)  # so large a power that two times are one
    return times


def even_grid(steps: int, schedule: VP) -> list[float]:
    """Times between which int beta is equal, and so as small as so many steps allow.

    Raises ValueError unless steps is a whole number >= 1.

    >>> schedule = solvers.VP()
    >>> times = solvers.even_grid(3, schedule)
    >>> [round(schedule.integral(s, t), 3) for s, t in zip(times, times[1:])]
    [3.35, 3.35, 3.35]
    """
    n = _checked(steps)
    whole = schedule.integral(0.0, 1.0)
    return [schedule.time_at(whole * k / n) for k in range(n)] + [1.0]


def check_grid(times: Sequence[float]) -> Sequence[float]:
    """The grid as it is. Raises ValueError unless it rises, from 0 or later to at most 1."""
    if len(times) < 2 or not all(0 <= s < t <= 1 for s, t in itertools.pairwise(times)):
        raise ValueError(
            f"a time grid rises from 0 to 1 in at least one step, got {_shown(times)}; "
            "see solvers.uniform_grid"
        )
    return times


def _checked(steps: int) -> int:
    if isinstance(steps, bool) or not 1 <= steps < math.inf or steps != int(steps):
        raise ValueError(f"steps is a whole number, at least 1, got {steps}")
    return int(steps)


def _shown(times: Sequence[float]) -> str:
    return str([round(float(t), 4) for t in times[:6]])[:-1] + (", ...]" if len(times) > 6 else "]")
