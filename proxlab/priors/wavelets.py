"""Wavelets as a prior: soft thresholding in an orthogonal basis, the exact prox of a convex R.

The basis is Daubechies' with a few vanishing moments [Daubechies88], periodic and orthogonal at
every size: where a side is odd, its last row or column is a strip of its own, with one-dimensional
wavelets along it. (PyWavelets extends an odd side by a pixel, and ptwt's periodic mode keeps more
coefficients than pixels: neither is orthogonal then, nor the threshold a prox. Averages over shifts
of the image look smoother, and are the prox of another function than the l1 norm in any basis.)
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from math import comb

import numpy as np
import torch
from torch import Tensor

from proxlab.priors.arguments import check_images, noise_levels
from proxlab.priors.contract import Capabilities
from proxlab.priors.jacobians.spread import SpreadOfMean
from solvers.protocols import Image, PerImage, float_for_sums

WAVELET_WEIGHT = 13.0
"""Factor in R_sigma = sigma^2 * WAVELET_WEIGHT * l1 norm, a threshold of 1.3 sigma at 25/255. It is
best on held-out photographs with that noise, as are the moments and the depth below."""


class Wavelets(SpreadOfMean):
    """The l1 norm of an image's details, R_sigma(x) = sigma^2 * weight * sum |detail|. [Donoho94]

    Its prox shrinks every detail by sigma^2 * weight and leaves the coarse image alone; each
    channel is an image of its own. `moments` is the number of vanishing moments (1 is Haar's
    basis), `depth` how often the image is halved. Raises ValueError for a weight that is not
    positive and finite, for moments outside 1 .. 10, and for a depth below 1.

    >>> prior = proxlab.classical.Wavelets()   # or proxlab.load("wavelets")
    >>> prior.value(torch.full((1, 1, 32, 32), 0.5), 0.1) < 1e-4   # a flat image has no details
    tensor([True])
    >>> v = torch.rand(1, 1, 32, 32)
    >>> x, r = prior.prox_and_value(v, 0.1)   # argmin_x |x - v|^2 / 2 + R(x), and R there
    >>> torch.allclose(prior.prox(v, 0.1), x)
    True
    >>> torch.allclose(0.1**2 * prior.composite().value(x), r)   # R_sigma is sigma^2 g
    True
    """

    name = "wavelets"
    sigma_range = (0.0, 1.0)
    capabilities = Capabilities(exact=True, convex=True, most_probable=True)

    def __init__(self, weight: float = WAVELET_WEIGHT, moments: int = 4, depth: int = 3):
        if not 0 < weight < float("inf"):
            raise ValueError(f"the weight of wavelets is positive and finite, got {weight}")
        if not 1 <= moments <= 10 or depth < 1:
            raise ValueError(
                f"wavelets have 1 to 10 vanishing moments and a depth of at least 1, got {moments} "
                f"and {depth}"
            )
        self.weight, self.moments, self.depth = weight, moments, depth

    def prox(self, v: Tensor, sigma: float | Tensor) -> Tensor:
        """argmin_x |x - v|^2 / 2 + R_sigma(x), [B, C, H, W] -> the same; sigma a float or [B].

        Raises ValueError for anything but a batch of float images, and for a sigma outside [0, 1].
        """
        return self._synthesis(self._shrunk(v, sigma))

    def __call__(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """The same as `prox`."""
        return self.prox(x, sigma)

    def prox_and_value(self, v: Tensor, sigma: float | Tensor) -> tuple[Tensor, Tensor]:
        """The prox x of R_sigma at v, and R_sigma(x) [B] in float64."""
        c = self._shrunk(v, sigma)
        return self._synthesis(c), self._value(c, sigma)

    def value(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """R_sigma(x), [B] in float64; raises as `prox`."""
        check_images(x)
        return self._value(self._analysis(x), sigma)

    def composite(self) -> "WeightedDetails":
        """g = R_sigma / sigma^2 as weight * |details|_1, for solvers that need no prox."""
        return WeightedDetails(self.weight, self)

    def _shrunk(self, v: Tensor, sigma: float | Tensor) -> Tensor:
        check_images(v)
        t = self._threshold(v, sigma).to(v.dtype).view(-1, 1, 1, 1)
        c = self._analysis(v)
        return torch.where(self._details(c), c.sign() * (c.abs() - t).clamp(min=0), c)

    def _value(self, c: Tensor, sigma: float | Tensor) -> Tensor:
        details = c.abs() * self._details(c)
        return self._threshold(c, sigma) * details.sum((1, 2, 3), dtype=float_for_sums(c))

    def _threshold(self, v: Tensor, sigma: float | Tensor) -> Tensor:
        """The threshold of each image, [B] in float64."""
        s = noise_levels(self.name, v, sigma, self.sigma_range, torch.float64)
        return self.weight * s.square()

    def _analysis(self, x: Tensor) -> Tensor:
        """Coefficients in the shape of the image, coarse ones at the upper left of each region."""
        taps, c = _taps(self.moments, x.dtype, x.device), x.clone()
        for here in _places(*x.shape[-2:], self.depth):
            c[here] = _split(_split(c[here], taps).mT, taps).mT
        return c

    def _synthesis(self, c: Tensor) -> Tensor:
        """The image of coefficients: the transpose of `_analysis`, which is its inverse."""
        taps, x = _taps(self.moments, c.dtype, c.device), c.clone()
        for here in reversed(_places(*c.shape[-2:], self.depth)):
            x[here] = _joined(_joined(x[here].mT, taps).mT, taps)
        return x

    def _details(self, c: Tensor) -> Tensor:
        """Mask of the coefficients that are details, [H, W]; the others are the coarse image."""
        return _fine(*c.shape[-2:], self.depth, c.device)


@dataclass(frozen=True)
class WeightedDetails:
    """g(x) = weight * sum |detail of x|: K the orthogonal analysis, a coefficient for each pixel.

    A `solvers.primal_dual.Composite`; weight a float, or one for each image [B].
    """

    weight: float | PerImage
    basis: Wavelets
    norm_squared: float = 1.0

    @property
    def radius(self) -> float | PerImage:
        """Largest dual coefficient."""
        return self.weight

    def forward(self, x: Image) -> Tensor:
        """K x, coefficients in the shape of the image."""
        return self.basis._analysis(x)

    def adjoint(self, u: Tensor) -> Image:
        """K^T u = K^-1 u."""
        return self.basis._synthesis(u)

    def project(self, u: Tensor) -> Tensor:
        """Details cut to the weight; coarse ones zero, as g does not look at theirs."""
        if isinstance(self.weight, Tensor):
            weight = self.weight.to(u).view(-1, 1, 1, 1)
            cut = u.clamp(-weight, weight)
        else:
            cut = u.clamp(-self.weight, self.weight)
        return cut * self.basis._details(u)

    def value(self, x: Image) -> PerImage:
        """g(x), float64 [B]."""
        c = self.basis._analysis(x)
        total = (c.abs() * self.basis._details(c)).sum((1, 2, 3), dtype=float_for_sums(c))
        return total * self.weight

    def spectrum(self, x: Image) -> Tensor:
        """1: K^T K is the identity."""
        return torch.ones((), dtype=x.dtype, device=x.device)

    def select(self, index: Tensor) -> "WeightedDetails":
        """The same for those images of the batch."""
        if not isinstance(self.weight, Tensor):
            return self
        return replace(self, weight=self.weight[index])


@lru_cache
def daubechies(moments: int) -> np.ndarray:
    """The low-pass filter with so many vanishing moments: 2 * moments numbers of sum sqrt(2).

    It is built from its zeros: -1 as often as moments vanish, and of each other pair of zeros
    z, 1 / z the one inside the unit circle. [Daubechies88]
    """
    p = moments
    y = np.roots([comb(p - 1 + k, k) for k in reversed(range(p))])
    half = 1 - 2 * y.astype(complex)
    z = half + np.sqrt(half**2 - 1)
    inside = np.where(abs(z) < 1, z, 1 / z)
    h = np.real(np.poly([*[-1] * p, *inside]))
    return 2**0.5 * h / h.sum()


@lru_cache(maxsize=16)
def _taps(moments: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Low-pass and high-pass filter on a window of 2 * moments pixels, [2 * moments, 2]."""
    h = daubechies(moments)
    taps = np.stack([h, h[::-1] * (-1.0) ** np.arange(len(h))], 1)
    with torch.inference_mode(False):  # what is kept must serve training as well
        return torch.from_numpy(taps).to(dtype).to(device)


