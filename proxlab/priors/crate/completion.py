"""Completion: a CRATE network that fills in what was masked, as CRATE-MAE is trained to [Pai24].

Its tokens are those of the denoiser on the image with its holes filled smoothly, and beside them a
linear map of where the holes are, which is the mask token of [Pai24] for a patch that is all hole
and a part of it for one that is partly seen. Seen pixels are denoised, missing ones estimated.
"""

import torch
import torch.nn.functional as F
from deepinv.models import Denoiser
from deepinv.physics import Inpainting
from torch import Tensor, nn

from proxlab.operators.inpainting import fill_missing
from proxlab.operators.noise import noise_level
from proxlab.priors.arguments import check_images, noise_levels
from proxlab.priors.contract import LEARNED_WEIGHT, Capabilities
from proxlab.priors.crate.denoiser import CrateConfig, CrateDenoiser

DOUBT = 0.25
"""Unit of what the network says of a missing pixel, as sigma is that of a seen one."""


class Completion(Denoiser):
    """Gray images, or colours one by one; sigma is the noise of the seen pixels, image units.

    As a prior, `prox`, it sees everything: a denoiser like any other, the prox of nothing.
    """

    channels = 1
    """It takes any image channel by channel."""

    def __init__(
        self,
        config: CrateConfig,
        sigma_range: tuple[float, float] = (1 / 255, 75 / 255),
        name: str = "crate-completion",
    ):
        """Raises ValueError for another number of channels than 1."""
        super().__init__()
        if config.channels != 1:
            raise ValueError(f"completion is of gray images, got {config.channels} channels")
        self.config, self.sigma_range, self.name = config, sigma_range, name
        # those of `prox`; where pixels are missing, filling them in knows no bound
        self.capabilities = Capabilities(
            default_weight=LEARNED_WEIGHT, reach=config.reach, alignment=config.alignment
        )
        self.network = CrateDenoiser(config, sigma_range, name)
        self.holes = nn.Conv2d(1, config.width, config.patch, config.stride, bias=False)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed + 1)
            nn.init.normal_(self.holes.weight, std=1 / config.patch)

    def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """The same as `prox`."""
        return self.prox(x, sigma)

    def prox(self, v: Tensor, sigma: float | Tensor) -> Tensor:
        """The estimate where nothing is missing; raises as `CrateDenoiser.prox`."""
        return self.complete(v, torch.ones_like(v[:1, :1]), sigma)

    def complete(self, y: Tensor, seen: Tensor, sigma: float | Tensor) -> Tensor:
        """The whole image [B, C, H, W] behind y, of which pixels count where `seen` is 1.

        `seen` broadcasts against y; where it is 0, y means nothing. Raises ValueError for a sigma
        outside `sigma_range`, and for an input that is not a batch of images.
        """
        check_images(y)
        seen = seen.to(y).expand_as(y)
        return self.refine(fill_missing(y, seen), seen, sigma)

    def refine(self, filled: Tensor, seen: Tensor, sigma: float | Tensor) -> Tensor:
        """`complete`, of images whose holes are filled already."""
        s = noise_levels(self.name, filled, sigma, self.sigma_range, filled.dtype)
        s = s.repeat_interleave(filled.shape[1])
        x, hole = (a.reshape(-1, 1, *a.shape[2:]) for a in (filled, 1 - seen))
        tokens = self.network.tokens(x, s) + self._places(hole)
        error = self.network.image(tokens, s, x.shape[2:])
        return (x - torch.lerp(s.view(-1, 1, 1, 1) * error, DOUBT * error, hole)).view_as(filled)

    def start(self, y: Tensor, op: Inpainting, sigma: float | None = None) -> Tensor:
        """A first estimate for `proxlab.restore(y, op, ..., init=)`.

        `sigma`, where None, is the operator's noise; what the network does not know is replaced by
        the next level that it knows. Raises TypeError for an operator that is not inpainting.
        """
        if not isinstance(op, Inpainting):
            raise TypeError(
                f"completion starts inpainting, not {type(op).__name__}; leave out init"
            )
        known = noise_level(op) if sigma is None else sigma
        level = torch.as_tensor(0.0 if known is None else known, dtype=y.dtype, device=y.device)
        sigma = level.clamp(*self.sigma_range)
        with torch.no_grad():
            return self.complete(y, (op.mask != 0).to(y), sigma)

    def parameter_groups(self, learning_rate: float) -> list[dict]:
        """For an optimiser, as those of its network."""
        return [
            *self.network.parameter_groups(learning_rate),
            {"params": list(self.holes.parameters()), "lr": learning_rate / 3},
        ]

    def _places(self, hole: Tensor) -> Tensor:
        """Tokens [B, h, w, d] of where nothing was seen, [B, 1, H, W]."""
        over = (self.config.patch - self.config.stride) // 2
        down, right = (-n % self.config.stride for n in hole.shape[2:])
        padded = F.pad(hole, (over, over + right, over, over + down), mode="replicate")
        return self.holes(padded).permute(0, 2, 3, 1)
