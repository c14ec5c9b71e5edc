"""First estimates for operators without a formula of their own: least squares, stopped early.

A solver that starts where unseen pixels are black may end there. So what an operator does not see
is interpolated. The estimate is the constant c that explains y best, plus a smooth image S z, with
z from a few conjugate gradient steps on

    min |A S z - (y - A c)|^2.   [Bjorck96, Sec. 7.4]

S weights a frequency by about one over its size, as photographs do. The steps start at z = 0, so
they lead to the smoothest of the images that explain y equally well.
"""

from itertools import islice

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from proxlab.operators.counts.camera import counting
from proxlab.operators.noise import noise_level
from solvers.least_squares import cgls
from solvers.protocols import Image, PerImage, dot, float_for_sums, per_image

LEAST_SQUARES_STEPS = 16
"""Conjugate gradient steps, at most; each is a product with A and one with A^T. On held-out
photographs (`examples/benchmarks/operators/bench_first_estimate.py`) twice as many gain 0.1 dB
where pixels are missing, and lose where a blurred measurement is noisier than its operator says."""
CORNER = 0.03
"""Frequency in cycles a pixel below which S no longer grows: in a hole, the image tends to c some
five pixels away from what is seen. At 0.01 wider holes are filled better, in three times as many
steps; at 0.06 they are filled worse."""


def best_multiple(y: Tensor, op: LinearPhysics, x: Image) -> Image:
    """The multiple of x that explains y best, for each image; zero where A x is."""
    seen = op.A(x)
    energy = dot(seen, seen)
    best = torch.where(energy > 0, dot(seen, y) / torch.where(energy > 0, energy, 1), 0)
    return per_image(best, x) * x


def smooth_least_squares(y: Tensor, op: LinearPhysics) -> Image:
    """Smooth images x with A x near y, zero where A^T y is; each image by itself.

    y: float [B, ...], of any shape that the operator has. An image stops after
    `LEAST_SQUARES_STEPS`, once |A x - y| is that of the operator's noise, or once it no longer
    falls, because `A_adjoint` is not the adjoint. Images [B, n], without rows and columns, are not
    smoothed.
    """
    back = op.A_adjoint(y)
    constant = best_multiple(y, op, torch.ones_like(back))
    rest, z, smooth = y - op.A(constant), torch.zeros_like(back), Smoothing(back)
    goal, least = _noise_energy(y, op) / 2, dot(rest, rest) / 2
    running = least > goal
    steps = cgls(lambda u: op.A(smooth(u)), lambda r: smooth(op.A_adjoint(r)), rest, z)
    for state in islice(steps, LEAST_SQUARES_STEPS):
        running = running & (state.misfit < least)
        z = torch.where(per_image(running, z) > 0, state.x, z)
        least = torch.where(running, state.misfit, least)
        running = running & (least > goal)
        if not running.any():
            break
    return torch.where(per_image(dot(back, back), back) > 0, constant + smooth(z), 0)


class Smoothing:
    """S = (1 + |frequency|^2 / CORNER^2)^(-1/2) of the mirrored image, symmetric and positive."""

    def __init__(self, like: Image):
        """`like` is an image [B, C, ...] of the size, dtype and device that is wanted."""
        self.size = like.shape[2:]
        self._dims = tuple(range(2, like.ndim))
        energy = like.new_zeros(())
        for dim, n in zip(self._dims, self.size, strict=True):
            frequencies = torch.fft.fftfreq(2 * n, dtype=like.dtype, device=like.device)
            if dim == self._dims[-1]:
                frequencies = frequencies[: n + 1]
            energy = energy[..., None] + frequencies**2
        self.response = (1 + energy / CORNER**2).rsqrt()

    def __call__(self, x: Image) -> Image:
        """S x, [B, C, ...]."""
        if not self._dims:
            return x
        for dim in self._dims:
            x = torch.cat([x, x.flip(dim)], dim)
        transform = torch.fft.rfftn(x, dim=self._dims) * self.response
        x = torch.fft.irfftn(transform, s=[2 * n for n in self.size], dim=self._dims)
        return x[(..., *(slice(n) for n in self.size))]


def _noise_energy(y: Tensor, op: LinearPhysics) -> PerImage:
    """The mean of |A x - y|^2 at the true x, [B]; 0 where the noise is not known."""
    numbers = counting(op.noise_model, y)
    if numbers is not None:
        return numbers.mean_variance(y) * y[0].numel()
    known = noise_level(op)
    told = 0.0 if known is None else known
    level = torch.as_tensor(told, dtype=float_for_sums(y), device=y.device)
    return (level**2 * y[0].numel()).expand(len(y))
