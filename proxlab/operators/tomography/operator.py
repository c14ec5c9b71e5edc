"""Computed tomography as deepinv physics: exact strip footprints, parallel and fan beams.

    op = proxlab.operators.ct(size=512, angles=60, noise=0.5)

A sinogram [B, C, V, D] holds, for each of V views and D detectors, the mean line integral over the
detector's width, in image units times the unit of length. The matrix is built at first use, for the
dtype and device of what it is applied to; operators of one scan share it.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from deepinv.physics import LinearPhysics, NoiseModel
from torch import Tensor

from proxlab.operators.arguments import check_finite, check_image, listed, real, said, unchanged
from proxlab.operators.contract import Accuracy, QuadraticDataTerm
from proxlab.operators.data_terms.linear import LinearData
from proxlab.operators.first_estimates import best_multiple
from proxlab.operators.noise import Noise, PhotonCounts, Weights
from proxlab.operators.tomography import footprints
from proxlab.operators.tomography.backprojection import (
    Window,
    backprojected_noise,
    filterable,
    filtered_backprojection,
)
from proxlab.operators.tomography.preconditioner import Circulant
from proxlab.operators.tomography.projection_matrix import ProjectionMatrix, projection_matrix
from proxlab.operators.tomography.scan import (
    FanBeam,
    ParallelBeam,
    Scan,
    check_degrees,
    checked_angles,
    enough_detectors,
    even_angles,
)
from solvers.linear_systems import Solution, conjugate_gradient
from solvers.protocols import Image, PerImage, dot

LEVEL_SHARE = 0.14
"""Noise level of a prior over the noise of filtered back-projection. Tried against half and twice
as much on two held-out slices of ct/train (docs/measured/ct.md), and not tuned finely."""


def ct(
    size: int | tuple[int, int],
    angles: int | Sequence[float],
    noise: float | PhotonCounts = 0.0,
    detectors: int | None = None,
    detector_spacing: float = 1.0,
    pixel_spacing: float = 1.0,
    fan: FanBeam | tuple[float, float] | None = None,
    axis: tuple[float, float] = (0.0, 0.0),
    model: Literal["strip", "line"] = "strip",
    detector_offset: float = 0.0,
) -> "Tomography":
    """Line integrals of an image, then noise: a CT scan.

    size: of the image in pixels, N or (H, W). angles: how many, even over 180 degrees (360 for a
    fan), or degrees, in any order. noise: standard deviation of the sinogram, in image units times
    the unit of length, or PhotonCounts(photons, attenuation), that of a detector that counts.
    detectors: how many; if None, enough for the image's diagonal. Their spacing, that of pixels and
    all other lengths have one unit of your choice. fan: the source's distances from the axis and
    from the detector; if None, rays are parallel. axis: x, y of the axis of rotation, x to the
    right and y up from the image's middle. model: "strip", exact, or "line", the ray to the middle
    of each detector. detector_offset: c, a length, how far the detector's middle is from where it
    sees the axis: detector i of D covers u = n . p from (i - D / 2) s + c to (i + 1 - D / 2) s + c,
    s the spacing, p a point from the axis, in every view. tomopy's `center` is (D - 1) / 2 - c / s
    in its gridrec and find_center, D / 2 - c / s in its iterative algorithms.
    Coordinates: `operators.tomography.scan`.
    Raises ValueError on lengths, counts and angles that cannot be.

    >>> op = proxlab.operators.ct(64, angles=30, noise=0.5)
    >>> x = torch.zeros(1, 1, 64, 64)
    >>> x[..., 20:44, 20:44] = 1
    >>> y = op(x)   # 30 views, enough detectors for the diagonal
    >>> y.shape, op.A_dagger(y).shape
    (torch.Size([1, 1, 30, 91]), torch.Size([1, 1, 64, 64]))
    >>> fan = proxlab.operators.ct((64, 48), angles=90, fan=(200.0, 400.0), detector_spacing=2.0)
    >>> fan.A(x[..., :48]).shape
    torch.Size([1, 1, 90, 82])
    """
    height, width = _sides(size)
    beam = ParallelBeam() if fan is None else _fan(fan)
    if isinstance(angles, (int, np.integer)):
        degrees = even_angles(angles, beam.turn)
    else:
        check_degrees(angles)
        degrees = checked_angles(angles, beam.turn)
    some = 1 if detectors is None else detectors
    scan = Scan(
        height,
        width,
        degrees,
        some,
        detector_spacing,
        pixel_spacing,
        axis,
        beam,
        detector_offset,
    )
    if detectors is None:
        scan = replace(scan, detectors=enough_detectors(scan))
    if isinstance(noise, PhotonCounts):
        return Tomography(scan, noise, model)
    if not 0 <= real(noise) < math.inf:
        raise ValueError(f"noise is a standard deviation of the sinogram, >= 0, got {said(noise)}")
    return Tomography(scan, Noise(real(noise)), model)


class Tomography(LinearPhysics):
    """A scan as a linear operator, images [B, C, H, W] to sinograms [B, C, V, D].

    `model`: "strip", the exact footprint of pixels on detectors, or "line", one interpolated ray to
    the middle of each detector [Joseph82]. float32 or float64 as the input. Differentiable any
    number of times in both directions. Raises ValueError for an image or sinogram that does not fit
    the scan, MemoryError, before it is built, for a matrix beyond the free memory.

    >>> op = proxlab.operators.ct(32, angles=24)
    >>> x = torch.zeros(1, 1, 32, 32)
    >>> x[..., 8:24, 8:24] = 1
    >>> y = op.A(x)
    >>> y.shape, op.A_adjoint(y).shape, op.has_filtered_inverse
    (torch.Size([1, 1, 24, 46]), torch.Size([1, 1, 32, 32]), True)
    >>> op.matrix(like=x).entries   # of the sparse matrix, which A builds at its first call
    15146
    """

    def __init__(self, scan: Scan, noise_model: NoiseModel, model: Literal["strip", "line"]):
        super().__init__()
        self.set_noise_model(noise_model)
        self.forw = self.sensor_model = unchanged
        if not isinstance(model, str) or model not in ("strip", "line"):
            raise ValueError(f"model is 'strip' or 'line', got {said(model)!r}")
        self.scan = scan
        self.model = footprints.strips if model == "strip" else footprints.lines
        self._matrices: dict[tuple[torch.dtype, torch.device], ProjectionMatrix] = {}

    def __getstate__(self) -> dict:
        """State without the matrices, which may be large: a copy shares or builds its own."""
        return self.__dict__ | {"_matrices": {}}

    def forward(self, x: Tensor, **kwargs) -> Tensor:
        return super().forward(check_finite(x), **kwargs)

    def A(self, x: Tensor, **kwargs) -> Tensor:
        """Line integrals, [B, C, H, W] -> [B, C, V, D].

        >>> op = proxlab.operators.ct(16, angles=4)
        >>> y = op.A(torch.ones(1, 1, 16, 16))
        >>> y.shape, y[0, 0, 0].max()   # a ray straight through: 16 pixels of 1
        (torch.Size([1, 1, 4, 23]), tensor(16.))
        """
        size = [self.scan.height, self.scan.width]
        if list(check_image(x).shape[2:]) != size:
            raise ValueError(f"the scan is of {size} pixels, the image has {list(x.shape[2:])}")
        return _Product.apply(x, self.matrix(x), False)

    def A_adjoint(self, y: Tensor, **kwargs) -> Tensor:
        """Back-projection, [B, C, V, D] -> [B, C, H, W].

        >>> op = proxlab.operators.ct(16, angles=4)
        >>> x, y = torch.rand(1, 1, 16, 16), torch.rand(1, 1, 4, op.scan.detectors)
        >>> torch.allclose((op.A(x) * y).sum(), (x * op.A_adjoint(y)).sum())
        True
        """
        return _Product.apply(self._fitting(y), self.matrix(y), True)

    def A_dagger(
        self,
        y: Tensor,
        window: Window = "ramp",
        matched: bool = False,
        least_squares: bool = False,
        tol: float = 1e-4,
        max_steps: int = 200,
        **kwargs,
    ) -> Tensor:
        """Filtered back-projection, or least squares by conjugate gradients, [B, C, H, W].

        window: "ramp", "shepp-logan" or "hann", what the ramp filter is multiplied by. matched:
        back-project by A^T in place of linear interpolation in each view (parallel beams only).
        least_squares: min |A x - y|, to a residual of tol |A^T y|; warns if max_steps come first.

        >>> op = proxlab.operators.ct(32, angles=48)
        >>> x = torch.zeros(1, 1, 32, 32)
        >>> x[..., 8:24, 8:24] = 1
        >>> y = op.A(x)
        >>> proxlab.metrics.psnr(op.A_dagger(y, window="hann"), x).round()   # dB
        tensor([20.], dtype=torch.float64)
        >>> proxlab.metrics.psnr(op.A_dagger(y, least_squares=True), x).round()
        tensor([38.], dtype=torch.float64)
        """
        y = self._fitting(y)
        if not least_squares:
            back = self.A_adjoint if matched else None
            return filtered_backprojection(self.scan, y, window, back)
        found = self._least_squares(y, tol, max_steps)
        worst = float(found.residual.detach().max())
        if worst > tol:
            warnings.warn(
                f"least squares stopped after {int(found.steps.max())} steps at a relative "
                f"residual of {worst:.1e}, above tol = {tol:g}; raise max_steps or tol",
                stacklevel=2,
            )
        return found.x

    def usable(self, y: Tensor) -> Tensor:
        """y; ValueError unless it has the scan's views and detectors."""
        return self._fitting(y)

    def data_term(self, y: Tensor, weights: Weights, accuracy: Accuracy) -> QuadraticDataTerm:
        """Conjugate gradients, preconditioned by the convolution that A^T A nearly is."""
        point = y.new_zeros(1, 1, self.scan.height, self.scan.width)
        near = Circulant(self.A_adjoint_A, point)
        return LinearData(y, self, weights, accuracy, near, non_negative=True)

    def first_estimate(self, y: Tensor) -> Image:
        """Filtered back-projection with a Hann window; without a formula, a multiple of A^T y."""
        if self.has_filtered_inverse:
            return self.A_dagger(y, window="hann")
        return best_multiple(y, self, self.A_adjoint(y))

    @property
    def has_filtered_inverse(self) -> bool:
        """True if `A_dagger` can be filtered back-projection."""
        return filterable(self.scan)

    def prior_level(self, noise: PerImage) -> PerImage:
        """`LEVEL_SHARE` of the deviation that noise leaves in filtered back-projection, [B].

        noise: deviation of each sinogram, [B], image units times the unit of length.

        >>> op = proxlab.operators.ct(32, angles=60, noise=0.5)
        >>> levels = op.prior_level(torch.tensor([0.5, 1.0]))
        >>> torch.isclose(levels[1], 2 * levels[0])
        tensor(True)
        """
        return LEVEL_SHARE * noise * backprojected_noise(self.scan)

    def matrix(self, like: Tensor) -> ProjectionMatrix:
        """The projection matrix for the dtype and device of `like`, built at the first call."""
        key = like.dtype, like.device
        if key not in self._matrices:
            self._matrices[key] = projection_matrix(self.scan, self.model, *key)
        return self._matrices[key]

    def _least_squares(self, y: Tensor, tol: float, max_steps: int) -> Solution:
        right = self.A_adjoint(y)
        size = dot(right, right).sqrt().clamp(min=torch.finfo(y.dtype).tiny)
        return conjugate_gradient(
            self.A_adjoint_A,
            lambda x: self.A_adjoint(y - self.A(x)),
            torch.zeros_like(right),
            scale=size,
            tol=tol,
            max_steps=max_steps,
        )

    def _fitting(self, y: Tensor) -> Tensor:
        shape = [len(self.scan.angles), self.scan.detectors]
        if list(check_image(y).shape[2:]) != shape:
            hint = "; transpose it?" if list(y.shape[2:]) == shape[::-1] else ""
            raise ValueError(
                f"the scan has {shape[0]} views of {shape[1]} detectors, the sinogram is "
                f"[views, detectors] = {list(y.shape[2:])}{hint}"
            )
        return y


