"""DnCNN, against which denoisers are measured: 3 x 3 convolutions, one after another.

The network is deepinv's, around a skip connection. It is told nothing of the noise level, as in the
blind variant of [Zhang17], and is the prox of nothing.
"""

from dataclasses import dataclass

import torch
from deepinv.models import Denoiser, DnCNN
from torch import Tensor

from proxlab.priors.contract import LEARNED_WEIGHT, Capabilities
from proxlab.priors.jacobians.spread import SpreadOfMean
from proxlab.priors.levels import network_input


@dataclass(frozen=True)
class DnCNNConfig:
    """The size of a DnCNN; the default has 628,993 parameters, those of `crate-gray` within 1 %."""

    channels: int = 1
    """1 for gray images, 3 for colour."""
    depth: int = 19
    """Convolutions, one after another."""
    width: int = 64
    """Feature maps between two convolutions."""
    seed: int = 0
    """Seed of the random weights that training starts from."""

    def __post_init__(self):
        if self.channels not in (1, 3):
            raise ValueError(f"channels is 1 (gray) or 3 (colour), got {self.channels}")
        if self.depth < 3 or self.width < 1:
            raise ValueError(
                f"a DnCNN has at least 3 convolutions of at least 1 feature, got {self.depth} and "
                f"{self.width}"
            )


class DnCNNDenoiser(SpreadOfMean, Denoiser):
    """A denoiser of one network for all noise levels; it is the prox of nothing and has no value.

    A network of one channel takes a colour image as so many gray ones, a network of three takes
    colour images alone.
    """

    def __init__(
        self,
        config: DnCNNConfig,
        sigma_range: tuple[float, float] = (1 / 255, 75 / 255),
        name: str = "dncnn",
    ):
        super().__init__()
        self.config, self.sigma_range, self.name = config, sigma_range, name
        # Each convolution sees one pixel farther, and the image may be cut anywhere. Three times
        # all features are there at once: what a layer reads, what it writes, what it works in.
        memory = 12 * config.width // config.channels
        self.capabilities = Capabilities(
            default_weight=LEARNED_WEIGHT, reach=config.depth, memory=memory
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            c = config.channels
            self.network = DnCNN(c, c, config.depth, nf=config.width, pretrained=None)

    @property
    def channels(self) -> int:
        """3 if it knows colour images alone, 1 if it takes any image channel by channel."""
        return self.config.channels

    def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """The same as `prox`."""
        return self.prox(x, sigma)

    def prox(self, v: Tensor, sigma: float | Tensor) -> Tensor:
        """The estimate, [B, C, H, W] -> the same; sigma, a float or [B], is checked but not used.

        Raises ValueError for a sigma outside `sigma_range`, for an input that is not a batch of
        images, and for one without three channels where `channels` is 3.
        """
        x, _ = network_input(self.name, v, sigma, self.sigma_range, self.channels, self)
        return self.network(x).view_as(v)

    def parameter_groups(self, learning_rate: float) -> list[dict]:
        """All parameters for an optimiser, at a sixth of the rate of a potential's filters."""
        return [{"params": list(self.parameters()), "lr": learning_rate / 6}]
