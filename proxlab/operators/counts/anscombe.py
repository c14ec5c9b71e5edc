"""The generalised Anscombe transform: counts made Gaussian of deviation 1, and the way back.

    d = anscombe(y, gain, read)              # noise of standard deviation 1, nearly
    m = inverse_anscombe(denoised, gain, read)

A cheap way to denoise counts, or to fill in missing ones, by what is made for Gaussian noise: the
transform acts pixel by pixel, so a mask stays a mask. A blur does not stay linear; there the
likelihood itself is taken (`counts.data_terms`). The mean of d is not d of the mean, so the way
back is not the algebraic inverse but the exact unbiased one, in closed form. [Makitalo13]
"""

import math

from torch import Tensor

from proxlab.operators.arguments import real, said

ROOT = math.sqrt(3 / 2)
LEAST = 2 * math.sqrt(3 / 8)
"""d of no photon without read noise: what no mean count lies below."""


def anscombe(y: Tensor, gain: float, read: float = 0.0) -> Tensor:
    """Counts y (image units, any shape) with noise of variance 1: 2 sqrt(y/g + 3/8 + (r/g)^2).

    gain: of the value 1, one over the photons there; read: standard deviation of the read noise,
    image units. The variance is within 2 % of 1 from means of 3 photons on, .72 at one photon, 0 at
    none; with read noise of 2 photons 1.24 where there is no light, 1.04 at 5 photons.
    Raises ValueError unless gain > 0 and read >= 0, both finite.

    >>> noise = proxlab.operators.CameraNoise(gain=1 / 20)
    >>> x = torch.full((1, 1, 200, 200), 0.5)   # 10 photons
    >>> d = proxlab.operators.anscombe(noise(x, torch.Generator().manual_seed(0)), gain=1 / 20)
    >>> d.std().round(decimals=1)
    tensor(1.)
    >>> proxlab.operators.inverse_anscombe(d.mean(), gain=1 / 20).round(decimals=2)
    tensor(0.5000)
    """
    gain, read = _checked(gain, read)
    return 2 * (y / gain + 3 / 8 + (read / gain) ** 2).clamp(min=0).sqrt()


def inverse_anscombe(d: Tensor, gain: float, read: float = 0.0) -> Tensor:
    """Mean count (image units) behind a mean d of `anscombe`, any shape; never negative.

    The closed form of the exact unbiased inverse, (d/2)^2 + sqrt(3/2)/(4 d) - 11/(8 d^2) +
    5 sqrt(3/2)/(8 d^3) - 1/8 - (r/g)^2 photons: .02 photons beside it at most without read
    noise, .04 with 2 photons of it. [Makitalo13]
    Raises ValueError as `anscombe`.

    >>> d = proxlab.operators.anscombe(torch.tensor([1.0]), gain=0.01)
    >>> proxlab.operators.inverse_anscombe(d, gain=0.01).round(decimals=2)
    tensor([1.])
    """
    gain, read = _checked(gain, read)
    d = d.clamp(min=LEAST)
    series = ROOT / (4 * d) - 11 / (8 * d**2) + 5 * ROOT / (8 * d**3)
    return gain * ((d / 2) ** 2 + series - 1 / 8 - (read / gain) ** 2).clamp(min=0)


def _checked(gain: float, read: float) -> tuple[float, float]:
    if not 0 < real(gain) < math.inf:
        raise ValueError(f"gain is positive and finite, got {said(gain)}")
    if not 0 <= real(read) < math.inf:
        raise ValueError(f"read is finite and from 0 on, got {said(read)}")
    return real(gain), real(read)
