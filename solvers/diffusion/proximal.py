"""Proximal diffusion: the reverse of a noising process in implicit steps, each of them one prox.

With gamma = int_s^t beta over the step from t down to s, and z ~ N(0, I) fresh [Fang25, Sec. 3]:

    hybrid    x <- prox_{-gamma log p_s}( (1 + gamma / 2) x + sqrt(gamma) z )
    backward  x <- prox_{-lam log p_s}( (x + sqrt(gamma) z) / (1 - gamma / 2) ),
              lam = gamma / (1 - gamma / 2),  only for gamma < 2

    flow      x <- prox_{-(gamma / 2) log p_s}( (1 + gamma / 2) x )
    restricted  the prox at x itself and noise after it, see `solvers.diffusion.restricted`

The last step asks for the prox at t = 0 itself: no early stop, and no noise is left. The flow is to
the probability flow [Song21, Sec. 4.3] what the hybrid step is to the reverse diffusion: no fresh
noise, and half the lam. It is ours. Of N(0, I), which p_t nearly is for most of the time, it
changes nothing, however long the step, where the other two lose variance; so it can be taken in few
and uneven steps.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple, Protocol, get_args

import torch
from torch import Tensor

from solvers.diffusion.restricted import Restricted, restricted_lambda
from solvers.diffusion.schedule import VP, check_grid
from solvers.noise import Noise, normal_like

StepName = Literal["restricted", "hybrid", "backward", "flow"]
StepKind = StepName | Restricted
"""A kind of proximal step; "restricted" stands for `Restricted()`."""
KINDS = get_args(StepName)


class LogDensityProx(Protocol):
    """prox_{-lam log p_t}, batched: (y [B, ...], t, lam) -> [B, ...]."""

    def __call__(self, y: Tensor, t: float, lam: float) -> Tensor: ...


class Sample(NamedTuple):
    """State of a sampler after a step, as it yields it.

    >>> from itertools import pairwise
    >>> prox = lambda y, t, lam: y / (1 + lam)   # of -lam log N(0, I)
    >>> times = solvers.uniform_grid(3)
    >>> [round(state.t, 2) for state in solvers.proxdm(prox, torch.randn(4, 2), times)]
    [0.67, 0.33, 0.0]
    """

    x: Tensor
    """[B, ...], distributed nearly as X_t."""
    t: float


def proxdm(
    prox: LogDensityProx,
    x: Tensor,
    times: Sequence[float],
    *,
    kind: StepKind = "hybrid",
    schedule: VP = VP(),
    noise: Noise = None,
) -> Iterator[Sample]:
    """Samples of p_0 from x, [B, ...], in len(times) - 1 steps; the last is the sample.

    x: distributed as X_t at the last of the times, which is N(0, I) at t = 1; times: a grid, see
    `uniform_grid`, for restricted steps `karras_grid`; from one that starts above 0 the sample is
    that of its first time. noise: a generator or a function, see `solvers.noise`. Raises ValueError
    before any step: for another kind, for a grid that does not rise in [0, 1], and where the
    backward kind has a gamma of 2 or more, with the number of steps it needs. [Fang25, Algs. 1, 2]

    >>> prox = lambda y, t, lam: y / (1 + lam)   # of -lam log N(0, I), the same at every t
    >>> start = torch.randn(1000, 2, generator=torch.Generator().manual_seed(0))
    >>> *_, last = solvers.proxdm(prox, start, solvers.uniform_grid(50), kind="flow")
    >>> last.x.shape, last.x.std().round(decimals=1)   # a normal sample stays one
    (torch.Size([1000, 2]), tensor(1.))
    """
    steps = _steps(times, kind, schedule)
    if kind == "restricted":
        kind = Restricted()
    if isinstance(kind, Restricted):
        walk = kind.walk(prox, x, times, schedule, noise)
        return (Sample(x, s) for x, s in walk)
    return _walk(prox, x, kind, steps, noise)


def step_sizes(
    times: Sequence[float], kind: StepKind = "hybrid", schedule: VP = VP()
) -> list[tuple[float, float]]:
    """Pairs (t, lam) at which `proxdm` asks for a prox, first step first. Raises as `proxdm`.

    >>> [(t, round(lam, 2)) for t, lam in solvers.step_sizes(solvers.uniform_grid(4))]
    [(0.75, 4.38), (0.5, 3.13), (0.25, 1.89), (0.0, 0.65)]
    >>> solvers.step_sizes(solvers.uniform_grid(4), "backward")
    Traceback (most recent call last):
        ...
    ValueError: a backward step needs gamma < 2, got 4.38 ...
    """
    return [(step.s, step.lam) for step in _steps(times, kind, schedule)]


class _Step(NamedTuple):
    s: float
    """Time that the step leads to."""
    gamma: float
    lam: float


def _steps(times: Sequence[float], kind: StepKind, schedule: VP) -> list[_Step]:
    if not isinstance(kind, Restricted) and kind not in KINDS:
        raise ValueError(
            f"a proximal step is {', '.join(KINDS)} or a solvers.Restricted, got {kind!r}"
        )
    steps = []
    for t, s in pairwise(reversed(check_grid(times))):
        gamma = schedule.integral(s, t)
        if kind == "backward" and gamma >= 2:
            raise ValueError(
                f"a backward step needs gamma < 2, got {gamma:.2f} between t = {s:.3g} and {t:.3g} "
                f"with {len(times) - 1} steps; {_steps_needed(schedule)}, or use kind='hybrid'"
            )
        match kind:
            case "hybrid":
                lam = gamma
            case "backward":
                lam = gamma / (1 - gamma / 2)
            case "flow":
                lam = gamma / 2
            case _:
                lam = restricted_lambda(gamma)
        steps.append(_Step(s, gamma, lam))
    return steps


def _walk(prox, x: Tensor, kind: StepKind, steps: list[_Step], noise: Noise) -> Iterator[Sample]:
    for s, gamma, lam in steps:
        match kind:
            case "hybrid":
                y = torch.add((1 + gamma / 2) * x, normal_like(x, noise), alpha=gamma**0.5)
            case "backward":
                y = (x + gamma**0.5 * normal_like(x, noise)) / (1 - gamma / 2)
            case "flow":
                y = (1 + gamma / 2) * x
        x = prox(y, s, lam)
        yield Sample(x, s)


def _steps_needed(schedule: VP) -> str:
    """Advice: how many steps of each grid keep every gamma below 2."""
    n = 1
    while schedule.integral(1 - 1 / n, 1.0) >= 2:
        n += 1
    even = int(schedule.integral(0.0, 1.0) / 2) + 1
    return f"take at least {n} uniform steps, or {even} of even_grid"