class _Product(torch.autograd.Function):
    """The derivative of a product with A is one with A^T, and the other way round."""

    @staticmethod
    def forward(ctx, x: Tensor, matrix: ProjectionMatrix, transposed: bool) -> Tensor:
        ctx.matrix, ctx.transposed = matrix, transposed
        apply = matrix.backproject if transposed else matrix.project
        y = apply(x.flatten(0, 1))
        return y.view(*x.shape[:2], *y.shape[1:])

    @staticmethod
    def backward(ctx, grad: Tensor):
        return _Product.apply(grad, ctx.matrix, not ctx.transposed), None, None


def _fan(fan: FanBeam | tuple[float, float]) -> FanBeam:
    if isinstance(fan, FanBeam):
        return fan
    lengths = listed(fan)
    if len(lengths) != 2:
        raise ValueError(
            f"fan is the source's distance from the axis and from the detector, got {said(fan)}"
        )
    return FanBeam(*lengths)


def _sides(size: int | tuple[int, int]) -> tuple[int, int]:
    if isinstance(size, (int, np.integer)):
        return size, size  # type: ignore[return-value]
    sides = listed(size)
    if len(sides) != 2:
        raise ValueError(f"size is a whole number or (height, width), got {said(size)}")
    return sides[0], sides[1]
