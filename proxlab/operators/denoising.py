"""Noise alone: the operator that leaves an image as it is, then adds Gaussian noise."""

import torch
from deepinv.physics import GaussianNoise, LinearPhysics
from torch import Tensor

from proxlab.operators.arguments import check_finite, check_image, column, filled, unchanged
from proxlab.operators.contract import Accuracy, QuadraticDataTerm
from proxlab.operators.data_terms.linear import LinearData
from proxlab.operators.data_terms.mask import MaskData
from proxlab.operators.noise import Noise, Weights, checked_noise
from solvers.protocols import Image


def denoise(noise: float = 0.0) -> LinearPhysics:
    """Gaussian noise of std `noise` (image units) on images [B, C, H, W] of any size.

    The weight of a prior is 1 here, unless another is told: an image is then restored to about
    `prior.prox(y, noise)`, the denoised image, and the evidence is that of any restoration.
    Raises ValueError unless 0 <= noise <= 1.

    >>> op = proxlab.operators.denoise(noise=0.1)
    >>> x = torch.full((1, 1, 64, 64), 0.5)
    >>> (op(x) - x).std().round(decimals=1), torch.equal(op.A(x), x)
    (tensor(0.1000), True)
    """
    return Unchanged(Noise(checked_noise(noise)))


class Unchanged(LinearPhysics):
    """The identity, A x = x, and its noise.

    >>> op = proxlab.operators.denoise(noise=0.1)
    >>> y = torch.ones(1, 1, 4, 4)
    >>> op.prox_l2(0 * y, y, gamma=1.0).max(), torch.equal(op.first_estimate(y), y)
    (tensor(0.5000), True)
    """

    prior_weight = 1.0
    """With it |x - y|^2 / (2 noise^2) + R_noise(x) / noise^2 is least at the prior's own prox of y.
    The smaller weight that learned priors have elsewhere would leave two thirds of the noise."""

    def __init__(self, noise_model: GaussianNoise):
        super().__init__()
        self.set_noise_model(noise_model)
        self.forw = self.sensor_model = unchanged

    def forward(self, x: Tensor, **kwargs) -> Tensor:
        return super().forward(check_finite(x), **kwargs)

    def A(self, x: Tensor, **kwargs) -> Tensor:
        return check_image(x)

    def A_adjoint(self, y: Tensor, **kwargs) -> Tensor:
        return check_image(y)

    def A_dagger(self, y: Tensor, **kwargs) -> Tensor:
        return check_image(y)

    def prox_l2(self, z, y: Tensor, gamma, **kwargs) -> Tensor:
        """argmin_x gamma / 2 |x - y|^2 + |x - z|^2 / 2; gamma a float, [B] or [B, 1, 1, 1]."""
        z, gamma = filled(z, check_image(y)), column(gamma, y)
        return z + (y - z) * (gamma / (1 + gamma))

    def usable(self, y: Tensor) -> Tensor:
        """y; ValueError or TypeError unless it is images."""
        return check_image(y)

    def data_term(self, y: Tensor, weights: Weights, accuracy: Accuracy) -> QuadraticDataTerm:
        """That of a mask without a hole, unless pixels have weights of their own."""
        if weights.entry is not None:
            return LinearData(y, self, weights, accuracy, non_negative=True)
        return MaskData(torch.ones_like(y[:1, :1, :1, :1]), y, weights.image)

    def first_estimate(self, y: Tensor) -> Image:
        """y itself."""
        return self.usable(y).clone()
