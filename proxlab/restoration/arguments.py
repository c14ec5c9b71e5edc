"""What every data term asks of its arguments: a weight, a step and a shape for each image."""

import torch
from torch import Tensor

from solvers.protocols import Image, PerImage, float_for_sums, per_image


def positive(name: str, number: float | PerImage, y: Tensor) -> PerImage:
    """As float64 [B]; ValueError unless positive, finite, and a float or one for each image."""
    each = torch.as_tensor(number, device=y.device, dtype=float_for_sums(y))
    if each.ndim and each.shape != y.shape[:1]:
        raise ValueError(f"{name} is a float or [B], B = {len(y)}, got {list(each.shape)}")
    if not ((each > 0) & each.isfinite()).all():
        raise ValueError(f"{name} is positive and finite, got {each.tolist()}")
    return each.expand(len(y))


def scaled(tau: float | PerImage, weight: PerImage, v: Image) -> Tensor:
    """tau * w, shaped against v; ValueError unless tau is a float >= 0 or one for each image."""
    if isinstance(tau, Tensor) and tau.ndim:
        if tau.shape != weight.shape:
            raise ValueError(f"tau is a float or [B], B = {len(weight)}, got {list(tau.shape)}")
    elif not tau >= 0:
        raise ValueError(f"a prox needs tau >= 0, got {tau}")
    return torch.as_tensor(per_image(tau * weight, v))


def checked(x: Image, shape: torch.Size) -> Image:
    """x if it has the shape that the term was built for: a broadcast would mix up images."""
    if x.shape != shape:
        raise ValueError(
            f"the data term was built for images {list(shape)}, got {list(x.shape)}; "
            "build another, or select(index) some of its images"
        )
    return x


def squares(r: Tensor) -> Tensor:
    """In float64, so that their sums tell descent from rounding."""
    return r.to(float_for_sums(r)).square()
