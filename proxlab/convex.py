"""A potential that is convex in the image at every noise level, and its gradient by hand.

The mixture potential looks at an image through overlapping windows of 20 x 20 pixels:

    psi(v, s) = 1/16 sum_windows q * [ m1(a^2, k * a^2; s) + m2(c^2 / 16; s) + d^2 / 32 ]

for an image v in units of the noise. `a` are the responses of 63 zero-mean filters on the 8 x 8
pixels in the middle of the window, `k * a^2` averages of a^2 over neighbouring windows, `c` the
responses of 15 zero-mean filters on a 4 x 4 grid of local means across the window, d / 4 their
mean, m1 and m2 mixtures (`proxlab.mixture`), q the window's multiplicity (`proxlab.windows`).
The gradient is a soft choice among Gaussian components and a shrinkage in each: the posterior mean
under a local mixture of Gaussians [Zoran11], made the exact prox of a function R [Fang24].

Convex, whatever the filters: squares are convex, k >= 0 by its softmax, and a mixture is convex and
non-decreasing in its energies.

Never above |v|^2 / 2, so R >= 0 with R = 0 on constant images (R = psi^* - |.|^2 / 2): the filters
are orthonormal, the weights of a^2 and k * a^2 share one between them in a way common to all
components, and no window lends to its neighbours more than its multiplicity. Without any of the
three R falls without bound along some direction, and a restoration follows it wherever the
measurement is blind.
With gains of one and no context psi = |v|^2 / 2 exactly, at every size and at the borders too.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from proxlab import windows
from proxlab.mixture import Mixture

WINDOW, FINE, COARSE = 20, 8, 4
BAND = 16
"""Rows of windows computed at a time on a CPU: what lies between layers stays in its cache."""
SHARE = COARSE * COARSE
"""How many windows share a local mean."""


@dataclass(frozen=True)
class MixtureConfig:
    """The size of a mixture potential."""

    components: int = 128
    """Gaussian components for the 8 x 8 filters."""
    coarse_components: int = 32
    """Gaussian components for the filters on local means."""
    context: int = 5
    """Side of the neighbourhood of windows over which a^2 is averaged; 1, 3, 5 or 7."""
    seed: int = 0
    """Of the random spectra that the components start from."""

    def __post_init__(self):
        if min(self.components, self.coarse_components) < 1:
            raise ValueError(
                f"a mixture needs at least 1 component, got {self.components} and "
                f"{self.coarse_components} coarse ones"
            )
        if self.context not in (1, 3, 5, 7):
            raise ValueError(f"context is the side of a square, 1, 3, 5 or 7, got {self.context}")


class MixturePotential(nn.Module):
    """psi and its gradient for gray images of any size, one set of weights for all noise levels.

    Images enter in units of the noise level: v = x / s, [B, 1, H, W]; `sigma` [B] tells which s.
    """

    def __init__(self, config: MixtureConfig):
        super().__init__()
        fine, coarse = _random_spectra(config)
        self.config = config
        # Rotations of the cosine bases, by the exponential of a skew-symmetric matrix.
        self.fine_turn = nn.Parameter(torch.zeros(FINE**2 - 1, FINE**2 - 1))
        self.coarse_turn = nn.Parameter(torch.zeros(COARSE**2 - 1, COARSE**2 - 1))
        self.context = nn.Parameter(torch.zeros(len(self.fine_turn), config.context**2))
        self.fine_mixture = Mixture(fine, paired=True)
        self.coarse_mixture = Mixture(coarse)

    def gradient(self, v: Tensor, sigma: Tensor) -> Tensor:
        """grad psi, [B, 1, H, W], in one pass and without an autograd graph of psi."""
        return self._run(v, sigma, want_value=False)[0]

    def gradient_and_gap(self, v: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """grad psi, and |v|^2 / 2 - psi [B] in float64, in one pass.

        Both are known up to the image's mean: grad psi(v + c) = grad psi(v) + c and the gap does
        not see c. Without the mean its two large terms cancel to fewer lost digits.
        """
        mean = v.mean((1, 2, 3), keepdim=True)
        centred = v - mean
        grad, value = self._run(centred, sigma, want_value=True)
        return grad + mean, (centred * centred).sum((1, 2, 3), dtype=torch.float64) / 2 - value

    def value(self, v: Tensor, sigma: Tensor) -> Tensor:
        """psi, [B], zero at v = 0. Autograd through it is the slow twin of `gradient`."""
        return self._run(v, sigma, want_value=True)[1]

    def parameter_groups(self, learning_rate: float) -> list[dict]:
        """For an optimiser: logits and biases may move faster than the filters."""
        filters = [self.fine_turn, self.coarse_turn]
        others = [*self.fine_mixture.parameters(), *self.coarse_mixture.parameters(), self.context]
        return [
            {"params": filters, "lr": learning_rate},
            {"params": others, "lr": 5 * learning_rate},
        ]

    def _run(self, v: Tensor, sigma: Tensor, want_value: bool):
        height, width = v.shape[-2:]
        filters = self._filters(v)
        blocks = windows.extend(v, WINDOW)
        q = windows.multiplicity(WINDOW, height, width, v)
        shares = self._shares(q)
        back, value = torch.zeros_like(blocks), v.new_zeros(len(v), dtype=torch.float64)
        whole = torch.is_grad_enabled() or v.device.type != "cpu"
        rows, halo = len(q) if whole else BAND, WINDOW // 2 - 1
        flat = self._flat(sigma, v) if want_value else None
        for top in range(0, len(q), rows):
            band = q[top : top + rows]
            under = slice(top, top + len(band) + halo)
            share = shares[top : top + len(band) + self.config.context - 1]
            part, terms = self._band(blocks[..., under, :], band, share, sigma, filters, want_value)
            back[..., under, :] += part
            if want_value:
                value = value + (band * (terms - flat)).sum((1, 2), dtype=torch.float64)
        grad = windows.fold(back, WINDOW, height, width) / windows.overlaps(FINE)
        return grad, value / windows.overlaps(FINE) if want_value else None

    def _shares(self, q: Tensor) -> Tensor:
        """What a window lends of its energy to its neighbours' context, padded by its reach.

        Neighbours that count more than the window itself would let it weigh more than q in all.
        """
        side = self.config.context
        return F.pad(q / F.max_pool2d(q[None], side, 1, side // 2)[0], [side // 2] * 4)

    def _band(self, blocks: Tensor, q: Tensor, share: Tensor, sigma: Tensor, filters, want_value):
        """What the windows q [h, w] add to the gradient, as blocks, and to psi, [B, h, w]."""
        fine, coarse, context, box, mean = filters
        inset = (WINDOW - FINE) // 4  # blocks from a window's corner to its middle
        margin = inset - self.config.context // 2
        a = F.conv2d(blocks, fine)
        local_means = F.conv2d(blocks, box)
        c = F.conv2d(local_means, coarse, dilation=2)
        d = F.conv2d(local_means, mean, dilation=2)
        squares = a * a
        around = F.conv2d(_crop(squares, margin) * share, context, groups=len(fine))
        energies = torch.cat([_crop(squares, inset), around], 1)
        slopes, fine_value = self.fine_mixture(energies.flatten(2), sigma, want_value)
        middle, outer = (slopes.view_as(energies) * q).chunk(2, dim=1)
        slopes, coarse_value = self.coarse_mixture((c * c / SHARE).flatten(2), sigma, want_value)
        low = slopes.view_as(c) * q

        outer = F.conv_transpose2d(outer, context, groups=len(fine)) * share
        gain = F.pad(middle, [inset] * 4) + F.pad(outer, [margin] * 4)
        means = F.conv_transpose2d(c * low, coarse, dilation=2)
        means = means + F.conv_transpose2d(d * q, mean, dilation=2)
        back = _adjoint(a * gain, fine) + F.conv_transpose2d(means / SHARE, box)
        if not want_value:
            return back, None
        return back, (fine_value + coarse_value).view(len(d), *q.shape) + d[:, 0] ** 2 / (2 * SHARE)

    def _flat(self, sigma: Tensor, like: Tensor) -> Tensor:
        """What a window on a constant image contributes to psi, [B, 1, 1]."""
        fine = like.new_zeros(len(like), 2 * len(self.fine_turn), 1)
        coarse = like.new_zeros(len(like), len(self.coarse_turn), 1)
        flat = self.fine_mixture(fine, sigma, True)[1] + self.coarse_mixture(coarse, sigma, True)[1]
        return flat.view(-1, 1, 1)

    def _filters(self, like: Tensor) -> tuple[Tensor, ...]:
        fine = F.pixel_unshuffle(_turned(_cosines(FINE), self.fine_turn, like), windows.STRIDE)
        context = self.context.to(like).softmax(1)
        context = context.view(-1, 1, self.config.context, self.config.context)
        box = like.new_full((1, 4, FINE // 2, FINE // 2), 1 / FINE)
        mean = like.new_full((1, 1, COARSE, COARSE), 1 / COARSE)
        return fine, _turned(_cosines(COARSE), self.coarse_turn, like), context, box, mean


def _turned(basis: Tensor, turn: Tensor, like: Tensor) -> Tensor:
    """The basis but for its constant, rotated: orthonormal and of zero mean at every `turn`."""
    turn = turn.to(like)
    return torch.einsum("ij,jabc->iabc", torch.matrix_exp(turn - turn.T), basis[1:].to(like))


def _crop(x: Tensor, margin: int) -> Tensor:
    return x[..., margin : x.shape[-2] - margin, margin : x.shape[-1] - margin]


def _adjoint(y: Tensor, filters: Tensor) -> Tensor:
    """conv_transpose2d(y, filters), as a matrix product and a sum: half the time on CPUs."""
    side = filters.shape[-1]
    size = (y.shape[-2] + side - 1, y.shape[-1] + side - 1)
    return F.fold(filters.flatten(1).T @ y.flatten(2), size, side)


def _cosines(n: int) -> Tensor:
    """The orthonormal 2-D cosine basis, [n * n, 1, n, n] in float64, the constant first."""
    k = torch.arange(n, dtype=torch.float64)
    rows = torch.cos(math.pi / n * k[:, None] * (k + 0.5)) * math.sqrt(2 / n)
    rows[0] /= math.sqrt(2)
    return torch.einsum("ua,vb->uvab", rows, rows).reshape(n * n, 1, n, n)


def _random_spectra(config: MixtureConfig) -> tuple[Tensor, Tensor]:
    """Variances of the responses in each component: oriented power laws, [J, 63] and [J', 15].

    Contrasts, exponents and orientations are spread over what photographs show, so that even the
    untrained network denoises.
    """
    generator = torch.Generator().manual_seed(config.seed)

    def bank(n: int, j: int, contrasts: tuple[float, float]) -> Tensor:
        angle, stretch, exponent = torch.rand(3, j, 1, generator=generator)
        angle, stretch, exponent = angle * math.pi, stretch * 0.94, 1.5 + 2 * exponent
        u, v = torch.meshgrid(torch.arange(n), torch.arange(n), indexing="ij")
        u, v = u.flatten()[1:].float(), v.flatten()[1:].float()
        along = u * angle.cos().abs() + v * angle.sin().abs()
        across = u * angle.sin().abs() + v * angle.cos().abs()
        frequency = (1 - stretch) * (u * u + v * v).sqrt() + stretch * along.minimum(across) + 0.3
        low, high = (math.log10(c) for c in contrasts)
        return torch.logspace(low, high, j)[:, None] * frequency**-exponent

    return bank(FINE, config.components, (1e-5, 0.3)), bank(
        COARSE, config.coarse_components, (1e-5, 10.0)
    )
