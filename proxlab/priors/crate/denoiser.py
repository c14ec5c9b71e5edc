"""A CRATE encoder and decoder as a denoiser of images: patches to tokens, layers, tokens to noise.

    f(v, sigma) = v - sigma E(v, sigma)

E is the noise in units of sigma. Overlapping patches become tokens by a linear map; encoder layers
compress and sparsify them, decoder layers undo that (`layers`), and a linear map makes patches of
them again, which are added up. f is the prox of nothing, and has no value. [Yu23; Pai24]
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from deepinv.models import Denoiser
from torch import Tensor, nn

from proxlab.machine import Constants, by_kernels
from proxlab.priors.arguments import up_to
from proxlab.priors.contract import LEARNED_WEIGHT, Capabilities
from proxlab.priors.crate import at_once
from proxlab.priors.crate.attention import Windows
from proxlab.priors.crate.layers import DecoderLayer, EncoderLayer, by_strips
from proxlab.priors.jacobians.spread import SpreadOfMean
from proxlab.priors.levels import network_input, sent

SPREAD = 0.1
"""Rough standard deviation of an image in a neighbourhood."""
WAVES = 4
"""Number of frequencies whose sines and cosines are the features of a noise level."""
AT_ONCE = 2**14
"""Most tokens, those of 512 x 512 pixels, that a CPU takes at once, in a sixth less time than strip
by strip. More of them would need too much memory."""


@dataclass(frozen=True)
class CrateConfig:
    """The size of the network."""

    channels: int = 1
    """1 for gray images, 3 for colour."""
    patch: int = 8
    """Side of the patches that become tokens, pixels."""
    stride: int = 4
    """Pixels from one patch to the next, at most `patch`; patches overlap where it is smaller."""
    width: int = 128
    """d, the length of a token."""
    heads: int = 4
    """K subspaces, of dimension d / K."""
    layers: int = 6
    """Layers of the encoder, and as many of the decoder."""
    side: int = 4
    """Side of the windows of attention, tokens; each window sees half as much around it."""
    smoothing: float = 0.0
    """Width of the smoothed corner of the encoder's ReLU, sharp at 0; a gradient step needs it."""
    seed: int = 0
    """Seed of the random weights that training starts from."""

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
    def claims(self) -> Capabilities:
        """Claims of a network of this size; its tokens are there four times, or 44 at once."""
        tokens = max(1, 4 * self.width // (self.channels * self.stride**2))  # bytes for a number
        return Capabilities(
            default_weight=LEARNED_WEIGHT,
            reach=self.reach,
            alignment=self.alignment,
            memory=4 * tokens + 24,
            memory_elsewhere=44 * tokens,
        )

    @property
    def alignment(self) -> int:
        """Pixels from one window of attention to the next; the first begins with the image."""
        return self.stride * self.side

    @property
    def reach(self) -> int:
        """Pixels beyond an aligned block that the network sees, made up to whole windows.

        Patches overhang the block on the way in and out; in between, layers see the tokens around.
        """
        over = (self.patch - self.stride) // 2
        touching = -(-over // self.stride)
        tokens = Windows(self.side).beyond(touching, 2 * self.layers)
        return up_to(tokens * self.stride + over, self.alignment)


class Layer(NamedTuple):
    """The tokens [B, h, w, d] after each step of a layer of the encoder."""

    compressed: Tensor
    """Z', after the step of compression."""
    codes: Tensor
    """Z+, after the step of sparsification."""
    subspaces: Tensor
    """U^T, [K, p, d]."""


class CrateDenoiser(SpreadOfMean, Denoiser):
    """A denoiser; its estimate of the clean image is called `prox` because solvers call that.

    A network of one channel takes a colour image as so many gray ones, a network of three takes
    colour images alone.
    """

    def __init__(
        self,
        config: CrateConfig,
        sigma_range: tuple[float, float] = (1 / 255, 75 / 255),
        name: str = "crate",
    ):
        super().__init__()
        self.config, self.sigma_range, self.name = config, sigma_range, name
        self.capabilities = config.claims
        self._constants = Constants()
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

    def __getstate__(self) -> dict:
        """A copy makes constants of its own: its weights may change."""
        return {**self.__dict__, "_constants": Constants()}

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
        noise = self.image(self.tokens(x, s), s, x.shape[2:])
        scale = sent(s, x).view(-1, 1, 1, 1)
        return torch.addcmul(x, scale, noise, value=-1).view_as(v)

    def encode(self, v: Tensor, sigma: float | Tensor) -> Iterator[Layer]:
        """The encoder layer by layer, on h x w patches, one every `stride` pixels.

        A network of one channel takes every channel as an image. Raises as `prox`.
        """
        x, s = network_input(self.name, v, sigma, self.sigma_range, self.channels, self)
        tokens, level = self.tokens(x, s), sent(_features(s), x)
        for layer in self.encoder:
            assert isinstance(layer, EncoderLayer)
            compressed = layer.compress(tokens, level)
            tokens = layer.coding(layer.between(compressed), level)
            yield Layer(compressed, tokens, layer.attention.U)

    def tokens(self, x: Tensor, s: Tensor) -> Tensor:
        """The tokens [B, h, w, d] of images [B, channels, H, W] at noise levels s [B].

        s, here and in `image`, lies on the CPU or where the images do.
        """
        over = (self.config.patch - self.config.stride) // 2
        down, right = (-n % self.config.stride for n in x.shape[2:])
        scaled = (x - 0.5) / sent((s.square() + SPREAD**2).sqrt(), x).view(-1, 1, 1, 1)
        padded = F.pad(scaled, (over, over + right, over, over + down), mode="replicate")
        level = self.level(sent(_features(s), x))[:, None, None]
        return self.stem(padded).permute(0, 2, 3, 1) + level

    def image(self, tokens: Tensor, s: Tensor, size: Sequence[int]) -> Tensor:
        """The noise in units of s that the layers find, [B, channels, H, W] with `size` H, W."""
        few = tokens.shape[:3].numel() <= AT_ONCE
        if by_kernels(tokens, self, on_cpu=few):
            tokens = self._layers_at_once(tokens, s)
        else:
            level = sent(_features(s), tokens)
            # Caches are a CPU's concern, and a backward pass would keep every strip anyway.
            whole = torch.is_grad_enabled() or tokens.device.type != "cpu"
            for layer in self._layers():
                tokens = layer(tokens, level) if whole else by_strips(layer, tokens, level)
        return self.head(self.last(tokens).permute(0, 3, 1, 2))[..., : size[0], : size[1]]

    def _layers(self) -> list[EncoderLayer | DecoderLayer]:
        layers = [*self.encoder, *self.decoder]
        assert all(isinstance(layer, EncoderLayer | DecoderLayer) for layer in layers)
        return cast(list[EncoderLayer | DecoderLayer], layers)

    def _layers_at_once(self, tokens: Tensor, s: Tensor) -> Tensor:
        """All layers in few kernels, from constants that are kept while the weights stay."""
        batch, h, w, _ = tokens.shape
        size = batch, h, w, tokens.dtype, tokens.device
        levels = tuple(s.tolist())  # no wait where s lies on the CPU

        def where() -> at_once.Map:
            return at_once.map_of(Windows(self.config.side), batch, h, w, tokens)

        def made() -> list[at_once.Matrices]:
            level = sent(_features(s), tokens)
            return [at_once.matrices(layer, level, there) for layer in self._layers()]

        there = self._constants.of(self, size, where)
        matrices = self._constants.of(self, (size, levels), made)
        return at_once.run(list(zip(self._layers(), matrices, strict=True)), tokens, there)

    def squared_noise(self, v: Tensor, sigma: float | Tensor) -> Tensor:
        """|v - f(v)|^2 pixel by pixel, the shape of v; half its sum is what a `GradientStep` takes.

        Raises as `prox`.
        """
        return (v - self.prox(v, sigma)).square()

    def parameter_groups(self, learning_rate: float) -> list[dict]:
        """All parameters for an optimiser, at a third of the rate of a potential's filters."""
        return [{"params": list(self.parameters()), "lr": learning_rate / 3}]


def _features(s: Tensor) -> Tensor:
    """Features [B, 2 WAVES] of noise levels s [B]."""
    u = s.log() / math.log(255) + 0.5  # -1/2 at 1/255, 1/2 at 1
    angles = math.pi / 2 * u[:, None] * torch.arange(1, WAVES + 1, dtype=s.dtype, device=s.device)
    return torch.cat([angles.sin(), angles.cos()], 1)
