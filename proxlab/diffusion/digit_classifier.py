"""A small network that reads MNIST digits; its features are how generated digits are judged.

It is trained by this project (`training.recipes.digits`), on the training digits alone, so that
judging needs no download. Groups are normalised within an image, without running statistics: no
image changes the answer to another.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

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


def _convolution(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.GroupNorm(outputs // GROUP, outputs),
        nn.ReLU(),
    ]
