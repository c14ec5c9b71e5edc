"""Restricted steps: the reverse kernel of a diffusion is a prox, and noise after it.

In coordinates u = x / sqrt(a) noise is only added, sigma^2 = (1 - a) / a of it at t. With
D = sigma_t^2 - sigma_s^2 and r = sigma_s^2 / sigma_t^2, the law of u_s given u_t is exactly

    p(u_s | u_t)  proportional to  p_s(u_s) exp(-|u_s - u_t|^2 / (2 D)),

which is the restricted Gaussian oracle of p_s [Lee21]. Its mode is prox_{-D log p_s}(u_t); its mean
is the posterior mean that any denoiser knows, which may take the prox's place. Around the mean it
has the covariance D J, J the Jacobian of the mean [Efron11], and around the mode of a Gaussian too.
So the noise belongs after the prox, and the prox is asked about u_t itself, where a hybrid step
first adds noise that no training pair had.

A centre P stands for a clean image, c = u_t + (P - u_t) / (1 - r). Order 1 takes it as it is, order
2 extrapolates it to the middle of the step, in log sigma, from that of the step before. With
q = r^((1 + eta^2) / 2) the step is

    u_s = q u_t + (1 - q) c + sigma_s sqrt(1 - r^(eta^2)) z,

where eta = 1, order 1 is the kernel with J = r, that of a clean image that is certain. With the
posterior mean these steps are known: order 1 is ancestral sampling [Ho20] at eta = 1 and DDIM
[Song21b] at 0, order 2 is SDE-DPM-Solver++ (2M) at 1 and DPM-Solver++ (2M) at 0 [Lu22], order 1
with a `ScalarSpread` is Analytic-DPM [Bao22]. Ours are the prox in the mean's place and its
Jacobian.

Order 2 is of weak order 2 at every eta: the noise of the step before, which the extrapolation
carries on, has to leading order the spread that J = r leaves out, 2 (1 + eta^2) eta^2 h^2 sigma^2 J
in a step of h in log sigma. So a spread is for order 1 alone.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from solvers.diffusion.schedule import VP
from solvers.diffusion.spread import Prox, Spread, Step
from solvers.noise import Noise, normal_like


@dataclass(frozen=True)
class Restricted:
    """Settings of restricted steps, a `kind` of `solvers.proxdm`.

    >>> solvers.Restricted(eta=0.0)
    Restricted(order=2, eta=0.0, spread=None)

    Raises ValueError for another order, for eta outside [0, 2], and for a spread with order 2 or
    another eta than 1.
    """

    order: int = 2
    """1, or 2 to extrapolate the clean image from two steps."""
    eta: float = 1.0
    """Fresh noise: 1 for that of the reverse kernel, 0 for none."""
    spread: Spread | None = None
    """Spread of the clean image, `ScalarSpread` or `JacobianSpread`; None takes it to be 0."""

    def __post_init__(self):
        if self.order not in (1, 2):
            raise ValueError(f"a restricted step is of order 1 or 2, got {self.order}")
        if not 0 <= self.eta <= 2:
            raise ValueError(f"eta, the share of fresh noise, is 0 to 2, got {self.eta}")
        if self.spread is not None and (self.order, self.eta) != (1, 1):
            raise ValueError(
                "a spread goes with order=1 and eta=1, since order 2 holds it to leading order, "
                f"got order={self.order} and eta={self.eta}; take these, or no spread"
            )

    def walk(
        self, prox: Prox, x: Tensor, times: Sequence[float], schedule: VP, noise: Noise
    ) -> Iterator[tuple[Tensor, float]]:
        """States (x_s, s), [B, ...], from x at the last of the times down to the first.

        >>> kind, x, times = solvers.Restricted(), torch.ones(1, 2), [0.0, 0.3, 0.6]
        >>> prox = lambda y, t, lam: y / (1 + lam)   # of -lam log N(0, I), the same at every t
        >>> [s for x, s in kind.walk(prox, x, times, solvers.VP(), torch.Generator())]
        [0.3, 0.0]
        """
        previous: tuple[Tensor, float] | None = None
        for t, s in pairwise(reversed(times)):
            step = _step(t, s, schedule)
            root = schedule.signal(s) ** 0.5
            y = x * (root / schedule.signal(t) ** 0.5)
            if s == 0:  # no noise is left: the kernel is its centre
                x = prox(y, s, step.lam)
            elif self.spread is not None:
                centre, fresh = self.spread.centre(prox, y, step, normal_like(y, noise))
                x = torch.add(centre, fresh, alpha=step.lam**0.5)
            else:
                clean = torch.lerp(y, prox(y, s, step.lam), 1 / (1 - step.ratio))
                h = -math.log(step.ratio) / 2
                kept = math.exp(-(1 + self.eta**2) * h)
                current = clean / root, h
                if previous is not None and self.order == 2:
                    ahead = 1 + h / (2 * previous[1])
                    clean = root * torch.lerp(previous[0], current[0], ahead)
                previous = current
                x = torch.lerp(clean, y, kept)
                if self.eta > 0:
                    fresh = schedule.noise(s) * -math.expm1(-2 * self.eta**2 * h)
                    x = x.add_(normal_like(x, noise), alpha=fresh**0.5)
            yield x, s


def restricted_lambda(gamma: float) -> float:
    """Factor of -log p_s in the prox of a step with int_s^t beta = gamma, which is D a(s)."""
    return math.expm1(gamma)


def _step(t: float, s: float, schedule: VP) -> Step:
    before = schedule.noise(t) / schedule.signal(t)
    after = schedule.noise(s) / schedule.signal(s)
    lam = restricted_lambda(schedule.integral(s, t))
    return Step(s, lam, before**0.5, after / before)
