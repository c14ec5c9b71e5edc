"""Filtered back-projection: the inverse of a well-sampled scan in closed form. [Kak88, Ch. 3]

The ramp filter is that of a band-limited detector, sampled in space and padded with zeros: sampled
in frequency it would lose the mean, and views would wrap around.
"""

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from proxlab.operators.arguments import said
from proxlab.operators.tomography.scan import FanBeam, ParallelBeam, Scan

Window = Literal["ramp", "shepp-logan", "hann"]
UNSEEN = 15.0
"""Gap in degrees beyond which views are taken to be missing; a smaller one is an uneven step."""


def filterable(scan: Scan) -> bool:
    """True for parallel beams, and for even views all round of a fan: there is a formula then."""
    around = np.sort(np.mod(scan.angles, 360))
    gaps = np.diff(around, append=around[0] + 360)
    return isinstance(scan.beam, ParallelBeam) or gaps.max() < 1.5 * gaps.min()


def filtered_backprojection(
    scan: Scan, y: Tensor, window: Window, adjoint: Callable[[Tensor], Tensor] | None
) -> Tensor:
    """[B, C, V, D] -> [B, C, H, W]; by `adjoint` of the projector, or pixel by pixel if None.

    Raises ValueError for a scan that is not `filterable`, and for a fan and an adjoint.
    """
    if not filterable(scan):
        raise ValueError(
            "filtered back-projection of a fan beam needs even views over 360 degrees, got "
            f"{len(scan.angles)} from {min(scan.angles):g} to {max(scan.angles):g}; take least "
            "squares"
        )
    if adjoint is not None and isinstance(scan.beam, FanBeam):
        raise ValueError("matched back-projection is for parallel beams; leave out matched=True")
    spacing, fan = scan.detector_spacing, scan.beam
    u = torch.as_tensor((scan.edges()[1:] + scan.edges()[:-1]) / 2).to(y)
    if isinstance(fan, FanBeam):
        # As if the detector stood on the axis; oblique rays count less. [Kak88, Sec. 3.4.2]
        shrunk = fan.source_to_axis / fan.source_to_detector
        spacing, place = spacing * shrunk, u * shrunk
        y = y * (fan.source_to_axis / (fan.source_to_axis**2 + place**2).sqrt())
    weights = torch.as_tensor(_view_weights(scan)).to(y)
    filtered = _filter(y, spacing, window) * weights[:, None]
    if adjoint is not None:
        return adjoint(filtered) * (scan.detector_spacing / scan.pixel_spacing**2)
    total = y.new_zeros(*y.shape[:2], scan.height * scan.width)
    for view in range(len(scan.angles)):
        along, forth = scan.grid(view)
        share = torch.as_tensor(_depth_weight(fan, forth)).to(y)
        place = (fan.detector(along, forth) - scan.edges()[0]) / scan.detector_spacing - 0.5
        total += share * _interpolated(filtered[:, :, view], torch.as_tensor(place).to(y))
    return total.view(*y.shape[:2], scan.height, scan.width)


def backprojected_noise(scan: Scan) -> float:
    """Deviation of a pixel of filtered back-projection over that of an entry of the sinogram.

    White noise behind the ramp, which ends at the coarser of pixels and detectors, added up over
    the views: sqrt(sum w^2 s / (12 m^3)), w the angle of a view, s the spacing of detectors as seen
    at the axis, m the larger of s and the pixel spacing. At the axis of a fan. [Kak88, Sec. 5.3]
    """
    spacing, fan = scan.detector_spacing, scan.beam
    if isinstance(fan, FanBeam):
        spacing *= fan.source_to_axis / fan.source_to_detector
    coarser = max(spacing, scan.pixel_spacing)
    angles = float(np.square(_view_weights(scan)).sum())
    return math.sqrt(angles * spacing / (12 * coarser**3))


def _depth_weight(beam: ParallelBeam | FanBeam, forth: np.ndarray) -> np.ndarray:
    if isinstance(beam, ParallelBeam):
        return np.ones_like(forth)
    return (beam.source_to_axis / (beam.source_to_axis + forth)) ** 2


def _view_weights(scan: Scan) -> np.ndarray:
    """The angle, in radians, that each view stands for: half of the way to both neighbours.

    Views of the same lines, from the one side and from the other, share theirs. A gap in which
    nothing was seen is no step between views, and counts as a usual step.
    """
    turn = scan.beam.turn
    folded = np.round(np.mod(scan.angles, turn), 6) % turn
    different, which, count = np.unique(folded, return_inverse=True, return_counts=True)
    gaps = np.diff(different, append=different[0] + turn)
    usual = np.median(gaps)
    gaps = np.where((gaps > 3 * usual) & (gaps > UNSEEN), usual, gaps)
    share = (gaps + np.roll(gaps, 1)) / 2 / count
    return share[which] * (math.pi / turn)


def _filter(y: Tensor, spacing: float, window: Window) -> Tensor:
    """Each view convolved with the ramp. [Kak88, eq. 61]"""
    if not isinstance(window, str) or window not in ("ramp", "shepp-logan", "hann"):
        raise ValueError(f"window is 'ramp', 'shepp-logan' or 'hann', got {said(window)!r}")
    detectors = y.shape[-1]
    size = 2 ** math.ceil(math.log2(2 * detectors))
    n = torch.arange(size, device=y.device, dtype=torch.float64)
    n = torch.minimum(n, size - n)
    ramp = torch.where(n % 2 == 1, -1 / (math.pi * n.clamp(min=1)) ** 2, 0.0)
    ramp[0] = 0.25
    response = torch.fft.rfft(ramp).real / spacing
    f = torch.fft.rfftfreq(size, device=y.device, dtype=torch.float64)  # cycles a detector
    if window == "shepp-logan":
        response = response * torch.sinc(f)
    elif window == "hann":
        response = response * (0.5 + 0.5 * torch.cos(2 * math.pi * f))
    return torch.fft.irfft(torch.fft.rfft(y, size) * response.to(y), size)[..., :detectors]


def _interpolated(rows: Tensor, place: Tensor) -> Tensor:
    """Rows [B, C, D] at fractional indices [P], linearly; zero outside."""
    padded = torch.nn.functional.pad(rows, (1, 1))
    place = (place + 1).clamp(0, padded.shape[-1] - 1)
    low = place.floor().long().clamp(max=padded.shape[-1] - 2)
    rest = place - low
    return padded[..., low] * (1 - rest) + padded[..., low + 1] * rest
