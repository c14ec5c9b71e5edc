"""A diffusion model as a prior: its denoiser, for images of the one size it was trained for."""

import torch
from torch import Tensor, nn

from proxlab.diffusion.models import DiffusionModel, ScoreModel
from proxlab.diffusion.prox_mean import ProxMean
from proxlab.priors.contract import LEARNED_WEIGHT, Capabilities
from proxlab.priors.levels import network_input

LEAST, MOST = 1 / 255, 1.0
"""Noise levels of a score, image units; a prox knows some above the least alone."""


class DiffusionPrior(nn.Module):
    """The posterior mean of a diffusion model as a prior, for `restore` and `posterior`.

    A score has it by Tweedie's formula, a prox to first order in its step. It is no exact prox and
    has no value. A model of gray images takes colour ones channel by channel.
    """

    def __init__(self, model: DiffusionModel):
        super().__init__()
        self.model, self.name = model, model.name
        self.channels, self.side, _ = model.shape
        if isinstance(model, ScoreModel):
            self._denoise, least = model.denoise, LEAST
        else:
            mean = ProxMean(model)
            self._denoise, least = mean.denoise, max(LEAST, mean.least / 2)
        self.sigma_range = (least, MOST)
        self.capabilities = Capabilities(default_weight=LEARNED_WEIGHT, fixed_size=True)

    def prox(self, v: Tensor, sigma: float | Tensor) -> Tensor:
        """The mean of the clean images given v, [B, C, S, S] -> the same, image units.

        Raises ValueError for images of another size, and as every network's prox.
        """
        x, levels = network_input(self.name, v, sigma, self.sigma_range, self.channels, self.model)
        if tuple(v.shape[-2:]) != (self.side, self.side):
            raise ValueError(
                f"{self.name} knows images of {self.side} x {self.side} pixels alone, got "
                f"{v.shape[-2]} x {v.shape[-1]}; crop or resize them, or train one of their size"
            )
        told = levels.tolist()
        parts = (
            [self._at(x, told[0])]
            if len(set(told)) == 1
            else [self._at(one[None], level) for one, level in zip(x, told, strict=True)]
        )
        return torch.cat(parts).view_as(v)

    def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """The same as `prox`."""
        return self.prox(x, sigma)

    def _at(self, x: Tensor, sigma: float) -> Tensor:
        return (self._denoise(2 * x - 1, 2 * sigma) + 1) / 2
