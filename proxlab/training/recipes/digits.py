"""The recipe of `digit-classifier`: digits a little moved, turned and stretched, with labels."""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from proxlab.diffusion.digit_classifier import (
    DIGIT_SIDE,
    NAME,
    DigitClassifier,
    DigitClassifierConfig,
)
from proxlab.images.data_sets import Digits, load_digits
from proxlab.training.config import Run
from proxlab.training.draws import Drawn
from proxlab.training.loop import Task
from proxlab.training.recipe import Prepared, Recipe


@dataclass(frozen=True)
class DigitClassifierTraining:
    """Length and pace of the classifier's training, chosen on held-out digits."""

    steps: int = 3000
    batch: int = 64
    learning_rate: float = 3e-3
    """Learning rate of Adam."""
    ema: float = 0.998
    """Decay of the exponential moving average of the weights, which is what is shipped."""
    clip: float = 1.0
    """Largest norm of a gradient."""
    shift: float = 2.0
    """Most pixels that a training digit is moved by, along each axis."""
    turn: float = 10.0
    """Most degrees that it is turned by."""
    stretch: float = 0.1
    """Largest share that it is enlarged or reduced by."""
    seed: int = 0
    checkpoint_every: int = 250
    evaluate_every: int = 500


@dataclass(frozen=True)
class MovedDigits:
    """Digits, each a little moved, turned and stretched, with what they show."""

    digits: Digits
    config: DigitClassifierTraining

    def draw(self, count: int, generator: torch.Generator) -> Drawn:
        """(labels [B], images [B, 1, 28, 28] in [0, 1], nothing [B, 0]); the generator decides."""
        which = torch.randint(len(self.digits.images), (count,), generator=generator)
        angle, size, *shift = 2 * torch.rand(4, count, generator=generator) - 1
        angle = angle * math.radians(self.config.turn)
        size = 1 + size * self.config.stretch
        across, down = (s * self.config.shift * 2 / DIGIT_SIDE for s in shift)
        cos, sin = size * angle.cos(), size * angle.sin()
        rows = torch.stack([cos, -sin, across, sin, cos, down], 1).view(count, 2, 3)
        grid = F.affine_grid(rows, [count, 1, DIGIT_SIDE, DIGIT_SIDE], align_corners=False)
        images = F.grid_sample(self.digits.images[which] / 255, grid, align_corners=False)
        return self.digits.labels[which], images, torch.empty(count, 0)


def accuracy(model: DigitClassifier, digits: Digits) -> float:
    """Share of the digits that the model names as they are labelled."""
    device = next(model.parameters()).device
    with torch.no_grad():
        right = [
            (model(images.to(device) / 255).argmax(1).cpu() == labels).sum()
            for images, labels in zip(
                digits.images.split(500), digits.labels.split(500), strict=True
            )
        ]
    return int(sum(right)) / len(digits.labels)


def prepare_classifier(
    start: DigitClassifierConfig, config: DigitClassifierTraining, data: Path | None, run: Run
) -> Prepared:
    """The training of the classifier on the MNIST of the folder `data`, see `Recipe.prepare`.

    The card has the accuracy on held-out digits, by which settings were chosen, and on test digits,
    which are seen once, at the end. Raises as `load_digits`.
    """
    digits, held_out = load_digits("train", data), load_digits("held-out", data)
    model = DigitClassifier(start)

    def logged() -> dict:
        return {"held_out_accuracy": accuracy(model, held_out)}

    def figures() -> dict:
        return {**logged(), "test_accuracy": accuracy(model, load_digits("test", data))}

    groups = [{"params": list(model.parameters()), "lr": config.learning_rate}]
    task = Task(model, groups, MovedDigits(digits, config).draw, _cross_entropy, logged)
    return Prepared(task, model, f"{len(digits.labels)} training digits of MNIST", figures)


digit_classifier = Recipe(
    NAME,
    "MNIST digits, a classifier whose features judge generated digits",
    prepare_classifier,
    DigitClassifierConfig(),
    DigitClassifierTraining(),
)


def _cross_entropy(logits: Tensor, labels: Tensor, condition: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels)
