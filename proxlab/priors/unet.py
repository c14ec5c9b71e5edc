"""What an unconstrained network reaches: the yardstick beside an LPN, of its size and its time.

A small DRUNet of deepinv [Zhang21] around a skip connection, with the noise level as one more input
channel. It is trained as an LPN is and denoises better; it is the prox of nothing, has no value,
and nothing is certified with it.
"""

from dataclasses import dataclass
from math import ceil

import torch
import torch.nn.functional as F
from deepinv.models import Denoiser, DRUNet
from torch import Tensor

from proxlab.priors.arguments import network_images, up_to
from proxlab.priors.contract import LEARNED_WEIGHT, Capabilities

HALVINGS = 3
MULTIPLE = 2**HALVINGS
"""Sides that three halvings divide."""
SMALLEST = 32
"""Below this side deepinv's DRUNet pads by itself, in another way in training than after it."""


@dataclass(frozen=True)
class UNetConfig:
    """The size of the rival; 62,633 parameters as it stands, those of `lpn-gray` within 2 %."""

    channels: int = 1
    """1 for gray images, 3 for colour."""
    widths: tuple[int, int, int, int] = (9, 15, 23, 35)
    """Feature maps at each of the four scales."""
    blocks: int = 1
    """Residual blocks at each scale, on the way down and on the way up."""
    seed: int = 0
    """Of the random weights that training starts from."""

    def __post_init__(self):
        object.__setattr__(self, "widths", tuple(self.widths))  # JSON has lists
        if self.channels not in (1, 3):
            raise ValueError(f"channels is 1 (gray) or 3 (colour), got {self.channels}")
        if len(self.widths) != 4 or min(*self.widths, self.blocks) < 1:
            raise ValueError(
                f"a rival has four widths and its blocks, each at least 1, got {self.widths} and "
                f"{self.blocks}"
            )


class UNetDenoiser(Denoiser):
    """An estimate of the clean image, f(v, sigma) = v + network(v, sigma); no prox, no value.

    One of one channel takes a colour image as so many gray ones, one of three only colour images.
    It has `prox` because that is what solvers call (plug and play [Venkatakrishnan13]).
    """

    def __init__(
        self,
        config: UNetConfig,
        sigma_range: tuple[float, float] = (1 / 255, 75 / 255),
        name: str = "unet",
    ):
        super().__init__()
        self.config, self.sigma_range, self.name = config, sigma_range, name
        self.capabilities = Capabilities(
            default_weight=LEARNED_WEIGHT, reach=reach(config.blocks), alignment=MULTIPLE
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            c = config.channels
            self.network = DRUNet(c, c, nc=config.widths, nb=config.blocks, pretrained=None)

    @property
    def channels(self) -> int:
        """3 if it knows colour images alone, 1 if it takes any image channel by channel."""
        return self.config.channels

    def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """The same as `prox`."""
        return self.prox(x, sigma)

    def prox(self, v: Tensor, sigma: float | Tensor) -> Tensor:
        """The estimate, [B, C, H, W] -> the same; sigma a float or a tensor [B], image units.

        Raises ValueError for a sigma outside `sigma_range`, for an input that is not a batch of
        images, or not of colour images where `channels` is 3.
        """
        x, s = network_images(self.name, v, sigma, self.sigma_range, self.channels)
        return (x + self._noise(x, s)).view_as(v)

    def parameter_groups(self, learning_rate: float) -> list[dict]:
        """For an optimiser: all alike, two thirds of the rate of a potential's filters."""
        return [{"params": list(self.parameters()), "lr": 2 / 3 * learning_rate}]

    def _noise(self, x: Tensor, s: Tensor) -> Tensor:
        """On sides that the network halves without a remainder, edges repeated to get there."""
        height, width = x.shape[-2:]
        tall, wide = (max(SMALLEST, MULTIPLE * ceil(n / MULTIPLE)) for n in (height, width))
        padded = F.pad(x, (0, wide - width, 0, tall - height), mode="replicate")
        return self.network(padded, s)[..., :height, :width]


def reach(blocks: int) -> int:
    """Pixels beyond an aligned block on which an estimate depends, made up to whole cells.

    A block has two 3 x 3 convolutions. Backwards from the output: the last convolution and the
    blocks at full scale, then halved and widened at each coarser scale, down to the body; then
    doubled and widened at each finer one, up to the first convolution.
    """
    wider = 2 * blocks
    cells = 1 + wider
    for _ in range(HALVINGS):
        cells = ceil(cells / 2) + wider
    for _ in range(HALVINGS):
        cells = 2 * cells + wider
    return up_to(cells + 1, MULTIPLE)
