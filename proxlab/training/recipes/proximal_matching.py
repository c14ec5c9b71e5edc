"""The recipe of `lpn-gray-pm`: a learned proximal network and then proximal matching [Fang24].

The loss narrows stage by stage, so that the network goes from the posterior mean towards the most
probable image.
"""

from pathlib import Path

from proxlab.images.stored import open_gray
from proxlab.training.config import TrainConfig
from proxlab.training.losses import ProximalMatching, balanced_absolute_error
from proxlab.training.recipe import Recipe
from proxlab.training.recipes.denoising import Denoising, trained_lpn
from proxlab.training.stages import Stage

GAMMAS = (0.064, 0.032, 0.016, 0.008)
"""Gamma of each stage at sigma 25 / 255: from above the error there, 0.035, to well below."""


def proximal_matching_stages(config: TrainConfig) -> list[Stage]:
    """The l1 loss for a third of the steps, then gamma halved stage by stage at a lower rate.

    Raises ValueError for fewer than 6 steps.
    """
    each = 2 * config.steps // (3 * len(GAMMAS))
    if each < 1:
        raise ValueError(f"proximal matching needs at least 6 steps, got {config.steps}")
    rate = config.learning_rate
    later = [Stage(ProximalMatching(gamma), rate / 3, each) for gamma in GAMMAS]
    return [Stage(balanced_absolute_error, rate, config.steps - each * len(GAMMAS)), *later]


lpn_gray_pm = Recipe[str | Path, TrainConfig](
    "lpn-gray-pm",
    "gray photographs, learned proximal network, {start} then proximal matching",
    Denoising(open_gray, trained_lpn, lambda model, config: proximal_matching_stages(config)),
    "lpn-gray",
    TrainConfig(learning_rate=1e-3),
)
