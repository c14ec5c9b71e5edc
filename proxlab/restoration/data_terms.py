"""The data term of a measurement and a first estimate of its image: where a restoration begins.

    f = data_term(y, op)      # f(x) = w |A x - y|^2 / 2, ready for a solver
    x = start(y, op)          # a plain estimate of the image

An operator of ours brings both: a product in Fourier for circular blur, one per pixel for masks,
preconditioned conjugate gradients for tomography and for blur whose borders are unknown
(`proxlab.operators.contract`). Any other linear
physics of deepinv is lent both (`proxlab.operators.foreign`). All data terms have `value`, `grad`,
`prox`, `lipschitz` and `select`, batched, every image with a weight w of its own.
"""

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from proxlab.operators.contract import Accuracy, QuadraticDataTerm
from proxlab.operators.data_terms.circular import CircularData
from proxlab.operators.data_terms.linear import LinearData
from proxlab.operators.data_terms.mask import MaskData
from proxlab.operators.data_terms.valid import ValidData
from proxlab.operators.foreign import as_operator
from proxlab.operators.noise import measurement_weights
from solvers.protocols import Image, PerImage

__all__ = ["CircularData", "LinearData", "MaskData", "ValidData", "data_term", "start"]


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
    the operator; of photon counts, that of each entry of y (`operators.noise`); `assumed` where the
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
    weights = measurement_weights(y, op, noise, strength, assumed)
    return operator.data_term(y, weights, accuracy)


def start(y: Tensor, op: LinearPhysics) -> Image:
    """A plain first estimate of the image behind y = op(x), [B, C, H, W]; each image by itself.

    Blur that keeps the size: y. "valid" blur: y, its edges repeated outwards. Missing pixels: means
    of seen ones, weighted by Gaussians as narrow as the holes allow. Tomography: filtered
    back-projection, or the multiple of A^T y that fits y best where that has no formula. Any other
    operator: least squares, what A does not see interpolated (`operators.first_estimates`).
    Raises ValueError for a y that does not fit the operator.

    >>> kernel = proxlab.operators.gaussian_kernel(1.0)
    >>> op = proxlab.operators.deblur(kernel, noise=0.01, boundary="valid")
    >>> y = op(torch.rand(1, 1, 32, 32))
    >>> y.shape, proxlab.data_terms.start(y, op).shape
    (torch.Size([1, 1, 24, 24]), torch.Size([1, 1, 32, 32]))
    """
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
