"""The Hessian of a mixture potential at an image: products and diagonal, without autograd.

With responses a_i, energies e = squares of them (and sums of squares), weights L_j of component j,
chosen with p = softmax, psi' is a sum of t logsumexp_j(<L_j, e> / 2 t + b_j) over windows. So

    grad psi' = sum_j p_j Q_j v,    Q_j v = sum_i L_ji a_i (filter i),
    Hess psi' = sum_j p_j Q_j  +  the covariance of the Q_j v under p, over t:

the shrinkage of the Gaussians chosen, and how far the image moves the choice. Both are symmetric
and positive. A product filters the vector as the gradient filters the image, and is the derivative
of each of its steps; what depends on the image alone is kept (`mixture_linear`).
"""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from proxlab.priors.lpn import windows
from proxlab.priors.lpn.cache_blocks import adjoint, bands_at_once, behind, scattered
from proxlab.priors.lpn.mixture_config import FINE
from proxlab.priors.lpn.mixture_diagonal import diagonal
from proxlab.priors.lpn.mixture_linear import Kept, Layers, kept, middles
from proxlab.priors.lpn.window_mixture import Level
from proxlab.priors.lpn.window_sums import INSET, SHARED, WINDOW
from proxlab.threads import side_by_side


class MixtureHessian:
    """The Hessian of psi at images v [B, C, H, W], in units of the noise.

    parts: some of the images each, less their mean, and the layers at their noise levels.
    """

    def __init__(self, v: Tensor, parts: list[tuple[Tensor, Layers]], alpha: float):
        self.v, self.alpha, self.shape = v, alpha, v.shape[1:]
        found = side_by_side([partial(kept, *part) for part in parts], *(v for v, _ in parts))
        self.parts = [(one, layers) for one, (_, layers) in zip(found, parts, strict=True)]

    def __call__(self, u: Tensor) -> Tensor:
        """The product with u, [B, C, H, W] -> the same."""
        few = u.split([len(part.d) for part, _ in self.parts])
        each = zip(few, self.parts, strict=True)
        products = side_by_side([partial(_product, some, *part) for some, part in each], u)
        return torch.lerp(torch.cat(products), u, self.alpha)

    def gradient(self) -> Tensor:
        """grad psi at v, [B, C, H, W]; most of its work is what the Hessian keeps."""
        size = self.shape[1], self.shape[2]
        each = [partial(_gradient, part, layers, size) for part, layers in self.parts]
        found = torch.cat(side_by_side(each, self.v)) + self.v.mean((2, 3), keepdim=True)
        return torch.lerp(found, self.v, self.alpha)

    def diagonal(self) -> Tensor:
        """The diagonal, [B, C, H, W], exact and at least alpha."""
        size = self.shape[1:]
        each = [
            partial(diagonal, part.of(i), layers.of(i), (size[0], size[1]))
            for part, layers in self.parts
            for i in range(len(part.d))
        ]
        images = (part.d for part, _ in self.parts)
        found = torch.cat(side_by_side(each, *images)).clamp(min=0)  # as it is, but to rounding
        return self.alpha + (1 - self.alpha) * found


def _product(u: Tensor, part: Kept, layers: Layers) -> Tensor:
    """The product of Hess psi' with u. A constant image is its own, so u keeps its mean."""
    bank, context, *_ = layers
    blocks, d, q = part.blocks, part.d, part.q
    here, pixels = middles(q)
    first, reach = len(context) - 1, context.shape[-1] // 2
    moved = windows.extend(u, WINDOW)
    means, inner = F.conv2d(moved, bank.mean), moved[pixels]
    whole = F.conv2d(blocks[pixels] * inner, bank.weight)
    whole = whole - (d * means)[here].sum(1, keepdim=True)
    answers, a = F.conv2d(inner, bank.fine[:first]), part.a[:, :first]
    squares = a * answers
    seen = torch.cat([squares, whole - squares.sum(1, keepdim=True)], 1) * part.share
    around = F.conv2d(seen, context, padding=reach, groups=first + 1)
    back, turned = _by_pixels(moved, torch.cat([whole, around], 1), part, layers)
    # The neighbours pass on by how much their slopes turn.
    lent = F.conv_transpose2d(turned[:, 1:], context, padding=reach, groups=first + 1) * part.share
    left, slopes = turned[:, :1] + lent[:, -1:], part.lent
    more = answers * (slopes[:, :-1] - slopes[:, -1:]) + a * (lent[:, :-1] - lent[:, -1:])
    more = adjoint(more, bank.fine[:first]) + inner * part.gained
    back[pixels].add_(more + blocks[pixels] * scattered(left, bank.weight))
    up = _by_means(means, part, layers)
    up[here].sub_(means[here] * part.left + d[here] * left)
    back += scattered(up, bank.mean)
    return windows.fold(back, WINDOW, *u.shape[-2:]) / windows.overlaps(FINE)


