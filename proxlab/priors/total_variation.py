"""Total variation: the weighted length of an image's gradient, and its prox to a proved accuracy.

    prior = TV()                            # or proxlab.load("tv")
    x, r = prior.prox_and_value(v, 0.1)
    g = prior.composite()                   # for `solvers.pdhg`, which needs no prox

The prox is found by projected gradients on its dual, accelerated, each image until its own duality
gap says that it is near enough. [Rudin92; Chambolle11; Beck09]
"""

import math

import torch
from torch import Tensor

from proxlab.priors.arguments import check_images, noise_levels
from proxlab.priors.contract import Capabilities
from proxlab.priors.gradients import stopped
from proxlab.priors.jacobians.spread import SpreadOfMean
from proxlab.priors.weighted_length import WeightedLength, lengths
from solvers.protocols import Image, PerImage, dot, float_for_sums, norm, per_image

TV_WEIGHT = 8.0
"""Factor in R_sigma = sigma^2 * TV_WEIGHT * TV, near the best for photographs with noise 25/255."""
LOOK_EVERY = 20
"""Steps of the prox between two looks at the gap, which cost as much as one step."""
NO_GRADIENT = (
    "the prox of total variation is not differentiated; detach its images, v.detach(), or take a "
    "prior whose prox is: wavelets, or a learned one"
)


