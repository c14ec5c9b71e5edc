"""Recipes of diffusion models: data, network, losses and schedule. `proxlab train NAME` trains one.

A prox is learned by the l1 loss and then by proximal matching [Fang25], a score by the squared
loss in as many steps, so that samplers are compared and not trainings.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from proxlab.diffusion.models import DiffusionModel, ProxDM, ScoreModel
from proxlab.diffusion.network import DiffusionNetConfig
from proxlab.diffusion.pairs import (
    AbsoluteNoiseError,
    NoiseMatching,
    ProxPairs,
    ScorePairs,
    squared_noise_error,
)
from proxlab.diffusion.sources import Crops, Source, Whole
from proxlab.diffusion.start import images_for
from proxlab.images.data_sets import find_data, load_cifar10, load_digits
from proxlab.images.stored import find_tree, open_tree
from proxlab.training.config import Run
from proxlab.training.diffusion_training import DiffusionTraining, of_size, size_words
from proxlab.training.draws import Drawn, Pairs
from proxlab.training.held_out import HeldOut, once
from proxlab.training.loop import Task
from proxlab.training.recipe import Prepared, Recipe, Sizing
from proxlab.training.split import open_split
from proxlab.training.stages import Stage

MOST_HELD_OUT_PAIRS = 1000
CHUNK = 100
"""Pairs that the noise error is found of at once."""
ZETAS = (0.25, 0.125)
"""Widths of proximal matching, one a stage. A network of digits misses the noise by 0.15, root mean
square: the 1 and 0.5 of [Fang25] would be the squared error there."""


def proximal_stages(config: DiffusionTraining) -> list[Stage]:
    """The l1 loss for half of the steps, then proximal matching, zeta halved once."""
    each, rate = config.steps // 4, config.learning_rate
    return [
        Stage(AbsoluteNoiseError(), rate, config.steps - 2 * each),
        Stage(NoiseMatching(ZETAS[0]), rate / 2, each),
        Stage(NoiseMatching(ZETAS[1]), rate / 3, each),
    ]


def score_stages(config: DiffusionTraining) -> list[Stage]:
    """The squared error in all stages, whose steps and learning rates are those of the prox."""
    return [
        Stage(squared_noise_error, stage.learning_rate, stage.steps)
        for stage in proximal_stages(config)
    ]


class Aim(NamedTuple):
    """The part of a diffusion that a network learns, from which pairs and by which losses."""

    build: Callable[[DiffusionNetConfig, DiffusionTraining], DiffusionModel]
    pairs: Callable[[Source, DiffusionModel, DiffusionTraining], Pairs]
    """(images, model that has their start law, configuration) -> the source of pairs of them."""
    stages: Callable[[DiffusionTraining], list[Stage]]


PROX = Aim(
    lambda architecture, config: ProxDM(architecture, config.candidates),
    lambda images, model, config: (
        ProxPairs(
            images, model.schedule, config.candidates, [model.few_steps(n) for n in config.few]
        ).draw
    ),
    proximal_stages,
)
SCORE = Aim(
    lambda architecture, config: ScoreModel(architecture),
    lambda images, model, config: ScorePairs(images, model.schedule).draw,
    score_stages,
)


class Data(NamedTuple):
    """Images to train on, and those that are held out."""

    images: Source
    held_out: Source
    in_words: str
    """The former, for the card."""
    held_out_in_words: str = ""
    """The latter, where they are not a part that every reader knows."""


@dataclass(frozen=True)
class Diffusing:
    """Prepares the training of a diffusion network; a `Recipe` calls it."""

    aim: Aim
    load: Callable[[Path | None, DiffusionNetConfig, Run], Data]
    """(place, shape of the images, run) -> its images; None is the place in PROXLAB_DATA."""

    def __call__(
        self, start: DiffusionNetConfig, config: DiffusionTraining, data: Path | None, run: Run
    ) -> Prepared:
        """The training of a network on that data, see `Recipe.prepare`. Raises as `load`."""
        given = self.load(data, start, run)
        model = self.aim.build(start, config)
        model.start.fit(given.images.levels(images_for(start.shape)))
        count = min(MOST_HELD_OUT_PAIRS, 10 * len(given.held_out), 8 * config.batch)
        drawn = once(self.aim.pairs(given.held_out, model, config), count)
        task = Task(
            model,
            [{"params": list(model.parameters()), "lr": config.learning_rate}],
            self.aim.pairs(given.images, model, config),
            self.aim.stages(config),
            held_out=HeldOut(drawn, missed),
        )
        return Prepared(
            task,
            model,
            given.in_words,
            lambda: {"held_out_noise_error": noise_error(model, drawn())},
            given.held_out_in_words,
        )


def noise_error(model: DiffusionModel, drawn: Drawn) -> dict[str, float]:
    """Mean square and mean absolute value of the network's error n_theta - n over given pairs."""
    device = next(model.parameters()).device
    estimates = []
    with torch.no_grad():
        for _, y, condition in zip(*(x.split(CHUNK) for x in drawn), strict=True):
            estimates.append(model(y.to(device), condition.to(device)).cpu())
    return _errors(torch.cat(estimates) - drawn[0])


