"""Held-out data, by which a training chooses the best of its weights, and those weights.

What is chosen by is the loss that is minimised at the time, on pairs that are drawn once and never
trained on. A later stage minimises another loss, so that its weights count as better than those of
any stage before it.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from proxlab.training.draws import Drawn
from proxlab.training.losses import Loss

CHUNK = 16
"""Pairs that the network is shown at once."""
SEED = 1


class HeldOut(NamedTuple):
    """Pairs to choose by, and what a person is told of them."""

    pairs: Callable[[], Drawn]
    """Gives the pairs, the same whenever it is called; nothing is read before."""
    figures: Callable[[Tensor, Tensor], dict]
    """(estimates, targets) -> entries of the log and of the card."""


class Judged(NamedTuple):
    """Weights at a step, and how good they are."""

    stage: int
    loss: float | None
    """Loss of the held-out pairs, infinite if it is no number; None where nothing is held out."""
    step: int
    figures: dict
    weights: dict[str, Tensor]
    """Weights by name, on the CPU."""

    def told(self) -> dict:
        """Entries of the log and of the card."""
        if self.loss is None or self.loss == math.inf:
            return self.figures
        return {"held_out_loss": round(self.loss, 6), **self.figures}

    def better(self, other: "Judged | None") -> bool:
        """Whether these are kept, and not the others. Where nothing is held out, the later are."""
        if other is None or self.stage != other.stage:
            return other is None or self.stage > other.stage
        return self.loss is None or other.loss is None or self.loss < other.loss


def judge(model: nn.Module, loss: Loss, held_out: HeldOut | None, stage: int, step: int) -> Judged:
    """The weights that the model has now, judged by the mean loss of the held-out pairs."""
    weights = {k: v.detach().cpu().clone() for k, v in model.state_dict().items()}
    if held_out is None:
        return Judged(stage, None, step, {}, weights)
    target, given, condition = held_out.pairs()
    device = next(model.parameters()).device
    estimates, total = [], 0.0
    with torch.no_grad():
        for part in zip(*(x.split(CHUNK) for x in (target, given, condition)), strict=True):
            clean, shown, told = (x.to(device) for x in part)
            estimate = model(shown, told)
            total += float(loss(estimate, clean, told)) * len(clean)
            estimates.append(estimate.cpu())
    figures = held_out.figures(torch.cat(estimates), target)
    mean = total / len(target)
    return Judged(stage, mean if math.isfinite(mean) else math.inf, step, figures, weights)


def once(draw: Callable[[int, torch.Generator], Drawn], count: int) -> Callable[[], Drawn]:
    """The `HeldOut.pairs` that are drawn by `draw`, so many, when they are first asked for."""
    kept: list[Drawn] = []

    def pairs() -> Drawn:
        if not kept:
            kept.append(draw(count, torch.Generator().manual_seed(SEED)))
        return kept[0]

    return pairs
