"""A potential that is convex in the image at every noise level, and its gradient by hand.

The mixture potential looks at an image through overlapping windows of 20 x 20 pixels:

    psi(v, s) = (1 - alpha) psi'(v, s) + alpha |v|^2 / 2,
    psi' = 1/16 sum_windows q * [ m1(a^2, k * a_1^2; s) + m2(c^2 / 16; s) + |d|^2 / 32 ]

for an image v in units of the noise. Here

    a            responses of several bases of zero-mean filters on the tapered 8 x 8 pixels in the
                 window's middle, and the energy that each basis leaves over (`tapered_bases`)
    k * a_1^2    averages over neighbouring windows of what the first basis finds there
    c            responses of 15 zero-mean filters on a 4 x 4 grid of local means across the window,
                 in each colour; d / 4 is the mean of these means
    m1, m2       mixtures (`window_mixture`)
    q            the window's multiplicity (`windows`)

The gradient is a soft choice among Gaussian components of low rank, each in one of the bases, and a
shrinkage there: the posterior mean under a local mixture of Gaussians [Zoran11], made the exact
prox of a function R [Fang24].

psi is convex, whatever the filters: squares are convex, k >= 0 by its softmax, and a mixture is
convex and non-decreasing in its energies. Alpha makes it strongly convex: R is finite everywhere.

psi is never above |v|^2 / 2, so R = psi^* - |.|^2 / 2 >= 0, with R = 0 on constant images. Three
things see to it: the filters are orthonormal in each basis; the weights of a^2 and k * a_1^2 share
one between them, in a way common to all components; and no window lends to its neighbours more than
its multiplicity. Without any of the three R falls without bound along some direction, and a
restoration follows it wherever the measurement is blind.

With gains of one and no context psi = |v|^2 / 2 exactly, at every size and at the borders too.
"""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from proxlab.machine import Constants, by_kernels, followed
from proxlab.priors.local_gains import cosines
from proxlab.priors.lpn import at_once, windows
from proxlab.priors.lpn.cache_blocks import (
    Piece,
    images_at_once,
    joined,
    pieces,
    scattered,
)
from proxlab.priors.lpn.mixture_config import COARSE, FINE, MixtureConfig, random_spectra
from proxlab.priors.lpn.mixture_hessian import MixtureHessian
from proxlab.priors.lpn.mixture_linear import Layers
from proxlab.priors.lpn.tapered_bases import Filters, TaperedBases, rotations
from proxlab.priors.lpn.window_mixture import Level, WindowMixture
from proxlab.priors.lpn.window_sums import WINDOW, Extended, by_means, by_pixels
from proxlab.priors.lpn.windows import WINDOW_STRIDE
from proxlab.threads import side_by_side
from solvers.protocols import float_for_sums

EVERYWHERE = slice(None), slice(None)
"""All rows and columns."""


