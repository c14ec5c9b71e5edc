"""The diagonal of a mixture potential's Hessian, exact, without probes, for some tens of passes.

The Hessian is a sum over windows of sum_j p_j Q_j and of the covariance of the Q_j v under p over t
(`mixture_hessian`). The diagonal of the first is that of squared filters, for Q_j is a sum of
squares. For the second the Q_j v are written out pixel by pixel, of the window and of what its
neighbours lend it, and the variance of each pixel is taken:

    Q_j v = sum_i W_ji a_i b_i + sum_k C_jk r_k

with filters b_i of the component's own basis and gradients r_k of the energies that all look at.
Where no filter reaches the variance is that of the sum over k, r^T Cov(C) r, which is cheaper.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from proxlab.priors.lpn.mixture_config import COARSE, FINE
from proxlab.priors.lpn.mixture_linear import Kept, Layers
from proxlab.priors.lpn.window_folds import Group, Patches, PixelSums
from proxlab.priors.lpn.window_sums import INSET, SHARED, WINDOW
from proxlab.priors.lpn.windows import WINDOW_STRIDE, overlaps

MOST = 2**20
"""Numbers that are written out at a time: 4 MiB in float32."""


class Filters(NamedTuple):
    """Filters as pixels, and those that neighbours apply, at their places in the square around."""

    fine: Tensor
    """[bases * kept, C, 8, 8]."""
    mean: Tensor
    """[C, C, 8, 8]."""
    weight: Tensor
    """[1, C, 8, 8]."""


def diagonal(kept: Kept, layers: Layers, size: tuple[int, int]) -> Tensor:
    """The diagonal at one image of `size`, [1, C, H, W]."""
    bank = Filters(*(F.pixel_shuffle(x, WINDOW_STRIDE) for x in layers.bank))
    total = PixelSums(kept.q, size, bank.mean.shape[1])
    _add_choices_by_pixels(total, kept, layers, bank)
    _add_choices_by_means(total, kept, layers, bank)
    _add_shrinkage(total, kept, layers, bank)
    return total.total() / overlaps(FINE)


def _add_shrinkage(total: PixelSums, kept: Kept, layers: Layers, bank: Filters) -> None:
    """sum_j p_j Q_j: slopes by the energies, times squared filters."""
    channels, first = len(bank.mean), len(layers.context) - 1
    own = kept.own[0].clone()
    own[:first] += kept.lent[0, :-1] - kept.lent[0, -1:]
    filters = torch.cat([bank.fine, bank.mean]).flatten(1)
    by_mean = -kept.left[0].expand(channels, -1, -1)
    total.add_squares(Patches(2 * INSET, FINE, channels), filters, torch.cat([own, by_mean]))
    gains = kept.gains[0].unflatten(0, (channels, -1))
    gains = torch.cat([kept.q.expand(channels, 1, -1, -1), gains], 1).flatten(0, 1) / SHARED
    filters = _on_pixels(layers.coarse, bank.mean).flatten(0, 1)
    total.add_squares(Patches(0, WINDOW, channels), filters, gains)
    # The energy of a window is a sum of squares of pixels: those in the mirror add theirs.
    energy = F.pixel_shuffle(kept.gained, WINDOW_STRIDE)
    inner = (slice(2 * INSET, 2 * INSET + n) for n in energy.shape[-2:])
    total.extended[(..., *inner)] += energy


def _add_choices_by_means(total: PixelSums, kept: Kept, layers: Layers, bank: Filters) -> None:
    """The covariance of the mixture by means."""
    patches = Patches(0, WINDOW, len(bank.mean))
    filters = _on_pixels(layers.coarse[1:], bank.mean).flatten(0, 1)
    weights = layers.mean_level.weights[0, 0] + layers.mean_level.common[0]
    t, chosen = layers.mean_level.temperature.flatten() * SHARED**2, kept.chosen_by_means / kept.q
    for group in total.groups(patches, _side(len(weights[0]) * filters.shape[1])):
        p, c = (_columns(x, group.at).T for x in (chosen, kept.c))
        seen = c[..., None] * group.folded(filters, patches)
        spread = _variance_of_sums(p, weights, seen)
        total.add(group, patches, spread.T * (total.q[group.at].flatten() / t))


def _add_choices_by_pixels(total: PixelSums, kept: Kept, layers: Layers, bank: Filters) -> None:
    """The covariance of the mixture by pixels."""
    reach = layers.context.shape[-1] // 2
    patches = Patches(2 * (INSET - reach), FINE + 4 * reach, len(bank.mean))
    weights, common = layers.pixel_level.weights[0], layers.pixel_level.common[0]
    kinds, _, first = weights.shape
    filters = F.pad(bank.fine, [2 * reach] * 4).flatten(1).unflatten(0, (kinds, first))
    energies, chosen = _SharedEnergies(kept, layers, bank, patches), kept.chosen / kept.q
    most = _side(max(len(common) * FINE**2, len(common[0]) * patches.side**2) * len(bank.mean))
    for group in total.groups(patches, most):
        own = group.folded(filters, patches)
        near = own.flatten(0, 1).any(0)
        p, a = (_columns(x, group.at).T for x in (chosen, kept.a))
        shared = group.folded(energies.gradients(group), patches)
        spread = torch.empty_like(shared[:, 0])
        spread[:, ~near] = _variance_of_sums(p, common, shared[..., ~near])
        answers = weights * a.unflatten(1, (kinds, 1, first))
        sums = common @ shared[..., near] + (answers @ own[..., near]).flatten(1, 2)
        sums -= p[:, None] @ sums
        spread[:, near] = (p[:, None] @ sums.square_())[:, 0]
        t = layers.pixel_level.temperature.flatten()
        total.add(group, patches, spread.T * (total.q[group.at].flatten() / t))


class _SharedEnergies:
    """Half the gradients of the energies that all components look at, over the pixels around."""

    def __init__(self, kept: Kept, layers: Layers, bank: Filters, patches: Patches):
        averages, first, channels = layers.context[:, 0], len(layers.context) - 1, len(bank.mean)
        self.kept, self.patches, self.bank = kept, patches, bank
        self.reach = averages.shape[-1] // 2
        self.middle = F.pad(bank.weight, [2 * self.reach] * 4).flatten(1)
        self.means = F.pad(bank.mean, [2 * self.reach] * 4).flatten(1)
        self.squares = _around(averages[:-1], bank.fine[:first])
        left = torch.cat([bank.fine[:first], bank.mean])
        self.left = -_around(averages[-1:].expand(len(left), -1, -1), left).flatten(0, 1)
        self.weight = _around(averages[-1:], bank.weight)[0]
        self.pixels = F.pixel_shuffle(kept.blocks, WINDOW_STRIDE)
        rows, columns = (slice(INSET, INSET + n) for n in kept.q.shape)
        self.d = kept.d[..., rows, columns]
        answers = [kept.a[0, :first], self.d[0], torch.ones_like(kept.share)[None]]
        self.lent = F.pad(torch.cat(answers) * kept.share, [self.reach] * 4)
        self.first, self.channels = first, channels

    def gradients(self, group: Group) -> Tensor:
        """[n, 1 + kept + 1, C * side * side], in the order of `Level.common`."""
        side = 2 * self.reach + 1
        near = F.unfold(self.lent[(slice(None), *group.grown(2 * self.reach))][None], side)[0]
        near = near.unflatten(0, (-1, side * side)).mT  # [kept + C + 1, n, side^2]
        pixels = self.pixels[(..., *self.patches.seen(group))]
        pixels = F.unfold(pixels, self.patches.side, stride=WINDOW_STRIDE)[0].T
        found = pixels.new_empty(len(pixels), self.first + 2, pixels.shape[1])
        d = _columns(self.d, group.at).T
        found[:, 0] = pixels * self.middle - d @ self.means
        found[:, 1:-1] = (near[: self.first] @ self.squares).transpose(0, 1)
        found[:, -1] = pixels * (near[-1] @ self.weight)
        found[:, -1] += near[:-1].transpose(0, 1).flatten(1) @ self.left
        return found


def _variance_of_sums(p: Tensor, weights: Tensor, seen: Tensor) -> Tensor:
    """Variance [n, P] under p [n, J] of sum_k weights [J, K] seen [n, K, P]."""
    away = weights - p[:, None] @ weights
    together = away.mT @ (p[..., None] * away)
    return (seen * (together @ seen)).sum(1)


def _on_pixels(coarse: Tensor, mean: Tensor) -> Tensor:
    """Filters on local means [K, 1, 4, 4] as filters on pixels, [C, K, C * side * side]."""
    found = mean.new_zeros(len(mean), len(coarse), mean.shape[1], WINDOW, WINDOW)
    for i in range(COARSE):
        for j in range(COARSE):
            rows, columns = slice(4 * i, 4 * i + FINE), slice(4 * j, 4 * j + FINE)
            weights = coarse[:, 0, i, j, None, None, None]
            found[..., rows, columns] += weights * mean[:, None]
    return found.flatten(2)


def _around(averages: Tensor, filters: Tensor) -> Tensor:
    """Filters at the places of neighbours times averages, [K, places, C * side * side]."""
    side = averages.shape[-1]
    found = []
    for i in range(side):
        for j in range(side):
            edges = [2 * j, 2 * (side - 1 - j), 2 * i, 2 * (side - 1 - i)]
            found.append(averages[:, i, j, None] * F.pad(filters, edges).flatten(1))
    return torch.stack(found, 1)


def _columns(x: Tensor, at: tuple[slice, slice]) -> Tensor:
    """Windows of the first image of x [1, K, h, w], those at a place, as [K, n]."""
    return x[(0, slice(None), *at)].flatten(1)


def _side(numbers: int) -> int:
    """Rows and columns of windows of so many numbers each that are done at a time."""
    return max(1, int((MOST / numbers) ** 0.5))
