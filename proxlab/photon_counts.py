"""The noise of an X-ray detector that counts photons, and what it says about each line integral.

Of I photons sent, n ~ Poisson(I exp(-k l)) arrive through a line integral l, k the attenuation of
an image value of 1 over a unit of length. The measurement is y = -log(n / I) / k, whose variance is
about 1 / (k^2 n): rays through dense parts say less. [Elbakri02]
"""

import math

import torch
from deepinv.physics import NoiseModel
from torch import Tensor

LEAST = 0.5
"""Photons that a ray counts where none arrived: its logarithm must be a number."""


class PhotonCounts(NoiseModel):
    """y = -log(n / I) / k with n ~ Poisson(I exp(-k l)).

    photons: I, sent along each ray. attenuation: k, per unit of length of an image value of 1.
    Raises ValueError unless both are positive and finite.
    """

    def __init__(self, photons: float, attenuation: float):
        super().__init__()
        for name, number in (("photons", photons), ("attenuation", attenuation)):
            if not 0 < number < math.inf:
                raise ValueError(f"{name} is positive and finite, got {number}")
        self.photons, self.attenuation = float(photons), float(attenuation)

    def forward(self, x: Tensor, generator: torch.Generator | None = None, **kwargs) -> Tensor:
        """Line integrals to noisy ones. A CPU generator gives the same for every device of x."""
        mean = self.photons * (-self.attenuation * x.double()).exp()
        if generator is not None:
            mean = mean.to(generator.device)
        counts = torch.poisson(mean, generator=generator).clamp(min=LEAST).to(x.device)
        return (-(counts / self.photons).log() / self.attenuation).to(x.dtype)

    def precision(self, y: Tensor) -> Tensor:
        """One over the variance of each entry of a measurement: k^2 n, the shape of y."""
        counts = self.photons * (-self.attenuation * y).exp()
        return self.attenuation**2 * counts.clamp(min=LEAST, max=self.photons)
