"""Small mixture potentials with random weights, and rough images for them."""

import torch

from proxlab.priors.lpn.mixture_config import MixtureConfig
from proxlab.priors.lpn.mixture_potential import MixturePotential
from proxlab.priors.lpn.window_mixture import Level

SIZES = [(23, 30), (9, 14), (5, 7), (40, 21)]


def potential(context: int = 3, spread: float = 0.3, **more) -> MixturePotential:
    torch.manual_seed(0)
    sizes = {"bases": 2, "kept": 30} | more
    net = MixturePotential(MixtureConfig(6, 3, context=context, **sizes)).double()
    with torch.no_grad():
        for p in net.parameters():
            p.add_(spread * torch.randn_like(p))
    return net


def images(*shape: int, seed: int = 1) -> torch.Tensor:
    return 3 * torch.randn(
        *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )


SIGMA = torch.tensor([0.1, 0.03], dtype=torch.float64)


def bounds(level: Level) -> torch.Tensor:
    """Bounds of the weights that all components share: of the window's energy, of those around."""
    assert level.share is not None
    share = level.share[..., None]
    return torch.cat([1 - share, share.expand(-1, -1, level.common.shape[-1] - 1)], -1)
