"""A small network that reads MNIST digits; generated digits are judged by its features.

It is trained by this project (`training.recipes.digits`), on the training digits alone, so that
judging needs no download. It normalises groups of channels within an image and keeps no running
statistics: no image changes the answer to another.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

NAME = "digit-classifier"
DIGIT_SIDE = 28
"""Side of a digit, pixels."""
GROUP = 8
"""Number of feature maps that share a mean and a variance."""
ROUNDING = 1e-4
"""Distance from [0, 1] at which a pixel may lie by interpolation alone."""


@dataclass(frozen=True)
class DigitClassifierConfig:
    """Size of the network, by default 292,538 parameters. Raises ValueError for what cannot be."""

    widths: tuple[int, int, int] = (16, 32, 64)
    """Feature maps at 28, 14 and 7 pixels, multiples of 8. There are twice the last at 3 pixels."""
    features: int = 128
    """Length of the vector that the logits are linear in."""
    seed: int = 0
    """Seed of the random weights that training starts from."""

    def __post_init__(self):
        object.__setattr__(self, "widths", tuple(self.widths))  # JSON has lists
        if len(self.widths) != 3 or any(w < 1 or w % GROUP for w in self.widths):
            raise ValueError(
                f"a classifier has three widths, multiples of {GROUP}, got {self.widths}"
            )
        if self.features < 1:
            raise ValueError(f"features is at least 1, got {self.features}")


class DigitClassifier(nn.Module):
    """Classifier of digits, [B, 1, 28, 28] in [0, 1] -> logits of the digits 0 .. 9, [B, 10]."""

    def __init__(self, config: DigitClassifierConfig):
        """A network with untrained weights."""
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
                nn.Linear(2 * c * (DIGIT_SIDE // 8) ** 2, config.features),
                nn.ReLU(),
            )
            self.head = nn.Linear(config.features, 10)
        self.to(memory_format=torch.channels_last)  # a fifth faster to train on a CPU

    def features(self, x: Tensor) -> Tensor:
        """Features, which the logits are linear in, [B, 1, 28, 28] -> [B, F], nonnegative.

        Raises ValueError unless x holds float images of one channel, 28 x 28 pixels in [0, 1].
        """
        fits = x.ndim == 4 and x.shape[1:] == (1, DIGIT_SIDE, DIGIT_SIDE) and x.is_floating_point()
        if not (fits and len(x)):
            raise ValueError(
                f"the digit classifier takes float images [B, 1, {DIGIT_SIDE}, {DIGIT_SIDE}] in "
                f"[0, 1], got {x.dtype} of shape {list(x.shape)}"
            )
        low, high = (float(end) for end in torch.aminmax(x.detach()))
        if not (low >= -ROUNDING and high <= 1 + ROUNDING):
            raise ValueError(
                f"the digit classifier takes images in [0, 1], got values from {low:.4g} to "
                f"{high:.4g}; divide by 255, or clamp?"
            )
        return self.body(x)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Logits, [B, 1, 28, 28] -> [B, 10]; the condition, which training gives, is not used."""
        return self.head(self.features(x))


def _convolution(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    """Layers of one convolution, 3 x 3."""
    return [
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.GroupNorm(outputs // GROUP, outputs),
        nn.ReLU(),
    ]
