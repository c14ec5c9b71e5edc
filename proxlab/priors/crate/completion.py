"""Completion: a CRATE network that fills in what was masked, as CRATE-MAE is trained to [Pai24].

Its tokens are those of the denoiser, on the image with its holes filled smoothly, plus a linear map
of where the holes are. For a patch that is all hole this map gives the mask token of [Pai24], for
one that is partly seen a part of it. Seen pixels are denoised, missing ones estimated.
"""

import torch
import torch.nn.functional as F
from deepinv.models import Denoiser
from deepinv.physics import Inpainting, LinearPhysics
from torch import Tensor, nn

from proxlab.operators.inpainting import fill_missing
from proxlab.operators.noise import noise_level
from proxlab.priors.arguments import check_images
from proxlab.priors.crate.denoiser import CrateConfig, CrateDenoiser
from proxlab.priors.jacobians.spread import SpreadOfMean
from proxlab.priors.levels import host_levels, sent

DOUBT = 0.25
"""Unit of the network's output at a missing pixel, as sigma is the unit at a seen one."""


class Completion(SpreadOfMean, Denoiser):
    """A completion of gray images, or of colour images channel by channel.

        model = proxlab.load("crate-completion")
        first = model.start(y, op)              # op = proxlab.operators.inpaint(mask, noise=0.02)
        result = proxlab.restore(y, op, "lpn-gray", init=first)

    sigma is the noise of the seen pixels, in image units. As a prior it is a denoiser, and the prox
    of nothing: `prox` takes every pixel for seen.
    """

    channels = 1
    """1: it takes any image channel by channel."""

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
        # The reach of `prox`; where pixels are missing, filling them in may reach any distance.
        self.capabilities = config.claims
        self.network = CrateDenoiser(config, sigma_range, name)
        self.holes = nn.Conv2d(1, config.width, config.patch, config.stride, bias=False)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed + 1)
            nn.init.normal_(self.holes.weight, std=1 / config.patch)

    def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """The same as `prox`."""
        return self.prox(x, sigma)

    def prox(self, v: Tensor, sigma: float | Tensor) -> Tensor:
        """The estimate where nothing is missing, [B, C, H, W]. Raises as `CrateDenoiser.prox`."""
        check_images(v)
        return self.complete(v, torch.ones_like(v[:1, :1]), sigma)

    def complete(self, y: Tensor, seen: Tensor, sigma: float | Tensor) -> Tensor:
        """The whole image [B, C, H, W] behind y, whose pixels count where `seen` is 1.

        `seen` broadcasts against y; where it is 0, y means nothing. Raises ValueError for a sigma
        outside `sigma_range`, and for an input that is not a batch of images.
        """
        check_images(y)
        seen = seen.to(y).expand_as(y)
        return self.refine(fill_missing(y, seen), seen, sigma)

    def refine(self, filled: Tensor, seen: Tensor, sigma: float | Tensor) -> Tensor:
        """`complete` for images whose holes are filled already."""
        s = host_levels(self.name, filled, sigma, self.sigma_range, filled.dtype)
        s = s.repeat_interleave(filled.shape[1])
        x, hole = (a.reshape(-1, 1, *a.shape[2:]) for a in (filled, 1 - seen))
        tokens = self.network.tokens(x, s) + self._places(hole)
        error = self.network.image(tokens, s, x.shape[2:])
        unit = sent(s, x).view(-1, 1, 1, 1)
        return (x - torch.lerp(unit * error, DOUBT * error, hole)).view_as(filled)

    def start(self, y: Tensor, op: LinearPhysics, sigma: float | None = None) -> Tensor:
        """First estimate for `proxlab.restore(y, op, ..., init=)`, [B, C, H, W].

        `sigma` is the operator's noise where None. A level outside `sigma_range` is replaced by
        the nearest one inside. Raises TypeError for an operator that is not inpainting.
        """
        if not isinstance(op, Inpainting):
            raise TypeError(
                f"completion starts inpainting, not {type(op).__name__}; leave out init"
            )
        known = noise_level(op) if sigma is None else sigma
        level = torch.as_tensor(0.0 if known is None else known, dtype=y.dtype, device=y.device)
        mask = op.mask
        assert isinstance(mask, Tensor)
        with torch.no_grad():
            return self.complete(y, (mask != 0).to(y), level.clamp(*self.sigma_range))

    def parameter_groups(self, learning_rate: float) -> list[dict]:
        """Parameters for an optimiser, at the rates of its network."""
        return [
            *self.network.parameter_groups(learning_rate),
            {"params": list(self.holes.parameters()), "lr": learning_rate / 3},
        ]

    def _places(self, hole: Tensor) -> Tensor:
        """Tokens [B, h, w, d] of holes [B, 1, H, W], which are 1 where nothing was seen."""
        over = (self.config.patch - self.config.stride) // 2
        down, right = (-n % self.config.stride for n in hole.shape[2:])
        padded = F.pad(hole, (over, over + right, over, over + down), mode="replicate")
        return self.holes(padded).permute(0, 2, 3, 1)
