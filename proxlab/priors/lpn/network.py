"""A learned proximal network: a denoiser that is the exact prox of a function it knows.

The gradient of a convex potential psi is the proximal operator of some function R [Fang24], and at
an output of the prox the value of R needs no search:

    f = grad psi = prox_R,    R(f(v)) = <v, f(v)> - |f(v)|^2 / 2 - psi(v).

One network serves a range of noise levels: f_s = prox of R_s, and R_s / s^2 stands for -log p. The
additive constant is fixed by the potential: R_s = 0 on constant images for the mixture potential,
which the shipped models have; the others say theirs.
"""

import torch
from deepinv.models import Denoiser
from torch import Tensor

from proxlab.machine import full_precision
from proxlab.priors.arguments import check_channels, check_images
from proxlab.priors.contract import LEARNED_WEIGHT, Capabilities
from proxlab.priors.gradients import stopped
from proxlab.priors.inversion import NO_GRADIENT, invert
from proxlab.priors.jacobians.autograd import AutogradJacobian
from proxlab.priors.jacobians.contract import PROBES, Jacobian
from proxlab.priors.jacobians.explicit import HessianJacobian
from proxlab.priors.jacobians.spread import spread
from proxlab.priors.levels import host_levels, sent
from proxlab.priors.lpn.potential import HasHessian, PartedPotential, Potential


