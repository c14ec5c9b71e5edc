"""A potential that is convex in the image at every noise level, and its gradient by hand.

The mixture potential looks at an image through overlapping windows of 20 x 20 pixels:

    psi(v, s) = (1 - alpha) psi'(v, s) + alpha |v|^2 / 2,
    psi' = 1/16 sum_windows q * [ m1(a^2, k * a_1^2; s) + m2(c^2 / 16; s) + |d|^2 / 32 ]

for an image v in units of the noise. `a` are the responses of several bases of zero-mean filters on
the tapered 8 x 8 pixels in the middle of the window, and the energy that each basis leaves over
(`proxlab.filters`); k * a_1^2 averages of the first basis's over neighbouring windows; `c` the
responses of 15 zero-mean filters on a 4 x 4 grid of local means across the window, in each colour;
d / 4 their mean, m1 and m2 mixtures (`proxlab.mixture`), q the window's multiplicity
(`proxlab.windows`). The gradient is a soft choice among Gaussian components of low rank, each in
one of the bases, and a shrinkage there: the posterior mean under a local mixture of Gaussians
[Zoran11], made the exact prox of a function R [Fang24].

Convex, whatever the filters: squares are convex, k >= 0 by its softmax, and a mixture is convex and
non-decreasing in its energies. Strongly so by alpha: R is finite everywhere.

Never above |v|^2 / 2, so R >= 0 with R = 0 on constant images (R = psi^* - |.|^2 / 2): the filters
are orthonormal in each basis, the weights of a^2 and k * a_1^2 share one between them in a way
common to all components, and no window lends to its neighbours more than its multiplicity. Without
any of the three R falls without bound along some direction, and a restoration follows it wherever
the measurement is blind.
With gains of one and no context psi = |v|^2 / 2 exactly, at every size and at the borders too.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from proxlab import windows
from proxlab.filters import TaperedBases, cosines, rotations
from proxlab.mixture import Mixture
from proxlab.mixture_config import COARSE, FINE, MixtureConfig, random_spectra

WINDOW = FINE + 4 * (COARSE - 1)
BAND = 16
"""Rows of windows computed at a time on a CPU: what lies between layers stays in its cache."""
SHARE = COARSE * COARSE
"""How many windows share a local mean."""
INSET = (WINDOW - FINE) // 4
"""Blocks of 2 x 2 pixels from a window's corner to its middle."""


