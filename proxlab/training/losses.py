"""Losses of denoisers, which a training step minimises: of an estimate, the image and its noise.

The minimiser of the squared loss is the posterior mean, that of the absolute loss the median of
each pixel, that of proximal matching, as gamma goes to zero, the most probable image: the prox of
-sigma^2 log p, which is what a prior's prox should be [Fang24].
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from proxlab.training.draws import Drawn

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(estimate, clean, sigma [B]) -> scalar; of another task (estimate, target, condition)."""

REFERENCE = 25 / 255
"""The noise level at which every loss has its plain weight."""
DECAY = 1.2
"""Power of sigma by which the squared error of a denoiser grows over 5/255 .. 50/255 (12 dB a
decade, measured)."""
CLOSE = 0.02
"""Relative difference of two losses that are taken for equal: more than rounding makes, that of
TF32 included, and less than a mistake."""


def balanced_squared_error(estimate: Tensor, clean: Tensor, sigma: Tensor) -> Tensor:
    """Mean over a batch [B, C, H, W] of the squared error, relative to what its noise level allows.

    Without the weight sigma^-1.2 the highest noise levels would decide alone. A scalar, of order
    one. The minimiser of a squared loss is the posterior mean, at every weighting of levels.
    """
    error = (estimate - clean).square().mean((1, 2, 3))
    return 1000 * (error * (sigma * 255 / 25) ** -DECAY).mean()


def balanced_absolute_error(estimate: Tensor, clean: Tensor, sigma: Tensor) -> Tensor:
    """Mean over a batch [B, C, H, W] of |error|, relative to what its noise level allows.

    The l1 loss, a scalar of order one, whose minimiser is the median of each pixel.
    """
    error = (estimate - clean).abs().mean((1, 2, 3))
    return 30 * (error * (sigma / REFERENCE) ** (-DECAY / 2)).mean()


@dataclass(frozen=True)
class ProximalMatching:
    """Mean over a batch [B, C, H, W] of 1 - exp(-r^2 / gamma^2), r the error of one image.

    r is the root mean square over the pixels of the image; for the norm of the paper, gamma is
    multiplied by sqrt(n). An image that is missed by much more than gamma counts as lost, so that
    the minimiser settles on the most probable image. The loss does not differ from the squared one
    until gamma is well below r. [Fang24, Sec. 3]
    """

    gamma: float
    """Width at sigma = 25 / 255, image units. Denoisers of photographs leave r = 0.035 or so."""
    growth: float = DECAY / 2
    """Power of sigma that gamma grows by, by default as the error of a denoiser; 0 is none."""

    def __post_init__(self):
        if not 0 < self.gamma < float("inf"):
            raise ValueError(f"gamma is an error to tolerate, positive, got {self.gamma}")

    def __call__(self, estimate: Tensor, clean: Tensor, sigma: Tensor) -> Tensor:
        """The loss of images [B, C, H, W] at sigma [B]: a scalar, 0 to 1."""
        gamma = self.gamma * (sigma / REFERENCE) ** self.growth
        error = (estimate - clean).square().mean((1, 2, 3))
        return -torch.expm1(-error / gamma.square()).mean()


def loss_name(loss: Loss) -> str:
    """A loss in words, by which a saved run knows it: a function's name, an object's fields."""
    return loss.__name__ if isinstance(loss, FunctionType) else repr(loss)


@runtime_checkable
class Shared(Protocol):
    """A loss that is no mean over the images of a batch, and says what a part of them adds."""

    def share(self, estimate: Tensor, clean: Tensor, sigma: Tensor, part: slice) -> Tensor:
        """The part's share, a scalar; the arguments are those of the function `share`."""
        ...


def share(loss: Loss, estimate: Tensor, clean: Tensor, sigma: Tensor, part: slice) -> Tensor:
    """The share of the images `part` in the loss of a batch, a scalar; the shares add up to it.

    `estimate` is of these images alone, `clean` and `sigma` (what the network was told) of all. A
    loss is taken for a mean over images, unless it is `Shared`.
    """
    if isinstance(loss, Shared):
        return loss.share(estimate, clean, sigma, part)
    return loss(estimate, clean[part], sigma[part]) * (len(estimate) / len(clean))


def check_shares(loss: Loss, model: nn.Module, drawn: Drawn) -> None:
    """Raises ValueError if the shares of two parts of three images do not add up to their loss.

    They do not where a loss is a sum, nor where a model mixes the images of a batch. `drawn` is a
    batch of at least two.
    """
    target, given, condition = (a[:3] for a in drawn)
    with torch.no_grad():
        whole = float(loss(model(given, condition), target, condition))
        parts = sum(
            float(share(loss, model(given[part], condition[part]), target, condition, part))
            for part in (slice(0, None, 2), slice(1, None, 2))
        )
    # a loss that is no number is for the training loop to refuse
    if abs(parts - whole) > CLOSE * abs(whole):
        raise ValueError(
            f"the loss {loss_name(loss)} of a batch is {whole:.6g} and that of its parts adds up "
            f"to {parts:.6g}; processes share a loss that is a mean over images: give it a method "
            "`share`, or train in one process"
        )
