"""A mixture potential at one image, and what is kept of that for products with its Hessian.

The same forward pass as that of the gradient (`window_sums`), but for the value, with the choice of
components written down. Nothing is followed by autograd.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from proxlab.priors.lpn import windows
from proxlab.priors.lpn.cache_blocks import bands_at_once, behind, scattered
from proxlab.priors.lpn.mixture_config import FINE
from proxlab.priors.lpn.tapered_bases import Filters
from proxlab.priors.lpn.window_mixture import Level, WindowMixture
from proxlab.priors.lpn.window_sums import INSET, SHARED, WINDOW, shares


class Layers(NamedTuple):
    """The filters of a mixture potential, and its mixtures at the noise levels of some images."""

    bank: Filters
    context: Tensor
    """Averages over neighbouring windows, [kept + 1, 1, side, side]."""
    coarse: Tensor
    """Filters on local means, [16, 1, 4, 4]; the first is their mean."""
    pixels: WindowMixture
    pixel_level: Level
    means: WindowMixture
    mean_level: Level

    def of(self, image: int) -> "Layers":
        """The same for one image."""
        one = slice(image, image + 1)
        levels = self.pixel_level.only(one), self.mean_level.only(one)
        return self._replace(pixel_level=levels[0], mean_level=levels[1])


class Kept(NamedTuple):
    """Numbers of the forward pass, on the grid [h, w] of windows unless said otherwise.

    For lpn-gray 190 a pixel, 0.8 kB in float32.
    """

    blocks: Tensor
    """The image as far as windows reach, [B, 4 C, h', w']."""
    d: Tensor
    """Tapered means, [B, C, h'', w'']."""
    a: Tensor
    """Responses, [B, bases * kept, h, w]; the first `kept` are those that neighbours see."""
    chosen: Tensor
    """Choice of a component by pixels, times the multiplicity, [B, components, h, w]."""
    own: Tensor
    """Slopes by a^2, [B, bases * kept, h, w], those by way of neighbours left out."""
    lent: Tensor
    """Slopes by what neighbours see, [B, kept + 1, h, w]."""
    left: Tensor
    """Slope by the window's energy, [B, 1, h, w], with that by way of neighbours."""
    gained: Tensor
    """Slope by the square of each pixel in the middles, as blocks, that energy's part."""
    c: Tensor
    """Responses of local means, [B, 15 C, h, w]."""
    chosen_by_means: Tensor
    """Choice of a component by means, times the multiplicity, [B, components, h, w]."""
    gains: Tensor
    """Slopes by c^2 / 16, [B, 15 C, h, w]."""
    q: Tensor
    """Multiplicity of each window, [h, w]."""
    share: Tensor
    """Share of its energy that each window lends, [h, w]."""

    def of(self, image: int) -> "Kept":
        """The same for one image of the batch."""
        each = [x if x is self.q or x is self.share else x[image : image + 1] for x in self]
        return Kept._make(each)


def middles(q: Tensor) -> tuple[tuple, tuple]:
    """Places of the middles of windows, among tapered means and among blocks of pixels."""
    rows, columns = slice(0, len(q)), slice(0, q.shape[1])
    return behind(rows, columns, 0, INSET), behind(rows, columns, FINE // 2 - 1, INSET)


def kept(v: Tensor, layers: Layers) -> Kept:
    """The forward pass at images v less their mean, [B, C, H, W], in units of the noise."""
    bank, context, coarse, _, _, mixture, level = layers
    blocks = windows.extend(v, WINDOW)
    q = windows.multiplicity(WINDOW, v.shape[-2], v.shape[-1], v)
    here, pixels = middles(q)
    first, reach = len(context) - 1, context.shape[-1] // 2
    share = shares(q, context.shape[-1])[reach : reach + len(q), reach : reach + q.shape[1]]
    d = F.conv2d(blocks, bank.mean)
    whole = F.conv2d(blocks[pixels].square(), bank.weight) - d[here].square().sum(1, keepdim=True)
    a = F.conv2d(blocks[pixels], bank.fine)
    squares = a[:, :first].square()
    seen = torch.cat([squares, whole - squares.sum(1, keepdim=True)], 1) * share
    around = F.conv2d(seen, context, padding=reach, groups=first + 1)
    chosen, own, left, lent = _by_pixels(a, torch.cat([whole, around], 1), q, layers)
    lent = F.conv_transpose2d(lent, context, padding=reach, groups=first + 1) * share
    c = F.conv2d(d.flatten(0, 1)[:, None], coarse[1:], dilation=2).reshape(len(v), -1, *q.shape)
    energies = (c * c / SHARED).flatten(2)
    by_means = mixture.choice(energies[:, None], energies.sum(1), None, level)
    gains = (level.weights[:, 0] + level.common).mT @ by_means + 1
    by_means = by_means.unflatten(2, q.shape) * q
    gains, left = gains.view_as(c) * q, left + lent[:, -1:]
    gained = scattered(left, bank.weight)
    return Kept(blocks, d, a, chosen, own, lent, left, gained, c, by_means, gains, q, share)


def _by_pixels(
    a: Tensor, shared: Tensor, q: Tensor, layers: Layers
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The choice, and the slopes by a^2, by a window's energy and by those around it."""
    weights, common, _, _, share = layers.pixel_level
    assert share is not None
    count, most = common.shape[1], share[..., None, None]
    chosen, own = a.new_empty(len(a), count, *q.shape), torch.empty_like(a)
    slopes = torch.empty_like(shared)
    for rows in bands_at_once(q, a):
        at = (..., rows, slice(0, q.shape[1]))
        energies = a[at].square().flatten(2).unflatten(1, (-1, weights.shape[-1]))
        whole, around = shared[at].flatten(2).split([1, shared.shape[1] - 1], 1)
        p = layers.pixels.choice(energies, whole[:, 0], around, layers.pixel_level)
        p.mul_(q[rows].flatten())
        chosen[at] = p.view_as(chosen[at])
        own[at] = (weights.mT @ p.unflatten(1, weights.shape[1:3])).view_as(own[at])
        slopes[at] = (common.mT @ p).view_as(slopes[at])
    return chosen, own, slopes[:, :1] + (1 - most) * q, slopes[:, 1:] + most * q
