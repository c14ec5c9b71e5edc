"""The variance-preserving diffusion: how much signal and noise there is at time t, and time grids.

dX = -beta(t) / 2 X dt + sqrt(beta(t)) dW with beta linear in t, on [0, 1]. With
B(t) = int_0^t beta and a(t) = exp(-B(t)), X_t = sqrt(a) X_0 + sqrt(1 - a) e. [Song21, Sec. 3.4]

A grid is a list of times 0 = t_0 < t_1 < ... < t_N = 1; a sampler walks it from the end.
"""

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

Time = float | Tensor


@dataclass(frozen=True)
class VP:
    """beta(t) = beta_min + t (beta_max - beta_min). Times are floats or tensors, answers the same.

    Raises ValueError unless 0 < beta_min <= beta_max.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self):
        if not 0 < self.beta_min <= self.beta_max < math.inf:
            raise ValueError(
                "a schedule needs 0 < beta_min <= beta_max, got "
                f"{self.beta_min} and {self.beta_max}"
            )

    def beta(self, t: Time) -> Time:
        """The rate of noise at time t."""
        return self.beta_min + t * (self.beta_max - self.beta_min)

    def integral(self, s: Time, t: Time) -> Time:
        """int_s^t beta, exactly."""
        return (t - s) * (self.beta_min + (t + s) / 2 * (self.beta_max - self.beta_min))

    def signal(self, t: Time) -> Time:
        """a(t), the share of the variance of X_t that is signal."""
        b = self.integral(0.0, t)
        return torch.exp(-b) if isinstance(b, Tensor) else math.exp(-b)

    def noise(self, t: Time) -> Time:
        """1 - a(t), without cancellation near t = 0."""
        b = self.integral(0.0, t)
        return -torch.expm1(-b) if isinstance(b, Tensor) else -math.expm1(-b)

    def time_at(self, integral: float) -> float:
        """The t with int_0^t beta = `integral`; ValueError for a negative one."""
        if not 0 <= integral < math.inf:
            raise ValueError(f"an integral of beta from 0 is not negative, got {integral}")
        slope = self.beta_max - self.beta_min
        root = math.sqrt(self.beta_min**2 + 2 * slope * integral)
        return 2 * integral / (self.beta_min + root)

    def time_of_noise(self, sigma: float) -> float:
        """The t at which X_t / sqrt(a) is X_0 plus noise of standard deviation sigma.

        Beyond 1, where no diffusion goes, for a sigma above sqrt((1 - a(1)) / a(1)). Raises
        ValueError for a negative one.
        """
        if not 0 <= sigma < math.inf:
            raise ValueError(f"a standard deviation is not negative, got {sigma}")
        return self.time_at(math.log1p(sigma**2))


def uniform_grid(steps: int, first: float = 0.0) -> list[float]:
    """Equal steps in time from `first` to 1, as in [Fang25]."""
    return power_grid(steps, 1.0, first)


def power_grid(steps: int, power: float, first: float = 0.0) -> list[float]:
    """t_k = first + (1 - first) (k / N)^power: above 1, shorter steps where images form."""
    if not 0 < power < math.inf:
        raise ValueError(f"the power of a time grid is positive, got {power}")
    if not 0 <= first < 1:
        raise ValueError(f"a time grid starts in [0, 1), got {first}")
    n = _checked(steps)
    return check_grid([first + (1 - first) * (k / n) ** power for k in range(n + 1)])


def even_grid(steps: int, schedule: VP) -> list[float]:
    """Steps of equal int beta: the largest of them is the smallest that any grid can have."""
    n = _checked(steps)
    whole = schedule.integral(0.0, 1.0)
    return [schedule.time_at(whole * k / n) for k in range(n)] + [1.0]


def check_grid(times: list[float]) -> list[float]:
    """The grid as it is; ValueError unless it rises from 0 or later to at most 1."""
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


def _shown(times: list[float]) -> str:
    return str([round(float(t), 4) for t in times[:6]])[:-1] + (", ...]" if len(times) > 6 else "]")