def _split(x: Tensor, taps: Tensor) -> Tensor:
    """Coefficients along the last axis, of even length n: n / 2 coarse ones, then n / 2 details."""
    if x.shape[-1] == 1:
        return x
    pairs = x.unflatten(-1, (-1, 2))
    windows = torch.cat([pairs.roll(-k, -2) for k in range(len(taps) // 2)], -1)
    return torch.cat((windows @ taps).unbind(-1), -1)


def _joined(c: Tensor, taps: Tensor) -> Tensor:
    """The transpose of `_split`."""
    if c.shape[-1] == 1:
        return c
    windows = torch.stack(c.chunk(2, -1), -1) @ taps.mT
    parts = enumerate(windows.split(2, -1))
    pairs = sum((part.roll(k, -2) for k, part in parts), start=windows.new_zeros(()))
    return pairs.flatten(-2)


@lru_cache
def _places(height: int, width: int, depth: int) -> tuple[tuple, ...]:
    """Indices of the regions of an image, in the order in which they are split."""
    return tuple(
        (..., slice(top, top + tall), slice(left, left + wide))
        for top, left, tall, wide in _regions(0, 0, height, width, depth)
    )


@lru_cache(maxsize=4)
def _fine(height: int, width: int, depth: int, device: torch.device) -> Tensor:
    """Mask of the details, made once; put together on the CPU, where each region is cheap."""
    with torch.inference_mode(False):  # what is kept must serve training as well
        fine = torch.zeros(height, width, dtype=torch.bool)
        for here in _places(height, width, depth):
            fine[here] = True
            tall, wide = fine[here].shape
            fine[here][: (tall + 1) // 2, : (wide + 1) // 2] = False
        return fine.to(device)


def _regions(
    top: int, left: int, height: int, width: int, depth: int
) -> Iterator[tuple[int, int, int, int]]:
    """(top, left, height, width) of regions, sides even or 1; strips at odd sides come first."""
    if depth == 0 or height == width == 1:
        return
    tall, wide = (n if n == 1 else n - n % 2 for n in (height, width))
    if tall < height:
        yield from _regions(top + tall, left, 1, width, depth)
    if wide < width:
        yield from _regions(top, left + wide, tall, 1, depth)
    yield top, left, tall, wide
    yield from _regions(top, left, (tall + 1) // 2, (wide + 1) // 2, depth - 1)
