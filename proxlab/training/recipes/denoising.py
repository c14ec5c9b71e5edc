"""Denoisers trained on noisy patches of a folder of images: what most recipes prepare.

One image in 20 is held out, to choose the best weights by and for the figures on the card.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from torch import Tensor, nn

from proxlab import checkpoints
from proxlab.images.data_sets import find_data
from proxlab.images.metrics import NOISE_LEVELS, denoising_psnr, psnr
from proxlab.priors.lpn.mixture_config import MixtureConfig
from proxlab.priors.lpn.mixture_potential import MixturePotential
from proxlab.priors.lpn.network import LPN
from proxlab.training.config import Run, TrainConfig
from proxlab.training.draws import Pairs
from proxlab.training.held_out import HeldOut, once
from proxlab.training.loop import Task
from proxlab.training.losses import Loss, balanced_squared_error
from proxlab.training.patches import CleanPatches, NoisyPatches, Patches
from proxlab.training.recipe import Prepared
from proxlab.training.split import middles, open_split
from proxlab.training.stages import Stage

S = TypeVar("S")
Built = tuple[nn.Module, list[dict]]
"""A model, and its parameters as an optimiser takes them."""
LOGGED_IMAGES = 10
"""Held-out images that the log has figures of."""
JUDGED_PATCHES = 64
"""Held-out patches that the best weights are chosen by."""


def squared(model: nn.Module, config: TrainConfig) -> Loss:
    """The squared loss, for every model."""
    return balanced_squared_error


@dataclass(frozen=True)
class Denoising(Generic[S]):
    """Prepares the training of a denoiser; a `Recipe` calls it."""

    load: Callable[[Path], Sequence[Tensor]]
    """Folder -> its images, [H, W] or [3, H, W]; photographs may lie in tar shards too."""
    build: Callable[[S, TrainConfig], Built]
    """(`Recipe.start`, configuration) -> the model to be trained."""
    loss: Callable[[Any, TrainConfig], Loss | Sequence[Stage]] = squared
    """(that model, configuration) -> what is minimised."""
    data: str = "bsds400"
    """Folder of PROXLAB_DATA, for where no other is given."""
    levels: tuple[float, ...] = NOISE_LEVELS
    """Noise levels of its figures, of 255."""
    patches: Callable[[Sequence[Tensor], int], CleanPatches] = Patches
    """(images, side) -> patches of them."""
    hounsfield: tuple[float, float] | None = None
    """The Hounsfield units that are 0 and 1 in its images; None for photographs."""
    finish: Callable[[Any, Sequence[Tensor]], dict] | None = None
    """(trained model, held-out images) -> entries of the card; sets what is chosen by them."""

    def __call__(self, start: S, config: TrainConfig, data: Path | None, run: Run) -> Prepared:
        """The training of a model on the images of `data`, see `Recipe.prepare`.

        Raises ValueError for data that cannot be read or are too small, and as `build`.
        """
        model, groups = self.build(start, config)
        split = open_split(self.load, data or find_data(self.data), config.patch, run)
        held_out = split.held_out

        def logged() -> dict:
            return {"held_out_psnr": self._psnr(model, held_out[:LOGGED_IMAGES])}

        def figures() -> dict:
            found = self.finish(model, held_out) if self.finish else {}
            scale = {} if self.hounsfield is None else {"hounsfield": self.hounsfield}
            return {"held_out_psnr": self._psnr(model, held_out), **found, **scale}

        def pairs(images: Sequence[Tensor]) -> Pairs:
            return NoisyPatches(self.patches(images, config.patch), config.sigma_range).draw

        judged = HeldOut(once(pairs(held_out), JUDGED_PATCHES), matched)
        loss = self.loss(model, config)
        task = Task(model, groups, pairs(split.images), loss, logged, split.ahead, judged)
        return Prepared(task, model, split.in_words, figures, split.held_out_in_words)

    def _psnr(self, model: nn.Module, images: Sequence[Tensor]) -> dict[str, float]:
        return denoising_psnr(model, middles(images), levels=self.levels)


def untrained(network: Callable[..., Any]) -> Callable[[Any, TrainConfig], Built]:
    """The `build` of a class of networks that is made as `network(architecture, sigma_range)`."""

    def build(architecture: Any, config: TrainConfig) -> Built:
        model = network(architecture, config.sigma_range)
        return model, model.parameter_groups(config.learning_rate)

    return build


def untrained_lpn(architecture: MixtureConfig, config: TrainConfig) -> Built:
    """The `build` of a learned proximal network with the mixture potential."""
    model = LPN(MixturePotential(architecture), config.sigma_range)
    return model, model.potential.parameter_groups(config.learning_rate)


def trained_lpn(start: str | Path, config: TrainConfig) -> Built:
    """The `build` of a learned proximal network that goes on from one of that name or file.

    It has the noise levels of `config`. Raises ValueError if it is none, and as `checkpoints.load`.
    """
    model = checkpoints.load(start)
    if not isinstance(model, LPN):
        raise ValueError(f"the recipe starts from a learned proximal network, not {start!r}")
    model = LPN(model.potential, config.sigma_range).requires_grad_(True).train()
    return model, model.potential.parameter_groups(config.learning_rate)


def matched(estimates: Tensor, clean: Tensor) -> dict[str, float]:
    """Mean PSNR in dB of held-out patches of all noise levels, for the log and the card."""
    return {"held_out_patches_psnr": round(float(psnr(estimates, clean).mean()), 3)}
