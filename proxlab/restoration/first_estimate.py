"""Where a solver starts: a plain estimate of the image, made from its measurement alone."""

import torch
import torch.nn.functional as F
from deepinv.physics import Inpainting, LinearPhysics
from torch import Tensor

from proxlab.operators.blur import CircularBlur, PaddedBlur
from proxlab.operators.inpainting import fill_missing
from proxlab.operators.tomography.operator import Tomography
from solvers.protocols import Image, dot, per_image


def start(y: Tensor, op: LinearPhysics) -> Image:
    """A plain first estimate of the image behind y = op(x); each image by itself.

    Blur that keeps the size: y. "valid" blur: y, its edges repeated outwards. Missing pixels: means
    of seen ones, weighted by Gaussians as narrow as the holes allow. Tomography: filtered
    back-projection. Else the multiple of A^T y that fits y best, zero if A^T y is.
    """
    if isinstance(op, Tomography) and op.has_filtered_inverse:
        return op.A_dagger(y, window="hann")
    if isinstance(op, PaddedBlur) and op.padding == "valid":
        h, w = op.filter.shape[-2:]
        return F.pad(y, (w // 2, w // 2, h // 2, h // 2), mode="replicate")
    if isinstance(op, (CircularBlur, PaddedBlur)):
        op.A_adjoint(y[:1])  # refuses what is too small
        return y.clone()
    if isinstance(op, Inpainting):
        op.A(y)  # refuses another size than the mask's
        return fill_missing(y, (op.mask != 0).to(y).expand_as(y))
    back = op.A_adjoint(y)
    again = op.A(back)
    energy = dot(again, again)
    best = torch.where(energy > 0, dot(again, y) / torch.where(energy > 0, energy, 1), 0)
    return per_image(best, back) * back
