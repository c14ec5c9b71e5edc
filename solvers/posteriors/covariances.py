"""Covariances of p(x_0 | x_sigma): how far the clean image may lie from the denoised one.

The denoiser D(x, sigma) is the mean of p(x_0 | x_0 + sigma e = x). Its covariance is sigma^2 J, J
the Jacobian of D at x [Efron11]: exact, and known where J can be applied. A number for each level,
or one for each frequency, are cheaper and often as good. Each is asked for the mean and for the
covariance at once, since the Jacobian needs both from one evaluation.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from solvers.posteriors.roots import root_by_one, root_times
from solvers.protocols import per_image

ASYMMETRY = 0.01
"""|C - C^T| / |C|, on the space that a root searches, above which a map is no covariance."""
Denoise = Callable[[Tensor, float], Tensor]
"""D, (x_0 + sigma e [B, ...], sigma) -> the posterior mean of x_0, shaped like x."""


Linearize = Callable[[Tensor, float], tuple[Tensor, Callable[[Tensor], Tensor]]]


class Root(NamedTuple):
    """Noise of a covariance C, and a product that tells of C."""

    noise: Tensor
    """Noise of covariance C from standard normal z, shaped like z."""
    product: Tensor
    """C z, which a root by products knows anyway."""


class CovarianceMatrix(Protocol):
    """A covariance C at one state: symmetric, with no negative eigenvalue, image by image."""

    def product(self, u: Tensor, /) -> Tensor:
        """C u, shaped like u."""
        ...

    def root(self, z: Tensor) -> Root:
        """Noise of covariance C from standard normal z, and C z."""
        ...


class Covariance(Protocol):
    """The covariance of the clean image at every level, and the denoised image with it."""

    def around(self, denoise: Denoise, x: Tensor, sigma: float) -> tuple[Tensor, CovarianceMatrix]:
        """D(x, sigma), and the covariance around it."""
        ...


@dataclass(frozen=True)
class ScaledIdentity:
    """C = variance I, a `CovarianceMatrix`; a number, or one for each image, [B]."""

    variance: float | Tensor

    def product(self, u: Tensor) -> Tensor:
        """See `CovarianceMatrix.product`."""
        return self._size(u) * u

    def root(self, z: Tensor) -> Root:
        """See `CovarianceMatrix.root`."""
        return Root(self._size(z) ** 0.5 * z, self.product(z))

    def _size(self, u: Tensor) -> float | Tensor:
        v = self.variance
        return per_image(v.to(u), u) if isinstance(v, Tensor) else v


@dataclass(frozen=True)
class Stationary:
    """C = F^-1 diag(power) F, a `CovarianceMatrix` of images whose borders wrap around."""

    power: Tensor
    """Eigenvalues >= 0, even in frequency, broadcast against [B, C, H, W // 2 + 1]."""

    def product(self, u: Tensor) -> Tensor:
        """See `CovarianceMatrix.product`."""
        return self._filtered(u, self.power)

    def root(self, z: Tensor) -> Root:
        """See `CovarianceMatrix.root`."""
        return Root(self._filtered(z, self.power.sqrt()), self.product(z))

    def _filtered(self, u: Tensor, factor: Tensor) -> Tensor:
        return torch.fft.irfft2(factor.to(u) * torch.fft.rfft2(u), s=u.shape[-2:])


@dataclass(frozen=True)
class ScalarCovariance:
    """A number for each level: the mean square of x_0 - D(x_0 + sigma e, sigma), measured.

    >>> covariance = solvers.ScalarCovariance(lambda sigma: sigma**2 / (1 + sigma**2))
    >>> mean, matrix = covariance.around(lambda x, s: x / (1 + s**2), torch.ones(1, 2), 1.0)
    >>> mean, matrix.product(torch.ones(1, 2))
    (tensor([[0.5000, 0.5000]]), tensor([[0.5000, 0.5000]]))
    """

    variance: Callable[[float], float]
    """sigma -> the variance, from 0 to sigma^2."""

    def around(self, denoise: Denoise, x: Tensor, sigma: float) -> tuple[Tensor, CovarianceMatrix]:
        """See `Covariance.around`. Raises ValueError for a variance below 0 or above sigma^2.

        >>> solvers.ScalarCovariance(lambda sigma: 2.0).around(lambda x, s: x, torch.ones(1), 1.0)
        Traceback (most recent call last):
            ...
        ValueError: a posterior's variance is 0 to sigma^2, got 2 at sigma = 1; measure it ...
        """
        variance = self.variance(sigma)
        if not 0 <= variance <= sigma**2 * (1 + 1e-6):
            raise ValueError(
                f"a posterior's variance is 0 to sigma^2, got {variance:.3g} at sigma = "
                f"{sigma:.3g}; measure it as the error of the denoiser"
            )
        return denoise(x, sigma), ScaledIdentity(variance)


@dataclass(frozen=True)
class SpectralCovariance:
    """The Wiener covariance S sigma^2 / (S + sigma^2) of images with the power spectrum S, scaled.

    The scale makes its mean eigenvalue the measured error of the denoiser, as `ScalarCovariance`.

    >>> power = torch.ones(1, 4, 3)
    >>> covariance = solvers.SpectralCovariance(power, lambda sigma: 0.1)
    >>> covariance.around(lambda x, s: x, torch.ones(1, 1, 4, 4), 1.0)[1].product(torch.ones(4, 4))
    tensor([[[0.1000, 0.1000, 0.1000, 0.1000],
             [0.1000, 0.1000, 0.1000, 0.1000],
             [0.1000, 0.1000, 0.1000, 0.1000],
             [0.1000, 0.1000, 0.1000, 0.1000]]])
    """

    power: Tensor
    """S, [C, H, W // 2 + 1]: variance of each Fourier coefficient over H W."""
    variance: Callable[[float], float] | None = None
    """sigma -> mean square error of the denoiser; None leaves the scale 1."""

    def around(self, denoise: Denoise, x: Tensor, sigma: float) -> tuple[Tensor, CovarianceMatrix]:
        """See `Covariance.around`. Raises ValueError for images of another size than the spectrum.

        >>> covariance = solvers.SpectralCovariance(torch.ones(1, 2, 2))
        >>> x = torch.ones(1, 1, 2, 2)
        >>> covariance.around(lambda x, s: x, x, 1.0)[1].product(x)
        tensor([[[[0.5000, 0.5000],
                  [0.5000, 0.5000]]]])
        """
        half = (*x.shape[-2:-1], x.shape[-1] // 2 + 1)
        if x.ndim < 3 or self.power.shape[-2:] != half:
            raise ValueError(
                f"a power spectrum of [..., {', '.join(map(str, half))}] goes with images of "
                f"{list(x.shape)}, got {list(self.power.shape)}; make it for this size"
            )
        wiener = self.power * sigma**2 / (self.power + sigma**2)
        if self.variance is not None:
            wiener = wiener * (self.variance(sigma) / _mean_eigenvalue(wiener, x.shape[-1]))
        return denoise(x, sigma), Stationary(wiener.clamp(max=sigma**2))


@dataclass(frozen=True)
class JacobianCovariance:
    """sigma^2 J, J the Jacobian of the denoiser, by autograd or as told; its root by Lanczos.

    Of an exact prox J is symmetric and nonnegative, as this needs. Of another network the symmetric
    part is taken where a root is, and conjugate gradients may err: a J that shows to be none, by
    `ASYMMETRY`, warns. Raises ValueError unless 1 <= products <= 1000.

    >>> one = torch.ones(1, 2)
    >>> mean, matrix = solvers.JacobianCovariance().around(lambda x, s: x / 2, one, 1.0)
    >>> mean, matrix.product(one), matrix.root(one).noise
    (tensor([[0.5000, 0.5000]]), tensor([[0.5000, 0.5000]]), tensor([[0.7071, 0.7071]]))
    """

    products: int = 2
    """Products with J that the root takes: by Lanczos, and a single one by `roots.root_by_one`."""
    linearize: Linearize | None = None
    """(x, sigma) -> D(x, sigma), in place of what `posterior` is given, and u -> J u; None is
    autograd. For `lpn-gray`: `lambda x, s: (prior.prox(x, s), prior.jacobian(x, s))`."""

    def __post_init__(self):
        if isinstance(self.products, bool) or self.products not in range(1, 1001):
            raise ValueError(f"products is a whole number from 1 to 1000, got {self.products}")

    def around(self, denoise: Denoise, x: Tensor, sigma: float) -> tuple[Tensor, CovarianceMatrix]:
        """See `Covariance.around`.

        >>> around = solvers.JacobianCovariance().around
        >>> around(lambda x, s: x / 4, torch.ones(1, 2), 2.0)[1].product(torch.ones(1, 2))
        tensor([[1., 1.]])
        """
        linearize = self.linearize or _by_autograd(denoise)
        mean, jacobian = linearize(x, sigma)
        return mean, Applied(lambda u: sigma**2 * jacobian(u), self.products, sigma**2)


@dataclass(frozen=True)
class Applied:
    """A `CovarianceMatrix` that is known by its products; its root costs so many of them."""

    product: Callable[[Tensor], Tensor]
    products: int
    most: float = math.inf
    """Largest eigenvalue, about; the root by a single product asks."""

    def root(self, z: Tensor) -> Root:
        """See `CovarianceMatrix.root`. Warns of a map that is not symmetric."""
        if self.products == 1 and self.most < math.inf:
            return Root(*root_by_one(self.product, z, self.most))
        root, product, skew = root_times(self.product, z, self.products)
        if (skew > ASYMMETRY).any():
            warnings.warn(
                "a covariance is symmetric, and this Jacobian is not, by "
                f"{float(skew.max()):.1g} of its size: draws are of no known law; take the prox of "
                "a learned proximal network",
                stacklevel=2,
            )
        return Root(root, product)


def _by_autograd(denoise: Denoise) -> Linearize:
    def linearize(x: Tensor, sigma: float) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        with torch.enable_grad():
            asked = x.detach().requires_grad_()
            answer = denoise(asked, sigma)

        def jacobian(u: Tensor) -> Tensor:
            return torch.autograd.grad(answer, asked, u, retain_graph=True)[0]

        return answer.detach(), jacobian

    return linearize


def _mean_eigenvalue(power: Tensor, width: int) -> Tensor:
    """Mean over all frequencies, of which the half spectrum [C, H, W // 2 + 1] shows a part."""
    twice = power.new_full((power.shape[-1],), 2.0)
    twice[0] = 1
    if width % 2 == 0:
        twice[-1] = 1
    return (power * twice).sum() / (power.shape[:-1].numel() * width)
