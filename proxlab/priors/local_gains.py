"""Gains of a denoiser f: by how much it shrinks each local frequency of an image, and the inverse.

A denoiser near the identity acts almost as C^T G C, with C the cosine transform of overlapping
blocks and G >= 0 diagonal: one gain for each frequency at each place. C^T G^-1 C is then a
symmetric, positive guess of the inverse Jacobian at a few per cent of the cost of f. G is read off
what goes in and what comes out. From an image and its f it is the shrinkage. From the differences
of two images it is the mean Jacobian between them, which is larger, so `inversion` reads it from
its steps.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from proxlab.priors.mirror import mirrored

BLOCK, BLOCK_STEP = 8, 4
"""Side of a block, and pixels from one block to the next."""
LEAST_GAIN, MOST_GAIN = 1e-3, 1e3
"""Bounds of the gains: smaller ones would make a step too long to be trusted."""
SMOOTHING = 3
"""Blocks along a side over which energies are averaged before a gain is taken."""


class Energies(NamedTuple):
    """Energies by local frequency, [B, C * 64, h, w] each, of what goes into f and comes out."""

    before: Tensor
    after: Tensor


def energies(v: Tensor, output: Tensor) -> Energies:
    """Energies of images v [B, C, H, W] and of their `output`, in units of |v| |output|."""
    a, b = _analyse(v), _analyse(output)
    unit = a.flatten(1).norm(dim=1) * b.flatten(1).norm(dim=1)
    unit = unit.clamp(min=torch.finfo(a.dtype).tiny).view(-1, 1, 1, 1)
    return Energies(a * a / unit, b * b / unit)


def local_gains(seen: Energies) -> Tensor:
    """Gains in blocks, [B, C * 64, h, w]; 1 where nothing is known."""
    before, after = (F.avg_pool2d(e, SMOOTHING, 1, SMOOTHING // 2) for e in seen)
    return torch.where(before > 0, after / before, 1).sqrt().clamp(LEAST_GAIN, MOST_GAIN)


def undo_gains(gains: Tensor, r: Tensor) -> Tensor:
    """C^T G^-1 C r, [B, C, H, W]; r itself where all gains are one."""
    height, width = r.shape[-2:]
    rows, columns = _mirrored(height, r.device), _mirrored(width, r.device)
    # Pixels near the border lie in more blocks, or fewer: the root of that number before and after
    # keeps the result symmetric.
    root = (_seen(rows, height)[:, None] * _seen(columns, width)).sqrt().to(r)
    blocks = (_analyse(r / root) / gains).reshape(-1, BLOCK**2, *gains.shape[-2:])
    filters = F.pixel_unshuffle(cosines(BLOCK)[:, None].to(r), BLOCK_STEP)
    y = F.pixel_shuffle(F.conv_transpose2d(blocks, filters), BLOCK_STEP)
    y = y.new_zeros(*y.shape[:-2], height, y.shape[-1]).index_add(-2, rows, y)
    y = y.new_zeros(*y.shape[:-1], width).index_add(-1, columns, y)
    return y.view_as(r) / root


def _analyse(x: Tensor) -> Tensor:
    """C x, [B, C * 64, h, w]."""
    height, width = x.shape[-2:]
    gray = x.reshape(-1, 1, height, width)
    rows, columns = _mirrored(height, x.device), _mirrored(width, x.device)
    blocks = F.pixel_unshuffle(gray.index_select(-2, rows).index_select(-1, columns), BLOCK_STEP)
    a = F.conv2d(blocks, F.pixel_unshuffle(cosines(BLOCK)[:, None].to(x), BLOCK_STEP))
    return a.view(len(x), -1, *a.shape[-2:])


def _mirrored(length: int, device: torch.device) -> Tensor:
    """Pixels of a line continued by its mirror image, so that blocks cover it evenly."""
    total = BLOCK_STEP * math.ceil(length / BLOCK_STEP) + 2 * (BLOCK - BLOCK_STEP)
    return mirrored(torch.arange(total, device=device) - (BLOCK - BLOCK_STEP), length)


def _seen(line: Tensor, length: int) -> Tensor:
    """Number of blocks along a line in which each of its pixels lies."""
    blocks = torch.full(line.shape, BLOCK / BLOCK_STEP, dtype=torch.float64, device=line.device)
    blocks[:BLOCK_STEP] = blocks[-BLOCK_STEP:] = 1
    return torch.bincount(line, blocks, minlength=length)


def cosines(n: int) -> Tensor:
    """The orthonormal 2-D cosine basis, [n * n, n, n] in float64, the constant first."""
    k = torch.arange(n, dtype=torch.float64)
    rows = torch.cos(math.pi / n * k[:, None] * (k + 0.5)) * math.sqrt(2 / n)
    rows[0] /= math.sqrt(2)
    return torch.einsum("ua,vb->uvab", rows, rows).reshape(n * n, n, n)
