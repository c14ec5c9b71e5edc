"""The offset of a detector from the centres of mass of the views alone. [Natterer86, Sec. II.4]

Seen along n, the centre of mass p of an object lies at u = n . p: a cosine of the angle. Where the
detector's middle is taken to see the axis and does not, all views are off that cosine by the same
length. It takes an object that every view sees whole, parallel rays, and no time.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from proxlab.operators.noise import Weights
from proxlab.operators.tomography.scan import ParallelBeam, Scan
from solvers.protocols import doubles

OUTSIDE = 5.0
"""Noise levels above which the outermost detectors see the object."""
FAR = 4.0
"""Standard deviations by which two estimates may differ."""
APART = 0.1
"""Least singular value of cosine, sine and constant over the views, relatively."""


class Moment(NamedTuple):
    """An offset by first moments, and the standard deviation that noise gives it: lengths."""

    value: float
    sd: float


def rim(y: Tensor, weights: Weights) -> float:
    """The largest value at either end of the detector, in noise levels; y [B, C, V, D]."""
    level = doubles(y) * doubles(weights.image).sqrt().view(-1, 1, 1, 1)
    if weights.entry is not None:
        level = level * doubles(weights.entry).sqrt()
    return float(level[..., [0, -1]].abs().max())


def moment_offset(y: Tensor, scan: Scan, weights: Weights) -> Moment:
    """Offset of the detector from the first moments of a sinogram [B, C, V, D].

    `scan.detector_offset` is not looked at. Slices of a batch have one offset. Raises ValueError
    for a fan, for views that see not all of the object, and for fewer than three views.

    >>> from proxlab.operators.tomography.moments import moment_offset
    >>> op = proxlab.operators.ct(32, angles=24, detector_offset=1.5)
    >>> x = torch.zeros(1, 1, 32, 32)
    >>> x[..., 8:20, 12:24] = 1
    >>> trust = proxlab.operators.noise.Weights(torch.tensor([1e4]), None)
    >>> round(moment_offset(op.A(x), op.scan, trust).value, 3)
    1.5
    """
    if not isinstance(scan.beam, ParallelBeam):
        raise ValueError("first moments tell an offset of parallel beams, and this scan is a fan")
    seen = rim(y, weights)
    if seen > OUTSIDE:
        raise ValueError(
            f"the outermost detectors see the object ({seen:.0f} noise levels), so that first "
            "moments tell no offset"
        )
    angles = np.radians(scan.angles)
    columns = np.stack([np.cos(angles), np.sin(angles), -np.ones_like(angles)], 1)
    singular = np.linalg.svd(columns, compute_uv=False)
    if len(angles) < 3 or singular[-1] < APART * singular[0]:
        raise ValueError(
            f"{len(angles)} views from {min(scan.angles):g} to {max(scan.angles):g} degrees do not "
            "tell an offset from a place; take views over half a turn"
        )
    u = (np.arange(scan.detectors) - (scan.detectors - 1) / 2) * scan.detector_spacing
    views = doubles(y).sum((0, 1)).cpu()
    mass = float(views.sum(1).mean())
    if mass <= 0:
        raise ValueError("the sinogram holds no object: its mean is not positive")
    moments = (views @ torch.from_numpy(u)).numpy() / mass
    share = np.linalg.pinv(columns)[2]
    variance = (_variance(y, weights) @ torch.from_numpy(u**2)).numpy() / mass**2
    return Moment(float(share @ moments), float(np.sqrt(share**2 @ variance)))


def averaged(fit: Moment, moment: Moment) -> tuple[Moment, str]:
    """The average of a fit and of first moments, each by its variance; a doubt where they differ.

    >>> from proxlab.operators.tomography.moments import Moment, averaged
    >>> averaged(Moment(1.0, 0.5), Moment(1.5, 0.5))[0]
    Moment(value=1.25, sd=0.353...)
    """
    if not 0 < fit.sd < math.inf or moment.sd <= 0:
        return fit, ""
    apart, doubt = abs(fit.value - moment.value) / math.hypot(fit.sd, moment.sd), ""
    if apart > FAR:
        doubt = (
            f"the fit tells {fit.value:.3g} and the centres of mass {moment.value:.3g}, "
            f"{apart:.0f} standard deviations apart"
        )
    shares = fit.sd**-2, moment.sd**-2
    value = (shares[0] * fit.value + shares[1] * moment.value) / sum(shares)
    return Moment(value, sum(shares) ** -0.5), doubt


def _variance(y: Tensor, weights: Weights) -> Tensor:
    """Variance of the sums over slices of all entries, float64 [V, D] on the CPU."""
    level = doubles(weights.image).view(-1, 1, 1, 1)
    if weights.entry is not None:
        level = level * doubles(weights.entry)
    return (1 / level.clamp(min=1e-300)).expand(y.shape).sum((0, 1)).cpu()
