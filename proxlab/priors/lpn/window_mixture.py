"""The convex, non-decreasing function at the heart of the mixture potential, and its slopes.

A window is seen through G orthonormal bases of F filters each. It has an energy e, squares e_gi of
the filters' responses, whose sum is at most e in each basis, and energies r_i of its surroundings,
all in units of the noise. Each component j looks at the squares in its own basis g(j):

    m = t * logsumexp_j( [ sum_i W_ji e_g(j)i + W_j0 (e - sum_i e_g(j)i) + sum_i V_ji r_i ] / (2 t)
                         + b_j ),    W, V >= 0.

At each noise level s this is convex and non-decreasing in every energy that a squared response can
change. Its slopes are means of the weights by softmax_j: a soft choice among Gaussian components of
low rank, and the shrinkage that the chosen one applies. With W = l / (l + s^2) it is, up to e / 2
and a constant, the log-density of noisy responses under a mixture of Gaussians.

At low noise the energies are large and nearly all weights are one. So the weights are taken less
their bounds, which gives how far m stays below the bound of `WindowMixture`: no digits cancel, and
to a softmax it is the same.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from proxlab.priors.lpn.potential import REFERENCE


class Slopes(NamedTuple):
    """2 dm/denergy for each kind of energy, and how far m is below its bound, times the count."""

    own: Tensor
    """Slopes by the squares of responses, the window's energy held fixed, [B, G, F, N]."""
    whole: Tensor
    """Slope by the window's energy, [B, N]."""
    around: Tensor | None
    """Slopes by the energies around, [B, F + 1, N]; None without context."""
    deficit: Tensor | None
    """[(1 - share) e + share sum_i r_i] / 2 - m, [B, N]; None where not asked for."""


class Level(NamedTuple):
    """A mixture of J components in each of G bases of F filters, at noise levels [B]."""

    weights: Tensor
    """Weights of squared responses, less the weight of what the filters leave, [B, G, J, F]."""
    common: Tensor
    """Weights of the energies that all share, less their bounds, [B, G J, 1 (+ F + 1)]."""
    bias: Tensor
    """b, [B, G J, 1]."""
    temperature: Tensor
    """t, [B, 1, 1]."""
    share: Tensor | None
    """Share of the weights that belongs to the context, [B, 1]; None without context."""

    def only(self, images: slice) -> "Level":
        """The same for some of the images."""
        return Level(
            self.weights[images],
            self.common[images],
            self.bias[images],
            self.temperature[images],
            None if self.share is None else self.share[images],
        )


