"""The recipe of `crate-completion`: photographs with holes and noise, and what errors weigh."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from proxlab.images.data_sets import find_data
from proxlab.images.metrics import psnr
from proxlab.images.stored import open_gray
from proxlab.operators.inpainting import boxes_mask, fill_missing
from proxlab.priors.crate.completion import Completion
from proxlab.priors.crate.denoiser import CrateConfig
from proxlab.training.config import Run, TrainConfig
from proxlab.training.draws import Drawn, Pairs
from proxlab.training.held_out import HeldOut, once
from proxlab.training.loop import Task
from proxlab.training.patches import NoisyPatches, Patches
from proxlab.training.recipe import Prepared, Recipe
from proxlab.training.recipes.denoising import JUDGED_PATCHES, matched
from proxlab.training.split import middles, open_split

SEEN_ERROR, MISSING_ERROR = 0.02, 0.006
"""Squared error of a seen pixel over sigma^1.2, and of a missing one, about (measured)."""
BLOCK = 4
"""Side of the squares that are masked together, pixels: the stride of the tokens."""
BOXES = (8, 40)
"""Least and largest side of a hole in training, pixels."""
HELD_OUT_BOX = 32
"""Side of the holes that its figures are of, pixels."""
LOGGED_IMAGES = 4
"""Held-out images that the log has figures of."""


@dataclass(frozen=True)
class MaskedPatches:
    """Noisy patches with holes: pixels, squares of tokens, or one box, each a third of the time."""

    patches: NoisyPatches

    def draw(self, count: int, generator: torch.Generator) -> Drawn:
        """(clean [B, 1, S, S], [filled, seen] [B, 2, S, S], [sigma, share missing] [B, 2])."""
        clean, noisy, sigma = self.patches.draw(count, generator)
        size = clean.shape[-1]
        seen = torch.stack([_mask(size, generator) for _ in range(count)])[:, None]
        given = torch.cat([fill_missing(noisy, seen), seen], 1)
        return clean, given, torch.stack([sigma, 1 - seen.mean((1, 2, 3))], 1)


class Refining(nn.Module):
    """A completion as the training loop calls it, with what `MaskedPatches` draws."""

    def __init__(self, model: Completion):
        super().__init__()
        self.model = model

    def forward(self, given: Tensor, condition: Tensor) -> Tensor:
        """[filled, seen] [B, 2, S, S], [sigma, share missing] [B, 2] -> images [B, 1, S, S]."""
        return self.model.refine(given[:, :1], given[:, 1:], condition[:, 0])


def completion_error(estimate: Tensor, clean: Tensor, condition: Tensor) -> Tensor:
    """Mean over a batch of the squared error, relative to what noise and holes leave: a scalar."""
    sigma, missing = condition.unbind(1)
    usual = (1 - missing) * SEEN_ERROR * sigma**1.2 + missing * MISSING_ERROR
    return ((estimate - clean).square().mean((1, 2, 3)) / usual).mean()


def held_out_figures(model: Completion, images: Sequence[Tensor]) -> dict[str, float]:
    """PSNR of all pixels, dB, where half of them are missing and where boxes of 32 x 32 are.

    The noise is 0.01. Boxes are a third of the side where an image is too small for three.
    """
    generator, device = torch.Generator().manual_seed(0), next(model.parameters()).device
    totals = {"half missing": 0.0, "boxes missing": 0.0}
    for image in images:
        clean = image[None, None] / 255
        noisy = clean + 0.01 * torch.randn(clean.shape, generator=generator)
        half = (torch.rand(clean.shape, generator=generator) < 0.5).float()
        boxed = boxes_mask(image.shape, min(HELD_OUT_BOX, min(image.shape) // 3)).float()
        for name, seen in (("half missing", half), ("boxes missing", boxed)):
            with torch.no_grad():
                found = model.complete(noisy.to(device), seen.to(device), 0.01)
            totals[name] += float(psnr(found.cpu(), clean)) / len(images)
    return {name: round(value, 3) for name, value in totals.items()}


def prepare_completion(
    start: CrateConfig, config: TrainConfig, data: Path | None, run: Run
) -> Prepared:
    """The training of a completion on the photographs at `data`, see `Recipe.prepare`."""
    model = Completion(start, config.sigma_range)
    split = open_split(open_gray, data or find_data("bsds400"), config.patch, run)
    held_out = split.held_out

    def logged() -> dict:
        return held_out_figures(model, middles(held_out[:LOGGED_IMAGES]))

    def figures() -> dict:
        return {"held_out_completed": held_out_figures(model, middles(held_out))}

    def pairs(images: Sequence[Tensor]) -> Pairs:
        return MaskedPatches(NoisyPatches(Patches(images, config.patch), config.sigma_range)).draw

    groups = model.parameter_groups(config.learning_rate)
    judged = HeldOut(once(pairs(held_out), JUDGED_PATCHES), matched)
    task = Task(
        Refining(model), groups, pairs(split.images), completion_error, logged, split.ahead, judged
    )
    return Prepared(task, model, split.in_words, figures, split.held_out_in_words)


crate_completion = Recipe(
    "crate-completion",
    "gray photographs, CRATE trained on masked images: fills in and denoises",
    prepare_completion,
    CrateConfig(),
    TrainConfig(clip=1.0),
)


def _mask(size: int, generator: torch.Generator) -> Tensor:
    """A random mask [size, size], 1 where a pixel is seen."""
    kind, share = torch.rand(2, generator=generator).tolist()
    if kind < 1 / 3:
        return (torch.rand(size, size, generator=generator) > 0.2 + 0.7 * share).float()
    if kind < 2 / 3:
        n = -(-size // BLOCK)
        coarse = (torch.rand(1, 1, n, n, generator=generator) > 0.2 + 0.5 * share).float()
        return F.interpolate(coarse, scale_factor=BLOCK)[0, 0, :size, :size]
    seen = torch.ones(size, size)
    low, high = BOXES[0], min(BOXES[1], size - 1)
    h, w = torch.randint(low, high + 1, (2,), generator=generator).tolist()
    top = int(torch.randint(size - h + 1, (1,), generator=generator))
    left = int(torch.randint(size - w + 1, (1,), generator=generator))
    seen[top : top + h, left : left + w] = 0
    return seen
