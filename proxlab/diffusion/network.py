"""Network of the diffusion models: a U-Net of deepinv as the learned prox or score of a diffusion.

    y = x_t + sqrt(lam) e',  x_t = sqrt(a) x_0 + sqrt(1 - a) e,  a = a(t)

so y holds noise of standard deviation s = sqrt(1 - a + lam) in all. From y, t and lam the network
estimates that noise, n, and prox and score follow from it:

    prox   f(y, t, lam) = y - sqrt(lam) eps,  eps = sqrt(lam) n / s       [Fang25, Sec. 4]
    score  grad log p_t(y) = -n / s  at lam = 0                            [Song21]

The share sqrt(lam) / s of n that belongs to e' is the same for every image, as E[e' | x_0, y]
shows. So one target of unit variance serves every t and lam, and one network serves both uses.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from deepinv.models import NCSNpp
from torch import Tensor, nn

from proxlab.machine import keep_freed_memory
from solvers import VP
from solvers.protocols import doubles

LAMBDA_FLOOR = 1e-4
"""Least lam that the network tells from smaller ones, of which 0 stands for the score."""
OCTAVES = 4
"""Number of frequencies by which the network is told lam, and its share of the noise."""


@dataclass(frozen=True)
class DiffusionNetConfig:
    """Size of the network, and the diffusion it is for. Raises ValueError for what cannot be."""

    side: int = 28
    """Side of the images, which are square, pixels."""
    channels: int = 1
    """Channels of the images, 1 for gray and 3 for colour."""
    fold: int = 2
    """Side of squares of pixels that become channels before the network, and pixels after it."""
    width: int = 32
    """Feature maps at the first scale, a multiple of 32."""
    multipliers: tuple[int, ...] = (1, 2)
    """Feature maps at each scale, as multiples of the width."""
    blocks: int = 1
    """Residual blocks at each scale on the way down; there is one more on the way up."""
    attention: tuple[int, ...] = ()
    """Sides of the scales with self-attention. The coarsest scale has it in any case."""
    group: int = 8
    """Channels that share a mean and a variance. deepinv's 32 groups would leave one in each."""
    beta: tuple[float, float] = (0.1, 20.0)
    """Ends (beta_min, beta_max) of the schedule, see `solvers.VP`."""
    seed: int = 0
    """Seed of the random weights that training starts from."""

    def __post_init__(self):
        object.__setattr__(self, "multipliers", tuple(self.multipliers))  # JSON has lists
        object.__setattr__(self, "attention", tuple(self.attention))
        object.__setattr__(self, "beta", tuple(self.beta))
        VP(*self.beta)
        halvings = self.fold * 2 ** (len(self.multipliers) - 1)
        if self.channels not in (1, 3):
            raise ValueError(f"channels is 1 (gray) or 3 (colour), got {self.channels}")
        if not self.multipliers or self.side < 1 or self.fold < 1 or self.side % halvings:
            raise ValueError(
                f"a side of {self.side} pixels is not divided by fold and scales, {halvings}; "
                "change one"
            )
        if self.width < 1 or self.width % 32 or self.group < 1 or self.width % self.group:
            raise ValueError(
                f"the width is a multiple of 32 and of the group, got {self.width} and {self.group}"
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of an image, (C, S, S)."""
        return self.channels, self.side, self.side


class DiffusionNet(nn.Module):
    """Estimate n_theta(y, t, lam) of the noise, [B, C, S, S] -> the same, for x_0 in [-1, 1].

    c = y / q with q = sqrt(1 + lam) has about unit variance. With cos = sqrt(a) / q and
    sin = s / q, the U-Net is asked for v = sin x_0 - cos n, of unit variance at every level, and
    n = sin c - cos v. [Salimans22, Sec. 4; Karras22, Sec. 5]
    """

    def __init__(self, config: DiffusionNetConfig):
        super().__init__()
        keep_freed_memory()
        self.config, self.schedule = config, VP(*config.beta)
        depth = config.channels * config.fold**2
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.network = NCSNpp(
                model_type="ddpm",
                img_resolution=config.side // config.fold,
                in_channels=depth,
                out_channels=depth,
                label_dim=4 * OCTAVES,
                augment_dim=0,
                model_channels=config.width,
                channel_mult=config.multipliers,
                num_blocks=config.blocks,
                attn_resolutions=config.attention,
                dropout=0.0,
                pretrained=None,
            )
        for module in self.network.modules():
            if isinstance(module, nn.GroupNorm):
                module.num_groups = module.num_channels // config.group

    def forward(self, y: Tensor, condition: Tensor) -> Tensor:
        """Noise in y, in units of its standard deviation; condition: (t, lam) of each, [B, 2].

        The condition may lie on the CPU, where what follows from it is then computed.
        """
        t, lam = doubles(condition).unbind(1)
        a, s2 = self.schedule.signal(t), self.schedule.noise(t) + lam
        q = (1 + lam).sqrt()
        level = _sent(50 * (s2.clamp(min=LAMBDA_FLOOR) / a).log(), y)
        features = _sent(_features(lam, lam / s2.clamp(min=LAMBDA_FLOOR)), y)
        cos, sin, q = (_columns(c, y) for c in (a.sqrt() / q, s2.sqrt() / q, q))
        c = y / q
        v = self.network.forward_unet(
            F.pixel_unshuffle(c, self.config.fold), level, class_labels=features
        )
        assert v is not None  # deepinv's annotation forgets that its last level assigns it
        return sin * c - cos * F.pixel_shuffle(v, self.config.fold)


def _features(lam: Tensor, share: Tensor) -> Tensor:
    """Waves over log lam and over the share of lam in the noise, [B], [B] -> [B, 4 OCTAVES]."""
    low, high = math.log(LAMBDA_FLOOR), math.log(100)
    u = (lam.clamp(min=LAMBDA_FLOOR).log() - low) / (high - low)
    waves = math.pi / 2 * 2.0 ** torch.arange(OCTAVES, dtype=u.dtype, device=u.device)
    angles = torch.cat([u[:, None] * waves, share[:, None] * waves], 1)
    return torch.cat([angles.sin(), angles.cos()], 1)


def _columns(c: Tensor, like: Tensor) -> Tensor:
    """A number for each image, shaped to multiply images, [B] -> [B, 1, 1, 1]."""
    return _sent(c, like).view(-1, 1, 1, 1)


def _sent(c: Tensor, like: Tensor) -> Tensor:
    return c.to(like, non_blocking=True)