class WindowMixture(nn.Module):
    """m for J components in each of G bases, with its slopes, at every noise level.

    The logits of W and V and the biases are polynomials of log s. `spectra` [G, J, F + 1] are the
    variances that the components start from, in image units; the last one is that of the `left`
    other dimensions of a window.

    With `context` the F + 1 energies of the surroundings count. Weights of own energies stay below
    1 - share and those of the context below share, one number for all components, so that
    m <= ((1 - share) e + share sum_i r_i) / 2, plus a constant. If each component had a share of
    its own, or each basis surroundings of its own, m could follow the larger of two energies, and a
    sum over windows of max(own, mean over neighbours) has no such bound.
    """

    def __init__(self, spectra: Tensor, left: int, context: bool = False):
        super().__init__()
        logits = spectra.log() - 2 * math.log(REFERENCE)
        # The logit of a Wiener gain l / (l + s^2) has slope -2 in log s, whatever l.
        slope = torch.full_like(logits, -2.0)
        self.gains = nn.Parameter(torch.stack([logits, slope, torch.zeros_like(logits)]))
        self.left, self.context = left, context
        if context:
            self.context_gains = nn.Parameter(self.gains.detach().clone())
            self.share = nn.Parameter(torch.tensor([-2.0, 0.0, 0.0]))
        self.bias = nn.Parameter(torch.zeros(3, *spectra.shape[:2]))
        self.log_temperature = nn.Parameter(torch.zeros(3))

    def forward(
        self,
        own: Tensor,
        whole: Tensor,
        around: Tensor | None,
        level: Level,
        count: Tensor,
        want_deficit: bool = False,
    ) -> Slopes:
        """Slopes at energies own [B, G, F, N], whole [B, N], around [B, F + 1, N] (with context).

        `level` comes from `at`. Each window counts `count` times, [N]. Differentiable.
        """
        weights, common, _, t, share = level
        odds, total, peak = _odds(own, _shared(whole, around), level)
        # Divided by the sum only where there are fewer numbers to divide.
        scale = count / total
        inner = weights.mT @ odds.unflatten(1, weights.shape[1:3]) * scale[:, None]
        outer = common.mT @ odds * scale
        deficit = None
        if want_deficit:
            deficit = -t[:, 0] * (math.log(2.0) * peak + total.log())[:, 0] * count
        if around is None or share is None:
            return Slopes(inner, count + outer[:, 0], None, deficit)
        most = share[..., None] * count
        return Slopes(inner, (1 - share) * count + outer[:, 0], most + outer[:, 1:], deficit)

    def choice(self, own: Tensor, whole: Tensor, around: Tensor | None, level: Level) -> Tensor:
        """Share of each component in the slopes, softmax_j, [B, G J, N]; energies as above."""
        odds, total, _ = _odds(own, _shared(whole, around), level)
        return odds.div_(total)

    def at(self, sigma: Tensor, like: Tensor) -> Level:
        """Weights and biases at the noise levels sigma [B], in the dtype of `like`."""
        z = (sigma / REFERENCE).log().to(like).view(-1, 1, 1, 1)
        logits = _polynomial(self.gains.to(like), z)
        # The log-determinant of each Gaussian follows from its gains: 1 - W = s^2 / (l + s^2).
        lost = F.softplus(logits)
        lost = lost[..., :-1].sum(-1, keepdim=True) + self.left * lost[..., -1:]
        bias = _polynomial(self.bias.to(like)[..., None], z) - lost / 2
        t = _polynomial(self.log_temperature.to(like), z[..., 0]).exp()
        left = logits[..., -1:]
        weights, common = logits[..., :-1].sigmoid() - left.sigmoid(), -(-left).sigmoid()
        share = None
        if self.context:
            share = _polynomial(self.share.to(like), z[:, 0, 0]).sigmoid()
            others, lent = (1 - share)[..., None, None], share[..., None, None]
            lent = -lent * (-_polynomial(self.context_gains.to(like), z)).sigmoid()
            weights, common = others * weights, torch.cat([others * common, lent], -1)
        return Level(weights, common.flatten(1, 2), bias.flatten(1, 2), t, share)

    def flat(self, level: Level) -> Tensor:
        """Deficit of a window on a constant image, whose energies are all zero, [B, 1]."""
        batch, bases, _, filters = level.weights.shape
        zeros = level.bias.new_zeros(batch, bases, filters + 1, 1)
        own, around = zeros[:, :, 1:], zeros[:, 0] if self.context else None
        deficit = self(own, zeros[:, 0, 0], around, level, zeros.new_ones(1), True).deficit
        assert deficit is not None
        return deficit


def _shared(whole: Tensor, around: Tensor | None) -> Tensor:
    """The energies that all components look at, [B, 1 (+ F + 1), N]."""
    return whole[:, None] if around is None else torch.cat([whole[:, None], around], 1)


def _odds(own: Tensor, shared: Tensor, level: Level) -> tuple[Tensor, Tensor, Tensor]:
    """Powers of two [B, G J, N] that are to each other as the components, their sum, their peak."""
    weights, common, bias, t, _ = level
    shared = torch.cat([shared, torch.ones_like(shared[:, :1])], 1)
    # In units of log 2, as powers of two cost half of exp, which costs half of a softmax.
    unit = 2 * math.log(2.0) * t
    to_all = torch.cat([common / unit, bias / math.log(2.0)], -1)
    to_each = (weights / unit[..., None]).flatten(0, 1)
    scores = (to_all @ shared).view(len(to_each), -1, own.shape[-1])
    scores = scores.baddbmm_(to_each, own.flatten(0, 1)).view(len(own), -1, own.shape[-1])
    peak = scores.detach().amax(1, keepdim=True)
    # Powers as small add nothing to the sum, but those that are no normal numbers take 10 times
    # as long.
    odds = scores.sub_(peak).clamp_(min=-100.0).exp2_()
    return odds, odds.sum(1, keepdim=True), peak


def _polynomial(coefficients: Tensor, z: Tensor) -> Tensor:
    """c_0 + c_1 z + c_2 z^2 + ..., coefficients along the first axis."""
    return sum((c * z**k for k, c in enumerate(coefficients)), start=z.new_zeros(()))