def _gradient(part: Kept, layers: Layers, size: tuple[int, int]) -> Tensor:
    """grad psi' at the image less its mean: sum_j p_j Q_j v, the choice held as it is."""
    bank, (here, pixels) = layers.bank, middles(part.q)
    back, first = torch.zeros_like(part.blocks), len(layers.context) - 1
    everywhere = slice(0, part.q.shape[1])
    for rows in bands_at_once(part.q, part.a):
        at, under = (..., rows, everywhere), behind(rows, everywhere, FINE // 2 - 1, INSET)
        answers, lent = part.a[at] * part.own[at], part.lent[at]
        answers[:, :first].addcmul_(part.a[at][:, :first], lent[:, :-1] - lent[:, -1:])
        back[under].add_(adjoint(answers, bank.fine))
    back[pixels].addcmul_(part.blocks[pixels], part.gained)
    each = part.d.flatten(0, 1)[:, None]
    constant = F.conv2d(each, layers.coarse[:1], dilation=2) * part.q
    answers = torch.cat([constant, (part.c * part.gains).view(len(each), -1, *part.q.shape)], 1)
    up = adjoint(answers, layers.coarse, dilation=2).view_as(part.d) / SHARED
    up[here].sub_(part.d[here] * part.left)
    back += scattered(up, bank.mean)
    return windows.fold(back, WINDOW, *size) / windows.overlaps(FINE)


def _by_pixels(moved: Tensor, shared: Tensor, part: Kept, layers: Layers) -> tuple[Tensor, Tensor]:
    """The part of each window's own filters, as blocks, and the turn of the slopes that all share.

    `shared` are half the changes of the energies that all look at, [B, 1 + kept + 1, h, w].
    """
    back, turned = torch.zeros_like(moved), torch.empty_like(shared)
    level, filters = layers.pixel_level, layers.bank.fine
    everywhere = slice(0, part.q.shape[1])
    for rows in bands_at_once(part.q, moved):
        at, pixels = (..., rows, everywhere), behind(rows, everywhere, FINE // 2 - 1, INSET)
        a, count = part.a[at], part.q[rows].flatten()
        answers = F.conv2d(moved[pixels], filters)
        energies = (a * answers).flatten(2).unflatten(1, (level.weights.shape[1], -1))
        own, outer = _turned(
            part.chosen[at].flatten(2), energies, shared[at].flatten(2), level, count
        )
        more = answers.mul_(part.own[at]).addcmul_(a, own.view_as(a))
        back[pixels].add_(adjoint(more, filters))
        turned[at] = outer.view_as(turned[at])
    return back, turned


def _by_means(means: Tensor, part: Kept, layers: Layers) -> Tensor:
    """The part of the mixture by means, for their changes [B, C, h'', w'']."""
    filters, level, q = layers.coarse, layers.mean_level, part.q
    each = means.flatten(0, 1)[:, None]
    constant, answers = F.conv2d(each, filters, dilation=2).split([1, len(filters) - 1], 1)
    answers = answers.reshape(part.c.shape)
    energies = (part.c * answers / SHARED).flatten(2)
    own, outer = _turned(
        part.chosen_by_means.flatten(2),
        energies[:, None],
        energies.sum(1, keepdim=True),
        level,
        q.flatten(),
    )
    answers = answers * part.gains + part.c * (own[:, 0] + outer).view_as(part.c)
    answers = torch.cat([constant * q, answers.view(len(each), -1, *q.shape)], 1)
    return adjoint(answers, filters, dilation=2).view_as(means) / SHARED


def _turned(
    p: Tensor, own: Tensor, shared: Tensor, level: Level, count: Tensor
) -> tuple[Tensor, Tensor]:
    """Turn of the slopes, [B, G, F, N] and [B, 1 (+ F + 1), N], for half the changes of energies.

    Choices p [B, G J, N], times their count, move by p_j (s_j - sum_k p_k s_k) / t, where s are
    the changes of the scores for those halves. Every pass over all components takes as long as the
    arithmetic of one, so there are few.
    """
    weights, common, _, t, _ = level
    kinds = weights.shape[1:3]
    scores = (common / t @ shared).unflatten(1, kinds).flatten(0, 1)
    scores = scores.baddbmm_((weights / t[..., None]).flatten(0, 1), own.flatten(0, 1))
    scores = scores.view_as(p).mul_(p)
    scores.addcmul_(p, scores.sum(1, keepdim=True).div_(count), value=-1)
    return weights.mT @ scores.unflatten(1, kinds), common.mT @ scores
