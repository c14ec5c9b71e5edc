"""A prox for proximal diffusion without new training: the posterior mean, from any denoiser.

Let D(x, sigma) = E[x_0 | x_0 + sigma e = x]. In coordinates where noise is only added,
x_t = x_0 + s_t e and y = x_t + sqrt(lam) e', the mean of x_t given y is

    y + lam / (s_t^2 + lam) (D(y, sqrt(s_t^2 + lam)) - y),

since (x_0, y) leave e' the share lam / (s_t^2 + lam) of the noise. It is the minimiser of the
squared error where the prox of -lam log p_t is the most probable x_t; the two agree for a Gaussian,
and to first order in lam for every p_t. Where D is an exact prox so is this, as the gradient of
(1 - k) |y|^2 / 2 + k psi(y), k the fraction and psi the convex potential of D.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from solvers import VP


@dataclass(frozen=True)
class MeanProx:
    """(y [B, ...], t, lam) -> E[x_t | x_t + sqrt(lam) e' = y], for the samplers of `solvers`."""

    denoise: Callable[[Tensor, float], Tensor]
    """D(x, sigma), of images in [-1, 1] or points; `DenoiserDiffusion` has that of images in
    [0, 1]."""
    schedule: VP = VP()

    def __call__(self, y: Tensor, t: float, lam: float) -> Tensor:
        """In the coordinates of the variance-preserving schedule, x_t = sqrt(a) (x_0 + s_t e)."""
        root = self.schedule.signal(t) ** 0.5
        total = self.schedule.noise(t) + lam
        share = lam / total
        x = y / root
        return y + share * root * (self.denoise(x, total**0.5 / root) - x)


class DenoiserDiffusion(nn.Module):
    """Any denoiser of images in [0, 1] as a model for `proxlab.sample`, of all kinds.

    It must know the noise of every time: up to standard deviations of 75 at t = 1, as the
    denoisers of diffusion models do, those of deepinv (NCSNpp, ADMUNet) among them; one for
    photographs with some noise on them, `lpn-gray` say, does not and refuses.
    """

    def __init__(
        self,
        denoiser: nn.Module,
        shape: tuple[int, int, int],
        schedule: VP = VP(),
        name: str | None = None,
    ):
        """`denoiser(x, sigma)`: [B, C, H, W] -> the same; `shape` of an image, (C, H, W)."""
        super().__init__()
        self.denoiser, self.shape, self.schedule = denoiser.eval(), tuple(shape), schedule
        self.name = name or type(denoiser).__name__

    def denoise(self, x: Tensor, sigma: float) -> Tensor:
        """E[x_0 | x_0 + sigma e = x] of images in [-1, 1]."""
        return 2 * self.denoiser((x + 1) / 2, sigma / 2) - 1

    def prox(self, y: Tensor, t: float, lam: float) -> Tensor:
        """`MeanProx`."""
        return MeanProx(self.denoise, self.schedule)(y, t, lam)

    def score(self, x: Tensor, t: float) -> Tensor:
        """grad log p_t(x) = (sqrt(a) D(x / sqrt(a), s_t) - x) / (1 - a), Tweedie's formula."""
        root, noise = self.schedule.signal(t) ** 0.5, self.schedule.noise(t)
        return (root * self.denoise(x / root, noise**0.5 / root) - x) / noise
