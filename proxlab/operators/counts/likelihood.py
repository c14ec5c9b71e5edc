"""The negative log-likelihood of counts, pixel by pixel: Kullback-Leibler, with a rounded corner.

For y = gain * Poisson((z + b) / gain), z = A x,

    KL(z) = (z + b - y - y log((z + b) / y)) / gain,   z + b >= 0,

is -log p(y | z) up to a constant [Shepp82]. Read noise of variance r^2 is taken for light of that
variance, r^2 / gain more in y as in b: the mean and the variance are then right [Snyder93]. Where
few photons are expected KL bends as much as can be, so that no step would be short enough; its
Moreau envelope of parameter m,

    E(z) = min_u KL(u) + (z - u)^2 / (2 m),

is convex, differentiable everywhere, its curvature is at most 1 / m, and its slope and its prox
have closed forms, because KL's prox is the root of a quadratic. It is the likelihood of one split,
u near z = A x, kept by a quadratic. m is a small share of the noise's mean variance (`SHARE`).
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from proxlab.operators.counts.camera import Counting
from proxlab.operators.data_terms.arguments import scaled
from solvers.protocols import PerImage, doubles, per_image

SHARE = 0.5
"""m, over the mean variance of an image's entries."""


@dataclass(frozen=True)
class CountLikelihood:
    """E of every entry of y [B, ...], float64 or float32, times the strength of each image.

    >>> from proxlab.operators.counts.camera import counting
    >>> from proxlab.operators.counts.likelihood import CountLikelihood
    >>> y = torch.tensor([[0.5, 0.0]])
    >>> numbers = counting(proxlab.operators.CameraNoise(gain=0.1), y)
    >>> loss = CountLikelihood.of(y, numbers, strength=torch.ones(1))
    >>> loss.value(y), loss.slope(y)   # least where the mean is what was counted
    (tensor([0.], dtype=torch.float64), tensor([[0., 0.]]))
    >>> loss.prox(torch.tensor([[0.6, -0.1]]), 0.02)   # between the count and the point asked about
    tensor([[ 0.5775, -0.0385]])
    """

    counts: Tensor
    """y + r^2 / gain, not below 0, image units."""
    gain: PerImage
    offset: PerImage
    """b + r^2 / gain."""
    least: PerImage
    """r^2 / gain, the least of u + offset: u + b >= 0; offset itself where u >= 0."""
    smoothing: PerImage
    """m, image units squared."""
    strength: PerImage

    def above_zero(self) -> "CountLikelihood":
        """The same for u >= 0, for an A whose means have no other sign."""
        return replace(self, least=self.offset)

    @staticmethod
    def of(
        y: Tensor, numbers: Counting, strength: PerImage, share: float = SHARE
    ) -> "CountLikelihood":
        """The likelihood of y (image units) with m = share of the mean variance.

        Raises ValueError unless share > 0.
        """
        if not share > 0:
            raise ValueError(f"the corner of a likelihood is rounded by a share > 0, got {share}")
        extra = numbers.read**2 / numbers.gain
        return CountLikelihood(
            (y + per_image(extra, y)).clamp(min=0),
            numbers.gain,
            numbers.background + extra,
            extra,
            share * numbers.mean_variance(y),
            strength,
        )

    def value(self, z: Tensor) -> PerImage:
        """Sum of E over the entries of each image, times strength: float64 [B], >= 0."""
        u = self._mean(z, self.smoothing)
        p, t = doubles(u + per_image(self.offset, z)), doubles(self.counts)
        entropy = torch.xlogy(t, t) - torch.xlogy(t, torch.where(t > 0, p, 1))
        loss = (p - t + entropy) / per_image(self.gain.to(p.device), p)
        apart = doubles(z - u) ** 2 / (2 * per_image(self.smoothing.to(p.device), p))
        return self.strength * (loss + apart).flatten(1).sum(1).to(self.strength.device)

    def slope(self, z: Tensor) -> Tensor:
        """Derivative of each entry, shaped like z."""
        u = self._mean(z, self.smoothing)
        return (z - u) * per_image(self.strength / self.smoothing, z)

    def curvature(self, z: Tensor) -> Tensor:
        """Second derivative of each entry, between 0 and strength / m, shaped like z."""
        q, root = self._quadratic(z, self.smoothing)
        bend = (1 - q / root.clamp(min=torch.finfo(z.dtype).tiny)) / 2
        dark = self._root(z, self.smoothing) <= per_image(self.least, z)
        bend = torch.where(dark, 1.0, bend)
        return bend * per_image(self.strength / self.smoothing, z)

    def prox(self, v: Tensor, tau: float | PerImage) -> Tensor:
        """argmin_z (z - v)^2 / 2 + tau E(z) of each entry, shaped like v; tau >= 0."""
        scaled(tau, self.strength, v)  # refuses a tau that cannot be
        s = tau * self.strength
        u = self._mean(v, s + self.smoothing)
        return v + per_image(s / (s + self.smoothing), v) * (u - v)

    def bound(self) -> PerImage:
        """Largest curvature of an entry, strength / m, [B]."""
        return self.strength / self.smoothing

    def select(self, index: Tensor) -> "CountLikelihood":
        """The likelihood of the images `index` alone."""
        each = (self.gain, self.offset, self.least, self.smoothing, self.strength)
        return CountLikelihood(self.counts[index], *(number[index] for number in each))

    def _mean(self, z: Tensor, step: PerImage) -> Tensor:
        """argmin_u (u - z)^2 / 2 + step KL(u)."""
        return self._root(z, step) - per_image(self.offset, z)

    def _root(self, z: Tensor, step: PerImage) -> Tensor:
        """p = u + offset at that u: p^2 - q p - step t / g = 0, or the least p there is."""
        q, root = self._quadratic(z, step)
        # of the two forms of the root, the one that takes no difference of equals
        product = self._product(z, step)
        low = 2 * product / (root - q).clamp(min=torch.finfo(z.dtype).tiny)
        p = torch.where(q > 0, (q + root) / 2, low)
        return torch.maximum(p, torch.as_tensor(per_image(self.least, z)))

    def _quadratic(self, z: Tensor, step: PerImage) -> tuple[Tensor, Tensor]:
        """q = z + offset - step / g, and the root of q^2 + 4 step t / g."""
        q = z + per_image(self.offset - step / self.gain, z)
        return q, (q**2 + 4 * self._product(z, step)).sqrt()

    def _product(self, z: Tensor, step: PerImage) -> Tensor:
        return per_image(step / self.gain, z) * self.counts
