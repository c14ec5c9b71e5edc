"""What a part of a batch adds to the loss of the whole: the parts' shares add up to that loss."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from proxlab.stages import Loss, loss_name

CLOSE = 0.02
"""More than rounding does to a loss, relative, that of TF32 included, and less than a mistake."""


@runtime_checkable
class Shared(Protocol):
    """A loss that is no mean over the images of a batch, and that says itself what a part adds."""

    def share(self, estimate: Tensor, clean: Tensor, sigma: Tensor, part: slice) -> Tensor:
        """As `share`."""
        ...


def share(loss: Loss, estimate: Tensor, clean: Tensor, sigma: Tensor, part: slice) -> Tensor:
    """What the images `part` of a batch add to its loss, a scalar.

    `estimate` is of these images alone, `clean` and `sigma` (what the network was told) of all. A
    loss is taken for a mean over images, unless it is `Shared`.
    """
    if isinstance(loss, Shared):
        return loss.share(estimate, clean, sigma, part)
    return loss(estimate, clean[part], sigma[part]) * (len(estimate) / len(clean))


def check_shares(loss: Loss, model: nn.Module, drawn: tuple[Tensor, Tensor, Tensor]) -> None:
    """ValueError if the shares of two parts of three images do not add up to their loss.

    So it is for a loss that is a sum, and for a model in which images of a batch mix. `drawn` is a
    batch of at least two: target, input and condition, as `proxlab.train.Pairs` has them.
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
