"""The data term of super-resolution: a blur that wraps around, of which one pixel a block is kept.

With A = D F^-1 diag(S) F, D the pixels kept, A A^T is a blur of small images, diagonal in Fourier
with the mean G of |S|^2 over the frequencies that look alike there. So

    (I + s A^T A)^-1 = I - s A^T (I + s A A^T)^-1 A

is a closed form [Zhao16], in one transform there and one back, and some of small images.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from proxlab.operators.contract import Missed
from proxlab.operators.data_terms.arguments import Latest, checked, scaled, squares
from solvers.protocols import Image, PerImage, per_image


@dataclass(frozen=True)
class SubsampledData:
    """f(x) = w |A x - y|^2 / 2 with A = D F^-1 diag(S) F, in closed form.

    >>> op = proxlab.operators.superres(2, noise=0.1)
    >>> x = torch.rand(2, 1, 16, 16)
    >>> f = proxlab.data_terms.data_term(op.A(x), op)
    >>> f.lipschitz().round()   # 1 / noise^2 over the four pixels of a mean
    tensor([25., 25.], dtype=torch.float64)
    >>> f.value(x) < 1e-6, f.grad(x).abs().max() < 1e-3
    (tensor([True, True]), tensor(True))
    >>> torch.allclose(f.prox(x, 0.1), x, atol=1e-5), len(f.select(torch.tensor([1])).lipschitz())
    (True, 1)
    """

    spectrum: Tensor
    """S, complex, broadcasts against [B, C, H, W // 2 + 1]."""
    low: Tensor
    """G, real, broadcasts against [B, C, H / factor, W / factor // 2 + 1]."""
    y: Tensor
    """[B, C, H / factor, W / factor]."""
    weight: PerImage
    """w, [B]."""
    factor: int
    """Side of a block, pixels."""
    shape: torch.Size = field(init=False)
    """Shape of the images, [B, C, H, W]."""
    back: Tensor = field(init=False)
    """conj(S)."""
    tol: float = field(default=0.0, init=False)
    stopped_short: Sequence[Missed] = field(default=(), init=False)
    """None: see `operators.contract`."""
    _latest: Latest = field(default_factory=Latest, init=False, repr=False, compare=False)
    """Filter of the last prox."""

    def __post_init__(self):
        height, width = (self.factor * n for n in self.y.shape[-2:])
        object.__setattr__(self, "shape", torch.Size([*self.y.shape[:-2], height, width]))
        object.__setattr__(self, "back", self.spectrum.conj().resolve_conj())

    def value(self, x: Image) -> PerImage:
        """f(x), float64 [B]."""
        return self.weight * squares(self._short(x)).flatten(1).sum(1) / 2

    def grad(self, x: Image) -> Image:
        """w A^T (A x - y)."""
        return self._image(torch.fft.rfft2(self._short(x))) * -per_image(self.weight, x)

    def prox(self, v: Image, tau: float | PerImage) -> Image:
        """v + A^T F^-1 [s F (y - A v) / (1 + s G)], s = tau w."""
        short = torch.fft.rfft2(self._short(v))
        return v + self._image(self._latest.of(tau, v, self._share) * short)

    def lipschitz(self) -> PerImage:
        """w |A|^2, [B]."""
        return self.weight * self.low.amax((1, 2, 3))

    def select(self, index: Tensor) -> "SubsampledData":
        """The term for the images `index` alone."""
        many = len(self.spectrum) > 1
        spectrum, low = (t[index] if many else t for t in (self.spectrum, self.low))
        return SubsampledData(spectrum, low, self.y[index], self.weight[index], self.factor)

    def _short(self, x: Image) -> Tensor:
        """y - A x."""
        transform = self.spectrum * torch.fft.rfft2(checked(x, self.shape))
        return self.y - lowered(transform, self.shape, self.factor)

    def _share(self, tau: float | PerImage, v: Image) -> Tensor:
        """s / (1 + s G)."""
        s = scaled(tau, self.weight, v)
        return s / (1 + s * self.low)

    def _image(self, transform: Tensor) -> Image:
        """A^T of the small images with that transform."""
        small = torch.fft.irfft2(transform, s=self.y.shape[-2:])
        return torch.fft.irfft2(self.back * raised(small, self.factor), s=self.shape[-2:])


def lowered(transform: Tensor, shape: torch.Size, factor: int) -> Tensor:
    """Every `factor`-th pixel of the images [..., H, W] with that transform, from the first on.

    Rows are left out in Fourier, where frequencies that look alike are averaged: it is the larger
    part of the way back.
    """
    height, width = shape[-2] // factor, shape[-1]
    rows = transform.unflatten(-2, (factor, height)).mean(-3)
    return torch.fft.irfft2(rows, s=(height, width))[..., ::factor]


def raised(y: Tensor, factor: int) -> Tensor:
    """Transform of images [..., H, W] that are y [..., H / factor, W / factor] there, else zero."""
    x = y.new_zeros(*y.shape[:-1], factor * y.shape[-1])
    x[..., ::factor] = y
    rows = torch.fft.rfft2(x)
    return rows.repeat(*[1] * (rows.ndim - 2), factor, 1)


def folded_power(full: Tensor, size: torch.Size, factor: int) -> Tensor:
    """Spectrum of A A^T, real, [..., H / factor, W / factor // 2 + 1], from S [..., H, W // 2 + 1].

    It is the mean of |S|^2 over the frequencies that look alike once pixels are left out.
    """
    height, width = size[-2:]
    impulse = full.real.new_zeros(height // factor, width // factor)
    impulse[0, 0] = 1
    power = full.real**2 + full.imag**2
    shape = torch.Size([*full.shape[:-2], height, width])
    return torch.fft.rfft2(lowered(power * raised(impulse, factor), shape, factor)).real.clamp(0)
