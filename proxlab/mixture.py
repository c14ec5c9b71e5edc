"""The convex, non-decreasing function at the heart of the mixture potential, and its slopes.

For energies e >= 0 (squared filter responses, in units of the noise) of one window,

    m(e, s) = t * logsumexp_j( sum_i W_ji(s) e_i / (2 t) + b_j(s) ),    W >= 0,

is convex and non-decreasing in every e_i, and 2 dm/de_i = sum_j W_ji softmax_j: a soft choice among
J Gaussian components, and the shrinkage that the chosen one applies. With W = l / (l + s^2) it is,
up to e / 2 and a constant, the log-density of noisy responses under a mixture of Gaussians.
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
    """m(e, s) for J components and F energies, with its slopes, at every noise level.

    The logits of W and the biases are polynomials of log s. `spectra` [J, F] are the variances that
    the components start from, in image units.

    With `paired` the energies are F own ones followed by F of their context. A share of each weight
    belongs to the context, the same share for every component: own weights stay below 1 - share and
    those of the context below it, so that m <= sum((1 - share) own + share context) / 2 + const.
    Were the shares the components' own, m could follow the larger of the two, and a sum over
    windows of max(own, mean over neighbours) has no bound of that kind.
    """

    def __init__(self, spectra: Tensor, paired: bool = False):
        super().__init__()
        logits = spectra.log() - 2 * math.log(REFERENCE)
        # The logit of a Wiener gain l / (l + s^2) has slope -2 in log s, whatever l.
        slope = torch.full_like(logits, -2.0)
        self.gains = nn.Parameter(torch.stack([logits, slope, torch.zeros_like(logits)]))
        self.paired = paired
        if paired:
            self.context_gains = nn.Parameter(self.gains.detach().clone())
            self.share = nn.Parameter(
                torch.stack([torch.full_like(logits[0], -2.0)] + [0 * logits[0]] * 2)
            )
        self.bias = nn.Parameter(torch.zeros(3, len(spectra)))
        self.log_temperature = nn.Parameter(torch.zeros(3))

    def forward(self, energies: Tensor, sigma: Tensor, want_value: bool = False):
        """Energies [B, F, N] and noise levels [B] -> (2 dm/de [B, F, N], m [B, N] or None).

        Differentiable where gradients are enabled; a chunk at a time, in little memory, elsewhere.
        """
        gains, bias, t = self._at(sigma, energies)
        if torch.is_grad_enabled():
            scores = gains @ energies / (2 * t) + bias
            value = t[:, 0] * scores.logsumexp(1) if want_value else None
            return gains.transpose(1, 2) @ scores.softmax(1), value
        slopes = torch.empty_like(energies)
        value = energies.new_empty(energies.shape[0], energies.shape[2]) if want_value else None
        step = CHUNK if energies.device.type == "cpu" else energies.shape[2]
        for i in range(len(energies)):
            matrix = gains[i] / (2 * t[i])
            for start in range(0, energies.shape[2], step):
                part = slice(start, start + step)
                scores = torch.addmm(bias[i], matrix, energies[i, :, part])
                chosen = scores.softmax(0)
                if value is not None:  # logsumexp = max score - log(its weight): no second exp
                    value[i, part] = t[i, 0] * (scores.amax(0) - chosen.amax(0).log())
                slopes[i, :, part] = gains[i].T @ chosen
        return slopes, value

    def _at(self, sigma: Tensor, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Weights [B, J, F], biases [B, J, 1] and temperatures [B, 1, 1] at each noise level."""
        z = (sigma / REFERENCE).log().to(like).view(-1, 1, 1)
        logits = _polynomial(self.gains.to(like), z)
        # The log-determinant of each Gaussian follows from its gains: 1 - W = s^2 / (l + s^2).
        bias = _polynomial(self.bias.to(like)[:, :, None], z)
        bias = bias - F.softplus(logits).sum(2, keepdim=True) / 2
        t = _polynomial(self.log_temperature.to(like)[:, None, None], z).exp()
        weights = logits.sigmoid()
        if self.paired:
            share = _polynomial(self.share.to(like)[:, None], z).sigmoid()
            context = _polynomial(self.context_gains.to(like), z).sigmoid()
            weights = torch.cat([(1 - share) * weights, share * context], 2)
        return weights, bias, t


def _polynomial(coefficients: Tensor, z: Tensor) -> Tensor:
    return sum(c * z**k for k, c in enumerate(coefficients))
