"""Arguments of a data term, checked: a step for each image, and the shape of the images."""

from collections.abc import Callable

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


class Latest:
    """Memory of what was made for the last tau: a run asks for the same at each step.

    A GPU is told each kernel at a price, and a CPU is spared a pass over memory.
    """

    def __init__(self):
        self._last: tuple[float | PerImage, tuple, Tensor] | None = None

    def of(
        self,
        tau: float | PerImage,
        v: Image,
        make: Callable[[float | PerImage, Image], Tensor],
    ) -> Tensor:
        """make(tau, v), which has to be the same for all v of a dtype."""
        untold = isinstance(tau, Tensor) and tau.is_inference()  # whether somebody wrote over it
        version = tau._version if isinstance(tau, Tensor) and not untold else None
        key = version, v.dtype, torch.is_grad_enabled()
        last = self._last  # another thread may put another one there
        if last is not None and last[1] == key and _same(tau, last[0]):
            return last[2]
        made = make(tau, v)
        if not (untold or made.requires_grad or made.is_inference()):  # these serve this call alone
            self._last = tau, key, made
        return made


def squares(r: Tensor) -> Tensor:
    """Squares of the entries in float64, so that their sums tell descent from rounding."""
    return r.to(float_for_sums(r)).square()


def _same(tau: float | PerImage, other: float | PerImage) -> bool:
    """Whether two steps are one, without a look at the numbers of a tensor."""
    return tau is other or (isinstance(tau, float) and isinstance(other, float) and tau == other)
