"""Premises of a restoration's certificate, checked before it runs: step size, prox, prior.

The theorems, with what shows that each bound is needed, are in `solvers.conditions`. Here their
quantities are computed for a data term and a prior, and what is broken is said in words.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from solvers.conditions import PROVED
from solvers.protocols import HasProxAndValue, Image, PerImage
from solvers.spectrum import Spectrum, jacobian_spectrum

MIDDLE = 64
"""Side of the middle part of each image on which the prior's Jacobian is looked at."""
LANCZOS_STEPS = 10
"""There; with both, looking costs about as much as one step of the solver."""
ROUNDING = 1e-3
"""Asymmetry and negative eigenvalues that central differences may make up, relative."""


class Claims(Protocol):
    """Claims of a prior that restorations ask for: those of `Capabilities` in its contract."""

    @property
    def exact(self) -> bool: ...
    @property
    def convex(self) -> bool: ...
    @property
    def alpha(self) -> float: ...
    @property
    def fixed_size(self) -> bool: ...
    @property
    def default_weight(self) -> float: ...


class KnownPrior(Protocol):
    """A prior, as far as restorations ask; `proxlab.priors.contract` says what each part means."""

    @property
    def name(self) -> str: ...
    @property
    def sigma_range(self) -> tuple[float, float]: ...
    @property
    def capabilities(self) -> Claims: ...
    def prox(self, v: Tensor, sigma: float | Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Premises:
    """Quantities computed before the run, and per image the premises that they break."""

    tau: float
    """The step, sigma^2."""
    lipschitz: PerImage
    """L = |A^T A| / (weight noise^2), the Lipschitz constant of the data term's gradient, [B]."""
    exact: bool
    """Whether the prior vouches that its prox is exact: `capabilities.exact`."""
    convex: bool
    """Whether it vouches that it is convex: `capabilities.convex`."""
    alpha: float
    """Strong convexity of the potential: `capabilities.alpha`. No theorem here needs it positive;
    where it is, the prox is one to one, and the prior finite and smooth everywhere."""
    spectrum: Spectrum | None
    """Extremes of the Jacobian of the prox at the first estimate; None unless exact, not convex."""
    broken: list[str]
    """Per image: which premises do not hold and what is lost, empty if all do."""


def premises(
    algorithm: Callable, prior: KnownPrior, tau: float, x: Image, lipschitz: PerImage
) -> Premises:
    """Compute and compare. `algorithm` is one of `solvers.conditions.PROVED`, x a first estimate.

    The Jacobian is looked at on the middle of x alone, unless the prior takes one size only: a
    prior that is no prox is caught there, one that is passes everywhere by construction, and no
    bound below depends on the figure.
    """
    exact, convex = prior.capabilities.exact, prior.capabilities.convex
    found = None
    if exact and not convex and isinstance(prior, HasProxAndValue):
        found = _look(prior, x, tau**0.5)
    broken = []
    for b, limit in enumerate(lipschitz.tolist()):
        largest = None if found is None else float(found.highest[b])
        words = [
            _step(algorithm, prior, tau, limit, convex, largest),
            _exact(prior, exact),
            "" if found is None else _no_prox(prior, found, b),
        ]
        broken.append("; ".join(filter(None, words)))
    return Premises(tau, lipschitz, exact, convex, prior.capabilities.alpha, found, broken)


def _look(prior: KnownPrior, x: Image, sigma: float) -> Spectrum:
    middle = x.double()
    if not prior.capabilities.fixed_size:
        top, left = (max(0, (n - MIDDLE) // 2) for n in x.shape[-2:])
        middle = middle[..., top : top + MIDDLE, left : left + MIDDLE]
    return jacobian_spectrum(
        lambda v: prior.prox(v, sigma), middle, step=1e-3 * sigma, steps=LANCZOS_STEPS
    )


def _step(
    algorithm: Callable,
    prior: KnownPrior,
    tau: float,
    lipschitz: float,
    convex: bool,
    largest: float | None,
) -> str:
    """Whether tau is within the theorem's bound, and if not what would be, and what is left."""
    theorem, name = PROVED[algorithm], algorithm.__name__
    bound = theorem.limit(convex)
    if bound == 0 and theorem.convex == 0:
        return f"nothing is proved for {name}"
    if bound == 0:
        return f"{name} is proved for convex priors alone and {prior.name} is not one; take admm"
    if tau * lipschitz < bound:
        return ""
    limit = bound / lipschitz
    times = "1" if bound == 1 else f"{bound:g}"
    words = (
        f"tau = {tau:.1e} is not below {times} / L = {limit:.1e}, so nothing is proved for {name}; "
        f"take sigma <= {0.99 * limit**0.5:.3g}"
    )
    low = prior.sigma_range[0]
    if low > limit**0.5:
        words += f", which the prior does not know (from {low:.4f} on), or hqs"
    if theorem.local is not None and largest is not None:
        near = theorem.local(largest) / lipschitz
        kept = "kept" if tau < near else "broken too"
        words += f" (bound near a solution {near:.1e}, {kept}, for a Jacobian up to {largest:.2f})"
    return words


def _exact(prior: KnownPrior, exact: bool) -> str:
    if exact:
        return ""
    return f"nobody vouches that the prox of {prior.name} is exact, so descent is not proved"


def _no_prox(prior: KnownPrior, found: Spectrum, b: int) -> str:
    if found.asymmetry[b] > ROUNDING:
        return (
            f"the prox of {prior.name} is none: its Jacobian is not symmetric, by "
            f"{found.asymmetry[b]:.1e}"
        )
    if found.lowest[b] < -ROUNDING:
        return (
            f"the prox of {prior.name} is none: its Jacobian has the eigenvalue "
            f"{found.lowest[b]:.1e}"
        )
    return ""
