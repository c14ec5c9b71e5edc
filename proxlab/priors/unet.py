"""A U-Net, the unconstrained rival of learned proximal networks, of their size and their time.

It is a small DRUNet of deepinv [Zhang21] around a skip connection, with the noise level as one more
input channel. It is trained as an LPN is and denoises better. It has no value, and nothing makes it
a prox; a run of it is certified where its own evaluations prove that they were one.
"""

from dataclasses import dataclass
from math import ceil

import torch
import torch.nn.functional as F
from deepinv.models import Denoiser, DRUNet
from torch import Tensor, nn

from proxlab.priors.arguments import up_to
from proxlab.priors.contract import LEARNED_WEIGHT, Capabilities
from proxlab.priors.jacobians.spread import SpreadOfMean
from proxlab.priors.levels import network_input, sent
from proxlab.priors.mirror import mirrored

HALVINGS = 3
MULTIPLE = 2**HALVINGS
"""Pixels of which a side is a multiple where it can be halved three times."""
SMALLEST = 32
"""Least side that deepinv's DRUNet takes as it is; smaller ones it pads, and otherwise in training.

So smaller images are padded here first.
"""


@dataclass(frozen=True)
class UNetConfig:
    """The size of a U-Net; the default has 62,633 parameters, those of `lpn-gray` within 2 %."""

    channels: int = 1
    """1 for gray images, 3 for colour."""
    widths: tuple[int, int, int, int] = (9, 15, 23, 35)
    """Feature maps at each of the four scales."""
    blocks: int = 1
    """Residual blocks at each scale, on the way down and on the way up."""
    seed: int = 0
    """Seed of the random weights that training starts from."""
    smoothing: float = 0.0
    """Width over which the corner of ReLU is rounded, as a softplus of so much; 0 leaves it."""

    def __post_init__(self):
        object.__setattr__(self, "widths", tuple(self.widths))  # JSON has lists
        if self.channels not in (1, 3):
            raise ValueError(f"channels is 1 (gray) or 3 (colour), got {self.channels}")
        if len(self.widths) != 4 or min(*self.widths, self.blocks) < 1:
            raise ValueError(
                f"a rival has four widths and its blocks, each at least 1, got {self.widths} and "
                f"{self.blocks}"
            )
        if not 0 <= self.smoothing < float("inf"):
            raise ValueError(f"a smoothing is at least 0 and finite, got {self.smoothing}")


class UNetDenoiser(SpreadOfMean, Denoiser):
    """A denoiser, f(v, sigma) = v + network(v, sigma); it is the prox of nothing and has no value.

    A network of one channel takes a colour image as so many gray ones, a network of three takes
    colour images alone. f is called `prox` because solvers call that (plug and play
    [Venkatakrishnan13]).
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
            default_weight=LEARNED_WEIGHT,
            reach=reach(config.blocks),
            alignment=MULTIPLE,
            memory=32 * (config.widths[0] + config.channels) // config.channels,  # at full scale
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            c = config.channels
            self.network = DRUNet(c, c, nc=config.widths, nb=config.blocks, pretrained=None)
        if config.smoothing > 0:
            for block in [m for m in self.network.modules() if isinstance(m, nn.Sequential)]:
                for i, layer in enumerate(block):
                    if isinstance(layer, nn.ReLU):
                        block[i] = nn.Softplus(1 / config.smoothing)

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
        images, and for one without three channels where `channels` is 3.
        """
        x, s = network_input(self.name, v, sigma, self.sigma_range, self.channels, self)
        return (x + self._noise(x, sent(s, x))).view_as(v)

    def squared_noise(self, v: Tensor, sigma: float | Tensor) -> Tensor:
        """|network(v)|^2 pixel by pixel, the shape of v; a `GradientStep` takes half its sum.

        An image that the network cannot halve thrice is mirrored at its lower and right edge, and
        each pixel's square is the mean over its copies: so the energies of image and mirror images
        add up to that of the image, and the border is no sharper or softer than the middle.
        Raises as `prox`.
        """
        x, s = network_input(self.name, v, sigma, self.sigma_range, self.channels, self)
        rows, columns = (_mirrored(n, v.device) for n in x.shape[-2:])
        squares = self.network(x[..., rows[:, None], columns], sent(s, x)).square()
        total = squares.new_zeros(*x.shape[:-2], len(rows), x.shape[-1])
        total = total.index_add(-1, columns, squares)
        total = total.new_zeros(x.shape).index_add(-2, rows, total)
        copies = [torch.bincount(index).to(x) for index in (rows, columns)]
        return (total / (copies[0][:, None] * copies[1])).view_as(v)

    def parameter_groups(self, learning_rate: float) -> list[dict]:
        """All parameters for an optimiser, at two thirds of the rate of a potential's filters."""
        return [{"params": list(self.parameters()), "lr": 2 / 3 * learning_rate}]

    def _noise(self, x: Tensor, s: Tensor) -> Tensor:
        """The network's output, on an image whose edges are repeated up to sides it can halve."""
        height, width = x.shape[-2:]
        tall, wide = (max(SMALLEST, MULTIPLE * ceil(n / MULTIPLE)) for n in (height, width))
        if (tall, wide) != (height, width):
            x = F.pad(x, (0, wide - width, 0, tall - height), mode="replicate")
        return self.network(x, s)[..., :height, :width]


def _mirrored(length: int, device: torch.device) -> Tensor:
    """Pixels of a line, continued by its mirror image up to a length that can be halved thrice."""
    return mirrored(torch.arange(max(SMALLEST, up_to(length, MULTIPLE)), device=device), length)


def reach(blocks: int) -> int:
    """Pixels beyond an aligned block on which an estimate depends, made up to whole cells.

    A block has two 3 x 3 convolutions. Counted backwards from the output the cells are those of the
    last convolution and of the blocks at full scale; they are halved and widened at each coarser
    scale, down to the body, then doubled and widened at each finer one, up to the first
    convolution.
    """
    wider = 2 * blocks
    cells = 1 + wider
    for _ in range(HALVINGS):
        cells = ceil(cells / 2) + wider
    for _ in range(HALVINGS):
        cells = 2 * cells + wider
    return up_to(cells + 1, MULTIPLE)