class LPN(Denoiser):
    """An exact learned prox, for noise levels in `sigma_range`.

    Images may have any size that the potential takes; the shipped models take every size.

    `potential` is convex in its first argument and takes images in units of the noise level. With
    one channel it treats a colour image as so many gray ones, which is exactly the prox of the sum
    of R over the channels. With three, images are [B, 3, H, W] and the channels share one R.
    Calling the object is its prox, as deepinv's solvers expect of a denoiser. Source: [Fang24].

    >>> prior = proxlab.load("lpn-gray")
    >>> clean = torch.linspace(0, 1, 32).expand(1, 1, 32, 32)
    >>> v = clean + 0.1 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    >>> x, r = prior.prox_and_value(v, 0.1)   # argmin_x |x - v|^2 / 2 + R(x), and R there
    >>> proxlab.metrics.psnr(v, clean).round(), proxlab.metrics.psnr(x, clean).round()   # dB
    (tensor([20.], dtype=torch.float64), tensor([34.], dtype=torch.float64))
    >>> torch.equal(prior(v, 0.1), x), prior.channels, prior.capabilities.exact
    (True, 1, True)
    """

    def __init__(
        self,
        potential: Potential,
        sigma_range: tuple[float, float] = (1 / 255, 75 / 255),
        name: str = "lpn",
    ):
        super().__init__()
        self.potential = potential
        self.sigma_range = sigma_range
        self.name = name

    @property
    def channels(self) -> int:
        """3 if it knows colour images alone, 1 if it takes any image channel by channel."""
        return self.potential.channels

    @property
    def capabilities(self) -> Capabilities:
        """Exact by construction, and not convex; the rest is that of the potential, as trained."""
        psi = self.potential
        memory, elsewhere = psi.memory if isinstance(psi, PartedPotential) else (None, None)
        return Capabilities(
            exact=True,
            alpha=psi.alpha,
            default_weight=LEARNED_WEIGHT,
            fixed_size=psi.fixed_size,
            reach=psi.reach,
            alignment=psi.alignment,
            parts=isinstance(psi, PartedPotential),
            memory=memory,
            memory_elsewhere=elsewhere,
        )

    def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """The prox of R_sigma at x [B, C, H, W]; the same as `prox`.

        >>> prior = proxlab.load("lpn-gray")
        >>> prior(torch.rand(2, 3, 24, 40), 0.1).shape   # three channels: each a gray image
        torch.Size([2, 3, 24, 40])
        """
        return self.prox(x, sigma)

    @full_precision()
    def prox(self, v: Tensor, sigma: float | Tensor) -> Tensor:
        """argmin_x |x - v|^2 / 2 + R_sigma(x), [B, C, H, W] -> the same.

        sigma is a float or a tensor [B], in image units. Raises ValueError for one outside
        `sigma_range`, for an input that is not a batch of images in float32 or float64, and for
        one without three channels where `channels` is 3.

        >>> prior = proxlab.load("lpn-gray")
        >>> v = torch.rand(2, 1, 24, 24)
        >>> prior.prox(v, torch.tensor([0.05, 0.1])).shape   # a level for each image
        torch.Size([2, 1, 24, 24])
        >>> prior.prox(v, 25)
        Traceback (most recent call last):
            ...
        ValueError: lpn-gray knows noise levels ..., got sigma = 25; divide by 255?
        """
        gray, s, levels = self._gray(v, sigma)
        return (s * self.potential.gradient(gray / s, levels)).view_as(v)

    @full_precision()
    def prox_and_value(self, v: Tensor, sigma: float | Tensor) -> tuple[Tensor, Tensor]:
        """The prox x of R_sigma at v, and R_sigma(x) [B] in float64, in one pass.

        For the shipped models R_sigma is 0 on constant images. Raises as `prox`.

        >>> prior = proxlab.load("lpn-gray")
        >>> flat = torch.full((1, 1, 16, 16), 0.5)
        >>> x, r = prior.prox_and_value(flat, 0.1)
        >>> (x - flat).abs().max() < 1e-5, r.abs() < 1e-5
        (tensor(True), tensor([True]))
        """
        gray, s, levels = self._gray(v, sigma)
        scaled = gray / s
        x, gap = self.potential.gradient_and_gap(scaled, levels)
        return (s * x).view_as(v), _value_at(x, scaled, gap, levels, len(v))

    @full_precision()
    def prox_and_part(
        self, v: Tensor, sigma: float | Tensor, part: tuple[slice, slice]
    ) -> tuple[Tensor, Tensor]:
        """The prox x of R_sigma at v, and what those rows and columns hold of R_sigma(x), [B].

        The parts that make up an image add up to R_sigma(x). Raises as `prox`.

        >>> prior, v = proxlab.load("lpn-gray"), torch.rand(1, 1, 16, 16)
        >>> rows = slice(None)
        >>> x, left = prior.prox_and_part(v, 0.1, (rows, slice(0, 8)))
        >>> x, right = prior.prox_and_part(v, 0.1, (rows, slice(8, 16)))
        >>> torch.allclose(left + right, prior.prox_and_value(v, 0.1)[1])
        True
        """
        if not isinstance(self.potential, PartedPotential):
            raise TypeError(f"the value of {self.name} is not known part by part")
        gray, s, levels = self._gray(v, sigma)
        scaled = gray / s
        x, gap = self.potential.gradient_and_part(scaled, levels, part)
        here = (..., *part)
        return (s * x).view_as(v), _value_at(x[here], scaled[here], gap, levels, len(v))

    @full_precision()
    def jacobian(self, v: Tensor, sigma: float | Tensor) -> Jacobian:
        """The Jacobian of the prox at v: symmetric, positive, and for shipped models explicit.

        These keep no graph. One pass, and each product then costs about one more; the diagonal is
        exact, for some 45 passes. They keep 190 numbers a pixel (`lpn-gray`: 0.8 kB in float32),
        where a potential of another kind keeps the graph of one pass. Raises as `prox`.

        >>> v = torch.rand(1, 1, 24, 24)
        >>> jacobian = proxlab.load("lpn-gray-small").jacobian(v, 0.1)
        >>> u = torch.rand(1, 1, 24, 24)
        >>> jacobian.symmetric, (u * jacobian(u)).sum() > 0
        (True, tensor(True))
        """
        gray, s, _ = self._gray(v, sigma)
        if isinstance(self.potential, HasHessian):
            hessian = self.potential.hessian((gray / s).detach(), s.flatten().detach())
            return HessianJacobian(hessian, v, self.channels, s)
        return AutogradJacobian(self.prox, v, sigma, self.name, symmetric=True)

    def spread(
        self, v: Tensor, sigma: float | Tensor, probes: int = PROBES, seed: int = 0
    ) -> Tensor:
        """Standard deviation of each pixel of the prox, sigma sqrt(diag J), [B, C, H, W].

        Exact and positive for shipped models, which need no probes; for a potential of another kind
        an estimate by at most that many products: see `jacobians.spread`. Raises as `prox`, and
        ValueError for probes below 1.

        >>> prior = proxlab.load("lpn-gray-small")
        >>> edge = (torch.arange(32) < 16).float().expand(1, 1, 32, 32)
        >>> s = prior.spread(edge, 0.1)[0, 0, 16]
        >>> bool(s[16] > 2 * s[4])   # less sure beside an edge than far from it
        True
        """
        return spread(self, v, sigma, probes, seed)

    @full_precision()
    def inverse(self, x: Tensor, sigma: float | Tensor, tol: float = 1e-6) -> Tensor:
        """The v with prox(v, sigma) = x, to |prox(v) - x| <= tol |x - mean of x| for each image.

        The tolerance holds in units of the noise; scaling back may add some 2e-7 in float32. An
        image that is constant to rounding is inverted to rounding. Raises RuntimeError if an image
        does not get there, since it lies outside the range of the prox or tol is below the rounding
        of its dtype; try float64 or a larger tol.

        >>> prior, v = proxlab.load("lpn-gray").double(), torch.rand(1, 1, 16, 16).double()
        >>> back = prior.inverse(prior.prox(v, 0.1), 0.1)
        >>> (back - v).abs().max() < 1e-4
        tensor(True)
        """
        gray, s, _ = self._gray(x, sigma)
        v = (s * self._inverse(gray / s, s, tol)).view_as(x)
        return stopped(NO_GRADIENT, v.detach(), x, s, *self.parameters())

    @full_precision()
    def value(self, x: Tensor, sigma: float | Tensor, tol: float = 1e-6) -> Tensor:
        """R_sigma at any x, [B] in float64, by inverting the prox to `tol`. Raises as `inverse`.

        For the shipped models R_sigma is 0 on constant images, which fixes its constant. The error
        of the value is of second order in the error of the inverse.

        >>> prior = proxlab.load("lpn-gray").double()
        >>> x, r = prior.prox_and_value(torch.rand(1, 1, 16, 16).double(), 0.1)
        >>> torch.allclose(prior.value(x, 0.1), r)
        True
        """
        gray, s, levels = self._gray(x, sigma)
        scaled = gray / s
        v = self._inverse(scaled, s, tol)
        with torch.no_grad():
            _, gap = self.potential.gradient_and_gap(v, levels)
        return _value_at(scaled, v, gap, levels, len(x))

    def _inverse(self, x: Tensor, s: Tensor, tol: float) -> Tensor:
        with torch.no_grad():
            return invert(lambda v, i: self.potential.gradient(v, s.flatten()[i]), x, tol=tol)

    def _gray(self, x: Tensor, sigma: float | Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images as the potential takes them, the noise level s of each, [n, 1, 1, 1], and sigma.

        They are [B * C, 1, H, W] for a potential of one channel, and x itself for one of three.
        sigma [n] is the same as s, but on the CPU where it is known there.
        """
        check_images(x)
        check_channels(self.name, x, self.channels)
        levels = host_levels(self.name, x, sigma, self.sigma_range, x.dtype)
        levels = levels.repeat_interleave(x.shape[1] // self.channels)
        gray = x.reshape(-1, self.channels, *x.shape[2:])
        return gray, sent(levels, x).view(-1, 1, 1, 1), levels


def _value_at(x: Tensor, v: Tensor, gap: Tensor, sigma: Tensor, images: int) -> Tensor:
    """R = s^2 (|v|^2 / 2 - psi(v) - |x - v|^2 / 2), summed over the channels of each image."""
    r = torch.sub(gap, (x - v).square().sum((1, 2, 3), dtype=gap.dtype), alpha=0.5)
    squares = sigma.to(gap.dtype).square().to(gap.device, non_blocking=True)
    each = squares * r
    return each if len(each) == images else each.view(images, -1).sum(1)
