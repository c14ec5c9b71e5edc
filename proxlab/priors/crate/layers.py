"""CRATE: a transformer's layers that are each two steps of an optimisation, compress and sparsify.

On tokens Z [B, h, w, d], a map of h x w patches, with subspaces U_1 .. U_K and Y_k = U_k^T Z:

    compress    Z' = Z + W [Y_1 A_1, .., Y_K A_K],  A_k = softmax(b_k Y_k^T Y_k + B_k)
    sparsify    Z+ = ReLU(Z' + eta D^T (Z' - D Z') - eta lambda)

One matrix a head is query, key and value. The first step is near a gradient step on the coding rate
R^c (`coding_rate`), the second is one step of ISTA on |Z' - D Z|^2 / 2 + lambda |Z|_1, Z >= 0
[Yu23, Sec. 2]. A decoder's layer runs the other way, Z' = D Z, then Z+ = Z' - MSSA(Z' | V), where
MSSA is the sum of the heads above [Pai24, Sec. 3]. Each step sees its tokens normalised.

Two things are added here. b_k and lambda follow the noise level, as the precision of the rate and
the threshold of a denoiser do. And attention is local (`attention`), with a learned bias B_k by the
offset of one token from another, since patches of an image overlap and attention alone knows no
places.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from proxlab.priors.crate.attention import Windows

STEP = 0.1
"""eta, the step size of ISTA."""
THRESHOLD = 0.1
"""lambda before training."""
STRIP = 4096
"""Tokens computed at once where no gradient is asked for: as many as caches hold."""


class SubspaceAttention(nn.Module):
    """Multi-head subspace self-attention W [Y_1 A_1, .., Y_K A_K], [B, h, w, d] -> the same."""

    def __init__(self, width: int, heads: int, windows: Windows, levels: int):
        """`levels` is the number of features that describe a noise level."""
        super().__init__()
        self.heads, self.windows = heads, windows
        self.U = nn.Parameter(_orthogonal(width, width).view(heads, -1, width))
        """U^T, [K, p, d], orthonormal at first."""
        self.W = nn.Parameter(self.U.detach().flatten(0, 1).T.clone())
        """The matrix [d, K p] that joins the heads; U at first, as in the formula of R^c."""
        self.sharpness = nn.Linear(levels, heads)
        """log b_k from the noise level."""
        nn.init.zeros_(self.sharpness.weight)
        nn.init.constant_(self.sharpness.bias, -math.log(width / heads) / 2)
        self.places = nn.Parameter(_nearness(heads, windows))
        """B_k, [K, offsets]."""

    def forward(self, tokens: Tensor, level: Tensor, above: int = 0, below: int = 0) -> Tensor:
        """`level` is [B, levels]; `above` and `below` are those of `Windows.attend`."""
        inside = F.linear(tokens, self.U.flatten(0, 1))
        sharp = self.sharpness(level).exp()
        joined = self.windows.attend(inside, self.heads, sharp, self.places, above, below)
        return F.linear(joined, self.W)


class SparseCoding(nn.Module):
    """One step of ISTA, from tokens towards their non-negative codes in a dictionary."""

    def __init__(self, width: int, levels: int, smoothing: float = 0.0):
        """`smoothing` is the distance from 0 at which the bend of the ReLU begins; 0 is sharp."""
        super().__init__()
        self.smoothing = smoothing
        self.D = nn.Parameter(_orthogonal(width, width))
        self.threshold = nn.Linear(levels, width)
        """lambda from the noise level, one for each number of a code."""
        nn.init.zeros_(self.threshold.weight)
        nn.init.constant_(self.threshold.bias, THRESHOLD)

    def forward(self, tokens: Tensor, level: Tensor) -> Tensor:
        """Codes >= 0 of tokens [B, h, w, d], of the same shape."""
        missed = tokens - F.linear(tokens, self.D)
        raised = torch.add(tokens, F.linear(missed, self.D.T), alpha=STEP)
        raised = raised - STEP * self.threshold(level)[:, None, None]
        return F.softplus(raised, 1 / self.smoothing) if self.smoothing else F.relu(raised)


class EncoderLayer(nn.Module):
    """A layer that compresses, then sparsifies."""

    def __init__(
        self, width: int, heads: int, windows: Windows, levels: int, smoothing: float = 0.0
    ):
        super().__init__()
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = SubspaceAttention(width, heads, windows, levels)
        self.coding = SparseCoding(width, levels, smoothing)

    def compress(self, tokens: Tensor, level: Tensor, above: int = 0, below: int = 0) -> Tensor:
        """Z' of tokens [B, h, w, d], without the rows `above` and `below` (`Windows.attend`)."""
        inner = tokens[:, above : tokens.shape[1] - below]
        return inner + self.attention(self.before(tokens), level, above, below)

    def forward(self, tokens: Tensor, level: Tensor, above: int = 0, below: int = 0) -> Tensor:
        """Z+ of tokens [B, h, w, d], without the rows `above` and `below` (`Windows.attend`)."""
        return self.coding(self.between(self.compress(tokens, level, above, below)), level)


class DecoderLayer(nn.Module):
    """A layer that undoes the steps of an encoder's: out of the dictionary, then apart again."""

    def __init__(self, width: int, heads: int, windows: Windows, levels: int):
        super().__init__()
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.D = nn.Parameter(torch.eye(width))
        self.attention = SubspaceAttention(width, heads, windows, levels)

    def forward(self, tokens: Tensor, level: Tensor, above: int = 0, below: int = 0) -> Tensor:
        """Z+ of tokens [B, h, w, d], without the rows `above` and `below` (`Windows.attend`)."""
        tokens = F.linear(self.before(tokens), self.D)
        inner = tokens[:, above : tokens.shape[1] - below]
        return inner - self.attention(self.between(tokens), level, above, below)


def by_strips(
    layer: EncoderLayer | DecoderLayer, tokens: Tensor, level: Tensor, most: int = STRIP
) -> Tensor:
    """layer(tokens, level) some rows at a time: as fast a token for a large map as for a small one.

    A row needs its neighbours for attention alone. A strip has at most `most` tokens, or the rows
    of one window where these are more.
    """
    batch, h, w, _ = tokens.shape
    windows = layer.attention.windows
    rows = max(1, most // (batch * w * windows.side)) * windows.side
    if rows >= h:
        return layer(tokens, level)
    made = torch.empty_like(tokens)
    for top in range(0, h, rows):
        end = min(top + rows, h)
        first, last = max(0, top - windows.margin), min(h, end + windows.margin)
        made[:, top:end] = layer(tokens[:, first:last], level, top - first, last - end)
    return made


def _orthogonal(rows: int, columns: int) -> Tensor:
    return nn.init.orthogonal_(torch.empty(rows, columns))


def _nearness(heads: int, windows: Windows) -> Tensor:
    """First biases [K, offsets]: the first head looks at a token itself, the last far around it."""
    reach = torch.logspace(-1, 1, heads)[:, None] * windows.side / 2
    return -(windows.offsets().square().sum(1) / (2 * reach.square())).clamp(max=8.0)
