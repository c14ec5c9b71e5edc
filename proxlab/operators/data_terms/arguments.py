"""Arguments of a data term, checked: a step for each image, and the shape of the images."""

import torch
from torch import Tensor

from solvers.protocols import Image, PerImage, float_for_sums, per_image


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
    """Squares of the entries in float64, so that their sums tell descent from rounding."""
    return r.to(float_for_sums(r)).square()
