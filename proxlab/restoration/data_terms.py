"""How badly an image explains its measurement, f(x) = w |A x - y|^2 / 2, ready for a solver.

`data_term(y, op)` picks the fastest exact class for the operator: a product in Fourier for circular
blur, one per pixel for masks, conjugate gradients for any other linear physics of deepinv. All have
`value`, `grad`, `prox`, `lipschitz` and `select`, batched, every image with a weight w of its own.
"""

import torch
from deepinv.physics import Blur, BlurFFT, Inpainting, LinearPhysics
from torch import Tensor

from proxlab.operators.blur import CircularBlur
from proxlab.operators.noise import PhotonCounts, noise_level
from proxlab.operators.tomography.operator import Tomography
from proxlab.restoration.arguments import positive
from proxlab.restoration.closed_forms import CircularData, MaskData
from proxlab.restoration.ct_preconditioner import Circulant
from proxlab.restoration.first_estimate import start
from proxlab.restoration.linear_data import LinearData
from solvers.protocols import PerImage, per_image

__all__ = ["CircularData", "LinearData", "MaskData", "data_term", "start"]


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
    circular = type(op) is BlurFFT or (type(op) is Blur and op.padding == "circular")
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
