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
from proxlab.diffusion.start import MOST_IMAGES
from proxlab.images.data_sets import find_data, load_cifar10, load_digits
from proxlab.images.stored import open_color
from proxlab.training.config import Run, check_counts
from proxlab.training.draws import Drawn, Pairs
from proxlab.training.loop import Task
from proxlab.training.recipe import Prepared, Recipe
from proxlab.training.recipes.denoising import open_split
from proxlab.training.stages import Stage

MOST_HELD_OUT_PAIRS = 1000
CHUNK = 100
"""Pairs that the noise error is found of at once."""
ZETAS = (0.25, 0.125)
"""Widths of proximal matching, one a stage. A network of digits misses the noise by 0.15, root mean
square: the 1 and 0.5 of [Fang25] would be the squared error there."""


@dataclass(frozen=True)
class DiffusionTraining:
    """Length and pace of the training of a diffusion network."""

    steps: int = 8_000
    batch: int = 128
    learning_rate: float = 1e-3
    """Learning rate of Adam in the first stage; half of it in the second, a third in the third."""
    ema: float = 0.999
    """Decay of the exponential moving average of the weights, which is what is shipped."""
    clip: float = 1.0
    """Largest norm of a gradient, taken over all parameters; a longer one is shortened."""
    candidates: tuple[int, ...] = (5, 10, 20, 50, 100)
    """Numbers of sampling steps whose uniform grids a prox is trained for."""
    few: tuple[int, ...] = (3, 5, 10, 20, 50)
    """Numbers of restricted steps whose grids it is trained for beside them; () for none."""
    seed: int = 0
    checkpoint_every: int = 250
    evaluate_every: int = 1000

    def __post_init__(self):
        check_counts(self)
        if self.steps < 4:
            raise ValueError(f"proximal matching needs at least 4 steps, got {self.steps}")
        if not self.candidates or min(self.candidates) < 1:
            raise ValueError(f"candidates are numbers of steps, at least 1, got {self.candidates}")
        if self.few and min(self.few) < 1:
            raise ValueError(f"few are numbers of steps, at least 1, got {self.few}")


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


@dataclass(frozen=True)
class Diffusing:
    """Prepares the training of a diffusion network; a `Recipe` calls it."""

    aim: Aim
    load: Callable[[Path | None, int, Run], Data]
    """(place, side of the images, run) -> its images; None is the place in PROXLAB_DATA."""

    def __call__(
        self, start: DiffusionNetConfig, config: DiffusionTraining, data: Path | None, run: Run
    ) -> Prepared:
        """The training of a network on that data, see `Recipe.prepare`. Raises as `load`."""
        images, held_out, in_words = self.load(data, start.side, run)
        model = self.aim.build(start, config)
        model.start.fit(images.levels(MOST_IMAGES))
        count = min(MOST_HELD_OUT_PAIRS, 10 * len(held_out))
        held_out_pairs = self.aim.pairs(held_out, model, config)
        drawn = held_out_pairs(count, torch.Generator().manual_seed(1))
        task = Task(
            model,
            [{"params": list(model.parameters()), "lr": config.learning_rate}],
            self.aim.pairs(images, model, config),
            self.aim.stages(config),
            lambda: noise_error(model, drawn),
        )
        return Prepared(
            task, model, in_words, lambda: {"held_out_noise_error": noise_error(model, drawn)}
        )


def noise_error(model: DiffusionModel, drawn: Drawn) -> dict[str, float]:
    """Mean square and mean absolute value of the network's error n_theta - n over given pairs."""
    device = next(model.parameters()).device
    errors = []
    with torch.no_grad():
        for noise, y, condition in zip(*(x.split(CHUNK) for x in drawn), strict=True):
            errors.append(model(y.to(device), condition.to(device)).cpu() - noise)
    error = torch.cat(errors)
    return {"squared": error.square().mean().item(), "absolute": error.abs().mean().item()}


def _whole(load: Callable[[Literal["train", "held-out"], Path | None], Tensor], name: str):
    """The `Diffusing.load` of a data set, whose parts `load` has as uint8 [N, C, S, S]."""

    def loaded(place: Path | None, side: int, run: Run) -> Data:
        images, held_out = load("train", place), load("held-out", place)
        return Data(Whole(images), Whole(held_out), f"{len(images):,} images of {name}")

    return loaded


def _crops(place: Path | None, side: int, run: Run) -> Data:
    """Crops of the colour photographs of a folder, every 20th of which is held out."""
    images, held_out, in_words, _ = open_split(open_color, place or find_data("bsds400"), run)
    words = f"crops of {side} x {side} pixels of {in_words}"
    return Data(Crops(images, side), Crops(held_out, side), words)


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
