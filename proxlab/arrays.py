"""Measurements as numpy arrays: a photograph [H, W] or [H, W, 3] as other libraries have it.

    given = Given.of(array, op)    # given.y is a tensor [B, ...]
    given.image(x)                 # images [B, C, H, W] in the layout and type of the array

Tensors are taken as they are; an array is one image wherever its shape and the operator leave no
other choice. Whole numbers are read as grey levels, 255 white, where A leaves white as it is; of a
sinogram, say, nobody knows what 255 means.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from deepinv.physics import LinearPhysics
from torch import Tensor, nn

from proxlab.images.layouts import BATCH, WHITE, Layout, as_tensor
from proxlab.operators.noise import measurement_weights
from proxlab.restoration.premises import BRIGHTEST, brightest
from solvers.progress import Follower

AS_WHITE = 0.01
"""Difference from 1 at most of the brightest answer to a white image, where A keeps white."""


@dataclass(frozen=True)
class Given:
    """A measurement that was given as an array.

    >>> from proxlab.arrays import Given
    >>> op = proxlab.operators.inpaint(np.ones((4, 5)), noise=0.1)
    >>> given = Given.of(np.full((4, 5), 255, np.uint8), op)
    >>> given.y.shape, given.y.max()
    (torch.Size([1, 1, 4, 5]), tensor(1.))
    >>> given.image(given.y / 2).dtype, given.floats(given.y / 2).max()
    (dtype('uint8'), np.float32(0.5))
    """

    y: Tensor
    """[B, ...]"""
    layout: Layout
    """That of the images; of a measurement that is a batch [B, ...], one of batches."""

    @classmethod
    def of(
        cls, y: np.ndarray, op: LinearPhysics, noise: float | Tensor | str | None = None
    ) -> "Given":
        """The measurement of op with that noise.

        Raises ValueError for a shape that may be two things, for whole numbers where their white is
        not known, for one image that is plainly not in [0, 1], and for noise of grey levels beside
        an array of uint8; TypeError as `layouts.as_tensor`.
        """
        if not isinstance(op, LinearPhysics) or y.ndim < 2 or 0 in y.shape:
            return cls(as_tensor(y), Layout(BATCH, y.dtype))  # which is refused where tensors are
        if y.ndim > 4 or (y.ndim < 4 and _takes_batch(y, op)):
            return cls(as_tensor(y), Layout(BATCH, y.dtype))
        layout = Layout.of(y)
        if not layout.one:
            return cls(as_tensor(y), layout)
        batch = layout.batch(y)
        _check_units(y, batch, op)
        if y.dtype == np.uint8:
            _check_noise(batch, op, noise)
        return cls(batch, layout)

    def image(self, x: Tensor) -> np.ndarray:
        """Images [B, C, H, W] as the measurement was given, its type too."""
        return self.layout.back(x)

    def floats(self, x: Tensor) -> np.ndarray:
        """The same, with the values as they are; leading dimensions stay."""
        return self.layout.floats(x)

    def as_weights(self, prior: object) -> Tensor:
        """The measurement in the precision of a network's weights, and where they are: numpy's
        floats are float64 where nobody asked for them. As it is for a prior without weights."""
        weights = next(prior.parameters(), None) if isinstance(prior, nn.Module) else None
        known = weights is not None and weights.is_floating_point()
        return self.y.to(weights) if known and self.y.is_floating_point() else self.y

    def told(self, progress: bool | Callable[..., object]) -> bool | Follower:
        """Who follows the run; a function is handed arrays."""
        if not callable(progress):
            return progress  # `restoration` says what it takes

        def handed(k: int, x: Tensor, residual: Tensor) -> object:
            return progress(k, self.floats(x), residual.numpy())

        return handed


def _check_units(y: np.ndarray, batch: Tensor, op: LinearPhysics) -> None:
    """Raises ValueError for grey levels where white is not known, and for floats up to 255."""
    reach, levels = brightest(batch[0]), y.dtype == np.uint8
    if not batch.isfinite().all() or not (levels or reach > BRIGHTEST):
        return
    white = float(op.A(torch.ones_like(op.A_adjoint(batch))).abs().max())
    kept = abs(white - 1) <= AS_WHITE
    if levels and not kept:
        raise ValueError(
            f"an array of uint8 is read as grey levels, {WHITE} white, but this operator makes "
            f"{white:.3g} of white; give the measurement as floats, in its own units"
        )
    if not levels and kept:
        raise ValueError(
            f"the array reaches {reach:.3g}, and images are in [0, 1]; divide it, and noise, by "
            f"the value of white ({WHITE} of 8 bits)"
        )


def _check_noise(y: Tensor, op: LinearPhysics, noise: float | Tensor | str | None) -> None:
    """Raises ValueError for a noise level of grey levels, where y [B, ...] was made of uint8.

    Raises also what `operators.noise.measurement_weights` does.
    """
    if isinstance(noise, str):
        return
    level = float(measurement_weights(y, op, noise, assumed=None).image.rsqrt().max())
    if level >= 1:
        raise ValueError(
            f"y is uint8 and taken as y / {WHITE}, and noise is in the same units, of the range "
            f"[0, 1], got {level:.3g}; divide it by {WHITE}"
        )


def _takes_batch(y: np.ndarray, op: LinearPhysics) -> bool:
    """Whether the operator takes the array as it is for a batch of measurements, as [B, m].

    Raises ValueError if it takes it for one image as well.
    """
    batch = _answers(op, as_tensor(y))
    if not batch:
        return False
    try:
        image = _answers(op, Layout.of(y).batch(y))
    except (TypeError, ValueError):  # it is no image
        return True
    if image:
        raise ValueError(
            f"this operator takes an array {list(y.shape)} for a batch [B, ...] and for one image; "
            "give a tensor, which is always a batch"
        )
    return True


def _answers(op: LinearPhysics, y: Tensor) -> bool:
    """Whether A^T makes a batch of as many images of y."""
    y = y if y.is_floating_point() else y.float()
    try:
        x = op.A_adjoint(y)
    except Exception:  # whatever an operator says to what is no measurement of its
        return False
    return isinstance(x, Tensor) and x.ndim == 4 and len(x) == len(y)
