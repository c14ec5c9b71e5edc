"""Diffusion models small enough to be made, trained and sampled in a moment."""

import torch

from proxlab.diffusion.models import ProxDM, ScoreModel
from proxlab.diffusion.network import DiffusionNetConfig

TINY = DiffusionNetConfig(side=8, width=32, multipliers=(1,))
STEPS = (5, 10, 20)


def awake(model):
    """Its last layer away from zero, where training starts."""
    generator = torch.Generator().manual_seed(0)
    for p in model.parameters():
        with torch.no_grad():
            p.add_(0.05 * torch.randn(p.shape, generator=generator))
    model.start.fit(torch.randint(0, 256, (50, *model.shape), generator=generator).to(torch.uint8))
    return model.requires_grad_(False).eval()


def tiny_prox() -> ProxDM:
    return awake(ProxDM(TINY, STEPS, "tiny-prox"))


def tiny_score() -> ScoreModel:
    return awake(ScoreModel(TINY, "tiny-score"))
