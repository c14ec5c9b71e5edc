"""Denoisers trained on noisy patches of a folder of images: what most recipes prepare.

One image in 20 is held out, for the figures on the card.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from proxlab import checkpoints
from proxlab.images.data_sets import find_data
from proxlab.images.folders import hold_out
from proxlab.images.metrics import NOISE_LEVELS, denoising_psnr
from proxlab.images.stored import StoredImages
from proxlab.priors.lpn.mixture_config import MixtureConfig
from proxlab.priors.lpn.mixture_potential import MixturePotential
from proxlab.priors.lpn.network import LPN
from proxlab.training.config import Run, TrainConfig
from proxlab.training.draws import spare_threads
from proxlab.training.loop import Task
from proxlab.training.losses import Loss, balanced_squared_error
from proxlab.training.patches import CleanPatches, NoisyPatches, Patches
from proxlab.training.recipe import Prepared
from proxlab.training.stages import Stage

LOG = logging.getLogger(__name__)
S = TypeVar("S")
Built = tuple[nn.Module, list[dict]]
"""A model, and its parameters as an optimiser takes them."""
LOGGED_IMAGES = 10
"""Held-out images that the log has figures of; the card has them of all."""


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
        images, held_out, in_words, ahead = open_split(self.load, data or find_data(self.data), run)

        def logged() -> dict:
            return {"held_out_psnr": self._psnr(model, held_out[:LOGGED_IMAGES])}

        def figures() -> dict:
            found = self.finish(model, held_out) if self.finish else {}
            scale = {} if self.hounsfield is None else {"hounsfield": self.hounsfield}
            return {"held_out_psnr": self._psnr(model, held_out), **found, **scale}

        pairs = NoisyPatches(self.patches(images, config.patch), config.sigma_range).draw
        task = Task(model, groups, pairs, self.loss(model, config), logged, ahead)
        return Prepared(task, model, in_words, figures)

    def _psnr(self, model: nn.Module, images: Sequence[Tensor]) -> dict[str, float]:
        return denoising_psnr(model, images, levels=self.levels)


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


class Split(NamedTuple):
    """Images to train on, and those that are held out."""

    images: Sequence[Tensor]
    held_out: Sequence[Tensor]
    in_words: str
    """The former, for the card: "380 images of bsds400"."""
    ahead: int
    """Steps to draw in advance."""


def open_split(load: Callable[[Path], Sequence[Tensor]], data: Path, run: Run) -> Split:
    """The images that `load` finds at `data`, divided.

    Those that stay on disk are decoded ahead where a GPU trains; elsewhere training has the cores
    already. The logger is told of them.
    """
    found = load(data)
    images, held_out = hold_out(found)
    place = Path(data)
    # Of a part of a data set, "train" or "shard-0000.tar", the name alone says little.
    part = place.name == "train" or not place.is_dir()
    in_words = f"{len(images)} images of {'/'.join(place.parts[-2:]) if part else place.name}"
    if not isinstance(found, StoredImages):
        return Split(images, held_out, in_words, 0)
    LOG.info(
        "%d images are %.3g GiB decoded: they are read as they are drawn, and the last %.3g GiB "
        "kept",
        len(found),
        found.nbytes / 2**30,
        found.cache.most / 2**30,
    )
    on_gpu = torch.device(run.device).type == "cuda"
    return Split(images, held_out, in_words, spare_threads() if on_gpu else 0)