def missed(estimates: Tensor, noise: Tensor) -> dict[str, dict]:
    """The noise error of held-out pairs, for the log and the card."""
    return {"held_out_noise_error": _errors(estimates - noise)}


def _errors(error: Tensor) -> dict[str, float]:
    return {"squared": error.square().mean().item(), "absolute": error.abs().mean().item()}


def _whole(load: Callable[[Literal["train", "held-out"], Path | None], Tensor], name: str):
    """The `Diffusing.load` of a data set, whose parts `load` has as uint8 [N, C, S, S]."""

    def loaded(place: Path | None, start: DiffusionNetConfig, run: Run) -> Data:
        images, held_out = load("train", place), load("held-out", place)
        return Data(Whole(images), Whole(held_out), f"{len(images):,} images of {name}")

    return loaded


def _crops(place: Path | None, start: DiffusionNetConfig, run: Run) -> Data:
    """Crops of the photographs of a folder and its subfolders, every 20th of which is held out."""
    side, load = start.side, open_tree(gray=start.channels == 1)
    split = open_split(load, place or find_data("bsds400"), side, run, find_tree)
    words = f"crops of {side} x {side} pixels of {split.in_words}"
    images, held_out = Crops(split.images, side), Crops(split.held_out, side)
    return Data(images, held_out, words, split.held_out_in_words)


DIGITS = _whole(lambda part, root: load_digits(part, root).images, "MNIST")

proxdm_mnist = Recipe(
    "proxdm-mnist",
    "digits, learned prox of a diffusion, l1 then proximal matching",
    Diffusing(PROX, DIGITS),
    DiffusionNetConfig(),
    DiffusionTraining(),
)
score_mnist = Recipe(
    "score-mnist",
    "digits, score of a diffusion, the network and the steps of proxdm-mnist",
    Diffusing(SCORE, DIGITS),
    DiffusionNetConfig(),
    DiffusionTraining(),
)
proxdm = Recipe(
    "proxdm",
    "crops of one's own pictures, learned prox of a diffusion, l1 then proximal matching",
    Diffusing(PROX, _crops),
    *of_size(32, False),
    Sizing(of_size, size_words),
)
proxdm_color = Recipe(
    "proxdm-color",
    "small crops of colour photographs, learned prox of a diffusion, l1 then proximal matching",
    Diffusing(PROX, _crops),
    DiffusionNetConfig(side=32, channels=3),
    DiffusionTraining(steps=12_000),
)
proxdm_cifar10 = Recipe(
    "proxdm-cifar10",
    "small photographs, learned prox of a diffusion, l1 then proximal matching",
    Diffusing(PROX, _whole(load_cifar10, "CIFAR-10")),
    DiffusionNetConfig(
        side=32, channels=3, fold=1, width=32, multipliers=(2, 3, 3), blocks=2, attention=(16,)
    ),
    DiffusionTraining(
        steps=150_000, learning_rate=2e-4, ema=0.9999, candidates=(5, 10, 20, 50, 100, 1000)
    ),
)
