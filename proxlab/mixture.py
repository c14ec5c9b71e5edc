"""The convex, non-decreasing function at the heart of the mixture potential, and its slopes.

For energies e >= 0 (squared filter responses, in units of the noise) of one window, each component
j looking at those of its own basis g(j),

    m(e, s) = t * logsumexp_j( sum_i W_ji(s) e_g(j)i / (2 t) + b_j(s) ),    W >= 0,

is convex and non-decreasing in every energy, and 2 dm/de_gi sums W_ji softmax_j over the components
of basis g: a soft choice among Gaussian components, and the shrinkage that the chosen one applies.
With W = l / (l + s^2) it is, up to e / 2 and a constant, the log-density of noisy responses under a
mixture of Gaussians.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

REFERENCE = 25 / 255
"""The noise level at which log s is zero in the conditioning."""
CHUNK = 2048
"""Windows mixed at a time on a CPU: their scores fit its cache, which halves the time."""


class Mixture(nn.Module):
    """m(e, s) for J components in each of G bases, with its slopes, at every noise level.

    The logits of W and the biases are polynomials of log s. `spectra` [G, J, F] are the variances
    that the components start from, in image units; `sizes` [F] says of how many responses each
    energy is the sum.

    With `context` the energies around a window count too, C of them, common to all components. They
    share one with the own energies in a way common to all: own weights stay below 1 - share, those
    of the context below it, so that m is at most (1 - share) / 2 of the own energy, the same in
    every basis, plus share / 2 of that around, plus a constant. Were the shares the components' own,
    or the surroundings those of each basis, m could follow the larger of two energies, and a sum
    over windows of max(own, mean over neighbours) has no such bound.
    """

    def __init__(self, spectra: Tensor, sizes: Tensor, context: bool = False):
        super().__init__()
        logits = spectra.log() - 2 * math.log(REFERENCE)
        # The logit of a Wiener gain l / (l + s^2) has slope -2 in log s, whatever l.
        slope = torch.full_like(logits, -2.0)
        self.gains = nn.Parameter(torch.stack([logits, slope, torch.zeros_like(logits)]))
        self.context = context
        if context:
            self.context_gains = nn.Parameter(self.gains.detach().clone())
            self.share = nn.Parameter(torch.tensor([-2.0, 0.0, 0.0]))
        self.bias = nn.Parameter(torch.zeros(3, *spectra.shape[:2]))
        self.log_temperature = nn.Parameter(torch.zeros(3))
        self.register_buffer("sizes", sizes, persistent=False)

    def forward(
        self, own: Tensor, around: Tensor | None, sigma: Tensor, want_value: bool = False
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """(2 dm/down [B, G, F, N], 2 dm/daround [B, F, N] or None, m [B, N] or None).

        `own` [B, G, F, N] and `around` [B, F, N] are energies, `sigma` [B] the noise levels.
        Differentiable where gradients are enabled; a chunk at a time, in little memory, elsewhere.
        """
        if torch.is_grad_enabled():
            return self._mix(*self._at(sigma, own), own, around, want_value)
        slopes = torch.empty_like(own)
        context = None if around is None else torch.empty_like(around)
        value = own.new_empty(len(own), own.shape[-1]) if want_value else None
        step = CHUNK if own.device.type == "cpu" else own.shape[-1]
        for i in range(len(own)):
            one = slice(i, i + 1)
            weights = self._at(sigma[one], own)
            for start in range(0, own.shape[-1], step):
                at = (one, ..., slice(start, start + step))
                beside = None if around is None else around[at]
                part = self._mix(*weights, own[at], beside, want_value)
                for whole, piece in zip((slopes, context, value), part, strict=True):
                    if whole is not None:
                        whole[at] = piece
        return slopes, context, value

    def _mix(
        self, weights: Tensor, lent: Tensor | None, bias: Tensor, t: Tensor, own, around, want
    ):
        scores = (weights / (2 * t)) @ own + bias
        scores = scores.flatten(1, 2)
        if around is not None:
            scores = scores + (lent / (2 * t[:, 0])) @ around
        chosen = scores.softmax(1)
        value = None
        if want:  # logsumexp = max score - log(its weight): no second exp
            value = t[:, 0, 0] * (scores.amax(1) - chosen.amax(1).log())
        slopes = weights.mT @ chosen.unflatten(1, bias.shape[1:3])
        return slopes, None if around is None else lent.mT @ chosen, value

    def _at(self, sigma: Tensor, like: Tensor):
        """At each level: weights [B, G, J, F], those of the context [B, G J, F] or None, biases
        [B, G, J, 1], temperatures [B, 1, 1, 1]."""
        z = (sigma / REFERENCE).log().to(like).view(-1, 1, 1, 1)
        logits = _polynomial(self.gains.to(like), z)
        # The log-determinant of each Gaussian follows from its gains: 1 - W = s^2 / (l + s^2).
        bias = _polynomial(self.bias.to(like)[..., None], z)
        bias = bias - F.softplus(logits) @ self.sizes.to(like)[:, None] / 2
        t = _polynomial(self.log_temperature.to(like), z).exp()
        weights = logits.sigmoid()
        if not self.context:
            return weights, None, bias, t
        share = _polynomial(self.share.to(like), z).sigmoid()
        lent = share * _polynomial(self.context_gains.to(like), z).sigmoid()
        return (1 - share) * weights, lent.flatten(1, 2), bias, t


def _polynomial(coefficients: Tensor, z: Tensor) -> Tensor:
    return sum(c * z**k for k, c in enumerate(coefficients))
