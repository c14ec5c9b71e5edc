"""Classical priors: total variation, no prior at all, and the table of all that have a name.

To add one, write a class that keeps the contract (`proxlab.priors.contract`) in a file of its own,
as `wavelets` is, and give it a row in `CLASSICAL`.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from deepinv.models import TVDenoiser
from torch import Tensor

from proxlab.priors.arguments import check_images, noise_levels
from proxlab.priors.contract import Capabilities, Prior
from proxlab.priors.wavelets import Wavelets

TV_WEIGHT = 8.0
"""Factor in R_sigma = sigma^2 * TV_WEIGHT * TV, near the best for photographs with noise 25/255."""


class TV:
    """Isotropic total variation, R_sigma(x) = sigma^2 * weight * sum |grad x|. [Rudin92]

        prior = TV()                            # or proxlab.load("tv")
        x, r = prior.prox_and_value(v, 0.1)

    The prox is deepinv's, an over-relaxed primal-dual iteration that stops at relative changes of
    `crit` or after `max_steps`. Each image is solved by itself. A later call starts it from the
    last dual of the image at the same place of its batch, if the shape is the same. So the result
    is inexact, and a descent certified with it is too. Every pixel depends on all of the image:
    `proxlab.Tiled` refuses it. Raises ValueError for a weight that is not positive.
    """

    name = "tv"
    sigma_range = (0.0, 1.0)
    capabilities = Capabilities(convex=True, default_weight=1.5)
    """The default weight is near the best for blur and missing pixels on training images."""

    def __init__(self, weight: float = TV_WEIGHT, crit: float = 1e-5, max_steps: int = 300):
        if not weight > 0:
            raise ValueError(f"the weight of total variation is positive, got {weight}")
        self.weight, self.crit, self.max_steps = weight, crit, max_steps
        self._solvers: list[TVDenoiser] = []

    def prox(self, v: Tensor, sigma: float | Tensor) -> Tensor:
        """argmin_x |x - v|^2 / 2 + R_sigma(x), [B, C, H, W] -> the same; sigma a float or [B].

        Raises ValueError for anything but a batch of float images, and for a sigma outside [0, 1].
        """
        check_images(v)
        noise_levels(self.name, v, sigma, self.sigma_range, torch.float64)
        threshold = torch.as_tensor(sigma, device=v.device).square() * self.weight
        threshold = threshold.flatten().expand(len(v))
        while len(self._solvers) < len(v):
            self._solvers.append(TVDenoiser(n_it_max=self.max_steps, crit=self.crit))
        rows = []
        for one, solver, t in zip(v.split(1), self._solvers, threshold, strict=False):
            if solver.u2 is not None and (solver.u2.dtype, solver.u2.device) != (v.dtype, v.device):
                solver.restart = True
            with torch.no_grad():
                rows.append(solver(one, float(t)))
        return torch.cat(rows)

    def __call__(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """The same as `prox`."""
        return self.prox(x, sigma)

    def select(self, index: Tensor) -> "TV":
        """The same prior for those images of the batch, each with its own last dual."""
        chosen = TV(self.weight, self.crit, self.max_steps)
        if self._solvers:
            chosen._solvers = [self._solvers[i] for i in index.tolist()]
        return chosen

    def prox_and_value(self, v: Tensor, sigma: float | Tensor) -> tuple[Tensor, Tensor]:
        """The prox x of R_sigma at v, and R_sigma(x) [B] in float64."""
        x = self.prox(v, sigma)
        return x, self.value(x, sigma)

    def value(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """R_sigma(x), [B] in float64, by forward differences inside the image. Raises as `prox`."""
        check_images(x)
        noise_levels(self.name, x, sigma, self.sigma_range, torch.float64)
        down, right = torch.zeros_like(x), torch.zeros_like(x)
        down[..., :-1, :] = x[..., 1:, :] - x[..., :-1, :]
        right[..., :-1] = x[..., 1:] - x[..., :-1]
        total = (down**2 + right**2).sqrt().sum((1, 2, 3), dtype=torch.float64)
        return self.weight * torch.as_tensor(sigma, device=x.device).double().square() * total


class Identity:
    """No prior: R = 0, whose prox changes nothing."""

    name = "none"
    sigma_range = (0.0, 1.0)
    capabilities = Capabilities(exact=True, convex=True, reach=0, parts=True)

    def prox(self, v: Tensor, sigma: float | Tensor) -> Tensor:
        """v itself. Raises as that of every prior, so that no mistake hides behind it."""
        check_images(v)
        noise_levels(self.name, v, sigma, self.sigma_range, torch.float64)
        return v

    def __call__(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """The same as `prox`."""
        return self.prox(x, sigma)

    def prox_and_value(self, v: Tensor, sigma: float | Tensor) -> tuple[Tensor, Tensor]:
        """v, and zeros [B] in float64."""
        return self.prox(v, sigma), self.value(v, sigma)

    def prox_and_part(
        self, v: Tensor, sigma: float | Tensor, part: tuple[slice, slice]
    ) -> tuple[Tensor, Tensor]:
        """v, and zeros [B] in float64."""
        return self.prox_and_value(v, sigma)

    def value(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """Zeros, [B] in float64."""
        return x.new_zeros(len(x), dtype=torch.float64)


class Classical(NamedTuple):
    """A prior that is not learned, as the commands know it."""

    make: Callable[[], Prior]
    """The prior with its defaults."""
    what: str
    """One line for `proxlab models`."""


CLASSICAL = {
    "tv": Classical(TV, "total variation (deepinv)"),
    "wavelets": Classical(Wavelets, "soft thresholding in an orthogonal basis"),
    "none": Classical(Identity, "no prior"),
}
"""The classical priors by the names that `proxlab.load` knows. A new one is a file and a row."""
