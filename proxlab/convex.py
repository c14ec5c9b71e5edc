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
from proxlab.filters import Filters, TaperedBases, cosines, rotations
from proxlab.mixture import Level, Mixture
from proxlab.mixture_config import COARSE, FINE, MixtureConfig, random_spectra

WINDOW = FINE + 4 * (COARSE - 1)
IMAGES, TILE = 4, 32
"""How many images, and rows and columns of their windows, are computed at a time on a CPU without
autograd: few enough for its caches, and for memory to be used again instead of asked for again."""
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

    def _run(self, v: Tensor, sigma: Tensor, want_gap: bool) -> tuple[Tensor, Tensor | None]:
        """The gradient of psi' and, if wanted, |v|^2 / 2 - psi'."""
        filters = self._filters(v)
        fine, low = self.fine_mixture.at(sigma, v), self.coarse_mixture.at(sigma, v)
        at_once = torch.is_grad_enabled() or v.device.type != "cpu"
        done = [
            self._some(v[few], filters, fine.only(few), low.only(few), want_gap, at_once)
            for few in _parts(len(v), len(v) if at_once else IMAGES)
        ]
        return torch.cat([grad for grad, _ in done]), (
            torch.cat([gap for _, gap in done]) if want_gap else None
        )

    def _some(
        self, v: Tensor, filters: tuple, fine: Level, low: Level, want_gap: bool, at_once: bool
    ) -> tuple[Tensor, Tensor | None]:
        """`_run` of some of the images."""
        height, width = v.shape[-2:]
        bank, context, coarse = filters
        mean = v.mean((2, 3), keepdim=True)  # it passes as it is; without it energies are smaller
        blocks = windows.extend(v - mean, WINDOW)
        q = windows.multiplicity(WINDOW, height, width, v)
        shares, around = self._shares(q), self.config.context - 1
        means = F.conv2d(blocks, bank.mean)
        whole = F.conv2d(blocks * blocks, bank.weight) - (means * means).sum(1, keepdim=True)
        back, left, up = (torch.zeros_like(x) for x in (blocks, whole, means))
        rows, columns = (_parts(n, n if at_once else TILE) for n in q.shape)
        inset, gap, flat = INSET - around // 2, 0.0, self._flat(fine, low) if want_gap else None
        for down in rows:
            band, reach = q[down], _around((down, slice(0, q.shape[1])), 2 * COARSE - 2)
            part, lacking = self._low(means[reach], band, coarse, low, want_gap)
            up[reach] += part
            if want_gap:
                gap = gap + (lacking - flat[1] * band.flatten()).sum(1, dtype=torch.float64)
            for across in columns:
                under = _around((down, across), around + FINE // 2 - 1, inset)
                seen = _around((down, across), around, inset)
                share = shares[_around((down, across), around)]
                tile = blocks[under], whole[seen], band[:, across], share
                part, rest, lacking = self._fine(*tile, bank.fine, context, fine, want_gap)
                back[under] += part
                left[seen] += rest
                if want_gap:
                    lacking = lacking - flat[0] * band[:, across].flatten()
                    gap = gap + lacking.sum(1, dtype=torch.float64)
        back = back + F.conv_transpose2d(up - means * left, bank.mean)
        back = back + blocks * F.conv_transpose2d(left, bank.weight)
        grad = windows.fold(back, WINDOW, height, width) / windows.overlaps(FINE) + mean
        return grad, gap / windows.overlaps(FINE) if want_gap else None

    def _shares(self, q: Tensor) -> Tensor:
        """What a window lends of its energy to its neighbours' context, padded by its reach.

        Neighbours that count more than the window itself would let it weigh more than q in all.
        """
        side = self.config.context
        return F.pad(q / F.max_pool2d(q[None], side, 1, side // 2)[0], [side // 2] * 4)

    def _fine(
        self,
        blocks: Tensor,
        whole: Tensor,
        q: Tensor,
        share: Tensor,
        filters: Tensor,
        context: Tensor,
        level: Level,
        want_gap: bool,
    ):
        """What the windows q [h, w] add to the gradient by their own pixels: as blocks, and by the
        energies of tapered windows; and what they lack, [B, h w].
        """
        kept, reach = self.config.kept, self.config.context // 2
        a = F.conv2d(_crop(blocks, reach), filters)
        # The first basis is the one whose energies the neighbours see.
        first = F.conv2d(blocks, filters[:kept])
        squares = first * first
        seen = torch.cat([squares, whole - squares.sum(1, keepdim=True)], 1)
        around = F.conv2d(seen * share, context, groups=len(context))
        slopes = self.fine_mixture(
            (a * a).flatten(2).unflatten(1, (-1, kept)),
            _crop(whole, reach).flatten(1),
            around.flatten(2),
            level,
            q.flatten(),
            want_gap,
        )
        outer = F.conv_transpose2d(slopes.around.view_as(around), context, groups=len(context))
        outer = outer * share
        back = _adjoint(first * (outer[:, :-1] - outer[:, -1:]), filters[:kept])
        own = _adjoint(a * slopes.own.view_as(a), filters)
        left = outer[:, -1:] + F.pad(slopes.whole.view(-1, 1, *q.shape), [reach] * 4)
        back = back + F.pad(own, [reach] * 4)
        if not want_gap:
            return back, left, None
        # What a window lends and nobody counts, near the border, is lacking too.
        lent = level.share / 2
        unseen = (_crop(whole, reach)[:, 0] - around.sum(1)) * q
        return back, left, slopes.deficit + lent * unseen.flatten(1)

    def _low(self, means: Tensor, q: Tensor, filters: Tensor, level: Level, want_gap: bool):
        """What the windows q add by their local means, and what they lack."""
        shape = (len(means), -1, *q.shape)
        each = means.flatten(0, 1)[:, None]  # colour by colour
        c, d = (F.conv2d(each, f, dilation=2) for f in (filters[1:], filters[:1]))
        energies = (c * c / SHARE).view(shape).flatten(2)
        slopes = self.coarse_mixture(
            energies[:, None], energies.sum(1), None, level, q.flatten(), want_gap
        )
        gains = (slopes.own[:, 0] + slopes.whole[:, None]).view_as(c)
        up = _adjoint(torch.cat([d * q, c * gains], 1), filters, dilation=2)
        return up.view_as(means) / SHARE, slopes.deficit

    def _flat(self, *levels: Level) -> list[Tensor]:
        """What a window on a constant image lacks by each mixture, [B, 1] each."""
        lacking = []
        for mixture, level in zip((self.fine_mixture, self.coarse_mixture), levels, strict=True):
            batch, bases, _, filters = level.weights.shape
            zeros = level.bias.new_zeros(batch, bases, filters + 1, 1)
            own, around = zeros[:, :, 1:], zeros[:, 0] if mixture.context else None
            once = zeros.new_ones(1)
            lacking.append(mixture(own, zeros[:, 0, 0], around, level, once, True).deficit)
        return lacking

    def _filters(self, like: Tensor) -> tuple[Filters, Tensor, Tensor]:
        context = self.context.to(like).softmax(1)
        context = context.view(-1, 1, self.config.context, self.config.context)
        basis = cosines(COARSE).to(like)
        turned = torch.einsum("ij,jab->iab", rotations(self.coarse_turn.to(like)), basis[1:])
        return self.bases(like), context, torch.cat([basis[:1], turned])[:, None]


def _parts(n: int, most: int) -> list[slice]:
    """0 ... n in parts as equal as can be."""
    k = -(-n // most)
    return [slice(i * n // k, (i + 1) * n // k) for i in range(k)]


def _around(windows_: tuple[slice, slice], by: int, start: int = 0) -> tuple:
    """The index of rows and columns from `start` behind those of the windows, `by` more of each."""
    return ..., *(slice(part.start + start, part.stop + start + by) for part in windows_)


def _crop(x: Tensor, margin: int) -> Tensor:
    return x[..., margin : x.shape[-2] - margin, margin : x.shape[-1] - margin]


def _adjoint(y: Tensor, filters: Tensor, dilation: int = 1) -> Tensor:
    """conv_transpose2d(y, filters), as a matrix product and a sum: half the time on CPUs."""
    side = filters.shape[-1]
    size = tuple(n + dilation * (side - 1) for n in y.shape[-2:])
    return F.fold(filters.flatten(1).T @ y.flatten(2), size, side, dilation)
