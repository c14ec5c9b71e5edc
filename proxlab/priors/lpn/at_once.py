"""The gradient of a mixture potential in as few kernels as can be: for devices that wait for each.

The same sums as those of `window_sums`, which cuts an image into pieces that stay in a CPU's cache.
Here all windows of all images are one piece, all bases one convolution, and whatever depends on the
weights, the noise level or the size of the image alone is made once (`machine.Constants`). Autograd
follows nothing here. `proxlab.machine.by_kernels` says on which devices this is the way.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from proxlab.priors.lpn import windows
from proxlab.priors.lpn.mixture_config import FINE
from proxlab.priors.lpn.mixture_linear import middles
from proxlab.priors.lpn.tapered_bases import Filters
from proxlab.priors.lpn.window_mixture import Level, WindowMixture
from proxlab.priors.lpn.window_sums import SHARED, WINDOW, shares

OVERLAPS = windows.overlaps(FINE)


class Bank(NamedTuple):
    """The filters, each kind in one convolution."""

    pixels: Tensor
    """Filters of all bases, then the means, [bases * kept + C, 4 C, 4, 4]."""
    fine: Tensor
    """Filters of all bases, [bases * kept, 4 C, 4, 4]."""
    mean: Tensor
    weight: Tensor
    averages: Tensor
    """From squares of the first basis and a window's energy to the energies around: averages, with
    what the basis leaves over as the last, [kept + 1, kept + 1, side, side]."""
    coarse: Tensor
    """[16, 1, 4, 4]."""
    coarse_back: Tensor
    """The same over the number of windows that share a local mean."""


class Scales(NamedTuple):
    """Mixtures at the noise levels of the images, as matrices for whole maps of windows.

    G bases of F filters and J components each, and S = 1 + F + 1 energies that all of them see.
    """

    to_each: Tensor
    """From squares to scores, [B G, J, F]."""
    to_all: Tensor
    """From shared energies to scores, [B, G J, S]."""
    bias: Tensor
    own: Tensor
    """From the choice of a component to slopes by squares, [B G, F, J]."""
    shared: Tensor
    """The same by shared energies, [B, S, G J]."""
    by_means: Tensor
    """From squared responses of local means, the constant ones first in each colour, to scores,
    [B, J', 16 C]."""
    means_bias: Tensor
    means: Tensor
    """From the choice to their slopes, [B, 16 C, J']."""
    temperatures: Tensor
    """Temperatures of the two mixtures and less them, [B, 1, 4]; these, and the two below, over the
    number of windows that a pixel has."""
    unseen: Tensor
    """Energy that a window lends and nobody counts, from shared energies, [B, 1, S]."""
    flat: Tensor
    """Less the deficit of a constant image, [B, 1, 1]."""


class Grid(NamedTuple):
    """The windows of images of one size."""

    pixels: Tensor
    """Number of the pixel of each place in blocks of 2 x 2, [4 h' w']."""
    blocks: tuple[int, int]
    """h', w'."""
    q: Tensor
    """Multiplicity of each window, [h, w]."""
    share: Tensor
    """Share of its energy that each window lends, [h, w]."""


def bank(filters: tuple[Filters, Tensor, Tensor]) -> Bank:
    """The filters from those of `MixturePotential`: of pixels, context and local means."""
    (fine, mean, weight), context, coarse = filters
    averages = torch.diag_embed(context[:, 0].permute(1, 2, 0)).permute(2, 3, 0, 1).contiguous()
    averages[-1, :-1] = -context[-1:, 0]
    return Bank(torch.cat([fine, mean]), fine, mean, weight, averages, coarse, coarse / SHARED)


def scales(
    mixtures: tuple[WindowMixture, WindowMixture], levels: tuple[Level, Level], channels: int
) -> Scales:
    """The mixtures by pixels and by means at the same noise levels."""
    pixels, means = levels
    share = pixels.share
    assert share is not None
    t, coarse_t = 2 * pixels.temperature, 2 * SHARED * means.temperature
    around = pixels.common.shape[-1] - 1
    # Bounds come back: the choices add up to 1, and of slopes they cost no digits.
    bounds = torch.cat([1 - share, share.expand(-1, around)], 1)
    gains = (means.weights[:, 0] + means.common).unflatten(2, (channels, -1))
    constant = torch.ones_like(gains[..., :1])
    flats = [mixture.flat(level) for mixture, level in zip(mixtures, levels, strict=True)]
    ts = torch.cat([pixels.temperature, means.temperature], 2)
    signs = torch.full_like(bounds[:, None], -1.0)
    signs[..., 0] = 1
    return Scales(
        to_each=(pixels.weights / t[..., None]).flatten(0, 1),
        to_all=pixels.common / t,
        bias=pixels.bias,
        own=pixels.weights.mT.flatten(0, 1).contiguous(),
        shared=(pixels.common + bounds[:, None]).mT.contiguous(),
        by_means=F.pad(gains, (1, 0)).flatten(2) / coarse_t,
        means_bias=means.bias,
        means=torch.cat([constant, gains + 1], 3).flatten(2).mT.contiguous(),
        temperatures=torch.cat([ts, -ts], 2) / OVERLAPS,
        unseen=share[..., None] / 2 * signs / OVERLAPS,
        flat=-(flats[0] + flats[1])[..., None] / OVERLAPS,
    )


def grid(height: int, width: int, side: int, like: Tensor) -> Grid:
    """The windows of images of that size, with contexts of `side` x `side`."""
    places = torch.arange(height * width, device=like.device).view(1, 1, height, width)
    numbers = windows.extend(places, WINDOW)
    q = windows.multiplicity(WINDOW, height, width, like)
    reach = side // 2
    share = shares(q, side)[reach : reach + len(q), reach : reach + q.shape[1]]
    h, w = numbers.shape[-2:]
    return Grid(numbers.flatten(), (h, w), q, share.contiguous())


def gradient_and_lack(
    v: Tensor, constants: tuple[Bank, Scales, Grid], alpha: float, want_lack: bool
) -> tuple[Tensor, Tensor | None]:
    """The gradient of psi at v [B, C, H, W], and if wanted what windows lack of |v|^2 / 2 in psi'.

    As `MixturePotential._run`, to rounding.
    """
    bank, scales, grid = constants
    batch, channels = v.shape[:2]
    kinds, _, kept = scales.to_each.shape
    kinds, q = kinds // batch, grid.q.flatten()
    here, middle = middles(grid.q)
    average = v.mean((2, 3), keepdim=True)
    blocks = (v - average).flatten(2).index_select(2, grid.pixels)
    blocks = blocks.view(batch, -1, *grid.blocks)
    answers = F.conv2d(blocks, bank.pixels)
    a, d = answers[here][:, :-channels], answers[:, -channels:]
    squares = a.square()
    whole = F.conv2d(blocks[middle].square(), bank.weight)
    for colour in d[here].split(1, 1):
        whole.addcmul_(colour, colour, value=-1)
    seen = torch.cat([squares[:, :kept], whole], 1) * grid.share
    reach = bank.averages.shape[-1] // 2
    around = F.conv2d(seen, bank.averages, padding=reach)
    shared = torch.cat([whole, around], 1).flatten(2)
    scores = torch.baddbmm(scales.bias, scales.to_all, shared)
    own = squares.view(batch * kinds, kept, -1)
    scores.view(batch * kinds, -1, len(q)).baddbmm_(scales.to_each, own)
    choice = scores.softmax(1)
    counted = choice * q
    slopes = torch.bmm(scales.own, counted.view(batch * kinds, -1, len(q))).view_as(squares)
    outer = torch.bmm(scales.shared, counted).view(batch, -1, *grid.q.shape)
    lent = F.conv_transpose2d(outer[:, 1:], bank.averages, padding=reach) * grid.share
    slopes[:, :kept].add_(lent[:, :-1])
    left = outer[:, :1] + lent[:, -1:]
    by_pixels = F.conv_transpose2d(slopes.mul_(a), bank.fine)
    by_pixels.addcmul_(blocks[middle], F.conv_transpose2d(left, bank.weight))

    c = F.conv2d(d.reshape(-1, 1, *d.shape[2:]), bank.coarse, dilation=2)
    energies = c.square().view(batch, -1, len(q))
    coarse_scores = torch.baddbmm(scales.means_bias, scales.by_means, energies)
    coarse_choice = coarse_scores.softmax(1)
    gains = torch.bmm(scales.means, coarse_choice * q).view_as(c)
    up = F.conv_transpose2d(gains.mul_(c), bank.coarse_back, dilation=2).view_as(d)
    up[here].addcmul_(d[here], left, value=-1)
    back = F.conv_transpose2d(up, bank.mean)
    back[middle].add_(by_pixels)

    grad = torch.lerp(average, v.contiguous(), alpha).view(batch, channels, -1)
    share = (1 - alpha) / OVERLAPS
    grad = grad.index_add_(2, grid.pixels, back.view(batch, channels, -1), alpha=share).view_as(v)
    if not want_lack:
        return grad, None
    # The log of a sum of exponentials is their peak less the log of the largest choice.
    most = choice.new_empty(batch, 4, len(q))
    for i, x in enumerate((choice, coarse_choice, scores, coarse_scores)):
        torch.amax(x, 1, out=most[:, i])
    most[:, :2].log_()
    lack = torch.baddbmm(scales.flat, scales.unseen, shared)
    lack = lack.baddbmm_(scales.temperatures, most)[:, 0].mul_(q)
    return grad, lack.view(batch, *grid.q.shape)
