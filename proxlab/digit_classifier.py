"""A small network that reads MNIST digits; its features are how generated digits are judged.

It is trained here, on the training digits alone, so that judging needs no download. Groups are
normalised within an image, without running statistics: no image changes the answer to another.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from proxlab.digits import Digits, load_digits
from proxlab.train import check_unmade, train

NAME = "digit-classifier"
SIDE = 28
GROUP = 8
"""Feature maps that share a mean and a variance."""
ROUNDING = 1e-4
"""How far beyond [0, 1] a pixel may lie by interpolation alone."""


@dataclass(frozen=True)
class DigitClassifierConfig:
    """The size of the network; 292,538 parameters as it stands."""

    widths: tuple[int, int, int] = (16, 32, 64)
    """Feature maps at 28, 14 and 7 pixels, multiples of 8; twice the last at 3 pixels."""
    features: int = 128
    """What it says of a digit before it names one."""
    seed: int = 0
    """Of the random weights that training starts from."""

    def __post_init__(self):
        object.__setattr__(self, "widths", tuple(self.widths))  # JSON has lists
        if len(self.widths) != 3 or any(w < 1 or w % GROUP for w in self.widths):
            raise ValueError(
                f"a classifier has three widths, multiples of {GROUP}, got {self.widths}"
            )
        if self.features < 1:
            raise ValueError(f"features is at least 1, got {self.features}")


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


class DigitClassifier(nn.Module):
    """Images [B, 1, 28, 28] in [0, 1] -> ten logits each, the digits 0 .. 9."""

    def __init__(self, config: DigitClassifierConfig):
        super().__init__()
        self.config = config
        a, b, c = config.widths
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.body = nn.Sequential(
                *_convolution(1, a, 1),
                *_convolution(a, b, 2),
                *_convolution(b, b, 1),
                *_convolution(b, c, 2),
                *_convolution(c, c, 1),
                *_convolution(c, 2 * c, 1),
                nn.MaxPool2d(2),
                nn.Flatten(),
                nn.Linear(2 * c * (SIDE // 8) ** 2, config.features),
                nn.ReLU(),
            )
            self.head = nn.Linear(config.features, 10)
        self.to(memory_format=torch.channels_last)  # a fifth faster to train on a CPU

    def features(self, x: Tensor) -> Tensor:
        """What the logits are linear in, [B, 1, 28, 28] -> [B, F], nonnegative.

        Raises ValueError unless x holds float images of one channel, 28 x 28 pixels in [0, 1].
        """
        fits = x.ndim == 4 and x.shape[1:] == (1, SIDE, SIDE) and x.is_floating_point()
        if not (fits and len(x)):
            raise ValueError(
                f"the digit classifier takes float images [B, 1, {SIDE}, {SIDE}] in [0, 1], got "
                f"{x.dtype} of shape {list(x.shape)}"
            )
        low, high = (float(end) for end in torch.aminmax(x.detach()))
        if not (low >= -ROUNDING and high <= 1 + ROUNDING):
            raise ValueError(
                f"the digit classifier takes images in [0, 1], got values from {low:.4g} to "
                f"{high:.4g}; divide by 255, or clamp?"
            )
        return self.body(x)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Logits [B, 10]. The training loop hands over a condition; there is nothing to tell."""
        return self.head(self.features(x))


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
    Raises as `proxlab.digits.load_digits` and `proxlab.train.train`, and ValueError where a model
    lies already.
    """
    from proxlab import checkpoints  # which knows this module's classes

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
    about = {
        "what": "MNIST digits, a classifier whose features judge generated digits",
        "data": f"{len(digits.labels)} training digits of MNIST",
        "command": f"proxlab train {NAME} --steps {config.steps}",
        "steps": config.steps,
        "minutes": round(spent, 1),
        "held_out_accuracy": accuracy(model, held_out),
        "test_accuracy": accuracy(model, load_digits("test", data)),
    }
    return checkpoints.save(out / NAME, model, about, overwrite=True)


def _convolution(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.GroupNorm(outputs // GROUP, outputs),
        nn.ReLU(),
    ]


def _cross_entropy(logits: Tensor, labels: Tensor, condition: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels)
