"""Rings and zingers: what single detectors and single rays of a sinogram get wrong.

A detector that errs alike in all views is a stripe in the sinogram and a ring in the image. Sorted
by value, the column of a detector looks like those of its neighbours, since they see the same
object at slightly other times: what is left of the difference is the stripe. [Vo18, Algorithm 3]
A zinger is a ray that an odd photon or a flaw of the electronics hit: an outlier among the rays
around it. [Vo18] leaves it to a median, as is done here.
"""

import torch
from torch import Tensor

from proxlab.operators.arguments import check_finite, check_image, real, said, whole

ROUND = 2
"""Detectors to either side of a ray, and half as many views, among which it may be an outlier."""
NORMAL = 1.4826
"""Standard deviation of a normal number over its median absolute deviation."""


def remove_rings(y: Tensor, size: int = 9) -> Tensor:
    """The sinogram [B, C, V, D] without the stripes that make rings.

    Each detector's values are sorted, a median over `size` detectors is what they should be, and
    the mean of the difference over all views is taken off: a stripe that is the same in every view,
    as of a wrong flat field, goes, and the detail of the views stays. (Vo's own filter puts the
    medians in the place of all values, which takes stripes of part of the views too, and detail.)
    size: odd, more than twice the width of a stripe. Raises ValueError for y that is no sinogram,
    or of NaN, and another size.

    >>> y, stripe = torch.full((1, 1, 60, 91), 20.0), torch.zeros(91)
    >>> stripe[[30, 50]] = torch.tensor([1.0, -0.7])
    >>> torch.allclose(proxlab.operators.remove_rings(y + stripe), y)
    True
    """
    check_finite(check_image(y))
    if whole(size) < 3 or whole(size) % 2 == 0:
        raise ValueError(f"size is an odd number of detectors from 3 on, got {said(size)}")
    most = y.shape[-1] - 1 + y.shape[-1] % 2
    half = min(whole(size), most) // 2
    ordered = y.sort(dim=2).values
    smooth = _windows(ordered, half).median(-1).values
    return y - (ordered - smooth).mean(2, keepdim=True)


def remove_zingers(y: Tensor, threshold: float = 5.0) -> Tensor:
    """The sinogram [B, C, V, D], whose outliers are the median of the rays around them.

    A ray is one where it differs from the median of 5 detectors in 3 views, which are in the order
    of their angles, by more than `threshold` standard deviations, told by the usual such difference
    of its view and around it. Others keep their values, so that `(out != y).sum()` counts them.
    Raises ValueError for y that is no sinogram, or of NaN, and a threshold that is not positive.

    >>> op, line = proxlab.operators.ct(64, angles=60), torch.linspace(-1, 1, 64)
    >>> x = torch.exp(-4 * (line[:, None] ** 2 + line**2))[None, None]
    >>> y = op.A(x)
    >>> hit = y.clone()
    >>> hit[0, 0, [7, 30, 41], [40, 30, 50]] -= 15
    >>> mended = proxlab.operators.remove_zingers(hit)
    >>> (mended != hit).sum(), (mended - y).abs().max() < 1
    (tensor(3), tensor(True))
    """
    check_finite(check_image(y))
    if not 0 < real(threshold) < float("inf"):
        raise ValueError(f"threshold is positive and finite, got {said(threshold)}")
    rays = _around(y)
    middle = rays.median(-1).values
    apart = (y - middle).abs()
    usual = apart.flatten(2).median(-1).values[..., None, None]
    local = (rays - middle[..., None]).abs().median(-1).values
    far = apart > threshold * NORMAL * torch.maximum(usual, local)
    return torch.where(far, middle, y)


def _windows(y: Tensor, half: int) -> Tensor:
    """The values of each place and `half` to either side, beyond the ends turned about these.

    So a slope that reaches the end of the detector goes on there.
    """
    left = 2 * y[..., :1] - y[..., 1 : half + 1].flip(-1)
    right = 2 * y[..., -1:] - y[..., -half - 1 : -1].flip(-1)
    return torch.cat([left, y, right], -1).unfold(-1, 2 * half + 1, 1)


def _around(y: Tensor) -> Tensor:
    """The values of 2 ROUND + 1 detectors in the view and its neighbours, [..., n]."""
    padded = torch.nn.functional.pad(y, (ROUND, ROUND, 1, 1), mode="replicate")
    wide = padded.unfold(2, 3, 1).unfold(3, 2 * ROUND + 1, 1)
    return wide.flatten(-2)