class TV(SpreadOfMean):
    """Isotropic total variation, R_sigma(x) = sigma^2 * weight * sum |grad x|. [Rudin92]

    Each channel is an image of its own. The prox p at v lies within accuracy |v| of the true one,
    proved by a duality gap of at most (accuracy |v|)^2, unless max_steps come first; what is proved
    is 5 to 50 times what is lost. (In float32 the gap of photographs stays above (4e-5 |v|)^2 at
    sigma = .1, and from .2 on max_steps do come first, less than 1e-5 from the prox.)
    Nothing is kept between calls (`for_run` makes a copy that does); every image is solved and
    stopped by itself, in the dtype of v. Every pixel depends on all of the image: `proxlab.Tiled`
    refuses it. Raises ValueError for a weight or an accuracy that is not positive and finite, and
    for max_steps below 1.

    >>> prior = proxlab.classical.TV()   # or proxlab.load("tv")
    >>> edge = (torch.arange(32) < 16).float().expand(1, 1, 32, 32)
    >>> prior.value(edge, 0.1)   # sigma^2 * weight * the length of the edge
    tensor([2.5600], dtype=torch.float64)
    >>> v = edge + 0.1 * torch.randn(edge.shape, generator=torch.Generator().manual_seed(0))
    >>> x, r = prior.prox_and_value(v, 0.1)
    >>> proxlab.metrics.psnr(v, edge).round(), proxlab.metrics.psnr(x, edge).round()   # dB
    (tensor([20.], dtype=torch.float64), tensor([33.], dtype=torch.float64))
    >>> torch.allclose(0.1**2 * prior.composite().value(x), r)   # R_sigma is sigma^2 g
    True
    """

    name = "tv"
    sigma_range = (0.0, 1.0)
    capabilities = Capabilities(convex=True, default_weight=1.5, most_probable=True)
    """Not exact: to `accuracy`, not to rounding. The default weight is near the best for blur and
    missing pixels on training images."""

    def __init__(self, weight: float = TV_WEIGHT, accuracy: float = 5e-5, max_steps: int = 6000):
        if not 0 < weight < math.inf:
            raise ValueError(f"the weight of total variation is positive and finite, got {weight}")
        if not 0 < accuracy < math.inf or max_steps < 1:
            raise ValueError(
                "the prox of total variation has an accuracy > 0, relative, and max_steps >= 1, "
                f"got {accuracy} and {max_steps}"
            )
        self.weight, self.accuracy, self.max_steps = weight, accuracy, max_steps

    def prox(self, v: Tensor, sigma: float | Tensor) -> Tensor:
        """argmin_x |x - v|^2 / 2 + R_sigma(x), [B, C, H, W] -> the same; sigma a float or [B].

        An image that holds NaN or infinity comes back as NaN. Raises ValueError for anything but a
        batch of float images, for a sigma outside [0, 1], and where a gradient is asked to pass
        through.

        >>> proxlab.classical.TV().prox(torch.rand(2, 3, 16, 16), torch.tensor([0.05, 0.1])).shape
        torch.Size([2, 3, 16, 16])
        """
        return self._solved(v, self._threshold(v, sigma), None)[0]

    def __call__(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """The same as `prox`."""
        return self.prox(x, sigma)

    def prox_and_value(self, v: Tensor, sigma: float | Tensor) -> tuple[Tensor, Tensor]:
        """The prox x of R_sigma at v, and R_sigma(x) [B] in float64."""
        x = self.prox(v, sigma)
        return x, self.value(x, sigma)

    def value(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """R_sigma(x), [B] in float64, by forward differences inside the image. Raises as `prox`."""
        return WeightedLength(self._threshold(x, sigma)).value(x)

    def composite(self) -> "WeightedLength":
        """g = R_sigma / sigma^2 as weight * |grad x|, for solvers that need no prox."""
        return WeightedLength(self.weight)

    def for_run(self) -> "WarmTV":
        """The same prior for one run on one batch: each prox starts at the dual of the last.

        >>> run, v = proxlab.classical.TV().for_run(), torch.rand(1, 1, 16, 16)
        >>> first, second = run.prox(v, 0.1), run.prox(v, 0.1)   # the second goes on from the first
        >>> torch.allclose(first, second, atol=1e-3)
        True
        """
        return WarmTV(self)

    def _threshold(self, v: Tensor, sigma: float | Tensor) -> PerImage:
        check_images(v)
        s = noise_levels(self.name, v, sigma, self.sigma_range, torch.float64)
        return self.weight * s.square()

    def _solved(self, v: Tensor, threshold: PerImage, u: Tensor | None) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            x, u = denoised(v, threshold, u, accuracy=self.accuracy, max_steps=self.max_steps)
            x = torch.where(per_image(v.isfinite().flatten(1).all(1), v) > 0, x, math.nan)
        return stopped(NO_GRADIENT, x, v, threshold), u


class WarmTV:
    """A TV that remembers the dual of its last prox, for one run on one batch, in one thread.

    A prox of the same shape, dtype and device starts there. It is as accurate as a cold one, and
    cheap where solvers ask again near by; what is not finite is forgotten.
    """

    name, sigma_range, capabilities = TV.name, TV.sigma_range, TV.capabilities

    def __init__(self, prior: TV, last: Tensor | None = None):
        self.prior, self._last = prior, last

    def prox(self, v: Tensor, sigma: float | Tensor) -> Tensor:
        """The same as that of `TV`."""
        threshold = self.prior._threshold(v, sigma)
        u, last = None, self._last
        fits = last is not None and last[:, 0].shape == v.shape
        if last is not None and fits and (last.dtype, last.device) == (v.dtype, v.device):
            u = last * per_image(threshold, last)  # kept for a threshold of 1
            u = torch.where(torch.isfinite(u), u, 0)
        x, u = self.prior._solved(v, threshold, u)
        self._last = torch.where(per_image(threshold, u) > 0, u / per_image(threshold, u), 0)
        return x

    def prox_and_value(self, v: Tensor, sigma: float | Tensor) -> tuple[Tensor, Tensor]:
        """The prox x of R_sigma at v, and R_sigma(x) [B] in float64."""
        x = self.prox(v, sigma)
        return x, self.prior.value(x, sigma)

    def value(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """The same as that of `TV`."""
        return self.prior.value(x, sigma)

    def select(self, index: Tensor) -> "WarmTV":
        """The same for those images of the batch, each with its own last dual."""
        return WarmTV(self.prior, None if self._last is None else self._last[index])


def denoised(
    v: Image, threshold: PerImage, u: Tensor | None, *, accuracy: float, max_steps: int
) -> tuple[Image, Tensor]:
    """The prox of threshold * TV at v [B, C, H, W], and its dual [B, 2, C, H, W], starting at u.

    Steps u = P(w + K (v - K^T w) / 8), w = u + momentum: the dual's projected gradients, whose
    momentum is dropped where it turns against them [Beck09; ODonoghue15]. x = v - K^T u.
    With G = threshold sum |K x| - <K x, u>, the duality gap, |x - prox| <= sqrt(G): both the primal
    and the dual, in K^T u, are strongly convex, so that |x - prox|^2 / 2 is at most the excess of
    either, and G is the sum of both. An image ends at G <= (accuracy |v|)^2, at max_steps, or
    where G is not finite.
    """
    g = WeightedLength(threshold)
    u = torch.zeros_like(g.forward(v)) if u is None else g.project(u)
    x_out, u_out = v.clone(), u.clone()
    index = torch.arange(len(v), device=v.device)
    goal = (accuracy * norm(v).to(float_for_sums(v))).square()
    w, age = u, torch.ones_like(goal)
    for k in range(max_steps + 1):
        if k % LOOK_EVERY == 0 or k == max_steps:
            x = v - g.adjoint(u)
            running = _gap(g, x, u) > goal
            if k == max_steps or not running.any():
                x_out[index], u_out[index] = x, u
                break
            if not running.all():
                done = ~running
                x_out[index[done]], u_out[index[done]] = x[done], u[done]
                index, v, u, w = index[running], v[running], u[running], w[running]
                g, age, goal = g.select(running), age[running], goal[running]
        moved = g.project(w + g.forward(v - g.adjoint(w)) / g.norm_squared)
        change = moved - u
        age = torch.where(dot(w - moved, change) > 0, 1.0, age)
        older = (1 + (1 + 4 * age.square()).sqrt()) / 2
        w = torch.addcmul(moved, change, per_image((age - 1) / older, u))
        u, age = moved, older
    return x_out, u_out


def _gap(g: WeightedLength, x: Image, u: Tensor) -> PerImage:
    """g(x) - <K x, u>, [B] in float64, summed pixel by pixel, where each is zero or more.

    In float32, where a device has no float64, rounding makes it larger, never smaller in the sum.
    """
    arrows, sums = g.forward(x), float_for_sums(x)
    weight = torch.as_tensor(g.weight, dtype=sums, device=x.device).view(-1, 1, 1, 1)
    inner = (arrows.to(sums) * u).sum(1)
    return (weight * lengths(arrows).to(sums) - inner).clamp(min=0).sum((1, 2, 3))
