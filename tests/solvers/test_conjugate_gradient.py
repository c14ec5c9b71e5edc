"""Conjugate gradients end at a residual that is true, for each image of a batch."""

from functools import partial

import torch

from solvers.linear_systems import conjugate_gradient
from tests.images.pictures import image


def test_conjugate_gradients_report_the_true_residual_of_each_image():
    diagonal = torch.logspace(0, 6, 40, dtype=torch.float64)
    b, x = image(2, 40) * torch.tensor([[1.0], [0.0]]), torch.zeros(2, 40, dtype=torch.float64)
    for dtype, tol in [(torch.float64, 1e-10), (torch.float32, 1e-5), (torch.float32, 1e-12)]:
        d, right = diagonal.to(dtype), b.to(dtype)
        scale = right.norm(dim=1).double().clamp(min=1e-30)
        limits = dict(scale=scale, tol=tol, max_steps=2000)
        matrix = partial(torch.mul, d)
        got = conjugate_gradient(matrix, lambda x, b=right, d=d: b - d * x, x.to(dtype), **limits)
        true = (right.double() - d.double() * got.x.double()).norm(dim=1) / scale
        assert (got.residual - true).abs().max() < 1e-7 and got.steps[1] == 0
        assert (got.residual[0] <= tol) == (tol != 1e-12)
