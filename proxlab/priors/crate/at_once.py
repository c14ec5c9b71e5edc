"""The layers of CRATE in as few kernels as can be: for devices that wait for each.

The same formulas as those of `layers` and `attention`. Tokens lie window by window from the first
layer to the last, so that queries need no rearranging and keys one gather. Matrices that follow
each other without a kink between them are one, made once for a noise level (`machine.Constants`):

    queries and keys    y [b U, U]
    sparsify            ReLU(z (I + eta (I - D^T) D) - eta lambda)

Nothing is followed by autograd. `proxlab.machine.by_kernels` says on which devices this is the way.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from proxlab.priors.crate.attention import Windows
from proxlab.priors.crate.layers import STEP, DecoderLayer, EncoderLayer, SubspaceAttention

MOST_BIASES = 2**22
"""Biases of one layer that are kept, one for each pair of tokens that see each other."""


class Attending(NamedTuple):
    """Attention at the noise levels of the images; K heads of p dimensions, windows of side s."""

    asked: Tensor
    """From tokens to queries and keys, [B, d, 2 K p]."""
    joined: Tensor
    """W^T, [K p, d]."""
    biases: Tensor
    """[K, s^2, (2 s)^2]; for each window, with what is not there, if that is not too much."""


class Matrices(NamedTuple):
    """A layer at the noise levels of the images."""

    attention: Attending
    coding: Tensor | None
    """I + eta (I - D^T) D, [d, d]; None for a decoder."""
    threshold: Tensor | None
    """-eta lambda, [B, 1, d]."""


class Map(NamedTuple):
    """The windows of a map of h x w tokens."""

    size: tuple[int, int, int, int]
    """Windows along both axes, h, w."""
    keys: Tensor
    """Number of each key among the tokens in the order of windows, [windows (2 s)^2]."""
    absent: Tensor
    """-inf for keys beyond the map, else 0, [B windows, 1, 1, (2 s)^2]."""


def map_of(windows: Windows, batch: int, h: int, w: int, like: Tensor) -> Map:
    """The windows of a map; those keys that lie beyond it stand for tokens that are there."""
    side = windows.side
    down, across = -(-h // side), -(-w // side)
    rows, columns = (_seen(n, side, like.device) for n in (down, across))
    row, column = rows[:, None, :, None], columns[None, :, None, :]
    r, c = row.clamp(0, h - 1), column.clamp(0, w - 1)
    number = ((r // side * across + c // side) * side + r % side) * side + c % side
    there = (row == r) & (column == c)
    absent = torch.zeros(there.shape, dtype=like.dtype, device=like.device)
    absent = absent.masked_fill_(~there, -torch.inf).view(down * across, 1, 1, -1)
    return Map((down, across, h, w), number.flatten(), absent.repeat(batch, 1, 1, 1))


def matrices(layer: EncoderLayer | DecoderLayer, level: Tensor, where: Map) -> Matrices:
    """A layer at levels with the features `level`, [B, levels], on a map."""
    attention = _attending(layer.attention, level, where)
    if isinstance(layer, DecoderLayer):
        return Matrices(attention, None, None)
    D = layer.coding.D
    one = torch.eye(len(D), dtype=D.dtype, device=D.device)
    threshold = -STEP * layer.coding.threshold(level)[:, None]
    return Matrices(attention, one + STEP * (one - D.T) @ D, threshold)


def run(
    layers: Sequence[tuple[EncoderLayer | DecoderLayer, Matrices]], tokens: Tensor, where: Map
) -> Tensor:
    """All layers, one after another, on tokens [B, h, w, d] -> the same, to rounding."""
    windows = layers[0][0].attention.windows
    z = _by_windows(tokens, windows.side, where)
    for layer, made in layers:
        if isinstance(layer, EncoderLayer):
            z = _attended(z, layer.before(z), made.attention, layer.attention, where, 1)
            assert made.coding is not None and made.threshold is not None
            each = made.coding.expand(len(z), -1, -1)
            z = torch.baddbmm(made.threshold, layer.between(z), each)
            smoothing = layer.coding.smoothing
            z = F.softplus(z, 1 / smoothing) if smoothing else z.relu_()
        else:
            z = F.linear(layer.before(z), layer.D)
            z = _attended(z, layer.between(z), made.attention, layer.attention, where, -1)
    down, across, h, w = where.size
    z = z.view(len(z), down, across, windows.side, windows.side, -1).transpose(2, 3)
    return z.flatten(3, 4).flatten(1, 2)[:, :h, :w]


def _attended(
    z: Tensor, y: Tensor, made: Attending, layer: SubspaceAttention, where: Map, sign: int
) -> Tensor:
    """z + sign W [Y_1 A_1, .., Y_K A_K] for the normalised tokens y, both [B, N, d]."""
    batch, side, width = len(z), layer.windows.side, y.shape[-1]
    both = torch.bmm(y, made.asked)
    size = both.shape[-1] // 2
    asking = both[..., :size].view(batch, -1, side**2, layer.heads, size // layer.heads)
    seen = both[..., size:].index_select(1, where.keys)
    seen = seen.view(-1, 4 * side**2, layer.heads, size // layer.heads).transpose(1, 2)
    asking = asking.flatten(0, 1).transpose(1, 2)
    biases = made.biases if made.biases.ndim == 4 else made.biases + where.absent
    joined = F.scaled_dot_product_attention(asking, seen, seen, attn_mask=biases, scale=1.0)
    joined = joined.transpose(1, 2).reshape(-1, size)
    return torch.addmm(z.view(-1, width), joined, made.joined, alpha=sign).view_as(z)


def _attending(layer: SubspaceAttention, level: Tensor, where: Map) -> Attending:
    U = layer.U.flatten(0, 1).T
    sharp = layer.sharpness(level).exp().repeat_interleave(layer.U.shape[1], 1)
    asked = torch.cat([U * sharp[:, None], U.expand(len(level), -1, -1)], 2)
    biases = layer.places[:, layer.windows.index(layer.places.device)]
    if biases.numel() * len(where.absent) <= MOST_BIASES:
        biases = biases + where.absent
    return Attending(asked, layer.W.T.contiguous(), biases)


def _by_windows(tokens: Tensor, side: int, where: Map) -> Tensor:
    """Tokens of a map in the order of windows, made up to whole windows, [B, N, d]."""
    down, across, h, w = where.size
    more = 0, 0, 0, across * side - w, 0, down * side - h
    if any(more):
        tokens = F.pad(tokens, more)
    cut = tokens.unflatten(2, (across, side)).unflatten(1, (down, side))
    return cut.transpose(2, 3).flatten(1, 4).contiguous()


def _seen(count: int, side: int, device: torch.device) -> Tensor:
    """Rows, or columns, that each of `count` windows sees, [count, 2 side]."""
    first = torch.arange(count, device=device)[:, None] * side - side // 2
    return first + torch.arange(2 * side, device=device)
