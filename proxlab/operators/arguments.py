"""Arrays, images and numbers at the door of an operator: let in, or refused in one sentence."""

import math
import operator
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from solvers.protocols import PerImage, float_for_sums


def unchanged(x: Tensor, *args, **kwargs) -> Tensor:
    """x: in place of deepinv's lambdas, which hold operators back from being pickled."""
    return x


def real_tensor(what: str, array: np.ndarray | Tensor) -> Tensor:
    """The array as a tensor cut off from gradients; TypeError unless it is one of real numbers."""
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError(f"a {what} is an array without a mask of its own; take array.filled(...)")
    if isinstance(array, np.ndarray):
        if array.dtype.kind not in "biufc":
            raise TypeError(f"a {what} holds real numbers, got an array of {array.dtype}")
        if array.dtype.kind in "uf" and array.dtype not in (np.uint8, np.float32):
            array = array.astype(np.float64)  # which torch knows, in any order of bytes
        array = torch.from_numpy(np.array(array, array.dtype.newbyteorder("=")))
    if not isinstance(array, Tensor):
        raise TypeError(f"a {what} is a numpy array or tensor, got {type(array).__name__}")
    if array.layout is not torch.strided or array.is_meta:
        raise TypeError(f"a {what} is an ordinary tensor with its numbers, got {_kind(array)}")
    if array.is_complex():
        raise TypeError(f"a {what} is real, got {array.dtype}; take its real part?")
    return array.detach()


def real(value: object) -> float:
    """The number as a float; NaN, which is in no range, for anything but one real number."""
    if isinstance(value, (Tensor, np.ndarray)) and value.ndim == 0:
        value = math.nan if isinstance(value, Tensor) and value.requires_grad else value.item()
    if isinstance(value, (bool, np.bool_)) or not isinstance(
        value, (int, float, np.integer, np.floating)
    ):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def whole(value: object) -> int:
    """The whole number, -1 for anything else: it counts nothing."""
    if isinstance(value, (bool, np.bool_)):
        return -1
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return -1


def listed(value: object) -> list:
    """Things that the value holds, in order; none for what holds nothing, or in no order."""
    if isinstance(value, (set, frozenset, dict)):
        return []
    try:
        return list(value)  # type: ignore[call-overload]
    except TypeError:
        return []


def said(value: object) -> str:
    """The value as text on a line, short enough for a sentence."""
    try:
        text = " ".join(str(value).split())
    except ValueError:  # Python writes no integer of more than 4300 digits
        text = "a number of thousands of digits"
    return text if len(text) <= 60 else f"{text[:57]}..."


def check_image(x: Tensor) -> Tensor:
    """x if it is a float32 or float64 tensor [B, C, H, W]; TypeError or ValueError otherwise.

    >>> proxlab.operators.check_image(torch.rand(8, 8))
    Traceback (most recent call last):
        ...
    ValueError: images are [B, C, H, W], got shape [8, 8]; x[None, None]?
    """
    if not isinstance(x, Tensor):
        raise TypeError(f"an image is a torch tensor, got {type(x).__name__}; torch.from_numpy?")
    if x.layout is not torch.strided or x.is_meta:
        raise TypeError(f"an image is an ordinary tensor with its numbers, got {_kind(x)}")
    if x.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"images are float32 or float64, got {x.dtype}; .float() and [0, 1] first")
    if x.ndim != 4 or 0 in x.shape:
        raise ValueError(f"images are [B, C, H, W], got shape {list(x.shape)}; x[None, None]?")
    return x


def check_finite(x: Tensor) -> Tensor:
    """x if it is an image without NaN and infinity; TypeError or ValueError otherwise.

    >>> proxlab.operators.check_finite(torch.full((1, 1, 2, 2), float("nan")))
    Traceback (most recent call last):
        ...
    ValueError: 4 of 4 pixels are NaN or infinite; fill them first
    """
    check_image(x)
    strange = int((~x.isfinite()).sum())
    if strange:
        raise ValueError(f"{strange} of {x.numel()} pixels are NaN or infinite; fill them first")
    return x


def filled(z: Tensor | float | None, y: Tensor) -> Tensor:
    """z as an image like y: deepinv also passes numbers, and None for zero."""
    if isinstance(z, Tensor) and z.ndim:
        if check_image(z).shape[1:] != y.shape[1:] or len(z) not in (1, len(y)):
            raise ValueError(f"z is an image like y, {list(y.shape)}, got {list(z.shape)}")
        return z
    number = 0.0 if z is None else real(z)
    if math.isnan(number):
        raise TypeError(f"z is an image like y, a number or None, got {said(z)}")
    return torch.full_like(y, number)


def column(gamma: float | Tensor, y: Tensor) -> float | Tensor:
    """A number as it is, one for each image as [B, 1, 1, 1]; ValueError for another shape."""
    if not isinstance(gamma, Tensor):
        if not real(gamma) >= 0:
            raise ValueError(
                f"gamma is a number from 0 on, or one for each image, got {said(gamma)}"
            )
        return real(gamma)
    if gamma.numel() not in (1, len(y)) or (gamma.ndim > 1 and gamma.numel() != len(gamma)):
        raise ValueError(
            f"gamma is a float, [B] or [B, 1, 1, 1] with B = {len(y)}, got {list(gamma.shape)}"
        )
    return gamma.to(y).reshape(-1, 1, 1, 1)


def positive(name: str, number: float | PerImage, y: Tensor) -> PerImage:
    """A number, or one for each image, as float64 [B]; ValueError unless positive and finite."""
    each = torch.as_tensor(number, device=y.device, dtype=float_for_sums(y))
    if each.ndim and each.shape != y.shape[:1]:
        raise ValueError(f"{name} is a float or [B], B = {len(y)}, got {list(each.shape)}")
    if not ((each > 0) & each.isfinite()).all():
        raise ValueError(f"{name} is positive and finite, got {each.tolist()}")
    return each.expand(len(y))


def exact_or_there(move: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """`move` of an operator's tensor, which stays where it is if the device has no float64.

    Apple's GPUs have none. An operator's few numbers in float64 then keep their digits on the CPU,
    and go with each image, in its dtype.
    """

    def moved(tensor: Tensor) -> Tensor:
        if tensor.dtype != torch.float64:
            return move(tensor)
        try:
            return move(tensor)
        except TypeError:  # torch's for float64 on such a device
            return tensor

    return moved


def _kind(tensor: Tensor) -> str:
    return "a meta tensor" if tensor.is_meta else f"one of {tensor.layout}; .to_dense()?"
