"""How `digit-classifier` was made: digits a little moved, the training loop, its card."""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from proxlab import checkpoints
from proxlab.diffusion.digit_classifier import NAME, SIDE, DigitClassifier, DigitClassifierConfig
from proxlab.images.data_sets import Digits, load_digits
from proxlab.training import processes
from proxlab.training.loop import check_unmade, train
from proxlab.training.run import how_made


@dataclass(frozen=True)
class DigitClassifierTraining:
    """How long and how hard to train it; what the training loop reads. Chosen on held-out."""

    steps: int = 3000
    batch: int = 64
    learning_rate: float = 3e-3
    """Of Adam."""
    ema: float = 0.998
    clip: float = 1.0
    """Largest norm of a gradient."""
    shift: float = 2.0
    """Pixels that a training digit is moved by at most, along each axis."""
    turn: float = 10.0
    """Degrees that it is turned by at most."""
    stretch: float = 0.1
    """Share that it is enlarged or reduced by at most."""
    seed: int = 0
    checkpoint_every: int = 250
    evaluate_every: int = 500


@dataclass(frozen=True)
class MovedDigits:
    """Digits, each a little moved, turned and stretched, with what they show."""

    digits: Digits
    config: DigitClassifierTraining

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """(labels [B], images [B, 1, 28, 28] in [0, 1], nothing [B, 0]); the generator decides."""
        which = torch.randint(len(self.digits.images), (count,), generator=generator)
        angle, size, *shift = 2 * torch.rand(4, count, generator=generator) - 1
        angle = angle * math.radians(self.config.turn)
        size = 1 + size * self.config.stretch
        across, down = (s * self.config.shift * 2 / SIDE for s in shift)
        cos, sin = size * angle.cos(), size * angle.sin()
        rows = torch.stack([cos, -sin, across, sin, cos, down], 1).view(count, 2, 3)
        grid = F.affine_grid(rows, [count, 1, SIDE, SIDE], align_corners=False)
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


def train_digit_classifier(
    data: Path | None = None,
    out: Path | None = None,
    *,
    config: DigitClassifierTraining | None = None,
    architecture: DigitClassifierConfig | None = None,
    minutes: float = math.inf,
    resume: bool = False,
    progress: bool = False,
    device: str = "cpu",
) -> Path | None:
    """Train on the MNIST of the folder `data` (that of PROXLAB_DATA if None) in the folder `out`.

    Returns the model file, or None if `minutes` ended first. Its card has the accuracy on held-out
    digits, by which settings were chosen, and on test digits, which were seen once, at the end.
    Raises as `proxlab.digits.load_digits` and `loop.train`, and ValueError where a model
    lies already.
    """
    out, config = Path(out or NAME), config or DigitClassifierTraining()
    check_unmade(out, NAME, resume)
    digits, held_out = load_digits("train", data), load_digits("held-out", data)
    model = DigitClassifier(architecture or DigitClassifierConfig()).to(device)
    finished, spent = train(
        model,
        [{"params": list(model.parameters()), "lr": config.learning_rate}],
        MovedDigits(digits, config).draw,
        _cross_entropy,
        config,
        out,
        evaluate=lambda m: {"held_out_accuracy": accuracy(m, held_out)},
        minutes=minutes,
        resume=resume,
        progress=progress,
    )
    if not finished:
        return None

    def save() -> Path:
        about = {
            "what": "MNIST digits, a classifier whose features judge generated digits",
            "data": f"{len(digits.labels)} training digits of MNIST",
            **how_made(NAME, config, spent, device),
            "held_out_accuracy": accuracy(model, held_out),
            "test_accuracy": accuracy(model, load_digits("test", data)),
        }
        return checkpoints.save(out / NAME, model, about, overwrite=True)

    return processes.first_makes(save)


def _cross_entropy(logits: Tensor, labels: Tensor, condition: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels)
