"""The covariance of a denoised digit, measured: a variance for each gray value, and a correlation.

The clean digit given x_0 + sigma e is taken to be N(D, diag(s) R diag(s)). The variance s_i^2 is a
function of sigma and of the denoised pixel D_i alone: of a pixel that is nearly black or white,
with the values -1 and 1, it is nearly 1 - D_i^2, and next to nothing where D is sure. R is the
correlation of the residuals (x_0 - D) / s, taken to be the same everywhere, so that products are by
Fourier transforms and none asks the network. Both are measured once, on digits held out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.posteriors.covariances import CovarianceMatrix, Root

GRAYS, REACH = 41, 5.0
"""Gray values at which the variance is measured: tanh of equal steps from -REACH to REACH, so that
pixels that are surely black or white are told from those that nearly are."""
LEAST = 1e-7
"""Floor of variances and of power, which float32 can tell from 0 beside them."""
Denoise = Callable[[Tensor, float], Tensor]


@dataclass(frozen=True)
class Scaled:
    """C = diag(deviation) R diag(deviation), a `CovarianceMatrix`; R by its power spectrum."""

    deviation: Tensor
    """[B, 1, H, W]."""
    power: Tensor
    """[H, W // 2 + 1]."""

    def product(self, u: Tensor, /) -> Tensor:
        """C u."""
        return self.deviation * filtered(self.deviation * u, self.power)

    def root(self, z: Tensor) -> Root:
        """diag(deviation) R^(1/2) z, whose covariance is C, and C z."""
        return Root(self.deviation * filtered(z, self.power.sqrt()), self.product(z))


@dataclass(frozen=True)
class ResidualCovariance:
    """Measured covariances of a denoiser, a `Covariance`; in between levels log by log."""

    levels: Sequence[float]
    """Rising."""
    variances: Tensor
    """[levels, GRAYS]."""
    powers: Tensor
    """[levels, H, W // 2 + 1]; of mean 1, if all frequencies are counted."""

    def around(self, denoise: Denoise, x: Tensor, sigma: float) -> tuple[Tensor, CovarianceMatrix]:
        """See `solvers.posteriors.covariances.Covariance`; beyond the levels the nearest."""
        mean = denoise(x, sigma).clamp(-1, 1)  # where the mean of digits lies
        variance = at_grays(self._at(self.variances, sigma), mean).clamp(max=sigma**2)
        return mean, Scaled(variance.sqrt(), self._at(self.powers, sigma))

    def _at(self, table: Tensor, sigma: float) -> Tensor:
        logs = torch.tensor(self.levels).log()
        place = float(torch.tensor(sigma).log().clamp(logs[0], logs[-1]))
        above = int((logs[1:-1] <= place).sum()) + 1
        share = (place - float(logs[above - 1])) / float(logs[above] - logs[above - 1])
        return table[above - 1].log().lerp(table[above].log(), share).exp()


def measured(
    denoise: Denoise, images: Tensor, levels: Sequence[float], generator: torch.Generator
) -> ResidualCovariance:
    """Covariances of the errors of a denoiser on images [N, 1, H, W], one evaluation a level."""
    variances, powers = [], []
    for sigma in sorted(levels):
        noise = torch.randn(images.shape, generator=generator)
        noisy = (images + sigma * noise).split(50)
        mean = torch.cat([denoise(part, sigma) for part in noisy]).clamp(-1, 1)
        miss = images - mean
        below, share = _places(mean)
        count, sums = torch.zeros(2, GRAYS)
        for place, weight in ((below, 1 - share), (below + 1, share)):
            count.index_add_(0, place.flatten(), weight.flatten())
            sums.index_add_(0, place.flatten(), (weight * miss.square()).flatten())
        most = (1 - torch.linspace(-REACH, REACH, GRAYS).tanh() ** 2).clamp(max=sigma**2)
        variance = ((sums + most) / (count + 1)).clamp(min=LEAST)  # where no pixel was, the most
        relative = miss / at_grays(variance, mean).sqrt()
        power = torch.fft.rfft2(relative).abs().square().mean((0, 1)) / miss[0].numel()
        variances.append(variance)
        powers.append(power.clamp(min=LEAST))
    return ResidualCovariance(sorted(levels), torch.stack(variances), torch.stack(powers))


def at_grays(table: Tensor, mean: Tensor) -> Tensor:
    """Entries of a table [GRAYS] at the values of denoised pixels, by lines in between."""
    below, share = _places(mean)
    return table[below].lerp(table[below + 1], share)


def filtered(u: Tensor, factor: Tensor) -> Tensor:
    """Images with their spectra times a factor [H, W // 2 + 1]."""
    return torch.fft.irfft2(factor * torch.fft.rfft2(u), s=u.shape[-2:])


def _places(mean: Tensor) -> tuple[Tensor, Tensor]:
    """The gray below each pixel, and how far it is on the way to the next."""
    place = (mean.clamp(-1, 1).atanh().clamp(-REACH, REACH) / REACH + 1) / 2 * (GRAYS - 1)
    below = place.floor().clamp(max=GRAYS - 2)
    return below.long(), place - below
