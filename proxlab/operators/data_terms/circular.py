"""The data term of a blur that wraps around: all that is asked of it is a product in Fourier."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from proxlab.operators.contract import Missed
from proxlab.operators.data_terms.arguments import Latest, checked, scaled, squares
from solvers.large.freed import give_back_freed_memory
from solvers.large.parts import PIECE, Part, assembled, by_planes, by_rows, cut
from solvers.protocols import Image, PerImage, per_image


@dataclass(frozen=True)
class CircularData:
    """f(x) = w |A x - y|^2 / 2 with A = F^-1 diag(S) F, in one transform there and one back.

    Of large images a few channels at a time are transformed.

    >>> op = proxlab.operators.deblur(proxlab.operators.gaussian_kernel(1.0), noise=0.1)
    >>> x = torch.rand(2, 1, 16, 16)
    >>> f = proxlab.data_terms.data_term(op.A(x), op)
    >>> f.lipschitz().round()   # 1 / noise^2, since the kernel sums to 1
    tensor([100., 100.], dtype=torch.float64)
    >>> f.value(x) < 1e-6, f.grad(x).abs().max() < 1e-3
    (tensor([True, True]), tensor(True))
    >>> torch.allclose(f.prox(x, 0.1), x, atol=1e-5), len(f.select(torch.tensor([1])).lipschitz())
    (True, 1)
    """

    spectrum: Tensor
    """S, complex, broadcasts against [B, C, H, W // 2 + 1]."""
    measured: Tensor
    """F y, [B, C, H, W // 2 + 1]."""
    weight: PerImage
    """w, [B]."""
    shape: torch.Size
    """Shape of the images, B included."""
    power: Tensor = field(init=False)
    """|S|^2."""
    turned: Tensor = field(init=False)
    """conj(S), of large images as torch has it without memory of its own."""
    downhill: PerImage = field(init=False)
    """-w, [B]."""
    share: Tensor = field(init=False)
    """Part of a column's squares, real and imaginary, in f: float64 [B, 2 (W // 2 + 1), 1]."""
    tol: float = field(default=0.0, init=False)
    stopped_short: Sequence[Missed] = field(default=(), init=False)
    """None: see `operators.contract`."""
    _latest: Latest = field(default_factory=Latest, init=False, repr=False, compare=False)
    """Filter of the last prox."""

    def __post_init__(self):
        object.__setattr__(self, "power", self.spectrum.real**2 + self.spectrum.imag**2)
        turned = self.spectrum.conj()
        small = turned.numel() <= PIECE
        object.__setattr__(self, "turned", turned.resolve_conj() if small else turned)
        object.__setattr__(self, "downhill", -self.weight)
        height, width = self.shape[-2:]
        twice = self.weight.new_full((width // 2 + 1, 2), 2.0)  # the other half mirrors this one
        twice[0] = 1
        if width % 2 == 0:
            twice[-1] = 1
        share = self.weight[:, None, None] * twice.view(-1, 1) / (2 * height * width)
        object.__setattr__(self, "share", share)

    def value(self, x: Image) -> PerImage:
        """f(x), float64 [B], by Parseval on the half spectrum."""
        parts = by_planes(checked(x, self.shape).shape)
        if len(parts) == 1:
            return self._energy(self._short(x, parts[0]), parts[0])
        value = torch.zeros_like(self.share[:, 0, 0])
        for part in parts:
            value[part[0]] += self._energy(self._short(x, part), part)
        give_back_freed_memory(x)
        return value

    def grad(self, x: Image) -> Image:
        """w A^T (A x - y)."""
        downhill = per_image(self.downhill, checked(x, self.shape))

        def pulled(part: Part) -> Image:
            # from the residual: |S|^2 F x - F A^T y would keep the rounding of its large terms
            turned = cut(self.turned, part) * self._short(x, part)
            return self._image(turned) * downhill[part[0]]

        return assembled(x, pulled)

    def prox(self, v: Image, tau: float | PerImage) -> Image:
        """v + F^-1 [s (F A^T y - |S|^2 F v) / (1 + s |S|^2)], s = tau w."""
        step = self._latest.of(tau, checked(v, self.shape), self._filter)

        def moved(part: Part) -> Image:
            return cut(v, part) + self._image(cut(step, part) * self._short(v, part))

        x = assembled(v, moved)
        give_back_freed_memory(v)
        return x

    def lipschitz(self) -> PerImage:
        """w |A|^2, [B]."""
        return self.weight * self.power.amax((1, 2, 3))

    def select(self, index: Tensor) -> "CircularData":
        """The term for the images `index` alone."""
        spectrum = self.spectrum[index] if len(self.spectrum) > 1 else self.spectrum
        measured = self.measured[index]
        shape = torch.Size([len(measured), *self.shape[1:]])
        return CircularData(spectrum, measured, self.weight[index], shape)

    def _short(self, x: Image, part: Part) -> Tensor:
        """F (y - A x) of a part."""
        transform = torch.fft.rfft2(cut(x, part))
        return torch.addcmul(
            cut(self.measured, part), cut(self.spectrum, part), transform, value=-1
        )

    def _energy(self, short: Tensor, part: Part) -> PerImage:
        """f of a part, whose F (y - A x) is given, by Parseval on the half spectrum."""
        share = self.share[part[0]]
        sums = [
            torch.bmm(squares(rows), share).sum((1, 2))
            for (rows,) in by_rows(torch.view_as_real(short).flatten(-2))
        ]
        return sums[0] if len(sums) == 1 else torch.stack(sums).sum(0)

    def _image(self, transform: Tensor) -> Image:
        return torch.fft.irfft2(transform, s=self.shape[-2:])

    def _filter(self, tau: float | PerImage, v: Image) -> Tensor:
        """s conj(S) / (1 + s |S|^2)."""
        s = scaled(tau, self.weight, v)
        return self.turned * (s / (1 + s * self.power))
