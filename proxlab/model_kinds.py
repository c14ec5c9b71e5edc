"""The kinds of models: how a model is made of its card, and what its card says of it.

A new kind is a row of `KINDS`, and the file of its network. `checkpoints` reads and writes models.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from proxlab.diffusion.digit_classifier import DigitClassifier, DigitClassifierConfig
from proxlab.diffusion.models import ProxDM, ScoreModel
from proxlab.diffusion.network import DiffusionNetConfig
from proxlab.priors.crate.completion import Completion
from proxlab.priors.crate.denoiser import CrateConfig, CrateDenoiser
from proxlab.priors.dncnn import DnCNNConfig, DnCNNDenoiser
from proxlab.priors.gradient_step import GradientStep
from proxlab.priors.lpn.icnn import ImageICNN, ImageICNNConfig, VectorICNN, VectorICNNConfig
from proxlab.priors.lpn.log_density import LogDensityConfig, LogDensityPotential
from proxlab.priors.lpn.mixture_config import MixtureConfig
from proxlab.priors.lpn.mixture_potential import MixturePotential
from proxlab.priors.lpn.network import LPN
from proxlab.priors.unet import UNetConfig, UNetDenoiser

Use = Literal["prior", "diffusion model", "classifier"]
USES: dict[Use, str] = {
    "prior": "restore with it",
    "diffusion model": "draw from it with proxlab.sample",
    "classifier": "it judges samples",
}
"""Use of a model -> what is done with it."""


@dataclass(frozen=True)
class Kind:
    """A kind of model: how one is made of its card, and what the card says of it."""

    use: Use
    config: type
    """The dataclass whose fields are the "architecture" of the card."""
    network: type
    """The class that takes it: the model's, or that of a learned proximal network's potential."""
    build: Callable[[Any, dict, str], nn.Module]
    """(configuration, card, name) -> the model, its weights not yet those of the file."""
    beside: Callable[[Any], dict] = lambda model: {}
    """Model -> the entries of its card that `build` reads besides the architecture."""


def _denoiser(config: type, network: type, make: Callable | None = None) -> Kind:
    """Row of a prior that is made as `network(configuration, noise levels, name)`, or by `make`."""
    built = make or network
    return Kind(
        "prior",
        config,
        network,
        lambda size, card, name: built(size, tuple(card["sigma_range"]), name),
        lambda model: {"sigma_range": list(model.sigma_range)},
    )


def _gradient_step(config: type) -> Kind:
    """Row of the gradient steps of a network with such a configuration."""
    return Kind(
        "prior",
        config,
        GradientStep,
        lambda size, card, name: GradientStep(
            size, tuple(card["sigma_range"]), card["length"], name
        ),
        lambda model: {"sigma_range": list(model.sigma_range), "length": model.length},
    )


def _lpn(config: type, potential: type) -> Kind:
    """Row of the learned proximal networks with such a potential."""
    return _denoiser(config, potential, lambda size, *rest: LPN(potential(size), *rest))


KINDS = {
    "lpn-mixture": _lpn(MixtureConfig, MixturePotential),
    "lpn-log-density": _lpn(LogDensityConfig, LogDensityPotential),
    "lpn-icnn": _lpn(ImageICNNConfig, ImageICNN),
    "lpn-icnn-vectors": _lpn(VectorICNNConfig, VectorICNN),
    "unet": _denoiser(UNetConfig, UNetDenoiser),
    "dncnn": _denoiser(DnCNNConfig, DnCNNDenoiser),
    "crate": _denoiser(CrateConfig, CrateDenoiser),
    "crate-step": _gradient_step(CrateConfig),
    "unet-step": _gradient_step(UNetConfig),
    "crate-completion": _denoiser(CrateConfig, Completion),
    "proxdm": Kind(
        "diffusion model",
        DiffusionNetConfig,
        ProxDM,
        lambda size, card, name: ProxDM(size, card["trained_steps"], name),
        lambda model: {"trained_steps": list(model.steps)},
    ),
    "score": Kind(
        "diffusion model",
        DiffusionNetConfig,
        ScoreModel,
        lambda size, _, name: ScoreModel(size, name),
    ),
    "digit-classifier": Kind(
        "classifier", DigitClassifierConfig, DigitClassifier, lambda size, *_: DigitClassifier(size)
    ),
}
"""The kinds of models, as cards call them. Nobody vouches that a prior without "lpn" is a prox."""
