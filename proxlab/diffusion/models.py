"""Models that `proxlab.sample` draws from: a learned prox of a diffusion, and a learned score.

Inside, images lie in [-1, 1], and time runs from 0, a clean image, to 1, noise; see `solvers.VP`.
"""

import warnings
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from proxlab.diffusion.mean_prox import MeanProx
from proxlab.diffusion.network import DiffusionNet, DiffusionNetConfig
from proxlab.diffusion.start import StartLaw, few_step_grid
from solvers import VP, Restricted, step_sizes, uniform_grid
from solvers.diffusion.proximal import StepKind

SLACK = 1.01
"""Factor by which a lam may lie outside those of training, as rounding does."""
TOLERATED = 1.25
"""Factor by which the variance of the noise may exceed that of t = 1 without a warning. Images are
no part of it any more there."""


class ProxDM(nn.Module):
    """The prox of -lam log p_t, learned by proximal matching. [Fang25, Sec. 4]

    `lambda_range` has the least and the largest lam that it is trained for.
    """

    def __init__(self, config: DiffusionNetConfig, steps: Sequence[int], name: str = "proxdm"):
        """A network with untrained weights.

        steps: numbers of uniform steps; it is meant for the (t, lam) that samplers of so many
        steps ask for; name: what messages call it.
        """
        super().__init__()
        self.config, self.steps, self.name = config, tuple(steps), name
        self.net, self.start = DiffusionNet(config), StartLaw(config.shape)
        self.schedule, self.shape = self.net.schedule, config.shape
        trained = [lam for n in self.steps for _, lam in _both_kinds(n, self.schedule)]
        self.lambda_range = (min(trained), max(trained))

    def forward(self, y: Tensor, condition: Tensor) -> Tensor:
        """Noise in y, which training compares; see `DiffusionNet`."""
        return self.net(y, condition)

    def begin(self, noise: Tensor, t: float) -> Tensor:
        """Nearly X_t from standard normal noise, [B, C, S, S]; raises as `StartLaw.begin`."""
        return self.start.begin(noise, t, self.schedule)

    def few_steps(self, steps: int) -> list[float]:
        """Times of so many restricted steps; raises as `few_step_grid`."""
        return few_step_grid(steps, self.start.high if self.start.known else None, self.schedule)

    def prox(self, y: Tensor, t: float, lam: float) -> Tensor:
        """prox_{-lam log p_t}(y), [B, C, S, S] -> the same.

        Raises ValueError for a lam outside `lambda_range`.
        """
        self._check_lambda(lam)
        s2 = self.schedule.noise(t) + lam
        return y.sub(self.net(y, _condition(y, t, lam)), alpha=lam / s2**0.5)

    def check_steps(self, times: Sequence[float], kind: StepKind) -> None:
        """Check the steps of a sampler before it takes any.

        Raises ValueError for a lam outside `lambda_range` and for steps that cannot be taken
        (`solvers.step_sizes`); warns of a grid that is none of those trained for, but for
        restricted steps, which ask about the noise of training pairs on any grid.
        """
        for _, lam in step_sizes(times, kind, self.schedule):
            self._check_lambda(lam)
        if kind == "restricted" or isinstance(kind, Restricted):
            return
        n = len(times) - 1
        uniform = all(abs((t - s) * n - 1) < 1e-6 for s, t in pairwise(times))
        if n not in self.steps or not uniform or kind == "flow":
            grid = f"{n} uniform {kind} steps" if uniform else f"another grid, of {n} {kind} steps"
            warnings.warn(
                f"{self.name} is trained for {', '.join(map(str, self.steps))} uniform hybrid or "
                f"backward steps, not for {grid}: its prox is interpolated there",
                stacklevel=1,
            )

    def _check_lambda(self, lam: float) -> None:
        low, high = self.lambda_range
        if not low / SLACK <= lam <= high * SLACK:
            raise ValueError(
                f"{self.name} is trained for lambda from {low:.3g} to {high:.3g}, got {lam:.3g}; "
                f"take {'fewer' if lam < low else 'more'} steps, or between {min(self.steps)} and "
                f"{max(self.steps)} uniform hybrid steps"
            )


class ScoreModel(nn.Module):
    """The score grad log p_t, learned by denoising [Song21]; its denoiser makes a prox as well."""

    def __init__(self, config: DiffusionNetConfig, name: str = "score"):
        """A network with untrained weights; name: what messages call it."""
        super().__init__()
        self.config, self.name = config, name
        self.net, self.start = DiffusionNet(config), StartLaw(config.shape)
        self.schedule, self.shape = self.net.schedule, config.shape

    def forward(self, y: Tensor, condition: Tensor) -> Tensor:
        """Noise in y, which training compares; see `DiffusionNet`."""
        return self.net(y, condition)

    def begin(self, noise: Tensor, t: float) -> Tensor:
        """Nearly X_t from standard normal noise, [B, C, S, S]; raises as `StartLaw.begin`."""
        return self.start.begin(noise, t, self.schedule)

    def few_steps(self, steps: int) -> list[float]:
        """Times of so many restricted steps; raises as `few_step_grid`."""
        return few_step_grid(steps, self.start.high if self.start.known else None, self.schedule)

    def noise(self, x: Tensor, t: float) -> Tensor:
        """E[e | x_t = x], [B, C, S, S] -> the same."""
        return self.net(x, _condition(x, t, 0.0))

    def score(self, x: Tensor, t: float) -> Tensor:
        """grad log p_t(x), [B, C, S, S] -> the same."""
        return self.noise(x, t) / -(self.schedule.noise(t) ** 0.5)

    def denoise(self, x: Tensor, sigma: float) -> Tensor:
        """E[x_0 | x_0 + sigma e = x], from the score at the time that has this ratio of noise."""
        t = self.schedule.time_of_noise(sigma)
        a = self.schedule.signal(t)
        return x - sigma * self.noise(a**0.5 * x, t)

    def prox(self, y: Tensor, t: float, lam: float) -> Tensor:
        """Posterior mean in place of the prox, see `MeanProx`."""
        return MeanProx(self.denoise, self.schedule)(y, t, lam)

    def check_steps(self, times: Sequence[float], kind: StepKind) -> None:
        """Check the proximal steps of a sampler before it takes any.

        Raises ValueError for steps that cannot be taken (`solvers.step_sizes`); warns of a step
        that asks about much more noise than there is at t = 1, as long backward steps do.
        """
        most = 1 / self.schedule.signal(1.0)
        for t, lam in step_sizes(times, kind, self.schedule):
            beyond = (1 + lam) / self.schedule.signal(t) / most
            if beyond > TOLERATED:
                warnings.warn(
                    f"{self.name} is trained for the noise of t up to 1, and a {kind} step to t = "
                    f"{t:.3g} asks about {beyond**0.5:.2g} times that; take more steps",
                    stacklevel=1,
                )
                break


DiffusionModel = ProxDM | ScoreModel


def _condition(y: Tensor, t: float, lam: float) -> Tensor:
    """(t, lam) for each image, [B, 2], on the CPU: what is known there waits for no device."""
    return torch.tensor([[t, lam]], dtype=torch.float64).expand(len(y), 2)


def _both_kinds(n: int, schedule: VP) -> list[tuple[float, float]]:
    """The (t, lam) of n uniform hybrid steps, and of backward steps if these can be taken."""
    grid = uniform_grid(n)
    try:
        return step_sizes(grid, "hybrid", schedule) + step_sizes(grid, "backward", schedule)
    except ValueError:  # backward steps are too long there
        return step_sizes(grid, "hybrid", schedule)
