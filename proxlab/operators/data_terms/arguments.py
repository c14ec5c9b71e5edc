"""Arguments of a data term, checked: a step for each image, and the shape of the images."""

from collections.abc import Callable

import torch
from torch import Tensor

from solvers.protocols import Image, PerImage, float_for_sums, per_image

Made = dict[tuple[float, torch.dtype], Tensor]
"""Constants by number tau and dtype; the last one at most."""


def scaled(tau: float | PerImage, weight: PerImage, v: Image) -> Tensor:
    """tau * w, shaped against v; ValueError unless tau is a float >= 0 or one for each image."""
    if isinstance(tau, Tensor) and tau.ndim:
        if tau.shape != weight.shape:
            raise ValueError(f"tau is a float or [B], B = {len(weight)}, got {list(tau.shape)}")
    elif not tau >= 0:
        raise ValueError(f"a prox needs tau >= 0, got {tau}")
    return torch.as_tensor(per_image(tau * weight, v))


def checked(x: Image, shape: torch.Size) -> Image:
    """x if it has the shape that the term was built for: a broadcast would mix up images.

    Raises TypeError for what is no float32 or float64 tensor, ValueError for another shape.
    """
    if not isinstance(x, Tensor) or x.layout is not torch.strided or x.is_meta:
        raise TypeError(f"a data term takes an ordinary tensor, got {type(x).__name__}")
    if x.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"a data term takes float32 or float64, got {x.dtype}; .float()?")
    if x.shape != shape:
        raise ValueError(
            f"the data term was built for images {list(shape)}, got {list(x.shape)}; "
            "build another, or select(index) some of its images"
        )
    return x


def once(
    made: Made,
    tau: float | PerImage,
    v: Image,
    make: Callable[[float | PerImage, Image], Tensor],
) -> Tensor:
    """make(tau, v), a constant for all v of a dtype; kept for a number tau.

    A run asks for the same prox at each step, and a GPU is told each kernel at a price.
    """
    if isinstance(tau, Tensor):
        return make(tau, v)
    key = tau, v.dtype
    found = made.get(key)
    if found is None:
        found = make(tau, v)
        if not (found.requires_grad or found.is_inference()):  # these serve this call alone
            made.clear()
            made[key] = found
    return found


def squares(r: Tensor) -> Tensor:
    """Squares of the entries in float64, so that their sums tell descent from rounding."""
    return r.to(float_for_sums(r)).square()
