"""Noise of a measurement: Gaussian of a known level, or that of a detector that counts photons.

A detector to which I photons are sent counts n ~ Poisson(I exp(-k l)) through a line integral l, k
the attenuation of an image value of 1 over a unit of length. The measurement is
y = -log(n / I) / k, whose variance is about 1 / (k^2 n): rays through dense parts say less.
[Elbakri02]
"""

import math
from typing import NamedTuple

import torch
from deepinv.physics import GaussianNoise, LinearPhysics, NoiseModel, ZeroNoise
from torch import Tensor

from proxlab.operators.arguments import exact_or_there, positive, real, said, unchanged
from proxlab.operators.counts.camera import CameraNoise, counting
from proxlab.operators.counts.local_variance import local_variance
from solvers.protocols import PerImage, doubles, per_image

LEAST_COUNT = 0.5
"""Photons that a ray is taken to count where none arrived: its logarithm must be a number."""


class Weights(NamedTuple):
    """Trust in a measurement: w and W in f(x) = w <A x - y, W (A x - y)> / 2."""

    image: PerImage
    """w, float64 [B], positive."""
    entry: Tensor | None
    """W >= 0, the shape of y, with mean 1 over each image; None if it is 1 everywhere."""


class PhotonCounts(NoiseModel):
    """y = -log(n / I) / k with n ~ Poisson(I exp(-k l)).

    photons: I, sent along each ray, a number, or one a ray, [D], [V, D] or [B, 1, 1, D], as
    `operators.sinogram` reads them off a flat field; a ray of none weighs nothing. attenuation: k,
    of an image value of 1, per unit of length.
    Raises ValueError unless both are positive and finite, of a ray at least 0.

    >>> noise = proxlab.operators.PhotonCounts(photons=1e4, attenuation=0.02)
    >>> op = proxlab.operators.ct(16, angles=12, noise=noise)
    >>> y = op(torch.full((1, 1, 16, 16), 0.5), generator=torch.Generator().manual_seed(0))
    >>> (noise.precision(y) ** -0.5).mean().round(decimals=1)   # standard deviation, in lengths
    tensor(0.5000)
    """

    def __init__(self, photons: float | Tensor, attenuation: float):
        super().__init__()
        self.photons: float | Tensor
        if isinstance(photons, Tensor) and photons.ndim:
            # No buffer: it goes with each measurement, and belongs to no image of a batch.
            rays = doubles(photons.detach())
            if not (rays.isfinite().all() and (rays >= 0).all() and (rays > 0).any()):
                raise ValueError("photons of rays are finite, at least 0, and some above")
            self.photons = rays
        else:
            self.photons = _positive("photons", photons)
        self.noise_model = unchanged
        self.attenuation = _positive("attenuation", attenuation)

    def forward(self, x: Tensor, generator: torch.Generator | None = None, **kwargs) -> Tensor:
        """Noisy line integrals from exact ones, of their shape; a CPU generator gives the same on
        every device.

        >>> noise = proxlab.operators.PhotonCounts(photons=1e4, attenuation=0.02)
        >>> noise(torch.full((1, 1, 2, 3), 5.0)).shape
        torch.Size([1, 1, 2, 3])
        """
        exact = doubles(x)
        sent = torch.as_tensor(self.photons).to(exact)
        mean = sent * (-self.attenuation * exact).exp()
        if generator is not None:
            mean = mean.to(generator.device)
        counts = torch.poisson(mean, generator=generator).clamp(min=LEAST_COUNT).to(exact)
        # A ray along which nothing was sent tells nothing, as 0 does.
        there = torch.where(sent > 0, sent, counts)
        return (-(counts / there).log() / self.attenuation).to(x)

    def precision(self, y: Tensor) -> Tensor:
        """One over the variance of each entry of a measurement: k^2 n, the shape of y.

        >>> noise = proxlab.operators.PhotonCounts(photons=1e4, attenuation=0.02)
        >>> noise.precision(torch.zeros(1, 1, 1, 1))   # k^2 I where nothing is in the way
        tensor([[[[4.]]]])
        """
        sent = torch.as_tensor(self.photons).to(y)
        counts = (sent * (-self.attenuation * y).exp()).clamp(min=LEAST_COUNT)
        return self.attenuation**2 * torch.minimum(counts, sent)


def _positive(name: str, number: object) -> float:
    if not 0 < real(number) < math.inf:
        raise ValueError(f"{name} is positive and finite, got {said(number)}")
    return real(number)


