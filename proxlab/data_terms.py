"""How badly an image explains its measurement, f(x) = w |A x - y|^2 / 2, ready for a solver.

`data_term(y, op)` picks the fastest exact class for the operator: a product in Fourier for circular
blur, one per pixel for masks, conjugate gradients for any other linear physics of deepinv. All have
`value`, `grad`, `prox`, `lipschitz` and `select`, batched, every image with a weight w of its own.
"""

from dataclasses import dataclass, field, replace

import torch
from deepinv.physics import Blur, BlurFFT, Inpainting, LinearPhysics
from torch import Tensor

from proxlab.circulant import Circulant
from proxlab.data_arguments import checked, positive, scaled, squares
from proxlab.linear_data import LinearData
from proxlab.operators.blur import CircularBlur
from proxlab.operators.noise import PhotonCounts, noise_level
from proxlab.operators.tomography.operator import Tomography
from proxlab.starting_point import start
from solvers.protocols import Image, PerImage, per_image

__all__ = ["data_term", "CircularData", "MaskData", "LinearData", "start"]


def data_term(
    y: Tensor,
    op: LinearPhysics,
    noise: float | PerImage | None = None,
    strength: float | PerImage = 1.0,
    tol: float = 1e-5,
    max_steps: int = 500,
) -> "CircularData | MaskData | LinearData":
    """f(x) = w |A x - y|^2 / 2 with w = strength / noise^2, for the measurement y = op(x).

    y: real [B, ...]. noise: standard deviation in the units of y, a float or [B]; if None, that of
    the operator; of photon counts, that of each entry of y (`proxlab.operators.noise`). Where the
    operator has none, or another one, 1 is taken: then f is |A x - y|^2 / 2 and `strength` alone
    balances it against the prior. tol, max_steps: for operators without a closed-form prox, see
    LinearData.
    Raises TypeError or ValueError on an operator that is not linear, y that is not finite and real
    or does not fit the operator, noise <= 0, strength <= 0, tol outside (0, 1), max_steps < 1.
    """
    if not isinstance(op, LinearPhysics):
        raise TypeError(f"a data term needs a deepinv LinearPhysics, got {type(op).__name__}")
    if not isinstance(y, Tensor) or y.dtype not in (torch.float32, torch.float64) or y.ndim < 2:
        raise TypeError(
            "a measurement is one float32 or float64 tensor [B, ...], got "
            + (f"{y.dtype} {list(y.shape)}" if isinstance(y, Tensor) else type(y).__name__)
        )
    if not 0 < tol < 1:
        raise ValueError(f"tol is a relative residual, expected 0 < tol < 1, got {tol}")
    if max_steps < 1:
        raise ValueError(f"conjugate gradients need max_steps >= 1, got {max_steps}")
    back = op.A_adjoint(y)  # lets the operator refuse y, and tells the shape of an image
    if isinstance(op, Inpainting):
        if back.shape != y.shape:
            raise ValueError(f"y {list(y.shape)} does not fit the mask {list(op.mask.shape)}")
        y = torch.where(op.mask.to(y) != 0, y, 0)  # missing pixels may hold anything, even NaN
    strange = int((~y.isfinite()).sum())
    if strange:
        raise ValueError(f"{strange} of {y.numel()} measurements are NaN or infinite")
    precision = None
    if noise is None and isinstance(op.noise_model, PhotonCounts):
        each = op.noise_model.precision(y)
        level = each.flatten(1).mean(1)
        noise, precision = level.rsqrt(), each / per_image(level, each)
        back = op.A_adjoint(precision * y)
    if noise is None:
        known = noise_level(op)
        noise = known if isinstance(known, Tensor) or known else 1.0
    weight = positive("strength", strength, y) / positive("noise", noise, y) ** 2
    if precision is None and isinstance(op, CircularBlur):
        spectrum = op.spectrum(y)[None, None]
        return CircularData(spectrum, torch.fft.rfft2(y), weight, y.shape)
    circular = type(op) is BlurFFT or type(op) is Blur and op.padding == "circular"
    if precision is None and circular:
        impulse = torch.zeros_like(y)
        impulse[..., 0, 0] = 1
        spectrum = torch.fft.rfft2(op.A(impulse))
        return CircularData(spectrum, torch.fft.rfft2(y), weight, y.shape)
    if precision is None and isinstance(op, Inpainting):
        return MaskData(op.mask.to(y), y, weight)
    circulant = None
    if isinstance(op, Tomography):
        circulant = Circulant(op.A_adjoint_A, back[:1, :1])
    return LinearData(
        y,
        op,
        weight,
        back,
        tol=tol,
        max_steps=max_steps,
        circulant=circulant,
        precision=precision,
    )