class MixturePotential(nn.Module):
    """psi and its gradient for images of any size, one set of weights for all noise levels.

    Images enter in units of the noise level: v = x / s, [B, C, H, W] with C = `channels`, 1 or 3.
    `sigma` [B] holds the s of each.
    """

    fixed_size = False
    alignment = WINDOW_STRIDE
    """Windows start at every second pixel, counted from the first."""

    def __init__(self, config: MixtureConfig):
        super().__init__()
        generator = torch.Generator().manual_seed(config.seed)
        fine, coarse = random_spectra(config, generator)
        self.config, self.channels, self.alpha = config, config.channels, config.alpha
        self.bases = TaperedBases(
            FINE, config.channels, config.bases, config.kept, generator, lean=config.lean
        )
        self.coarse_turn = nn.Parameter(torch.zeros(COARSE**2 - 1, COARSE**2 - 1))
        self.context = nn.Parameter(torch.zeros(config.kept + 1, config.context**2))
        left = config.channels * (FINE**2 - 1) - config.kept
        self.fine_mixture = WindowMixture(fine, left, context=True)
        self.coarse_mixture = WindowMixture(coarse, 0)
        self._constants = Constants()

    def __getstate__(self) -> dict:
        """A copy makes constants of its own: its weights may change."""
        return {**self.__dict__, "_constants": Constants()}

    @property
    def reach(self) -> int:
        """Pixels beyond a block on which the gradient depends, by their values or by being there.

        A window that touches the block sees at most WINDOW - WINDOW_STRIDE pixels beyond it. A
        window whose middle, FINE pixels, lies a context away from the block still counts in it, and
        depends on windows another context away, which count by where their 20 pixels lie.
        """
        context = WINDOW_STRIDE * (self.config.context // 2)
        return max(WINDOW, (WINDOW + FINE) // 2 + 2 * context) - WINDOW_STRIDE

    @property
    def memory(self) -> tuple[int, int]:
        """Bytes at a time for each number of large images v: on a CPU, which keeps no window but
        those of a piece, and on a device that has them all at once, one for 4 pixels."""
        c = self.config
        windows = c.bases * (6 * c.kept + 3 * c.components)
        return 64, 16 + windows // c.channels

    def gradient(self, v: Tensor, sigma: Tensor) -> Tensor:
        """grad psi, [B, C, H, W], in one pass and without an autograd graph of psi."""
        return self._run(v, sigma, want_gap=False)[0]

    def gradient_and_gap(self, v: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """grad psi, and the gap |v|^2 / 2 - psi [B] in float64, in one pass.

        The gap is the sum of what the windows lack, not a difference of its two large terms: few
        digits are lost however low the noise.
        """
        return self.gradient_and_part(v, sigma, EVERYWHERE)

    def gradient_and_part(
        self, v: Tensor, sigma: Tensor, part: tuple[slice, slice]
    ) -> tuple[Tensor, Tensor]:
        """grad psi, and what those rows and columns of pixels hold of the gap, [B] in float64.

        They hold what is lacking in the windows whose middle lies there; a middle beyond a border
        counts as on it. Over the parts that make up an image this adds up to the whole gap.
        """
        grad, gaps = self._run(v, sigma, want_gap=True)
        assert gaps is not None
        own = gaps[(..., *windows.owned(WINDOW, v.shape[-2:], part))]
        gap = own.sum((1, 2), dtype=float_for_sums(v))
        return grad, (1 - self.alpha) * gap

    def value(self, v: Tensor, sigma: Tensor) -> Tensor:
        """psi, [B], zero at v = 0. Autograd through it is the slow twin of `gradient`."""
        gaps = self._run(v, sigma, want_gap=True)[1]
        assert gaps is not None
        gap = gaps.sum((1, 2), dtype=float_for_sums(v))
        return v.square().sum((1, 2, 3), dtype=gap.dtype) / 2 - (1 - self.alpha) * gap

    @torch.no_grad()
    def hessian(self, v: Tensor, sigma: Tensor) -> MixtureHessian:
        """Hess psi at v: products and the diagonal, after one pass and without a graph."""
        filters, pixels, means = self._made(v, sigma)
        parts = [
            (
                v[few] - v[few].mean((2, 3), keepdim=True),
                Layers(
                    *filters,
                    self.fine_mixture,
                    pixels.only(few),
                    self.coarse_mixture,
                    means.only(few),
                ),
            )
            for few in images_at_once(len(v), v)
        ]
        return MixtureHessian(v, parts, self.alpha)

    def parameter_groups(self, learning_rate: float) -> list[dict]:
        """Parameters for an optimiser: logits and biases move faster than the filters."""
        turns = [self.bases.turn, self.coarse_turn]
        others = [p for p in self.parameters() if all(p is not turn for turn in turns)]
        return [
            {"params": turns, "lr": learning_rate},
            {"params": others, "lr": 5 * learning_rate},
        ]

    def _run(self, v: Tensor, sigma: Tensor, want_gap: bool) -> tuple[Tensor, Tensor | None]:
        """The gradient of psi and, if wanted, |v|^2 / 2 - psi' by windows, [B, h, w]."""
        if by_kernels(v, self):
            return self._run_at_once(v, sigma, want_gap)
        filters, pixels, means = self._made(v, sigma)
        followed = v, filters[0].fine, pixels.weights
        parts = pieces(v, self.reach, self.alignment, *followed[1:])

        def strip(piece: Piece) -> tuple[Tensor, Tensor | None]:
            levels = pixels.only(piece.images), means.only(piece.images)
            seen = v[piece.images, :, piece.seen]
            grad, gaps = self._some(seen, filters, *levels, want_gap)
            own = windows.owned(WINDOW, seen.shape[-2:], (piece.inside, slice(None)))
            return grad[..., piece.inside, :], None if gaps is None else gaps[(..., *own)]

        strips = [partial(strip, piece) for part in parts for piece in part]
        done = iter(side_by_side(strips, *followed))
        grads, gaps = zip(*(joined([next(done) for _ in part]) for part in parts), strict=True)
        grad = torch.lerp(torch.cat(grads), v, self.alpha)
        return grad, torch.cat(gaps) if want_gap else None

    def _run_at_once(
        self, v: Tensor, sigma: Tensor, want_gap: bool
    ) -> tuple[Tensor, Tensor | None]:
        """`_run` in few kernels, from constants that are kept while the weights stay."""
        like, size = (v.dtype, v.device), (v.shape[-2], v.shape[-1])
        levels = tuple(sigma.tolist())  # no wait where sigma lies on the CPU

        def scales() -> at_once.Scales:
            mixtures = self.fine_mixture, self.coarse_mixture
            s = torch.tensor(levels, dtype=v.dtype, device=v.device)
            pixels, means = (mixture.at(s, v) for mixture in mixtures)
            return at_once.scales(mixtures, (pixels, means), self.channels)

        keep, side = self._constants.of, self.config.context
        constants = (
            keep(self, like, lambda: at_once.bank(self._filters(v))),
            keep(self, (like, levels), scales),
            keep(self, (like, size), lambda: at_once.grid(*size, side, v)),
        )
        return at_once.gradient_and_lack(v, constants, self.alpha, want_gap)

    def _some(
        self,
        v: Tensor,
        filters: tuple[Filters, Tensor, Tensor],
        pixels: Level,
        means: Level,
        want_gap: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """`_run` for some of the images, but of psi' alone, at the noise levels of each."""
        height, width = v.shape[-2:]
        bank, context, coarse = filters
        average = v.mean((2, 3), keepdim=True)  # it passes as it is; energies are smaller without
        blocks = windows.extend(v - average, WINDOW)
        q = windows.multiplicity(WINDOW, height, width, v)
        d = F.conv2d(blocks, bank.mean)
        energies = F.conv2d(blocks * blocks, bank.weight) - (d * d).sum(1, keepdim=True)
        image = Extended(blocks, energies, q)
        back, left, lacking = by_pixels(
            image, bank.fine, context, self.fine_mixture, pixels, want_gap
        )
        up, unseen = by_means(d, q, coarse, self.coarse_mixture, means, want_gap)
        back = back + scattered(up - d * left, bank.mean)
        back = back + blocks * scattered(left, bank.weight)
        grad = windows.fold(back, WINDOW, height, width) / windows.overlaps(FINE) + average
        if lacking is None or unseen is None:
            return grad, None
        return grad, (lacking + unseen) / windows.overlaps(FINE)

    def _made(
        self, v: Tensor, sigma: Tensor
    ) -> tuple[tuple[Filters, Tensor, Tensor], Level, Level]:
        """The filters, and both mixtures at these levels, kept while the weights stay."""

        def levels() -> tuple[Level, Level]:
            return self.fine_mixture.at(sigma, v), self.coarse_mixture.at(sigma, v)

        if followed(self, sigma):
            return self._filters(v), *levels()
        # What is made in inference mode can be followed by autograd nowhere else.
        like = "blocks", v.dtype, v.device, torch.is_inference_mode_enabled()
        filters = self._constants.of(self, like, lambda: self._filters(v))
        return filters, *self._constants.of(self, (like, sigma.dtype, *sigma.tolist()), levels)

    def _filters(self, like: Tensor) -> tuple[Filters, Tensor, Tensor]:
        context = self.context.to(like).softmax(1)
        context = context.view(-1, 1, self.config.context, self.config.context)
        basis = cosines(COARSE).to(like)
        turned = torch.einsum("ij,jab->iab", rotations(self.coarse_turn.to(like)), basis[1:])
        return self.bases(like), context, torch.cat([basis[:1], turned])[:, None]