class Noise(GaussianNoise):
    """deepinv's Gaussian noise, its std kept in float64, drawn from a `generator` if given.

    >>> noise, draw = proxlab.operators.Noise(0.1), torch.Generator().manual_seed(0)
    >>> noise(torch.zeros(1, 1, 100, 100), generator=draw).std().round(decimals=2)
    tensor(0.1000)
    """

    def __init__(self, sigma: float):
        """Raises ValueError unless sigma >= 0 and finite."""
        if not 0 <= real(sigma) < math.inf:
            raise ValueError(f"the noise has a finite deviation >= 0, got {said(sigma)}")
        super().__init__(torch.tensor(real(sigma), dtype=torch.float64))
        self.noise_model = unchanged

    def _apply(self, fn, recurse=True):
        return super()._apply(exact_or_there(fn), recurse)

    def forward(self, x, sigma=None, seed=None, generator=None, **kwargs):
        """x + std * n; a CPU generator gives the same n on every device. TypeError for integers.

        >>> noise, x = proxlab.operators.Noise(0.1), torch.zeros(1, 1, 4, 4)
        >>> one, other = (noise(x, generator=torch.Generator().manual_seed(1)) for _ in range(2))
        >>> torch.equal(one, other)
        True
        """
        if not x.is_floating_point():
            raise TypeError(f"noise is added to float measurements, got {x.dtype}; .float() first")
        self.update_parameters(sigma=sigma)
        if seed is not None:
            self.rng_manual_seed(seed)
        source = self.rng if generator is None else generator
        if source is None:
            n = torch.randn_like(x)
        elif isinstance(source, torch.Generator):
            n = torch.randn(x.shape, generator=source, device=source.device, dtype=x.dtype).to(x)
        else:
            raise TypeError(f"generator is a torch.Generator, got {type(source).__name__}")
        return x + self.sigma.to(x).reshape(-1, *[1] * (x.ndim - 1)) * n


def noise_level(op: LinearPhysics) -> float | Tensor | None:
    """Standard deviation of an operator's noise: a float, [B] if it was set per image.

    0.0 without noise, None for noise that is not Gaussian of known level.

    >>> op = proxlab.operators.inpaint(proxlab.operators.random_mask((8, 8), 0.5), noise=0.01)
    >>> proxlab.operators.noise_level(op)
    0.01
    """
    model = op.noise_model
    if isinstance(model, ZeroNoise):
        return 0.0
    if not isinstance(model, GaussianNoise):
        return None
    sigma = torch.as_tensor(model.sigma).detach()
    return sigma.item() if sigma.numel() == 1 else sigma.flatten()


def noise_model(noise: float | CameraNoise) -> NoiseModel:
    """The noise model that an operator is told: Gaussian of that standard deviation, or a camera's.

    Raises ValueError as `checked_noise`.
    """
    return noise if isinstance(noise, CameraNoise) else Noise(checked_noise(noise))


def checked_noise(noise: float) -> float:
    """The standard deviation as a float; ValueError unless 0 <= noise <= 1, image units."""
    if not 0 <= real(noise) <= 1:
        raise ValueError(
            "noise is a standard deviation in image units, expected 0 <= noise <= 1, got "
            f"{said(noise)}" + ("; divide by 255?" if real(noise) > 1 else "")
        )
    return real(noise)


def measurement_weights(
    y: Tensor,
    op: LinearPhysics,
    noise: float | PerImage | None = None,
    strength: float | PerImage = 1.0,
    assumed: float | None = None,
) -> Weights:
    """Trust in y = op(x): w = strength / noise^2, and W from the noise model.

    noise: standard deviation in the units of y, a float or [B]. If None, that of the operator's
    Gaussian noise; with photon counts, w is the mean precision of an image's entries and W each
    one's share, for a camera by its local variance. Where the operator knows no noise, or one of no
    known level, `assumed`. y of a camera is in image units (`Counting.in_image_units`).
    Raises ValueError unless noise and strength are positive and finite, floats or
    tensors [B]; where nobody knows the noise and none is `assumed`.
    """
    entry = None
    precision = None
    if noise is None and isinstance(op.noise_model, PhotonCounts):
        precision = op.noise_model.precision(y)
    elif noise is None and (numbers := counting(op.noise_model, y)) is not None:
        precision = 1 / local_variance(y, numbers)
    if precision is not None:
        level = precision.flatten(1).mean(1)
        noise, entry = level.rsqrt(), precision / per_image(level, precision)
    if noise is None:
        known = noise_level(op)
        noise = known if isinstance(known, Tensor) or known else assumed
    if noise is None:
        has = "0.0" if noise_level(op) == 0.0 else type(op.noise_model).__name__
        raise ValueError(
            f"the operator knows no noise level (it has {has}): pass noise=..., the standard "
            'deviation of y in its own units, or noise="auto" to have it estimated'
        )
    return Weights(positive("strength", strength, y) / positive("noise", noise, y) ** 2, entry)
