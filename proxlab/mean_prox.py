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

from torch import Tensor

from solvers import VP


@dataclass(frozen=True)
class MeanProx:
    """(y [B, ...], t, lam) -> E[x_t | x_t + sqrt(lam) e' = y], for the samplers of `solvers`."""

    denoise: Callable[[Tensor, float], Tensor]
    """D(x, sigma), of images in [-1, 1]; see `of_images` for one of images in [0, 1]."""
    schedule: VP = VP()

    def __call__(self, y: Tensor, t: float, lam: float) -> Tensor:
        """In the coordinates of the variance-preserving schedule, x_t = sqrt(a) (x_0 + s_t e)."""
        root = self.schedule.signal(t) ** 0.5
        total = self.schedule.noise(t) + lam
        share = lam / total
        x = y / root
        return y + share * root * (self.denoise(x, total**0.5 / root) - x)

    prox = __call__


def of_images(denoiser: Callable[[Tensor, float], Tensor]) -> Callable[[Tensor, float], Tensor]:
    """A denoiser of images in [0, 1], as every prior of this package is, worn as one in [-1, 1]."""

    def denoise(x: Tensor, sigma: float) -> Tensor:
        return 2 * denoiser((x + 1) / 2, sigma / 2) - 1

    return denoise