@dataclass(frozen=True)
class CircularData:
    """A = F^-1 diag(S) F: everything is a product in Fourier, one transform there and one back."""

    spectrum: Tensor
    """S, complex, broadcasts against [B, C, H, W // 2 + 1]."""
    measured: Tensor
    """F y, [B, C, H, W // 2 + 1]."""
    weight: PerImage
    shape: torch.Size
    """Of the images, B included."""
    pulled: Tensor = field(init=False)
    """F A^T y."""
    power: Tensor = field(init=False)
    """|S|^2."""

    def __post_init__(self):
        object.__setattr__(self, "pulled", self.spectrum.conj() * self.measured)
        object.__setattr__(self, "power", self.spectrum.real**2 + self.spectrum.imag**2)

    def value(self, x: Image) -> PerImage:
        """f(x), float64 [B], by Parseval on the half spectrum."""
        r = self.spectrum * self._transform(x) - self.measured
        columns = (squares(r.real) + squares(r.imag)).sum((1, 2))  # [B, W // 2 + 1]
        height, width = self.shape[-2:]
        twice = columns.new_full((columns.shape[1],), 2.0)  # the other half is its mirror image
        twice[0] = 1
        if width % 2 == 0:
            twice[-1] = 1
        return self.weight * (columns * twice).sum(1) / (2 * height * width)

    def grad(self, x: Image) -> Image:
        """w A^T (A x - y)."""
        change = self.power * self._transform(x) - self.pulled
        return self._image(change) * per_image(self.weight, x)

    def prox(self, v: Image, tau: float | PerImage) -> Image:
        """v + F^-1 [s (F A^T y - |S|^2 F v) / (1 + s |S|^2)], s = tau w."""
        s = scaled(tau, self.weight, v)
        pull = self.pulled - self.power * self._transform(v)
        return v + self._image(pull * (s / (1 + s * self.power)))

    def lipschitz(self) -> PerImage:
        """w |A|^2, [B]."""
        return self.weight * self.power.amax((1, 2, 3))

    def select(self, index: Tensor) -> "CircularData":
        """The term for the images `index` alone."""
        spectrum = self.spectrum[index] if len(self.spectrum) > 1 else self.spectrum
        measured = self.measured[index]
        shape = torch.Size([len(measured), *self.shape[1:]])
        return CircularData(spectrum, measured, self.weight[index], shape)

    def _transform(self, x: Image) -> Tensor:
        return torch.fft.rfft2(checked(x, self.shape))

    def _image(self, transform: Tensor) -> Image:
        return torch.fft.irfft2(transform, s=self.shape[-2:])


@dataclass(frozen=True)
class MaskData:
    """A = diag(m): everything happens pixel by pixel. What y holds where m = 0 is not looked at."""

    mask: Tensor
    """m, broadcasts against y; usually 0 and 1, any real number will do."""
    y: Tensor
    """[B, C, H, W], zero where m is."""
    weight: PerImage

    def value(self, x: Image) -> PerImage:
        """f(x), float64 [B]."""
        r = self.mask * checked(x, self.y.shape) - self.y
        return self.weight * squares(r).flatten(1).sum(1) / 2

    def grad(self, x: Image) -> Image:
        """w m (m x - y)."""
        r = self.mask * checked(x, self.y.shape) - self.y
        return per_image(self.weight, x) * self.mask * r

    def prox(self, v: Image, tau: float | PerImage) -> Image:
        """v + s m (y - m v) / (1 + s m^2), s = tau w."""
        s = scaled(tau, self.weight, v)
        r = self.y - self.mask * checked(v, self.y.shape)
        return v + s * self.mask / (1 + s * self.mask**2) * r

    def lipschitz(self) -> PerImage:
        """w |A|^2, [B]."""
        return self.weight * self.mask.flatten(1).abs().amax(1) ** 2

    def select(self, index: Tensor) -> "MaskData":
        """The term for the images `index` alone."""
        mask = self.mask[index] if len(self.mask) > 1 else self.mask
        return replace(self, mask=mask, y=self.y[index], weight=self.weight[index])
