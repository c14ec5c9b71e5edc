"""Score-based sampling: the explicit rivals of proximal diffusion.

With gamma = int_s^t beta over the step from t down to s, both evaluated at t [Song21, Sec. 3]:

    sde  x <- (1 + gamma / 2) x + gamma score(x, t) + sqrt(gamma) z      Euler-Maruyama
    ode  x <- (1 + gamma / 2) x + gamma / 2 score(x, t)                  probability flow, Euler

A score need not exist at t = 0, where all samples may lie on a surface. So the last step is the
posterior mean x_0 = (x + (1 - a) score) / sqrt(a). A grid that starts at 0 has it in place of its
step to 0; a grid that starts above 0, at LAST_TIME say, is walked to its end, and the mean is taken
there at the price of one score more.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal, Protocol

from torch import Tensor

from solvers.diffusion.proximal import Sample
from solvers.diffusion.schedule import VP, check_grid
from solvers.noise import Noise, normal_like

LAST_TIME = 1e-3
"""Time at which to ask for the last score; images in [-1, 1] then have noise of deviation 0.01."""


class Score(Protocol):
    """grad log p_t, batched: (x [B, ...], t) -> [B, ...]."""

    def __call__(self, x: Tensor, t: float) -> Tensor: ...


def score(
    gradient: Score,
    x: Tensor,
    times: Sequence[float],
    *,
    kind: Literal["sde", "ode"] = "sde",
    schedule: VP = VP(),
    noise: Noise = None,
) -> Iterator[Sample]:
    """Samples of p_0 from x ~ N(0, I), [B, ...]; the last state is the sample.

    gradient: the score; times: a grid, see `uniform_grid`; kind: "sde" draws fresh noise at each
    step, "ode" none; noise: as in `proxdm`. Costs len(times) - 1 scores if times[0] is 0, and
    len(times) otherwise. Raises ValueError for another kind and for a grid that does not rise in
    [0, 1].

    >>> start = torch.randn(1000, 2, generator=torch.Generator().manual_seed(0))
    >>> times = solvers.uniform_grid(50)
    >>> *_, last = solvers.score(lambda x, t: -x, start, times, kind="ode")   # that of N(0, I)
    >>> torch.allclose(last.x, start, atol=0.02)   # a normal sample stays one
    True
    """
    if kind not in ("sde", "ode"):
        raise ValueError(f"a score step is sde or ode, got {kind!r}")
    return _steps(gradient, x, check_grid(times), kind, schedule, noise)


def _steps(gradient, x, times, kind, schedule, noise) -> Iterator[Sample]:
    ends = times if times[0] > 0 else times[1:]
    for t, s in pairwise(reversed(ends)):
        gamma = schedule.integral(s, t)
        rate = gamma if kind == "sde" else gamma / 2
        x = (1 + gamma / 2) * x + rate * gradient(x, t)
        if kind == "sde":
            x = x.add_(normal_like(x, noise), alpha=gamma**0.5)
        yield Sample(x, s)
    yield Sample(denoised(x, gradient(x, ends[0]), ends[0], schedule), 0.0)


def denoised(x: Tensor, slope: Tensor, t: float, schedule: VP) -> Tensor:
    """E[x_0 | x_t = x] from the score at x, Tweedie's formula."""
    return (x + schedule.noise(t) * slope) / schedule.signal(t) ** 0.5
