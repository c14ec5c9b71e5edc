"""Unknown numbers of an operator, estimated with the image: where the axis lies on a detector.

For each offset c of the detector the best smooth image explains the sinogram to some degree,

    F(c) = min_x  <A_c x - y, W (A_c x - y)> / 2 + mu x' L x / 2,

L the squared differences of neighbours, and c is where F is least: variable projection [Golub73],
an unknown transformation found by optimisation [Buchanan22]. A_c is built for each c: a sinogram
that is interpolated instead draws c to the grid on which it was interpolated. F counts in units of
the noise, so its curvature tells the error that the noise leaves. Of parallel beams that see all of
the object the centres of mass of the views tell c as well, without any assumption on the image:
both are averaged, each by its variance.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import hypot
from typing import Literal

import torch
from deepinv.physics import LinearPhysics
from scipy.optimize import minimize_scalar
from torch import Tensor

from proxlab.operators.arguments import check_finite
from proxlab.operators.noise import Weights, measurement_weights
from proxlab.operators.tomography import footprints, moments
from proxlab.operators.tomography.operator import Tomography
from proxlab.operators.tomography.preconditioner import Circulant
from solvers.linear_systems import conjugate_gradient
from solvers.protocols import dot, per_image

ROUGHNESS, BEYOND = 250.0, 1000.0
"""mu, for images whose bright parts have the value 1, seen whole and reaching beyond the detector.
On 14 slices of ct/train at 256 x 256, seen whole, 60 to 1000 err by up to 0.07 detectors; on 12
at 128 x 128, 150 to 1000 up to 0.09 and 5000 0.4, and beyond the detector 2.0, 0.8 and 6.1."""
BRIGHT = 0.99
"""Quantile of the pixels of the first estimate that is taken for bright."""
WITHIN = 16.0
"""Detectors to either side within which an offset is looked for."""
NEAR = 2.0
"""Detectors around the offset of the moments among which it is looked for first."""
STEP = 0.25
"""Detectors to either side by which the curvature of F is measured."""
BIAS = 0.06
"""Error of a fit in detectors, by how far slices of patients are from smooth: rms on 14 slices of
ct/train at 256 x 256 with hardly any noise."""
FLAT = 8.0
"""Rise of F, to either side, that tells an offset from none: four standard deviations."""
TOL, MOST = 1e-3, 200
"""Relative residual of a fit, and its most steps."""
PRECONDITIONED = 1e3
"""Ratio of the largest to the smallest number that the preconditioner divides by."""


@dataclass(frozen=True)
class Calibration:
    """An operator with the number that was unknown, and how sure that number is.

    >>> op = proxlab.operators.ct(32, angles=24, noise=0.1)
    >>> x = torch.zeros(1, 1, 32, 32)
    >>> x[..., 8:20, 12:24] = 1
    >>> there = proxlab.operators.ct(32, 24, 0.1, op.scan.detectors, detector_offset=1.3)
    >>> found = proxlab.calibrate(there(x), op, "detector_offset")
    >>> abs(found.value - 1.3) < 0.1, found.op.scan.detector_offset == found.value
    (True, True)
    """

    op: Tomography
    """The operator with the number found."""
    value: float
    """The number, a length."""
    sd: float
    """Standard deviation, a length: of noise and, as slices of patients have it, of the image not
    being as smooth as was assumed."""
    image: Tensor
    """The smooth image of that fit, [B, C, H, W], which no learned prior has seen."""
    trace: tuple[tuple[float, float], ...]
    """Numbers that were tried, in order, and F."""
    doubts: tuple[str, ...]
    """Reasons to doubt the number; empty if there is none."""


@dataclass
class _Fit:
    """F and the image at one offset."""

    value: float
    image: Tensor
    residual: float


def calibrate(
    y: Tensor,
    op: LinearPhysics,
    unknown: Literal["detector_offset"] = "detector_offset",
    within: float = WITHIN,
    tol: float = 0.02,
) -> Calibration:
    """The number of a CT scan that is not known, from its sinogram alone.

    y: [B, C, V, D], slices of one scan. op: `operators.ct`, its noise told; the offset that it has
    is not looked at. unknown: "detector_offset". within, tol: how far from 0 it may lie and to what
    it is wanted, both in detectors. It takes some 15 fits of an image. For the image itself,
    `restore` with the operator found.
    Raises TypeError for an operator that is no scan, ValueError for another unknown, `within`
    beyond half the detector, y that does not fit, and an operator without noise. Doubts are said in
    the result: an object that reaches beyond the detector, an offset at the rim of what was
    searched, a sinogram that does not tell, a fit that did not end.

    >>> op = proxlab.operators.ct(32, angles=24, noise=0.1)
    >>> x = torch.zeros(1, 1, 32, 32)
    >>> x[..., 8:20, 12:24] = 1
    >>> there = proxlab.operators.ct(32, 24, 0.1, op.scan.detectors, detector_offset=-0.7)
    >>> found = proxlab.calibrate(there(x), op, "detector_offset")
    >>> abs(found.value + 0.7) < 0.1, found.sd < 0.1, found.doubts
    (True, True, ())
    """
    if not isinstance(op, Tomography):
        raise TypeError(f"calibration is of a scan, operators.ct(...), got {type(op).__name__}")
    if unknown != "detector_offset":
        raise ValueError(
            f"unknown is 'detector_offset', got {unknown!r}; an angle that all views share and, of "
            "parallel rays, the axis only move the image, and no sinogram can tell them"
        )
    half = op.scan.detectors / 2
    if not 0 < tol < within <= half:
        raise ValueError(
            f"within and tol are in detectors, 0 < tol < within <= {half:g}, half of those there "
            f"are; got {within} and {tol}"
        )
    y = check_finite(op.usable(y)).detach()
    weights = measurement_weights(y, op, None, 1.0, None)
    search = _Search(y, op, weights)
    return search.run(within * op.scan.detector_spacing, tol * op.scan.detector_spacing)


class _Search:
    """Fits at the offsets that were tried."""

    def __init__(self, y: Tensor, op: Tomography, weights: Weights):
        self.y, self.op, self.weights = y, op, weights
        self.trace: list[tuple[float, float]] = []
        self.last: Tensor | None = None
        pixels = op.first_estimate(y).flatten(1)
        bright = pixels.kthvalue(max(1, round(BRIGHT * pixels.shape[1])), 1).values
        self.seen = moments.rim(y, weights)
        rough = ROUGHNESS if self.seen <= moments.OUTSIDE else BEYOND
        self.mu = rough / bright.double().clamp(min=1e-12).square()

    def run(self, within: float, tol: float) -> Calibration:
        """The offset in [-within, within] to tol, both lengths."""
        spacing, doubts = self.op.scan.detector_spacing, []
        low, high = -within, within
        if self.seen > moments.OUTSIDE:
            doubts.append(
                f"the object reaches beyond the detector, whose ends measure {self.seen:.0f} noise "
                "levels: the offset may be off by a detector or more"
            )
        moment = self._moment()
        if moment is not None:
            near = NEAR * spacing
            low, high = max(low, moment.value - near), min(high, moment.value + near)
        if low >= high:  # the moments lie beyond what may be
            low, high = -within, within
        found = self._least(low, high, tol)
        if min(found - low, high - found) < 2 * tol and (low, high) != (-within, within):
            found = self._least(-within, within, tol)
        if within - abs(found) < 2 * tol:
            doubts.append(f"the offset lies at the rim of within, {within:g}; allow more")
        step = STEP * spacing
        here = self.fit(found)
        beside = [self.fit(found + side * step).value - here.value for side in (-1, 1)]
        curvature = sum(beside) / step**2
        if curvature <= 0 or curvature * (NEAR * spacing) ** 2 / 2 < FLAT:
            doubts.append("the sinogram hardly tells the offset: every other explains it as well")
        if here.residual > TOL:
            doubts.append(f"the fit stopped at a relative residual of {here.residual:.1e}")
        noise = curvature**-0.5 if curvature > 0 else float("inf")
        by_fit = moments.Moment(found, hypot(noise, BIAS * spacing))
        told, apart = (by_fit, "") if moment is None else moments.averaged(by_fit, moment)
        doubts += filter(None, [apart])
        image = here.image if told.value == found else self.fit(told.value).image
        return Calibration(self._at(told.value), *told, image, tuple(self.trace), tuple(doubts))

    def fit(self, offset: float) -> _Fit:
        """F at an offset."""
        op, y, w = self._at(offset), self.y, per_image(self.weights.image, self.y)
        if self.weights.entry is not None:
            w = w * self.weights.entry
        mu = per_image(self.mu, y)

        def normal(x: Tensor) -> Tensor:
            return op.A_adjoint(w * op.A(x)) + mu * _roughness(x)

        right = op.A_adjoint(w * y)
        found = conjugate_gradient(
            normal,
            lambda x: right - normal(x),
            torch.zeros_like(right) if self.last is None else self.last,
            scale=dot(right, right).sqrt().clamp(min=torch.finfo(y.dtype).tiny),
            tol=TOL,
            max_steps=MOST,
            precondition=self._inverse(normal, right),
        )
        self.last = x = found.x
        misfit = op.A(x) - y
        value = float((dot(w * misfit, misfit) + dot(mu * _roughness(x), x)).sum()) / 2
        self.trace.append((offset, value))
        return _Fit(value, x, float(found.residual.max()))

    def _least(self, low: float, high: float, tol: float) -> float:
        found = minimize_scalar(
            lambda c: self.fit(c).value,
            bounds=(low, high),
            method="bounded",
            options={"xatol": tol},
        )
        return float(found.x)

    def _moment(self) -> moments.Moment | None:
        try:
            return moments.moment_offset(self.y, self.op.scan, self.weights)
        except ValueError:
            return None

    def _at(self, offset: float) -> Tomography:
        scan = replace(self.op.scan, detector_offset=offset)
        exact = self.op.model is footprints.strips
        return Tomography(scan, self.op.noise_model, "strip" if exact else "line")

    def _inverse(
        self, normal: Callable[[Tensor], Tensor], like: Tensor
    ) -> Callable[[Tensor], Tensor]:
        """About the inverse of `normal`, as of a convolution."""
        near = Circulant(lambda x: normal(x.expand(len(like), 1, -1, -1))[:1], like[:1, :1])
        s = PRECONDITIONED / near.spectrum.max()
        return lambda r: near.solve(s, r)


def _roughness(x: Tensor) -> Tensor:
    """L x: the gradient of half the squared differences of neighbours."""
    down, across = x.diff(dim=2), x.diff(dim=3)
    result = torch.zeros_like(x)
    result[:, :, 1:] += down
    result[:, :, :-1] -= down
    result[..., 1:] += across
    result[..., :-1] -= across
    return result
