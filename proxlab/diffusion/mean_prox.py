"""Posterior mean of any denoiser as a prox for proximal diffusion: it needs no new training.

Let D(x, sigma) = E[x_0 | x_0 + sigma e = x]. In coordinates where noise is only added,
x_t = x_0 + s_t e and y = x_t + sqrt(lam) e', the mean of x_t given y is

    y + lam / (s_t^2 + lam) (D(y, sqrt(s_t^2 + lam)) - y),

since e' has the share lam / (s_t^2 + lam) of the noise, given (x_0, y). The posterior mean is the
minimiser of the squared error, where the prox of -lam log p_t is the most probable x_t. The two
agree for a Gaussian, and to first order in lam for every p_t. If D is an exact prox, so is the
posterior mean: it is the gradient of (1 - k) |y|^2 / 2 + k psi(y), with k the fraction above and
psi the convex potential of D.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from proxlab.diffusion.start import few_step_grid
from solvers import VP


@dataclass(frozen=True)
class MeanProx:
    """The map (y, t, lam) -> E[x_t | x_t + sqrt(lam) e' = y], [B, ...], for `solvers.proxdm`."""

    denoise: Callable[[Tensor, float], Tensor]
    """D(x, sigma) for points, or for images in [-1, 1]; `DenoiserDiffusion` is for those in
    [0, 1]."""
    schedule: VP = VP()

    def __call__(self, y: Tensor, t: float, lam: float) -> Tensor:
        """Posterior mean in the coordinates of the schedule, x_t = sqrt(a) (x_0 + s_t e)."""
        root = self.schedule.signal(t) ** 0.5
        total = self.schedule.noise(t) + lam
        share = lam / total
        x = y / root
        return y + share * root * (self.denoise(x, total**0.5 / root) - x)


class DenoiserDiffusion(nn.Module):
    """Any denoiser of images in [0, 1] as a model for `proxlab.sample`, by prox or by score.

    The denoiser must know the noise of every time, up to standard deviations of 75 at t = 1.
    Denoisers of diffusion models do, those of deepinv (NCSNpp, ADMUNet) among them. A denoiser for
    photographs with a little noise on them, `lpn-gray` say, does not, and refuses.

    >>> class Shrink(torch.nn.Module):   # the best denoiser of pixels from N(1/2, 1/16)
    ...     def forward(self, x, sigma):
    ...         return (x / 16 + sigma**2 / 2) / (1 / 16 + sigma**2)
    >>> model = proxlab.DenoiserDiffusion(Shrink(), (1, 8, 8))   # images of 8 x 8 pixels
    >>> images = proxlab.sample(model, n=100, steps=20)
    >>> images.shape, round(images.mean().item(), 1)
    (torch.Size([100, 1, 8, 8]), 0.5)
    >>> x = torch.ones(1, 1, 1, 1)   # the model itself speaks of images in [-1, 1]
    >>> model.denoise(x, 0.5), model.score(x, 1.0), model.prox(x, 1.0, 1.0)
    (tensor([[[[0.5000]]]]), tensor([[[[-1.0000]]]]), tensor([[[[0.5000]]]]))
    """

    def __init__(
        self,
        denoiser: nn.Module,
        shape: tuple[int, int, int],
        schedule: VP = VP(),
        name: str | None = None,
    ):
        """A model whose images have the given shape, (C, H, W).

        denoiser: called as denoiser(x, sigma), [B, C, H, W] -> the same; name: what messages call
        the model, by default the class of the denoiser.
        """
        super().__init__()
        self.denoiser, self.shape, self.schedule = denoiser.eval(), tuple(shape), schedule
        self.name = name or type(denoiser).__name__

    def begin(self, noise: Tensor, t: float) -> Tensor:
        """Nearly X_t from standard normal noise, [B, C, H, W].

        The mean is what the denoiser sees where there is no image.

        >>> class Blank(torch.nn.Module):   # it knows white images alone
        ...     def forward(self, x, sigma):
        ...         return torch.ones_like(x)
        >>> model = proxlab.DenoiserDiffusion(Blank(), (1, 1, 2))
        >>> model.begin(torch.zeros(1, 1, 1, 2), 0.2)   # sqrt(a)
        tensor([[[[0.8114, 0.8114]]]])
        """
        if t == 1:
            return noise
        a = self.schedule.signal(t)
        blank = torch.zeros(1, *self.shape, dtype=noise.dtype, device=noise.device)
        mean = self.denoise(blank, (self.schedule.noise(1.0) / self.schedule.signal(1.0)) ** 0.5)
        return a**0.5 * mean + (1 - a) ** 0.5 * noise

    def few_steps(self, steps: int) -> list[float]:
        """Times of so many restricted steps, from t = 1; raises as `few_step_grid`.

        >>> model = proxlab.DenoiserDiffusion(proxlab.load("lpn-gray"), (1, 8, 8))
        >>> [round(t, 2) for t in model.few_steps(4)]
        [0.0, 0.33, 0.74, 0.9, 1.0]
        """
        return few_step_grid(steps, None, self.schedule)

    def denoise(self, x: Tensor, sigma: float) -> Tensor:
        """E[x_0 | x_0 + sigma e = x] of images in [-1, 1]."""
        return 2 * self.denoiser((x + 1) / 2, sigma / 2) - 1

    def prox(self, y: Tensor, t: float, lam: float) -> Tensor:
        """Posterior mean in place of the prox, see `MeanProx`."""
        return MeanProx(self.denoise, self.schedule)(y, t, lam)

    def score(self, x: Tensor, t: float) -> Tensor:
        """grad log p_t(x) = (sqrt(a) D(x / sqrt(a), s_t) - x) / (1 - a), by Tweedie's formula."""
        root, noise = self.schedule.signal(t) ** 0.5, self.schedule.noise(t)
        return (root * self.denoise(x / root, noise**0.5 / root) - x) / noise
