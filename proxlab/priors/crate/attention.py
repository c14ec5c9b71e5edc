"""Attention in windows of a map of tokens: each token looks at its window and half as much around.

A map of h x w tokens is cut into windows of side x side. The queries of a window see the keys of
the 2 side x 2 side tokens around its middle, so that every token sees at least side / 2 tokens in
each direction, and the two sides of a cut see across it alike. Beyond the map is nothing. It costs
2 (2 side)^2 multiplications for each number of a token, however large the map; attention between
all tokens costs 2 h w.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Windows:
    """The windows that a map is cut into."""

    side: int = 4
    """Side of a window in tokens, even."""

    def __post_init__(self):
        if self.side < 2 or self.side % 2:
            raise ValueError(f"windows have an even side of at least 2 tokens, got {self.side}")

    def beyond(self, tokens: int, layers: int) -> int:
        """Tokens beyond a window that so many layers see, where the first sees `tokens` beyond it.

        The windows that hold those tokens count whole, each further layer adds a window on each
        side, and the last layer sees half a window further.
        """
        windows = -(-tokens // self.side) + layers - 1
        return windows * self.side + self.side // 2

    def offsets(self) -> Tensor:
        """Offsets in rows and columns of a key from a query, [M, 2], in the order of the biases."""
        reach = 3 * self.side // 2
        line = torch.arange(1 - reach, reach)
        return torch.cartesian_prod(line, line).float()

    @property
    def margin(self) -> int:
        """Tokens beyond its window that a token sees."""
        return self.side // 2

    def attend(
        self,
        inside: Tensor,
        heads: int,
        sharp: Tensor,
        places: Tensor,
        above: int = 0,
        below: int = 0,
    ) -> Tensor:
        """softmax(b y^T y + B) y of each head: queries, keys and values are one.

        inside: y, [B, h, w, K p]; sharp: b, [B, K]; places: B, [K, M], by `offsets`. The first
        `above` and the last `below` rows, each 0 or `margin`, are neighbours of a strip: they are
        keys alone, not queries. Returns [B, h - above - below, w, K p].
        """
        b, w = inside.shape[0], inside.shape[2]
        h = inside.shape[1] - above - below
        there = torch.ones_like(inside[:1, :, :, :1])
        asking = inside[:, above : above + h]
        asking = asking * sharp.repeat_interleave(inside.shape[3] // heads, 1)[:, None, None]
        asking = self._padded(asking, 0, 0, 0)
        rows, columns = asking.shape[1] // self.side, asking.shape[2] // self.side
        asking = asking.unflatten(2, (-1, self.side)).unflatten(1, (-1, self.side))
        asking, seen = _by_head(asking, heads), _by_head(self._seen(inside, above, below), heads)
        bias = places[:, self.index(places.device)] + self._absent(there, above, below, b)
        if torch.is_grad_enabled():  # twice as fast as the fused kernel's way back
            joined = (asking @ seen.mT + bias).softmax(-1) @ seen
        else:
            joined = F.scaled_dot_product_attention(asking, seen, seen, attn_mask=bias, scale=1.0)
        joined = joined.view(b, rows, columns, heads, self.side, self.side, -1)
        joined = joined.permute(0, 1, 4, 2, 5, 3, 6)
        return joined.reshape(b, rows * self.side, columns * self.side, -1)[:, :h, :w]

    def _padded(self, tokens: Tensor, margin: int, above: int, below: int) -> Tensor:
        """The tokens with zeros around them, up to whole windows and a margin around those."""
        down = -(tokens.shape[1] - above - below) % self.side
        right = -tokens.shape[2] % self.side
        return F.pad(tokens, (0, 0, margin, margin + right, margin - above, margin - below + down))

    def _seen(self, inside: Tensor, above: int, below: int) -> Tensor:
        """The tokens around each window, [B, rows, 2 side, columns, 2 side, K p]; 0 beyond."""
        inside = self._padded(inside, self.margin, above, below)
        if not torch.is_grad_enabled():  # a view; its way back is slower than that of copies
            size = 2 * self.side
            cut = inside.unfold(1, size, self.side).unfold(2, size, self.side)
            return cut.permute(0, 1, 4, 2, 5, 3)
        for axis in (1, 3):  # rows, then columns, which have moved by then
            cut = inside.unflatten(axis, (-1, self.side))
            n = cut.shape[axis] - 1
            inside = torch.cat([cut.narrow(axis, 0, n), cut.narrow(axis, 1, n)], axis + 1)
        return inside

    def _absent(self, there: Tensor, above: int, below: int, batch: int) -> Tensor:
        """-inf for keys beyond the map, else 0, [B rows columns, 1, 1, (2 side)^2]."""
        there = _by_head(self._seen(there, above, below), 1)[..., 0]
        nothing = torch.zeros_like(there).masked_fill_(there == 0, -torch.inf)
        return nothing[:, :, None].repeat(batch, 1, 1, 1)

    def index(self, device: torch.device) -> Tensor:
        """Place in `offsets` of each key's offset from each query, [side^2, (2 side)^2]."""
        query = torch.arange(self.side, device=device) + self.side // 2
        key = torch.arange(2 * self.side, device=device)
        reach = 3 * self.side // 2
        line = key[None] - query[:, None] + reach - 1
        whole = line[:, None, :, None] * (2 * reach - 1) + line[None, :, None, :]
        return whole.reshape(self.side**2, 4 * self.side**2)


def _by_head(windows: Tensor, heads: int) -> Tensor:
    """Windows as batches of heads, [B, rows, s, columns, s, K p] -> [B rows columns, K, s^2, p]."""
    b, rows, size, columns = windows.shape[:4]
    cut = windows.unflatten(5, (heads, -1)).permute(0, 1, 3, 5, 2, 4, 6)
    return cut.reshape(b * rows * columns, heads, size * size, -1)