class MixturePotential(nn.Module):
    """psi and its gradient for images of any size, one set of weights for all noise levels.

    Images enter in units of the noise level: v = x / s, [B, C, H, W] with C = `channels`, 1 or 3;
    `sigma` [B] tells which s.
    """

    def __init__(self, config: MixtureConfig):
        super().__init__()
        generator = torch.Generator().manual_seed(config.seed)
        fine, coarse = random_spectra(config, generator)
        self.config, self.channels, self.alpha = config, config.channels, config.alpha
        self.bases = TaperedBases(FINE, config.channels, config.bases, config.kept, generator)
        self.coarse_turn = nn.Parameter(torch.zeros(COARSE**2 - 1, COARSE**2 - 1))
        self.context = nn.Parameter(torch.zeros(config.kept + 1, config.context**2))
        left = config.channels * (FINE**2 - 1) - config.kept
        self.fine_mixture = Mixture(fine, left, context=True)
        self.coarse_mixture = Mixture(coarse, 0)

    def gradient(self, v: Tensor, sigma: Tensor) -> Tensor:
        """grad psi, [B, C, H, W], in one pass and without an autograd graph of psi."""
        return torch.lerp(self._run(v, sigma, want_gap=False)[0], v, self.alpha)

    def gradient_and_gap(self, v: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """grad psi, and |v|^2 / 2 - psi [B] in float64, in one pass.

        The gap is summed from what each window lacks, not from its two large terms: few digits are
        lost however low the noise.
        """
        grad, gap = self._run(v, sigma, want_gap=True)
        return torch.lerp(grad, v, self.alpha), (1 - self.alpha) * gap

    def value(self, v: Tensor, sigma: Tensor) -> Tensor:
        """psi, [B], zero at v = 0. Autograd through it is the slow twin of `gradient`."""
        gap = self._run(v, sigma, want_gap=True)[1]
        return v.square().sum((1, 2, 3), dtype=torch.float64) / 2 - (1 - self.alpha) * gap

    def parameter_groups(self, learning_rate: float) -> list[dict]:
        """For an optimiser: logits and biases may move faster than the filters."""
        turns = [self.bases.turn, self.coarse_turn]
        others = [p for p in self.parameters() if all(p is not turn for turn in turns)]
        return [
            {"params": turns, "lr": learning_rate},
            {"params": others, "lr": 5 * learning_rate},
        ]

    def _run(self, v: Tensor, sigma: Tensor, want_gap: bool):
        """The gradient of psi' and, if wanted, |v|^2 / 2 - psi'."""
        height, width = v.shape[-2:]
        filters = self._filters(v)
        mean = v.mean((2, 3), keepdim=True)  # it passes as it is; without it energies are smaller
        blocks = windows.extend(v - mean, WINDOW)
        q = windows.multiplicity(WINDOW, height, width, v)
        shares = self._shares(q)
        back, gap = torch.zeros_like(blocks), v.new_zeros(len(v), dtype=torch.float64)
        whole = torch.is_grad_enabled() or v.device.type != "cpu"
        rows, halo = len(q) if whole else BAND, WINDOW // 2 - 1
        flat = self._flat(sigma, v) if want_gap else None
        for top in range(0, len(q), rows):
            band = q[top : top + rows]
            under = slice(top, top + len(band) + halo)
            share = shares[top : top + len(band) + self.config.context - 1]
            part, terms = self._band(blocks[..., under, :], band, share, sigma, filters, want_gap)
            back[..., under, :] += part
            if want_gap:
                gap = gap + (band * (terms - flat)).sum((1, 2), dtype=torch.float64)
        grad = windows.fold(back, WINDOW, height, width) / windows.overlaps(FINE) + mean
        return grad, gap / windows.overlaps(FINE) if want_gap else None

    def _shares(self, q: Tensor) -> Tensor:
        """What a window lends of its energy to its neighbours' context, padded by its reach.

        Neighbours that count more than the window itself would let it weigh more than q in all.
        """
        side = self.config.context
        return F.pad(q / F.max_pool2d(q[None], side, 1, side // 2)[0], [side // 2] * 4)

    def _band(self, blocks: Tensor, q: Tensor, share: Tensor, sigma: Tensor, filters, want_gap):
        """What the windows q [h, w] add to the gradient, as blocks, and to the gap, [B, h, w]."""
        bank, coarse, context, grid = filters
        margin, kept = INSET - self.config.context // 2, self.config.kept
        middle = _crop(blocks, INSET)
        # The first basis is the one whose energies the neighbours see: it needs them all.
        first, others = F.conv2d(blocks, bank.fine[:kept]), F.conv2d(middle, bank.fine[kept:])
        means = F.conv2d(blocks, bank.mean)
        c, d = _each(means, coarse), _each(means, grid)
        whole = F.conv2d(blocks * blocks, bank.weight) - (means * means).sum(1, keepdim=True)
        squares = first * first
        seen = torch.cat([squares, whole - squares.sum(1, keepdim=True)], 1)
        around = F.conv2d(_crop(seen, margin) * share, context, groups=len(context))
        own = torch.cat([_crop(squares, INSET), others * others], 1)
        slopes = self.fine_mixture(
            own.unflatten(1, (-1, kept)).flatten(3),
            _crop(whole, INSET).flatten(1),
            around.flatten(2),
            sigma,
            want_gap,
        )
        energies = (c * c / SHARE).flatten(2)
        low = self.coarse_mixture(energies[:, None], energies.sum(1), None, sigma, want_gap)

        outer = F.conv_transpose2d(
            slopes.around.unflatten(2, q.shape) * q, context, groups=len(context)
        )
        outer = F.pad(outer * share, [margin] * 4)
        gains = slopes.own.unflatten(3, q.shape).flatten(1, 2) * q
        gain = F.pad(gains[:, :kept], [INSET] * 4) + outer[:, :-1] - outer[:, -1:]
        back = _adjoint(first * gain, bank.fine[:kept])
        centre = _adjoint(others * gains[:, kept:], bank.fine[kept:])
        left = F.pad(slopes.whole.view(-1, 1, *q.shape) * q, [INSET] * 4) + outer[:, -1:]
        low_gain = (low.own[:, 0] + low.whole[:, None]).unflatten(2, q.shape) * q
        up = _each_back(c * low_gain, coarse, means.shape) + _each_back(d * q, grid, means.shape)
        back = back + F.conv_transpose2d(up / SHARE - means * left, bank.mean)
        back = back + blocks * F.conv_transpose2d(left, bank.weight) + F.pad(centre, [INSET] * 4)
        if not want_gap:
            return back, None
        # What a window lends and nobody counts, near the border, is lacking too.
        lent = self.fine_mixture.share_at(sigma, q)[..., None] / 2
        unseen = _crop(whole, INSET)[:, 0] - around.sum(1)
        return back, (slopes.deficit + low.deficit).view_as(unseen) + lent * unseen

    def _flat(self, sigma: Tensor, like: Tensor) -> Tensor:
        """What a window on a constant image lacks, [B, 1, 1]."""

        def still(mixture: Mixture) -> Tensor:
            _, bases, _, energies = mixture.gains.shape
            zeros = like.new_zeros(len(like), bases, energies, 1)
            own, around = zeros[:, :, 1:], zeros[:, 0] if mixture.context else None
            return mixture(own, zeros[:, 0, 0], around, sigma, True).deficit

        return (still(self.fine_mixture) + still(self.coarse_mixture)).view(-1, 1, 1)

    def _filters(self, like: Tensor):
        context = self.context.to(like).softmax(1)
        context = context.view(-1, 1, self.config.context, self.config.context)
        basis = cosines(COARSE)[1:].to(like)
        coarse = torch.einsum("ij,jab->iab", rotations(self.coarse_turn.to(like)), basis)[:, None]
        grid = like.new_full((1, 1, COARSE, COARSE), 1 / COARSE)
        return self.bases(like), coarse, context, grid


def _crop(x: Tensor, margin: int) -> Tensor:
    return x[..., margin : x.shape[-2] - margin, margin : x.shape[-1] - margin]


def _each(means: Tensor, filters: Tensor) -> Tensor:
    """The filters on the 4 x 4 grid of local means, colour by colour: [B, C filters, h, w]."""
    return F.conv2d(means.flatten(0, 1)[:, None], filters, dilation=2).view(
        len(means), -1, *(n - 2 * (COARSE - 1) for n in means.shape[-2:])
    )


def _each_back(y: Tensor, filters: Tensor, shape: torch.Size) -> Tensor:
    y = y.reshape(-1, len(filters), *y.shape[-2:])
    return F.conv_transpose2d(y, filters, dilation=2).view(shape)


def _adjoint(y: Tensor, filters: Tensor) -> Tensor:
    """conv_transpose2d(y, filters), as a matrix product and a sum: half the time on CPUs."""
    side = filters.shape[-1]
    size = (y.shape[-2] + side - 1, y.shape[-1] + side - 1)
    return F.fold(filters.flatten(1).T @ y.flatten(2), size, side)
