"""Operators of deepinv that know nothing of proxlab, lent what the contract asks of an operator.

This is the one place that tells deepinv's types apart: its circular blurs, with pixels left out or
not, its inpainting and its denoising have the closed forms of ours, every other `LinearPhysics`
gets conjugate gradients.
"""

from dataclasses import dataclass

import torch
from deepinv.physics import Blur, BlurFFT, Denoising, Downsampling, Inpainting, LinearPhysics
from torch import Tensor

from proxlab.operators.contract import Accuracy, Operator, QuadraticDataTerm
from proxlab.operators.data_terms.circular import CircularData
from proxlab.operators.data_terms.linear import LinearData
from proxlab.operators.data_terms.mask import MaskData
from proxlab.operators.data_terms.subsampled import SubsampledData, folded_power
from proxlab.operators.first_estimates import best_multiple, smooth_least_squares
from proxlab.operators.inpainting import MaskedPixels, fill_missing
from proxlab.operators.noise import Weights
from solvers.protocols import Image


def as_operator(op: LinearPhysics) -> Operator:
    """`op` itself if it keeps the contract, else the adapter that lends it what it lacks."""
    if isinstance(op, Operator):
        return op
    if isinstance(op, Inpainting) and _keeps_products(op, Inpainting):
        return _Inpainting(op)
    # by type: deepinv's Downsampling is a Blur too, and no convolution
    circular = type(op) is BlurFFT or (type(op) is Blur and op.padding == "circular")
    if circular and _keeps_products(op, type(op)):
        return _CircularBlur(op)
    if isinstance(op, Downsampling) and type(op) is Downsampling and op.padding == "circular":
        return _Downsampling(op) if _keeps_products(op, Downsampling) else _Linear(op)
    if type(op) is Denoising and _keeps_products(op, Denoising):
        return _Denoising(op)
    return _Linear(op)


def binary_mask(op: LinearPhysics, y: Tensor) -> Tensor | None:
    """The mask of 0 and 1 with which `op` does nothing but multiply, broadcasting to y; else None.

    1 for deepinv's `Denoising`, which does nothing at all.
    """
    if isinstance(op, Denoising) and _keeps_products(op, Denoising):
        return torch.ones_like(y)
    if not isinstance(op, Inpainting):
        return None
    # a MaskedPixels is an Inpainting with products of its own
    kind = MaskedPixels if isinstance(op, MaskedPixels) else Inpainting
    mask = op.mask
    if not _keeps_products(op, kind) or not isinstance(mask, Tensor):
        return None
    return mask if bool(((mask == 0) | (mask == 1)).all()) else None


@dataclass(frozen=True)
class _Linear:
    """Any linear physics, of which nothing is known but products with A and A^T."""

    op: LinearPhysics

    def usable(self, y: Tensor) -> Tensor:
        """y; the data term's product with A^T refuses what does not fit."""
        return y

    def data_term(self, y: Tensor, weights: Weights, accuracy: Accuracy) -> QuadraticDataTerm:
        return LinearData(y, self.op, weights, accuracy, non_negative=_non_negative(self.op))

    def first_estimate(self, y: Tensor) -> Image:
        return smooth_least_squares(y, self.op)


@dataclass(frozen=True)
class _Denoising(_Linear):
    """deepinv's identity, for tensors of any shape."""

    prior_weight = 1.0
    """That of `operators.denoising`."""

    def data_term(self, y: Tensor, weights: Weights, accuracy: Accuracy) -> QuadraticDataTerm:
        if weights.entry is not None:
            return LinearData(y, self.op, weights, accuracy, non_negative=True)
        return MaskData(y.new_ones([1] * y.ndim), y, weights.image)

    def first_estimate(self, y: Tensor) -> Image:
        """y itself."""
        return y.clone()


@dataclass(frozen=True)
class _CircularBlur:
    """deepinv's convolution that wraps around, its kernel one for all images or one for each."""

    op: LinearPhysics

    def usable(self, y: Tensor) -> Tensor:
        """y; `A_adjoint` refuses what does not fit."""
        self.op.A_adjoint(y)
        return y

    def data_term(self, y: Tensor, weights: Weights, accuracy: Accuracy) -> QuadraticDataTerm:
        if weights.entry is not None:
            return LinearData(y, self.op, weights, accuracy, non_negative=_non_negative(self.op))
        impulse = torch.zeros_like(y)
        impulse[..., 0, 0] = 1
        spectrum = torch.fft.rfft2(self.op.A(impulse))
        return CircularData(spectrum, torch.fft.rfft2(y), weights.image, y.shape)

    def first_estimate(self, y: Tensor) -> Image:
        return best_multiple(y, self.op, self.op.A_adjoint(y))


@dataclass(frozen=True)
class _Downsampling:
    """deepinv's blur that wraps around, of which the first pixel of each block is kept."""

    op: Downsampling

    def usable(self, y: Tensor) -> Tensor:
        """y; `A_adjoint` refuses what does not fit."""
        self.op.A_adjoint(y)
        return y

    def data_term(self, y: Tensor, weights: Weights, accuracy: Accuracy) -> QuadraticDataTerm:
        impulse = torch.zeros_like(y)
        impulse[..., 0, 0] = 1
        spread, factor = self.op.A_adjoint(impulse), int(self.op.factor)
        blocks = [factor * n for n in y.shape[-2:]]
        if weights.entry is not None or list(spread.shape[-2:]) != blocks:
            return LinearData(y, self.op, weights, accuracy, non_negative=_non_negative(self.op))
        spectrum = torch.fft.rfft2(spread).conj().resolve_conj()
        low = folded_power(spectrum, spread.shape, factor)
        return SubsampledData(spectrum, low, y, weights.image, factor)

    def first_estimate(self, y: Tensor) -> Image:
        return smooth_least_squares(y, self.op)


@dataclass(frozen=True)
class _Inpainting:
    """deepinv's missing pixels, its mask one for all images or one for each, of any numbers."""

    op: Inpainting

    def usable(self, y: Tensor) -> Tensor:
        """y with zeros where the mask is zero; ValueError if it is not of the mask's shape."""
        if self.op.A_adjoint(y).shape != y.shape:
            raise ValueError(f"y {list(y.shape)} does not fit the mask {list(self._mask.shape)}")
        return torch.where(self._mask.to(y) != 0, y, 0)

    def data_term(self, y: Tensor, weights: Weights, accuracy: Accuracy) -> QuadraticDataTerm:
        if weights.entry is not None:
            return LinearData(y, self.op, weights, accuracy)
        return MaskData(self._mask.to(y), y, weights.image)

    def first_estimate(self, y: Tensor) -> Image:
        self.op.A(y)  # refuses another size than the mask's
        return fill_missing(y, (self._mask != 0).to(y).expand_as(y))

    @property
    def _mask(self) -> Tensor:
        mask = self.op.mask
        assert isinstance(mask, Tensor)  # deepinv makes a tensor of a float
        return mask


def _keeps_products(op: LinearPhysics, kind: type[LinearPhysics]) -> bool:
    """False where a subclass or somebody's assignment put another A or A_adjoint in."""
    kept = type(op).A is kind.A and type(op).A_adjoint is kind.A_adjoint
    return kept and not {"A", "A_adjoint"} & set(vars(op))


def _non_negative(op: LinearPhysics) -> bool:
    """True if the type alone says that A has no entry below 0: a blur of such a kernel."""
    if type(op) not in (Blur, BlurFFT, Downsampling) or not _keeps_products(op, type(op)):
        return False
    kernel = op.filter
    return isinstance(kernel, Tensor) and bool((kernel >= 0).all())
