"""Premises of a restoration: what is asked of operator, data term and step before it runs.

The theorems are in `solvers.conditions`; what the run itself has to show for them, in `evidence`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from proxlab.operators.checks import TOLERANCE, OperatorCheck, ratio
from proxlab.operators.contract import HasPriorWeight, QuadraticDataTerm
from proxlab.operators.draws import Draws
from proxlab.operators.foreign import as_operator, binary_mask
from solvers.conditions import PROVED
from solvers.primal_dual import Composite
from solvers.protocols import Image, PerImage, dot, guarded, norm, per_image

POWER_STEPS = 4
"""Gradients that are spent on looking for curvature above L."""
BRIGHTEST, DARKEST = 4.0, 0.03
"""Values that the brightest hundredth of an image in [0, 1] is taken to lie between."""
OF_COUNTS, OF_SEEN_COUNTS = 0.35, 0.5
"""Shares of a prior's default weight that it has beside counts, whose likelihood trusts bright
pixels less than a square does: under a blur, and of pixels as they are. Of 0.25, 0.35, 0.5, 0.7
and 1 on images that are not in the table (`bench_counts --others --weights 0.25,0.35,0.5,0.7,1
--prior lpn-gray-small`, with --problem inpaint too) the best by PSNR, but that under a blur 0.25 is
ahead by 0.1 dB and behind by as much in the root of the image. Either share loses 0.2 to 0.5 dB in
the other problem."""
LONG = 1e4
"""Length of a dual variable before it is projected, over the radius of its ball."""


class Claims(Protocol):
    """Claims of a prior that restorations go by: those of `Capabilities` in its contract."""

    @property
    def exact(self) -> bool: ...
    @property
    def convex(self) -> bool: ...
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
    """Quantities known before a run."""

    tau: PerImage
    """The step, sigma^2, float64 [B]."""
    lipschitz: PerImage
    """L = |A^T A| / (weight noise^2), the Lipschitz constant of the data term's gradient, [B]."""
    noise: Tensor
    """Standard deviation of each measurement, [B], by which the data term is weighted; of counts
    the root of the mean variance."""
    operator: OperatorCheck
    """Numbers of the operator's check: adjoint, linearity, independence of images."""
    data_doubt: str
    """Sentence on a data term that is not |A x - y|^2 / 2, empty if it is."""
    curvature: PerImage
    """Curvature of the data term as a few steps of the power method find it, from below, [B]."""
    units: list[str]
    """Per image: a sentence where the first estimate is in other units than [0, 1], else empty."""
    counts: str = ""
    """Words for the photon counts that the measurement was taken for, empty if for none."""


def default_weight(prior: KnownPrior, op: LinearPhysics, counts: Tensor | None = None) -> float:
    """Factor of the prior where none is told: the operator's if it has one, or the prior's own.

    Beside counts of photons, y of the operator, it is a share of the prior's own: `OF_COUNTS`, or
    `OF_SEEN_COUNTS` where the operator does no more than leave pixels out.
    """
    operator = as_operator(op)
    if isinstance(operator, HasPriorWeight):
        return operator.prior_weight
    own = prior.capabilities.default_weight
    if counts is None:
        return own
    return own * (OF_COUNTS if binary_mask(op, counts) is None else OF_SEEN_COUNTS)


def units_doubts(name: str, x: Image) -> list[str]:
    """A sentence for each image x [B, C, H, W] that is plainly not in [0, 1], else empty.

    The brightest hundredth of the pixels decides, so noise and streaks do not; black is let pass.
    """
    found = []
    for one in x:
        reach = brightest(one)
        if BRIGHTEST < reach < float("inf"):
            way = f"reaches {reach:.3g}"
        elif 0 < reach < DARKEST:
            way = f"stays below {reach:.2g}"
        else:
            found.append("")
            continue
        found.append(
            f"the first estimate {way}, and {name} is made for images in [0, 1]; divide y and "
            "noise by the value of white"
        )
    return found


