"""A CRATE encoder and decoder as a denoiser of images: patches to tokens, layers, tokens to noise.

    f(v, sigma) = v - sigma E(v, sigma)

E, the noise in its own units, comes from overlapping patches by a linear map, encoder layers that
compress and sparsify, decoder layers that undo them (`layers`), and a linear map back, whose
patches are added up. It is the prox of nothing, and has no value. [Yu23; Pai24]
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from deepinv.models import Denoiser
from torch import Tensor, nn

from proxlab.priors.arguments import network_images, up_to
from proxlab.priors.contract import LEARNED_WEIGHT, Capabilities
from proxlab.priors.crate.attention import Windows
from proxlab.priors.crate.layers import DecoderLayer, EncoderLayer, by_strips

SPREAD = 0.1
"""Standard deviation of an image in a neighbourhood, about."""
WAVES = 4
"""Features of a noise level are sines and cosines of so many frequencies."""


@dataclass(frozen=True)
class CrateConfig:
    """The size of the network."""

    channels: int = 1
    """1 for gray images, 3 for colour."""
    patch: int = 8
    """Side of the patches that become tokens, pixels."""
    stride: int = 4
    """From one patch to the next; smaller than `patch`, so that patches overlap."""
    width: int = 128
    """d, the length of a token."""
    heads: int = 4
    """K subspaces, of dimension d / K."""
    layers: int = 6
    """Of the encoder, and of the decoder."""
    side: int = 4
    """Of the windows of attention, tokens; each sees half as much around it."""
    smoothing: float = 0.0
    """Of the encoder's ReLU, which is sharp at 0; a gradient step needs a smooth network."""
    seed: int = 0
    """Of the random weights that training starts from."""

    def __post_init__(self):
        Windows(self.side)
        if self.channels not in (1, 3):
            raise ValueError(f"channels is 1 (gray) or 3 (colour), got {self.channels}")
        if not 0 < self.stride <= self.patch or (self.patch - self.stride) % 2:
            raise ValueError(
                f"patches overlap by an even number of pixels, got a patch of {self.patch} every "
                f"{self.stride}"
            )
        if self.heads < 1 or self.width < 1 or self.width % self.heads or self.layers < 1:
            raise ValueError(
                f"heads share the width, and there is a layer at least, got {self.heads} heads, "
                f"width {self.width}, {self.layers} layers"
            )
        if not 0 <= self.smoothing < math.inf:
            raise ValueError(f"smoothing is a width, at least 0, got {self.smoothing}")

    @property
    def alignment(self) -> int:
        """Pixels from one window of attention to the next, the first begins with the image."""
        return self.stride * self.side

    @property
    def reach(self) -> int:
        """Pixels beyond an aligned block that the network sees, made up to whole windows.

        Patches overhang the block on both sides, on the way out and on the way in; between them
        lie the tokens that the layers of encoder and decoder see.
        """
        over = (self.patch - self.stride) // 2
        touching = -(-over // self.stride)
        tokens = Windows(self.side).beyond(touching, 2 * self.layers)
        return up_to(tokens * self.stride + over, self.alignment)


class Layer(NamedTuple):
    """What a layer of the encoder makes of its tokens, [B, h, w, d]."""

    compressed: Tensor
    """Z', after the step of compression."""
    codes: Tensor
    """Z+, after the step of sparsification."""
    subspaces: Tensor
    """U^T, [K, p, d]."""


class CrateDenoiser(Denoiser):
    """An estimate of the clean image; `prox` because that is what solvers call.

    A network of one channel takes a colour image as so many gray ones, one of three only colour
    images.
    """

    def __init__(
        self,
        config: CrateConfig,
        sigma_range: tuple[float, float] = (1 / 255, 75 / 255),
        name: str = "crate",
    ):
        super().__init__()
        self.config, self.sigma_range, self.name = config, sigma_range, name
        self.capabilities = Capabilities(
            default_weight=LEARNED_WEIGHT, reach=config.reach, alignment=config.alignment
        )
        c, windows = config, Windows(config.side)
        size = c.width, c.heads, windows, 2 * WAVES
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(c.seed)
            self.stem = nn.Conv2d(c.channels, c.width, c.patch, c.stride)
            nn.init.normal_(self.stem.weight, std=1 / c.patch)
            self.level = nn.Linear(2 * WAVES, c.width)
            self.encoder = nn.ModuleList(EncoderLayer(*size, c.smoothing) for _ in range(c.layers))
            self.decoder = nn.ModuleList(DecoderLayer(*size) for _ in range(c.layers))
            self.last = nn.LayerNorm(c.width)
            self.head = nn.ConvTranspose2d(
                c.width, c.channels, c.patch, c.stride, padding=(c.patch - c.stride) // 2
            )
            nn.init.normal_(self.head.weight, std=0.1 / c.width**0.5 * c.stride / c.patch)

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
        noise = self.image(self.tokens(x, s), s, x.shape[2:])
        return (x - s.view(-1, 1, 1, 1) * noise).view_as(v)

    def encode(self, v: Tensor, sigma: float | Tensor) -> Iterator[Layer]:
        """The encoder layer by layer, for h x w patches, one every `stride` pixels.

        Of a network of one channel each channel is an image. Raises as `prox`.
        """
        x, s = network_images(self.name, v, sigma, self.sigma_range, self.channels)
        tokens, level = self.tokens(x, s), _features(s)
        for layer in self.encoder:
            compressed = layer.compress(tokens, level)
            tokens = layer.coding(layer.between(compressed), level)
            yield Layer(compressed, tokens, layer.attention.U)

    def tokens(self, x: Tensor, s: Tensor) -> Tensor:
        """What the layers start from, [B, h, w, d]: images [B, channels, H, W], levels s [B]."""
        over = (self.config.patch - self.config.stride) // 2
        down, right = (-n % self.config.stride for n in x.shape[2:])
        scaled = (x - 0.5) / (s.square() + SPREAD**2).sqrt().view(-1, 1, 1, 1)
        padded = F.pad(scaled, (over, over + right, over, over + down), mode="replicate")
        return self.stem(padded).permute(0, 2, 3, 1) + self.level(_features(s))[:, None, None]

    def image(self, tokens: Tensor, s: Tensor, size: tuple[int, int]) -> Tensor:
        """What the layers make of them, [B, channels, H, W]: the noise, in its own units."""
        level = _features(s)
        # caches are a CPU's concern, and a backward pass would keep every strip anyway
        at_once = torch.is_grad_enabled() or tokens.device.type != "cpu"
        for layer in (*self.encoder, *self.decoder):
            tokens = layer(tokens, level) if at_once else by_strips(layer, tokens, level)
        whole = self.head(self.last(tokens).permute(0, 3, 1, 2))
        return whole[..., : size[0], : size[1]]

    def parameter_groups(self, learning_rate: float) -> list[dict]:
        """For an optimiser: all alike, a third of the rate of a potential's filters."""
        return [{"params": list(self.parameters()), "lr": learning_rate / 3}]


def _features(s: Tensor) -> Tensor:
    """Of noise levels s [B]: [B, 2 WAVES]."""
    u = s.log() / math.log(255) + 0.5  # -1/2 at 1/255, 1/2 at 1
    angles = math.pi / 2 * u[:, None] * torch.arange(1, WAVES + 1).to(s)
    return torch.cat([angles.sin(), angles.cos()], 1)
