"""Step sizes that are proved to work, algorithm by algorithm, known before a run.

Write t = tau L, L the Lipschitz constant of grad f, f convex, the prox of g exact, and lam for the
largest eigenvalue of the prox's Jacobian wherever the run comes; only convex g have lam <= 1
[Fang24]. `PROVED` holds the bounds:

pgd        t < 1 for every g; t < 2 for convex g; t < 1 + 1 / lam where lam is known.
admm, drs  t < 1 for every g, at any relaxation between 0 and 2 [Themelis20]; any t for convex g
           [Eckstein92]; t <= lam / (lam - 1) is enough near a solution.
hqs        any t, for what it minimises, the splitting energy.
fista      t <= 1 for convex g; for others nothing is proved.
pdhg       any step, for convex g(K x); its duality gap tells more than any theorem.

The proofs, and what shows that each bound is needed, are on the page docs/convergence.md.
`solvers.evidence` and `solvers.certificate` judge a finished run.
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
from solvers.primal_dual import pdhg
from solvers.proximal_gradient import pgd


@dataclass(frozen=True)
class Theorem:
    """Bounds on tau L below which an algorithm is proved to converge; 0 if nothing is proved.

    >>> from solvers.conditions import PROVED
    >>> theorem = PROVED[solvers.pgd]
    >>> theorem.limit(convex=True), theorem.limit(convex=False)   # of tau L
    (2.0, 1.0)
    >>> theorem.local(2.0)   # where the prox's Jacobian has no eigenvalue above 2
    1.5
    """

    bound: float
    """Bound for any g whose prox is exact."""
    convex: float
    """Bound for convex g."""
    local: Callable[[float], float] | None = None
    """Bound by lam, the largest eigenvalue of the prox's Jacobian; None where it does not help."""
    falls: bool = False
    """Whether the trace's merit falls at every step under the bound for convex g too; under the one
    for any g it always does."""

    def limit(self, convex: bool) -> float:
        """Bound for convex g, or for any g."""
        return self.convex if convex else self.bound


def _local_of_pgd(largest: float) -> float:
    return 1 + 1 / largest


def _local_of_splitting(largest: float) -> float:
    return largest / (largest - 1) if largest > 1 else inf


PROVED: dict[Callable, Theorem] = {
    pgd: Theorem(1.0, 2.0, _local_of_pgd, falls=True),
    fista: Theorem(0.0, 1.0),
    admm: Theorem(1.0, inf, _local_of_splitting),
    drs: Theorem(1.0, inf, _local_of_splitting),
    hqs: Theorem(inf, inf, falls=True),
    pdhg: Theorem(0.0, inf),
}
"""Algorithm, the function itself -> what is proved of it."""


def diverging(t: float, largest: float) -> tuple[Tensor, Tensor]:
    """H = tau A^T A and J, 2 x 2 in float64, with H + J^-1 - I > 0 on which admm and drs diverge.

    They do at a relaxation of 1 and at any above it. `largest` is lam, the largest eigenvalue of J;
    it lies along (c, s), c^2 a hair above the rho / t at which f + g ceases to be convex, where
    rho = 1 - 1 / lam. docs/convergence.md has the determinant of a step.
    Raises ValueError unless t > lam / (lam - 1).

    >>> from solvers.conditions import diverging
    >>> H, J = diverging(t=4.0, largest=2.0)   # t above largest / (largest - 1) = 2
    >>> torch.linalg.eigvalsh(H + torch.linalg.inv(J) - torch.eye(2).double()) > 0
    tensor([True, True])
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
