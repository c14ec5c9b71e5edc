"""Which step sizes are proved to work, known before a run; what is checked after it is elsewhere.

Write t = tau L, L the Lipschitz constant of grad f, f convex, prox = prox_{tau g} exact, J its
Jacobian, lam the largest eigenvalue of J wherever the run comes, rho = 1 - 1 / lam. A prox of
anything has J >= 0 symmetric, and tau g + rho |x|^2 / 2 is convex [Fang24]; only convex g have
lam <= 1. r is the relaxation of a splitting, 0 < r < 2. The bounds, each with what shows that it
is needed:

pgd     t < 1 for every g. With lam known everywhere t < 1 + 1 / lam = 2 - rho, since
        F(x+) <= F(x) - ((2 - rho) / tau - L) |x+ - x|^2 / 2: x+ minimises a function that is
        1 - rho strongly convex. Convex g: t < 2.
        Needed: f = L x^2 / 2, tau g = -rho x^2 / 2 multiply x by (1 - t) lam each step.
admm,   t < 1 for every g and r [Themelis20]: the envelope of `admm` falls by at least
drs     min(2 - r, (1 - t) (2 (1 + t) - r)) |x+ - x|^2 / (2 r tau). Convex g: any t [Eckstein92].
        Near a solution, f quadratic and the Hessian of f + g positive there: t <= 1 / rho =
        lam / (lam - 1) is enough for linear convergence at any r, in either order of the blocks.
        Needed: see `diverging`, quadratics with a convex sum, which diverge for any t > 1 / rho
        and r >= 1; as lam grows t < 1 is all that is left: no bound above 1 holds for all priors.
hqs     any t: it is pgd of step tau on the Moreau envelope of f, whose L tau is t / (1 + t) < 1.
        What falls is the splitting energy, and f + g only as tau -> 0.
fista   t <= 1 and convex g; a learned prior is not convex, and then nothing is proved.

The envelope, with d = x+ - x and e the change of grad f: z - x = (d + tau e) / r, and what it falls
by, all terms collected, is at least (2 - r) |d|^2 / (2 r tau) + (1 / (2 L) - tau / r) |e|^2, where
f(x) - f(x+) + <grad f(x+), d> >= |e|^2 / (2 L); |e| lies between 0 and L |d|.

Proof of 1 / rho: with H = tau A^T A and Q = J^-1 - I the step is v+ = v + r (J (I - H) x - x) for
v = (I + H) x. Let 1 + r k be an eigenvalue, y = (1 + k) x + k H x; then Q y = -k x - (1 + k) H x.
The imaginary part of <y, Q y> says that k is real or |H x| = |x|. In the second case, |1 + r k| = 1
and m = 2 Re k + 2 |k|^2 = (2 - r) |k|^2, <y, Q y> / |y|^2 = -(m + (1 + m) e) / (1 + m + m e) < -e
for e = <x, H x> / |x|^2 < 1, which is at least 1 / t: below -rho unless t > 1 / rho. (e = 1: -1.)
k = 0 would make Q + H singular, k = -2 / r ask, c = k (1 + k) > 0, for (c - rho (1 + k)^2) |x|^2
+ (1 + 2 c (1 - rho)) <x, H x> + (c - rho k^2) |H x|^2 <= 0; with |H x|^2 <= <x, H x> / rho this is
least at H x = 0 or x / rho, and positive at both. So no eigenvalue meets the unit circle while Q
moves to I, where all lie inside.
If J and A^T A share their eigenvectors, r = 1, t < (lam + 1) / (lam - 2) is enough, any t if
lam <= 2: the factor of one dimension is (1 - t rho) / ((1 + t) (1 - rho)). They do not in images.

So the experiments released with [Fang24], ADMM with 1 / tau = 0.1 and |A^T A| about 1, t = 10, lie
outside the theorem, and inside the local bound only for lam <= 10 / 9. A denoiser has more than
that at edges and textures (`solvers.spectrum` measures it); what they converge by is no theorem.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, sqrt

import torch
from torch import Tensor

from solvers.accelerated_gradient import fista
from solvers.douglas_rachford import drs
from solvers.half_quadratic import hqs
from solvers.multipliers import admm
from solvers.proximal_gradient import pgd


@dataclass(frozen=True)
class Theorem:
    """What is proved of an algorithm: bounds on tau L, strict; 0 where nothing is proved."""

    bound: float
    """For an exact prox of any g."""
    convex: float
    """For convex g."""
    local: Callable[[float], float] | None = None
    """Of lam, the largest eigenvalue of the prox's Jacobian, for what holds where that is known."""

    def limit(self, convex: bool) -> float:
        """The bound for convex g or for any."""
        return self.convex if convex else self.bound


def _local_of_pgd(largest: float) -> float:
    return 1 + 1 / largest


def _local_of_splitting(largest: float) -> float:
    return largest / (largest - 1) if largest > 1 else inf


PROVED: dict[Callable, Theorem] = {
    pgd: Theorem(1.0, 2.0, _local_of_pgd),
    fista: Theorem(0.0, 1.0),
    admm: Theorem(1.0, inf, _local_of_splitting),
    drs: Theorem(1.0, inf, _local_of_splitting),
    hqs: Theorem(inf, inf),
}


def diverging(t: float, largest: float) -> tuple[Tensor, Tensor]:
    """H = tau A^T A and J, 2 x 2 in float64, with H + J^-1 - I > 0 on which admm and drs diverge.

    At a relaxation of 1, and so at any above: |1 + r k|^2 - 1 over r grows with r.
    H = diag(t, 0); J has the eigenvalue `largest` along (c, s) and a small one across, c^2 a hair
    above the rho / t at which f + g ceases to be convex. The determinant of a step, were both small
    things 0, would be (lam t - lam + 1) / (1 + t) > 1. Raises ValueError unless t > 1 / rho.
    """
    if not (largest > 1 and t * (1 - 1 / largest) > 1):
        raise ValueError(
            f"below t = lam / (lam - 1) nothing diverges, got t = {t}, lam = {largest}"
        )
    rho = 1 - 1 / largest
    square = rho / t + 0.1 * (1 - 1 / (rho * t)) * rho * (1 - rho / t)
    c, s = sqrt(square), sqrt(1 - square)
    along = torch.tensor([[c], [s]], dtype=torch.float64)
    across = torch.tensor([[-s], [c]], dtype=torch.float64)
    small = 1e-3
    J = largest * along @ along.T + small * across @ across.T
    return torch.diag(torch.tensor([t, 0.0], dtype=torch.float64)), J
