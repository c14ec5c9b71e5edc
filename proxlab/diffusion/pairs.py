"""Training pairs and losses of a diffusion network: how much noise, and what a miss costs.

Proximal matching towards x_t integrates over e' in closed form. Given x_0 and y,
x_t ~ N(m, v) with m = y - lam n / s and v = lam (1 - a) / s^2 (notation: `network`),
so that, f being the estimate that goes with n_theta and N the number of pixels,

    E[exp(-|f - x_t|^2 / g^2) | x_0, y]  is proportional to  exp(-|f - m|^2 / (g^2 + 2 v)).

With g^2 = N lam zeta^2, the paper's zeta, and f - m = lam (n - n_theta) / s this is a bump in
mean((n - n_theta)^2) of width zeta_n^2 = (zeta^2 s^2 + 2 (1 - a) / N) / lam: the same minimiser as
without, and no noise from e'. [Fang25, Sec. 4, integrated]
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers import VP

BACKWARD_SHARE = 0.25
"""Of training steps that are backward, where their gamma allows it."""


@dataclass(frozen=True)
class ProxPairs:
    """Noisy images at the (t, lam) that a sampler of so many uniform steps asks for."""

    images: Tensor
    """uint8 [N, C, S, S]"""
    schedule: VP
    steps: tuple[int, ...]

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """(noise of unit variance, y, (t, lam) [B, 2]); the generator alone decides."""
        x = _images(self.images, count, generator)
        which = torch.randint(len(self.steps), (count,), generator=generator)
        n = torch.tensor(self.steps, dtype=torch.float64)[which]
        k = (torch.rand(count, generator=generator, dtype=torch.float64) * n).floor()
        gamma = self.schedule.integral(k / n, (k + 1) / n)
        backward = torch.rand(count, generator=generator) < BACKWARD_SHARE
        backward &= self.schedule.integral(1 - 1 / n, torch.ones(count)) < 2
        lam = torch.where(backward, gamma / (1 - gamma / 2), gamma)
        return _noisy(x, k / n, lam, self.schedule, generator)


@dataclass(frozen=True)
class ScorePairs:
    """Noisy images at times drawn uniformly in [first, 1]; lam is 0."""

    images: Tensor
    """uint8 [N, C, S, S]"""
    schedule: VP
    first: float = 1e-3

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """(noise of unit variance, x_t, (t, 0) [B, 2]); the generator alone decides."""
        x = _images(self.images, count, generator)
        t = torch.rand(count, generator=generator, dtype=torch.float64)
        t = self.first + (1 - self.first) * t
        return _noisy(x, t, torch.zeros_like(t), self.schedule, generator)


def squared_noise_error(estimate: Tensor, noise: Tensor, condition: Tensor) -> Tensor:
    """Mean of (n_theta - n)^2: the score, and of the prox the posterior mean."""
    return (estimate - noise).square().mean()


@dataclass(frozen=True)
class AbsoluteNoiseError:
    """Mean of |eps - e'| s / sqrt(lam), over e' as well, which given x_0 and y is Gaussian.

    Its standard deviation is tau = sqrt((1 - a) / s^2) in each pixel, and eps misses its mean by
    mu = sqrt(lam) (n_theta - n) / s, so E|eps - e'| = tau sqrt(2 / pi) exp(-mu^2 / (2 tau^2)) +
    mu erf(mu / (sqrt(2) tau)). That is |mu| at t = 0, where there is no more noise than e', and a
    squared error where steps are small. |n_theta - n| in its place would learn medians there,
    which are not what a small step of the diffusion needs.
    """

    schedule: VP = VP()

    def __call__(self, estimate: Tensor, noise: Tensor, condition: Tensor) -> Tensor:
        t, lam = condition.unbind(1)
        rest = self.schedule.noise(t)
        share = (lam / (rest + lam)).sqrt().to(noise).view(-1, 1, 1, 1)
        tau = (rest / (rest + lam)).sqrt().clamp(min=1e-6).to(noise).view(-1, 1, 1, 1)
        mu = share * (estimate - noise)
        bell = math.sqrt(2 / math.pi) * tau * torch.exp(-(mu / tau).square() / 2)
        least = math.sqrt(2 / math.pi) * tau  # so that a perfect estimate costs nothing
        return ((bell + mu * torch.erf(mu / tau / math.sqrt(2)) - least) / share).mean()


@dataclass(frozen=True)
class NoiseMatching:
    """Mean of zeta_n^2 (1 - exp(-mean((n_theta - n)^2) / zeta_n^2)): proximal matching, see above.

    The factor gives every (t, lam) the weight that the squared error would give it.
    """

    zeta: float
    schedule: VP = VP()

    def __post_init__(self):
        if not 0 < self.zeta < float("inf"):
            raise ValueError(f"zeta is an error to tolerate, positive, got {self.zeta}")

    def __call__(self, estimate: Tensor, noise: Tensor, condition: Tensor) -> Tensor:
        t, lam = condition.unbind(1)
        rest = self.schedule.noise(t)
        width = (self.zeta**2 * (rest + lam) + 2 * rest / noise[0].numel()) / lam
        error = (estimate - noise).square().mean((1, 2, 3))
        return (-width.to(error) * torch.expm1(-error / width.to(error))).mean()


def _images(images: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Drawn with replacement, in [-1, 1]."""
    return images[torch.randint(len(images), (count,), generator=generator)] / 127.5 - 1


def _noisy(x: Tensor, t: Tensor, lam: Tensor, schedule: VP, generator: torch.Generator):
    n = torch.randn(x.shape, generator=generator)
    signal, noise = schedule.signal(t).sqrt(), (schedule.noise(t) + lam).sqrt()
    y = signal.float().view(-1, 1, 1, 1) * x + noise.float().view(-1, 1, 1, 1) * n
    return n, y, torch.stack([t, lam], 1)
