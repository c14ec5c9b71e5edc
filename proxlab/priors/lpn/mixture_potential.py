"""A potential that is convex in the image at every noise level, and its gradient by hand.

The mixture potential looks at an image through overlapping windows of 20 x 20 pixels:

    psi(v, s) = (1 - alpha) psi'(v, s) + alpha |v|^2 / 2,
    psi' = 1/16 sum_windows q * [ m1(a^2, k * a_1^2; s) + m2(c^2 / 16; s) + |d|^2 / 32 ]

for an image v in units of the noise. `a` are the responses of several bases of zero-mean filters on
the tapered 8 x 8 pixels in the middle of the window, and the energy that each basis leaves over
(`tapered_bases`); k * a_1^2 averages of the first basis's over neighbouring windows; `c` the
responses of 15 zero-mean filters on a 4 x 4 grid of local means across the window, in each colour;
d / 4 their mean, m1 and m2 mixtures (`window_mixture`), q the window's multiplicity
(`windows`). The gradient is a soft choice among Gaussian components of low rank, each in
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

from proxlab.priors.local_gains import cosines
from proxlab.priors.lpn import windows
from proxlab.priors.lpn.cache_blocks import images_at_once
from proxlab.priors.lpn.mixture_config import COARSE, FINE, MixtureConfig, random_spectra
from proxlab.priors.lpn.tapered_bases import Filters, TaperedBases, rotations
from proxlab.priors.lpn.window_mixture import Level, WindowMixture
from proxlab.priors.lpn.window_sums import WINDOW, by_means, by_pixels
from proxlab.priors.lpn.windows import STRIDE

EVERYWHERE = slice(None), slice(None)


class MixturePotential(nn.Module):
    """psi and its gradient for images of any size, one set of weights for all noise levels.

    Images enter in units of the noise level: v = x / s, [B, C, H, W] with C = `channels`, 1 or 3;
    `sigma` [B] tells which s.
    """

    fixed_size = False
    alignment = STRIDE
    """Windows start at every second pixel, counted from the first."""

    def __init__(self, config: MixtureConfig):
        super().__init__()
        generator = torch.Generator().manual_seed(config.seed)
        fine, coarse = random_spectra(config, generator)
        self.config, self.channels, self.alpha = config, config.channels, config.alpha
        self.bases = TaperedBases(FINE, config.channels, config.bases, config.kept, generator)
        self.coarse_turn = nn.Parameter(torch.zeros(COARSE**2 - 1, COARSE**2 - 1))
        self.context = nn.Parameter(torch.zeros(config.kept + 1, config.context**2))
        left = config.channels * (FINE**2 - 1) - config.kept
        self.fine_mixture = WindowMixture(fine, left, context=True)
        self.coarse_mixture = WindowMixture(coarse, 0)

    @property
    def reach(self) -> int:
        """How far beyond a block the gradient depends on pixels and on where the image ends.

        A window that touches the block sees WINDOW - STRIDE pixels beyond it at most. One that has
        its middle, FINE pixels, a context away from the block is heard there still, and hears of
        windows another context away, each of which counts by where its 20 pixels lie.
        """
        context = STRIDE * (self.config.context // 2)
        return max(WINDOW, (WINDOW + FINE) // 2 + 2 * context) - STRIDE

    def gradient(self, v: Tensor, sigma: Tensor) -> Tensor:
        """grad psi, [B, C, H, W], in one pass and without an autograd graph of psi."""
        return torch.lerp(self._run(v, sigma, want_gap=False)[0], v, self.alpha)

    def gradient_and_gap(self, v: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """grad psi, and |v|^2 / 2 - psi [B] in float64, in one pass.

        The gap is summed from what each window lacks, not from its two large terms: few digits are
        lost however low the noise.
        """
        return self.gradient_and_part(v, sigma, EVERYWHERE)

    def gradient_and_part(
        self, v: Tensor, sigma: Tensor, part: tuple[slice, slice]
    ) -> tuple[Tensor, Tensor]:
        """grad psi, and what those rows and columns of pixels hold of the gap, [B] in float64.

        They hold what is lacking in the windows that have their middle there; middles beyond a
        border count as on it. The parts that make up an image add up to `gradient_and_gap`.
        """
        grad, gaps = self._run(v, sigma, want_gap=True)
        own = gaps[(..., *windows.owned(WINDOW, v.shape[-2:], part))]
        gap = own.sum((1, 2), dtype=torch.float64)
        return torch.lerp(grad, v, self.alpha), (1 - self.alpha) * gap

    def value(self, v: Tensor, sigma: Tensor) -> Tensor:
        """psi, [B], zero at v = 0. Autograd through it is the slow twin of `gradient`."""
        gap = self._run(v, sigma, want_gap=True)[1].sum((1, 2), dtype=torch.float64)
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
        """The gradient of psi' and, if wanted, |v|^2 / 2 - psi' by windows, [B, h, w]."""
        filters = self._filters(v)
        pixels, means = self.fine_mixture.at(sigma, v), self.coarse_mixture.at(sigma, v)
        done = [
            self._some(v[few], filters, pixels.only(few), means.only(few), want_gap)
            for few in images_at_once(len(v), v, filters[0].fine, pixels.weights)
        ]
        gap = torch.cat([gap for _, gap in done]) if want_gap else None
        return torch.cat([grad for grad, _ in done]), gap

    def _some(
        self,
        v: Tensor,
        filters: tuple[Filters, Tensor, Tensor],
        pixels: Level,
        means: Level,
        want_gap: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """`_run` of some of the images, at the noise levels of each."""
        height, width = v.shape[-2:]
        bank, context, coarse = filters
        average = v.mean((2, 3), keepdim=True)  # it passes as it is; energies are smaller without
        blocks = windows.extend(v - average, WINDOW)
        q = windows.multiplicity(WINDOW, height, width, v)
        d = F.conv2d(blocks, bank.mean)
        whole = F.conv2d(blocks * blocks, bank.weight) - (d * d).sum(1, keepdim=True)
        seen = blocks, whole, q, bank.fine, context
        back, left, lacking = by_pixels(*seen, self.fine_mixture, pixels, want_gap)
        up, unseen = by_means(d, q, coarse, self.coarse_mixture, means, want_gap)
        back = back + F.conv_transpose2d(up - d * left, bank.mean)
        back = back + blocks * F.conv_transpose2d(left, bank.weight)
        grad = windows.fold(back, WINDOW, height, width) / windows.overlaps(FINE) + average
        return grad, (lacking + unseen) / windows.overlaps(FINE) if want_gap else None

    def _filters(self, like: Tensor) -> tuple[Filters, Tensor, Tensor]:
        context = self.context.to(like).softmax(1)
        context = context.view(-1, 1, self.config.context, self.config.context)
        basis = cosines(COARSE).to(like)
        turned = torch.einsum("ij,jab->iab", rotations(self.coarse_turn.to(like)), basis[1:])
        return self.bases(like), context, torch.cat([basis[:1], turned])[:, None]
