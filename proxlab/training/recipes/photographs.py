"""How each shipped model was made: data, architecture, loss, schedule. `proxlab train NAME`."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from proxlab import checkpoints
from proxlab.images import HOUNSFIELD
from proxlab.images.data_sets import find_data
from proxlab.images.folders import load_ct
from proxlab.images.metrics import LEVELS
from proxlab.images.stored import open_color, open_gray
from proxlab.priors.crate.denoiser import CrateConfig
from proxlab.priors.dncnn import DnCNNConfig
from proxlab.priors.lpn.mixture_config import MixtureConfig
from proxlab.priors.lpn.mixture_potential import MixturePotential
from proxlab.priors.lpn.network import LPN
from proxlab.priors.unet import UNetConfig, UNetDenoiser
from proxlab.training.loop import TrainConfig
from proxlab.training.losses import ProximalMatching, balanced_absolute_error
from proxlab.training.run import train_and_save
from proxlab.training.stages import Stage

GAMMAS = (0.064, 0.032, 0.016, 0.008)
"""Of proximal matching, at sigma 25 / 255: from above the error there, 0.035, to well below."""


Architecture = MixtureConfig | UNetConfig | CrateConfig | DnCNNConfig


@dataclass(frozen=True)
class Recipe:
    """How a model is made from scratch with the squared loss; calling it trains the model."""

    name: str
    what: str
    """For its card and for `proxlab models`."""
    load: Callable[[Path], Sequence[Tensor]]
    """Of a folder, and of photographs of tar shards too."""
    build: Callable[[Any, TrainConfig], tuple[nn.Module, list[dict]]]
    """From an architecture, the model and its parameters as an optimiser takes them."""
    architecture: Architecture
    config: TrainConfig = TrainConfig()
    data: str = "bsds400"
    """Folder of PROXLAB_DATA."""
    levels: tuple[float, ...] = LEVELS
    """Noise levels of its figures, of 255."""
    hounsfield: tuple[float, float] | None = None
    """The Hounsfield units that are 0 and 1 in its images; None for photographs."""

    def __call__(
        self,
        data: Path | None = None,
        out: Path | None = None,
        *,
        config: TrainConfig | None = None,
        architecture: Architecture | None = None,
        minutes: float = math.inf,
        resume: bool = False,
        progress: bool = False,
        device: str = "cpu",
    ) -> Path | None:
        """Train on the images at `data` (the folder of PROXLAB_DATA if None) in the folder `out`.

        Returns the model file, or None if `minutes` ended first. Raises as `loop.train`.
        """
        config = config or self.config
        return train_and_save(
            self.name,
            self.what,
            self.load,
            self.build(architecture or self.architecture, config),
            config,
            data or find_data(self.data),
            out or Path(self.name),
            levels=self.levels,
            scale={} if self.hounsfield is None else {"hounsfield": self.hounsfield},
            minutes=minutes,
            resume=resume,
            progress=progress,
            device=device,
        )


def lpn_gray_pm(
    data: Path | None = None,
    out: Path | None = None,
    *,
    start: str | Path = "lpn-gray",
    config: TrainConfig | None = None,
    minutes: float = math.inf,
    resume: bool = False,
    progress: bool = False,
    device: str = "cpu",
) -> Path | None:
    """`lpn-gray-pm`: the model `start`, trained on by the l1 loss and by proximal matching.

    As `lpn_gray`; also raises ValueError if `start` is not a learned proximal network.
    """
    config = config or TrainConfig(learning_rate=1e-3)
    model = checkpoints.load(start)
    if not isinstance(model, LPN):
        raise ValueError(f"proximal matching starts from a learned proximal network, not {start!r}")
    # Its noise levels are those of this training; the rest of it is kept.
    model = LPN(model.potential, config.sigma_range).requires_grad_(True).train()
    return train_and_save(
        "lpn-gray-pm",
        f"gray photographs, learned proximal network, {start} then proximal matching",
        open_gray,
        (model, model.potential.parameter_groups(config.learning_rate)),
        config,
        data or find_data("bsds400"),
        out or Path("lpn-gray-pm"),
        loss=proximal_matching_stages(config),
        options=f" --start {start}",
        minutes=minutes,
        resume=resume,
        progress=progress,
        device=device,
    )


def proximal_matching_stages(config: TrainConfig) -> list[Stage]:
    """The l1 loss for a third of the steps, then gamma halved stage by stage at a lower rate."""
    each = 2 * config.steps // (3 * len(GAMMAS))
    if each < 1:
        raise ValueError(f"proximal matching needs at least 6 steps, got {config.steps}")
    rate = config.learning_rate
    later = [Stage(ProximalMatching(gamma), rate / 3, each) for gamma in GAMMAS]
    return [Stage(balanced_absolute_error, rate, config.steps - each * len(GAMMAS)), *later]


def lpn(architecture: MixtureConfig, config: TrainConfig) -> tuple[nn.Module, list[dict]]:
    """An untrained `LPN` and its parameters, for a `Recipe`."""
    model = LPN(MixturePotential(architecture), config.sigma_range)
    return model, model.potential.parameter_groups(config.learning_rate)


def unet(architecture: UNetConfig, config: TrainConfig) -> tuple[nn.Module, list[dict]]:
    """An untrained `UNetDenoiser` and its parameters, for a `Recipe`."""
    model = UNetDenoiser(architecture, config.sigma_range)
    return model, model.parameter_groups(config.learning_rate)


lpn_gray = Recipe(
    "lpn-gray",
    "gray photographs, learned proximal network, squared loss",
    open_gray,
    lpn,
    MixtureConfig(),
)
lpn_gray_small = Recipe(
    "lpn-gray-small",
    "gray photographs, small learned proximal network, squared loss",
    open_gray,
    lpn,
    MixtureConfig(components=32, bases=4),
)
lpn_gray_large = Recipe(
    "lpn-gray-large",
    "gray photographs, learned proximal network of three times the parameters, squared loss",
    open_gray,
    lpn,
    MixtureConfig(components=32, bases=16, kept=32),
)
lpn_color = Recipe(
    "lpn-color",
    "colour photographs, learned proximal network, squared loss",
    open_color,
    lpn,
    MixtureConfig(bases=6, kept=48, channels=3),
)
lpn_ct = Recipe(
    "lpn-ct",
    "CT slices, -1024 to 3071 Hounsfield units mapped to [0, 1]; squared loss",
    load_ct,
    lpn,
    MixtureConfig(),
    TrainConfig(sigma_range=(0.001, 0.1)),
    "ct/train",
    (0.5, 2, 5, 15),
    HOUNSFIELD,
)
unet_gray = Recipe(
    "unet-gray",
    "gray photographs, unconstrained network, squared loss",
    open_gray,
    unet,
    UNetConfig(channels=1),
)
unet_gray_small = Recipe(
    "unet-gray-small",
    "gray photographs, unconstrained network of the size of lpn-gray-small, squared loss",
    open_gray,
    unet,
    UNetConfig(channels=1, widths=(7, 12, 18, 27)),
)
unet_gray_large = Recipe(
    "unet-gray-large",
    "gray photographs, unconstrained network of the size of lpn-gray-large, squared loss",
    open_gray,
    unet,
    UNetConfig(channels=1, widths=(15, 25, 38, 56)),
)
unet_color = Recipe(
    "unet-color",
    "colour photographs, unconstrained network, squared loss",
    open_color,
    unet,
    UNetConfig(channels=3, widths=(18, 30, 48, 72)),
)
