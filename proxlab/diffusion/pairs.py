"""Training pairs and losses of a diffusion network: how much noise there is, and what a miss costs.

The loss of proximal matching towards x_t is averaged over e' in closed form here. In the notation
of `network`, given x_0 and y, x_t ~ N(m, v) with m = y - lam n / s and v = lam (1 - a) / s^2. Let f
be the estimate of x_t that goes with n_theta, and N the number of pixels. Then

    E[exp(-|f - x_t|^2 / g^2) | x_0, y]  is proportional to  exp(-|f - m|^2 / (g^2 + 2 v)).

With g^2 = N lam zeta^2, the paper's zeta, and f - m = lam (n - n_theta) / s this is a bump in
mean((n - n_theta)^2) of width zeta_n^2 = (zeta^2 s^2 + 2 (1 - a) / N) / lam. It has the same
minimiser as before the average, and no noise from e'. [Fang25, Sec. 4, integrated]
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from proxlab.diffusion.sources import Source
from solvers import VP, step_sizes

BACKWARD_SHARE = 0.25
"""Share of backward steps among those trained for, where their gamma allows them."""
RESTRICTED_SHARE = 0.5
"""Share of the pairs of restricted steps, where these are trained for: they are the default of
samplers, the uniform steps are those of the paper."""


@dataclass(frozen=True)
class ProxPairs:
    """Noisy images at the (t, lam) that samplers ask for, by uniform and by restricted steps."""

    images: Source
    schedule: VP
    steps: tuple[int, ...]
    """Numbers of uniform steps of the samplers, each as often as the others."""
    grids: Sequence[Sequence[float]] = ()
    """Times of restricted steps, each grid as often as the others."""

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Noise of unit variance, y, both [count, C, S, S], and (t, lam), [count, 2].

        They depend on the state of the generator alone.
        """
        x = self.images.draw(count, generator)
        t, lam = self._uniform(count, generator)
        if self.grids:
            few = torch.rand(count, generator=generator) < RESTRICTED_SHARE
            s, restricted = self._restricted(count, generator)
            t, lam = torch.where(few, s, t), torch.where(few, restricted, lam)
        return _noisy(x, t, lam, self.schedule, generator)

    def _uniform(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The (t, lam) of hybrid and backward steps, float64 [count] each."""
        which = torch.randint(len(self.steps), (count,), generator=generator)
        n = torch.tensor(self.steps, dtype=torch.float64)[which]
        k = (torch.rand(count, generator=generator, dtype=torch.float64) * n).floor()
        gamma = self.schedule.integral(k / n, (k + 1) / n)
        backward = torch.rand(count, generator=generator) < BACKWARD_SHARE
        backward &= self.schedule.integral(1 - 1 / n, torch.ones(count)) < 2
        return k / n, torch.where(backward, gamma / (1 - gamma / 2), gamma)

    def _restricted(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The (t, lam) of steps of the grids, float64 [count] each."""
        asked = [step_sizes(grid, "restricted", self.schedule) for grid in self.grids]
        which = torch.randint(len(asked), (count,), generator=generator).tolist()
        place = torch.rand(count, generator=generator, dtype=torch.float64).tolist()
        pairs = [asked[i][int(p * len(asked[i]))] for i, p in zip(which, place, strict=True)]
        t, lam = torch.tensor(pairs, dtype=torch.float64).unbind(1)
        return t, lam


@dataclass(frozen=True)
class ScorePairs:
    """Noisy images at times drawn uniformly in [first, 1], with lam = 0."""

    images: Source
    schedule: VP
    first: float = 1e-3
    """Earliest time: a score need not exist at t = 0."""

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Noise of unit variance, x_t, both [count, C, S, S], and (t, 0), [count, 2].

        They depend on the state of the generator alone.
        """
        x = self.images.draw(count, generator)
        t = torch.rand(count, generator=generator, dtype=torch.float64)
        t = self.first + (1 - self.first) * t
        return _noisy(x, t, torch.zeros_like(t), self.schedule, generator)


def squared_noise_error(estimate: Tensor, noise: Tensor, condition: Tensor) -> Tensor:
    """Mean of (n_theta - n)^2. Its minimiser is the score, or the posterior mean for the prox."""
    return (estimate - noise).square().mean()


@dataclass(frozen=True)
class AbsoluteNoiseError:
    """Mean of |eps - e'| s / sqrt(lam), averaged over e' in closed form.

    Given x_0 and y, e' is Gaussian with standard deviation tau = sqrt((1 - a) / s^2) in each pixel,
    and eps misses its mean by mu = sqrt(lam) (n_theta - n) / s. So E|eps - e'| =
    tau sqrt(2 / pi) exp(-mu^2 / (2 tau^2)) + mu erf(mu / (sqrt(2) tau)). This is |mu| at t = 0,
    where e' is all the noise there is, and close to a squared error where steps are small.
    |n_theta - n| in its place would learn medians there, which a small step of the diffusion has no
    use for.
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
    """Proximal matching, mean of zeta_n^2 (1 - exp(-mean((n_theta - n)^2) / zeta_n^2)), see above.

    The factor gives every (t, lam) the weight that the squared error would give it.
    """

    zeta: float
    """Error that is tolerated, positive; the paper's zeta."""
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


def _noisy(
    x: Tensor, t: Tensor, lam: Tensor, schedule: VP, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Noise, images with that noise at (t, lam), and (t, lam)."""
    n = torch.randn(x.shape, generator=generator)
    signal, noise = schedule.signal(t).sqrt(), (schedule.noise(t) + lam).sqrt()
    y = signal.float().view(-1, 1, 1, 1) * x + noise.float().view(-1, 1, 1, 1) * n
    return n, y, torch.stack([t, lam], 1)
