"""An average of proxes, which is the prox of an average.

A prox f is the gradient of a convex psi(v) = max_x <v, x> - |x|^2 / 2 - R(x). So

    f = w_1 f_1 + w_2 f_2 + ...   is the gradient of   psi = w_1 psi_1 + w_2 psi_2 + ...,

and the prox of an R again, the proximal average of R_1, R_2, ... [Bauschke08]. Where x_k = f_k(v)
and x = f(v), inserting psi gives its value from those of the parts,

    R(x) = sum_k w_k (R_k(x_k) + |x_k - x|^2 / 2).

An average of an exact prior and one that is not is not exact, but nearer to it: eigenvalues of its
Jacobian are averages too. `safer` goes further that way.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from math import fsum, lcm

import torch
from deepinv.models import Denoiser
from torch import Tensor, nn

from proxlab.priors.arguments import up_to
from proxlab.priors.averages.chosen import ChosenPrior
from proxlab.priors.averages.jacobian import AverageJacobian
from proxlab.priors.contract import Capabilities, HasParts, Prior
from proxlab.priors.jacobians.contract import HasJacobian
from proxlab.priors.jacobians.spread import SpreadOfMean
from solvers.protocols import HasProxAndValue, float_for_sums

LEAST_SHARE = 0.2
"""Share of priors that are not exact below which `safer` leaves them out."""
Region = tuple[slice, slice]


class AveragePrior(SpreadOfMean, Denoiser):
    """The prior whose prox is the average of the proxes of others, with weights that sum to 1.

    It is exact or convex where all of them are, and has a value where all have one. It knows the
    noise levels that all of them know.

    >>> exact, better = proxlab.load("lpn-gray-wide"), proxlab.load("gs-unet-wide")
    >>> prior = proxlab.AveragePrior([0.5, 0.5], [exact, better])
    >>> prior.name, prior.capabilities.exact
    ('0.5*lpn-gray-wide+0.5*gs-unet-wide', False)
    >>> v = torch.rand(1, 1, 16, 16)
    >>> torch.allclose(prior.prox(v, 0.1), (exact.prox(v, 0.1) + better.prox(v, 0.1)) / 2)
    True
    """

    def __init__(self, weights: Sequence[float], priors: Sequence[Prior]):
        """Raises ValueError for weights that are not positive, do not sum to 1 or are not one for
        each prior, and for priors without a noise level in common."""
        super().__init__()
        weights, priors = [float(w) for w in weights], list(priors)
        if len(weights) != len(priors) or not priors:
            raise ValueError(
                f"an average has a weight for each prior, got {len(weights)} weights and "
                f"{len(priors)} priors"
            )
        if not all(w > 0 for w in weights) or abs(fsum(weights) - 1) > 1e-6:
            raise ValueError(
                f"weights of an average are positive and sum to 1, got {weights}; divide each by "
                "their sum"
            )
        self.weights, self.priors = weights, priors
        self._modules_of = nn.ModuleList(p for p in priors if isinstance(p, nn.Module))
        self.name = "+".join(f"{w:.3g}*{p.name}" for w, p in zip(weights, priors, strict=True))
        ends = list(zip(*(p.sigma_range for p in priors), strict=True))
        self.sigma_range = (max(ends[0]), min(ends[1]))
        if not self.sigma_range[0] < self.sigma_range[1]:
            known = ", ".join(f"{p.name} {p.sigma_range}" for p in priors)
            raise ValueError(f"priors of an average share noise levels, these know {known}")
        self.capabilities = _joined(weights, [p.capabilities for p in priors])
        if all(isinstance(p, HasProxAndValue) for p in priors):
            self.prox_and_value = partial(_prox_and_value, self)
        if self.capabilities.parts:
            self.prox_and_part = partial(_prox_and_part, self)
        if all(isinstance(p, HasJacobian) for p in priors):
            self.jacobian = partial(_jacobian, self)

    def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """The same as `prox`.

        >>> prior = proxlab.AveragePrior([1.0], [proxlab.load("lpn-gray-small")])
        >>> prior(torch.rand(1, 1, 16, 16), 0.1).shape
        torch.Size([1, 1, 16, 16])
        """
        return self.prox(x, sigma)

    def prox(self, v: Tensor, sigma: float | Tensor) -> Tensor:
        """The average of the proxes at v, [B, C, H, W] -> the same; sigma a float or [B].

        Raises as the proxes of its priors.

        >>> prior = proxlab.load("gs-unet+lpn-gray")
        >>> prior.prox(torch.rand(1, 1, 16, 16), 1.0)
        Traceback (most recent call last):
            ...
        ValueError: gs-unet knows noise levels ...
        """
        x = torch.zeros_like(v)
        for weight, prior in zip(self.weights, self.priors, strict=True):
            x = x + weight * prior.prox(v, sigma)
        return x

    def safer(self, refused: Tensor) -> Prior | None:
        """The same prior with half as much of what is not exact, for images whose run refused it.

        refused: bool [B]; others keep the prior as it is. Where less than `LEAST_SHARE` would be
        left the exact ones remain alone. None where nothing is exact, or everything.

        >>> prior = proxlab.AveragePrior([0.5, 0.5], [proxlab.load(n) for n in ("lpn-gray", "tv")])
        >>> prior.safer(torch.tensor([True])) is None   # both are exact
        True
        >>> proxlab.load("gs-unet+lpn-gray").safer(torch.tensor([True])).name
        '0.25*gs-unet+0.75*lpn-gray'
        """
        exact = [p.capabilities.exact or p.capabilities.convex for p in self.priors]
        pairs = list(zip(self.weights, exact, strict=True))
        sure = fsum(w for w, is_exact in pairs if is_exact)
        if all(exact) or not any(exact):
            return None
        left = (1 - sure) / 2
        left = left if left > LEAST_SHARE else 0.0
        shares = [
            w * ((1 - left) / sure if is_exact else left / (1 - sure)) for w, is_exact in pairs
        ]
        kept = [(w, p) for w, p in zip(shares, self.priors, strict=True) if w > 0]
        less = kept[0][1] if len(kept) == 1 else AveragePrior(*zip(*kept, strict=True))
        return less if bool(refused.all()) else ChosenPrior([self, less], refused.long())


def _joined(weights: list[float], claims: list[Capabilities]) -> Capabilities:
    """Claims of an average."""
    exact = all(c.exact for c in claims)
    alignment = lcm(*(c.alignment for c in claims))
    reaches = [c.reach for c in claims if c.reach is not None]
    memories = [c.memory for c in claims if c.memory is not None]
    elsewhere = [c.memory_elsewhere or c.memory for c in claims]
    known = [m for m in elsewhere if m is not None]
    images = 4 * 4  # float32: the sum, an answer, and two differences
    return replace(
        claims[0],
        exact=exact,
        convex=all(c.convex for c in claims),
        alpha=fsum(w * c.alpha for w, c in zip(weights, claims, strict=True)) if exact else 0.0,
        default_weight=fsum(w * c.default_weight for w, c in zip(weights, claims, strict=True)),
        fixed_size=any(c.fixed_size for c in claims),
        reach=up_to(max(reaches), alignment) if len(reaches) == len(claims) else None,
        alignment=alignment,
        parts=all(c.parts for c in claims),
        most_probable=any(c.most_probable for c in claims),
        memory=max(memories) + images if len(memories) == len(claims) else None,
        memory_elsewhere=max(known) + images if len(known) == len(claims) else None,
    )


def _prox_and_value(prior: AveragePrior, v: Tensor, sigma: float | Tensor):
    """The prox x of R_sigma at v, and R_sigma(x), float64 [B], None where a part has no value."""
    found = [p.prox_and_value(v, sigma) for p in prior.priors if isinstance(p, HasProxAndValue)]
    values = [r for _, r in found if r is not None]
    x = _mean(prior, [one for one, _ in found])
    if len(values) < len(found):
        return x, None
    return x, _value(prior, x, [one for one, _ in found], values, (slice(None), slice(None)))


def _prox_and_part(prior: AveragePrior, v: Tensor, sigma: float | Tensor, part: Region):
    """The prox x at v, and what those rows and columns hold of R_sigma(x), float64 [B]."""
    found = [p.prox_and_part(v, sigma, part) for p in prior.priors if isinstance(p, HasParts)]
    answers, values = (list(each) for each in zip(*found, strict=True))
    x = _mean(prior, answers)
    return x, _value(prior, x, answers, values, part)


def _mean(prior: AveragePrior, answers: list[Tensor]) -> Tensor:
    x = torch.zeros_like(answers[0])
    for weight, one in zip(prior.weights, answers, strict=True):
        x = x + weight * one
    return x


def _value(
    prior: AveragePrior, x: Tensor, answers: list[Tensor], values: list[Tensor], part: Region
) -> Tensor:
    """sum_k w_k (R_k(x_k) + |x_k - x|^2 / 2), of those rows and columns."""
    kind = float_for_sums(x)
    total = torch.zeros(len(x), dtype=kind, device=x.device)
    for weight, one, r in zip(prior.weights, answers, values, strict=True):
        apart = (one - x)[(..., *part)].square().sum((1, 2, 3), dtype=kind)
        total = total + weight * (r + apart / 2)
    return total


def _jacobian(prior: AveragePrior, v: Tensor, sigma: float | Tensor) -> AverageJacobian:
    """The Jacobian of the average at v. Raises as those of its priors."""
    parts = [p.jacobian(v, sigma) for p in prior.priors if isinstance(p, HasJacobian)]
    return AverageJacobian(prior.weights, parts)
