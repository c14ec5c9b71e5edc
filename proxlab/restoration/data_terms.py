"""The data term of a measurement and a first estimate of its image: where a restoration begins.

    f = data_term(y, op)      # f(x) = w |A x - y|^2 / 2, ready for a solver; of counts another
    x = start(y, op)          # a plain estimate of the image

An operator of ours brings both: products in Fourier for circular blur and for small images, one per
pixel for masks, preconditioned conjugate gradients for tomography and for blur whose borders are
unknown (`proxlab.operators.contract`). Any other linear physics of deepinv is lent both
(`proxlab.operators.foreign`). All data terms have `value`, `grad`, `prox`, `lipschitz` and
`select`, batched, every image with a weight w of its own.
"""

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from proxlab.operators.arguments import positive
from proxlab.operators.contract import Accuracy, QuadraticDataTerm
from proxlab.operators.counts.camera import Counting, counting
from proxlab.operators.counts.data_terms import BlurredCounts, MaskedCounts, count_data_term
from proxlab.operators.counts.likelihood import CountLikelihood
from proxlab.operators.data_terms.circular import CircularData
from proxlab.operators.data_terms.linear import LinearData
from proxlab.operators.data_terms.mask import MaskData
from proxlab.operators.data_terms.mirrored import MirroredData
from proxlab.operators.data_terms.subsampled import SubsampledData
from proxlab.operators.data_terms.valid import ValidData
from proxlab.operators.foreign import as_operator
from proxlab.operators.noise import measurement_weights
from solvers.protocols import Image, PerImage

__all__ = [
    "BlurredCounts",
    "CircularData",
    "LinearData",
    "MaskData",
    "MaskedCounts",
    "MirroredData",
    "SubsampledData",
    "ValidData",
    "data_term",
    "start",
]


def data_term(
    y: Tensor,
    op: LinearPhysics,
    noise: float | PerImage | None = None,
    strength: float | PerImage = 1.0,
    tol: float = 1e-5,
    max_steps: int = 500,
    assumed: float | None = 1.0,
) -> QuadraticDataTerm:
    """f(x) = w |A x - y|^2 / 2 with w = strength / noise^2, for the measurement y = op(x).

    y: real [B, ...]. noise: standard deviation in the units of y, a float or [B]; if None, that of
    the operator; of photon counts, that of each entry of y (`operators.noise`); of a camera that
    counts photons, f is their likelihood (`operators.counts.likelihood`); `assumed` where the
    operator has none, or another one; None refuses that. At 1, f is |A x - y|^2 / 2 there and
    `strength` alone balances it against the prior. tol, max_steps: for operators without a
    closed-form prox, see LinearData.
    Raises TypeError or ValueError on an operator that is not linear, y that is not finite and real
    or does not fit the operator, noise <= 0, strength <= 0, tol outside (0, 1), max_steps < 1.

    >>> op = proxlab.operators.inpaint(torch.ones(2, 2), noise=0.1)
    >>> f = proxlab.data_terms.data_term(torch.ones(1, 1, 2, 2), op)
    >>> f.value(torch.zeros(1, 1, 2, 2)).round()   # 4 pixels, each 1 / (2 * 0.1^2)
    tensor([200.], dtype=torch.float64)
    """
    if not isinstance(op, LinearPhysics):
        raise TypeError(f"a data term needs a deepinv LinearPhysics, got {type(op).__name__}")
    if not isinstance(y, Tensor) or y.dtype not in (torch.float32, torch.float64) or y.ndim < 2:
        raise TypeError(
            "a measurement is one float32 or float64 tensor [B, ...], got "
            + (f"{y.dtype} {list(y.shape)}" if isinstance(y, Tensor) else type(y).__name__)
        )
    accuracy, operator = Accuracy(tol, max_steps), as_operator(op)
    y = operator.usable(y.detach())
    strange = int((~y.isfinite()).sum())
    if strange:
        raise ValueError(f"{strange} of {y.numel()} measurements are NaN or infinite")
    largest = float(y.abs().max()) if y.numel() else 0.0
    if largest > (torch.finfo(y.dtype).max / max(y.numel(), 1)) ** 0.5:
        raise ValueError(
            f"the measurement reaches {largest:.3g}, whose square is too large for {y.dtype}; "
            "divide y and noise by the value of white"
        )
    numbers = counted(y, op, noise)
    if numbers is not None:
        y = numbers.in_image_units(y)
        loss = CountLikelihood.of(y, numbers, positive("strength", strength, y))
        return count_data_term(y, op, loss, accuracy)
    weights = measurement_weights(y, op, noise, strength, assumed)
    return operator.data_term(y, weights, accuracy)


def counted(y: Tensor, op: LinearPhysics, noise: object = None) -> Counting | None:
    """Numbers of the photons that op's noise model counts, None where it counts none.

    None too where a `noise` is told, which replaces that model by a Gaussian. Raises ValueError
    where y is in photons as well: a Gaussian's units would be a guess.
    """
    if not isinstance(op, LinearPhysics) or not isinstance(y, Tensor) or y.ndim < 2:
        return None  # `data_term` says what is wrong
    numbers = counting(op.noise_model, y)
    if numbers is None or noise is None:
        return numbers
    if numbers.in_photons:
        raise ValueError(
            "the operator's measurements are in photons, and its gain says how many; leave noise "
            "out, or let the noise model normalize them"
        )
    return None


def start(y: Tensor, op: LinearPhysics) -> Image:
    """A plain first estimate of the image behind y = op(x), [B, C, H, W]; each image by itself.

    Blur that keeps the size: y. "valid" blur: y, its edges repeated outwards. Missing pixels: means
    of seen ones, weighted by Gaussians as narrow as the holes allow. Small images: cubic
    interpolation. Tomography: filtered
    back-projection, or the multiple of A^T y that fits y best where that has no formula. Any other
    operator: least squares, what A does not see interpolated (`operators.first_estimates`).
    Raises ValueError for a y that does not fit the operator.

    >>> kernel = proxlab.operators.gaussian_kernel(1.0)
    >>> op = proxlab.operators.deblur(kernel, noise=0.01, boundary="valid")
    >>> y = op(torch.rand(1, 1, 32, 32))
    >>> y.shape, proxlab.data_terms.start(y, op).shape
    (torch.Size([1, 1, 24, 24]), torch.Size([1, 1, 32, 32]))
    """
    numbers = counting(op.noise_model, y)
    y = y if numbers is None else numbers.in_image_units(y)
    return as_operator(op).first_estimate(y)


def checked_start(init: Tensor, plain: Tensor) -> Image:
    """A first estimate that somebody brings, made like the plain one [B, C, H, W].

    Raises TypeError for what is no tensor, ValueError for one of another shape, of whole numbers,
    and with pixels that are NaN or infinite.

    >>> plain = torch.zeros(1, 1, 4, 4)
    >>> proxlab.data_terms.checked_start(torch.ones(1, 1, 4, 3), plain)
    Traceback (most recent call last):
        ...
    ValueError: init is a batch of float images [1, 1, 4, 4], as the operator takes them, got ...
    """
    if not isinstance(init, Tensor):
        raise TypeError(f"init is a tensor [B, C, H, W], got {type(init).__name__}")
    if init.shape != plain.shape or not init.dtype.is_floating_point:
        raise ValueError(
            f"init is a batch of float images {list(plain.shape)}, as the operator takes them, got "
            f"{init.dtype} {list(init.shape)}"
        )
    strange = int((~init.isfinite()).sum())
    if strange:
        raise ValueError(f"{strange} of {init.numel()} pixels of init are NaN or infinite")
    return init.detach().to(plain)
