"""The offset of a detector from the centres of mass of the views alone. [Natterer86, Sec. II.4]

Seen along n, the centre of mass p of an object lies at u = n . p: a cosine of the angle. Where the
detector's middle is taken to see the axis and does not, all views are off that cosine by the same
length. It takes an object that every view sees whole, parallel rays, and no time.
"""

import numpy as np
import torch
from torch import Tensor

from proxlab.operators.noise import Weights
from proxlab.operators.tomography.scan import ParallelBeam, Scan
from solvers.protocols import doubles

OUTSIDE = 5.0
"""Noise levels above which the outermost detectors see the object."""
APART = 0.1
"""Least singular value of cosine, sine and constant over the views, relatively."""


def rim(y: Tensor, weights: Weights) -> float:
    """The largest value at either end of the detector, in noise levels; y [B, C, V, D]."""
    level = doubles(y) * doubles(weights.image).sqrt().view(-1, 1, 1, 1)
    if weights.entry is not None:
        level = level * doubles(weights.entry).sqrt()
    return float(level[..., [0, -1]].abs().max())


def moment_offset(y: Tensor, scan: Scan, weights: Weights) -> float:
    """Offset of the detector, a length, from the first moments of a sinogram [B, C, V, D].

    `scan.detector_offset` is not looked at. Slices of a batch have one offset. Raises ValueError
    for a fan, for views that see not all of the object, and for fewer than three views.

    >>> from proxlab.operators.tomography.moments import moment_offset
    >>> op = proxlab.operators.ct(32, angles=24, detector_offset=1.5)
    >>> x = torch.zeros(1, 1, 32, 32)
    >>> x[..., 8:20, 12:24] = 1
    >>> trust = proxlab.operators.noise.Weights(torch.tensor([1e4]), None)
    >>> round(moment_offset(op.A(x), op.scan, trust), 3)
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
            f"{len(angles)} views from {scan.angles[0]:g} to {scan.angles[-1]:g} degrees do not "
            "tell an offset from a place; take views over half a turn"
        )
    u = (np.arange(scan.detectors) - (scan.detectors - 1) / 2) * scan.detector_spacing
    views = doubles(y).sum((0, 1)).cpu()
    mass = float(views.sum(1).mean())
    if mass <= 0:
        raise ValueError("the sinogram holds no object: its mean is not positive")
    moments = (views @ torch.from_numpy(u)).numpy() / mass
    return float(np.linalg.lstsq(columns, moments, rcond=None)[0][2])