def brightest(image: Tensor) -> float:
    """Size that a hundredth of the pixels of an image [C, H, W] reach."""
    most = max(1, image.numel() // 100)
    return float(image.abs().flatten().topk(most).values[-1])


def curvature_floor(f: QuadraticDataTerm, x: Image, steps: int = POWER_STEPS) -> PerImage:
    """A bound on L of f's gradient from below, [B], by the power method from x [B, C, H, W].

    What a data term says of its L is a bound from above, and this is what betrays one that is not.
    """
    base, d = f.grad(x), torch.where(x.abs().flatten(1).amax(1).view(-1, 1, 1, 1) > 0, x, 1.0)
    found = torch.zeros(len(x), dtype=torch.float64)
    for _ in range(steps):
        d = d * per_image(norm(x).clamp(min=1.0) / norm(d).clamp(min=1e-30), d)
        e = f.grad(x + d) - base
        found = torch.maximum(found, (dot(d, e) / dot(d, d).clamp(min=1e-300)).cpu().double())
        d = e
    return found


def composite_doubt(name: str, g: Composite, y: Tensor, x: Image) -> str:
    """A sentence if g is not what a duality gap takes it for, else empty; x [B, C, H, W].

    With z = x plus noise: <K z, u> = <z, K^T u>, and g(z) is the most that <K z, u> can be, which
    it is at the projection of a long K z. One product with K, one with K^T; y decides the noise.
    """
    draws = Draws(y)
    size = torch.where(norm(x) > 0, norm(x), 1.0) / x[0].numel() ** 0.5
    z = x + per_image(size, x) * draws.normal(x)
    Kz = g.forward(z)
    u = Kz + per_image(norm(Kz) / Kz[0].numel() ** 0.5, Kz) * draws.normal(Kz)
    missed = ratio((dot(Kz, u) - dot(z, g.adjoint(u))).abs(), norm(Kz) * norm(u))
    radius = torch.as_tensor(g.radius, dtype=Kz.dtype, device=Kz.device)
    far = LONG * radius * Kz[0].numel() ** 0.5 / guarded(norm(Kz))
    value = g.value(z)
    short = ratio((dot(Kz, g.project(per_image(far, Kz) * Kz)) - value).abs(), value.abs())
    errors = {"adjoint is not that of K": missed, "value is not the most on its dual ball": short}
    for what, error in errors.items():
        if not (error <= TOLERANCE).all():
            return (
                f"{name} is not the g(K x) that it says: its {what}, by {float(error.max()):.1e}, "
                "so its duality gap proves nothing"
            )
    return ""


def is_proved(algorithm: Callable, t: float, convex: bool) -> bool:
    """Whether the algorithm is proved to converge at t = tau L, for any R or for a convex one."""
    theorem = PROVED[algorithm]
    return t < (max(theorem.bound, theorem.convex) if convex else theorem.bound)


def step_doubt(
    algorithm: Callable, prior: KnownPrior, tau: float, lipschitz: float, convex: bool
) -> str:
    """Sentence on a step for which nothing is proved, and on what would be; else empty.

    convex: whether the run's evaluations are those of a convex prior.
    """
    theorem, name = PROVED[algorithm], algorithm.__name__
    if is_proved(algorithm, tau * lipschitz, convex):
        return ""
    bound = theorem.limit(convex)
    if bound == 0 and theorem.convex == 0:
        return f"nothing is proved for {name}"
    if bound == 0:
        return (
            f"{name} is proved for convex priors alone, and {prior.name} was none in this run; "
            "take admm"
        )
    limit = bound / lipschitz
    times = "1" if bound == 1 else f"{bound:g}"
    words = (
        f"tau = {tau:.1e} is not below {times} / L = {limit:.1e}, so nothing is proved for {name}; "
        f"take sigma <= {0.99 * limit**0.5:.3g}"
    )
    if prior.sigma_range[0] > limit**0.5:
        words += f", which the prior does not know (from {prior.sigma_range[0]:.4f} on), or hqs"
    return words
