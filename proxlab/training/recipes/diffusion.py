"""How each diffusion model was made: data, network, losses, schedule. `proxlab train NAME`."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from proxlab import checkpoints
from proxlab.diffusion.models import DiffusionModel, ProxDM, ScoreModel
from proxlab.diffusion.network import DiffusionNetConfig
from proxlab.diffusion.pairs import (
    AbsoluteNoiseError,
    NoiseMatching,
    ProxPairs,
    ScorePairs,
    squared_noise_error,
)
from proxlab.images.data_sets import load_cifar10, load_digits
from proxlab.training import processes
from proxlab.training.loop import Pairs, check_unmade, train
from proxlab.training.run import how_made
from proxlab.training.stages import Stage
from solvers import VP

MOST_HELD_OUT_PAIRS = 1000
CHUNK = 100
ZETAS = (0.25, 0.125)
"""Of proximal matching. A network of digits misses the noise by 0.15, root mean square: the 1 and
0.5 of [Fang25] would be the squared error there."""


@dataclass(frozen=True)
class DiffusionTraining:
    """How long and how hard to train a diffusion network."""

    steps: int = 8_000
    batch: int = 128
    learning_rate: float = 1e-3
    """Of Adam, in the first stage; half of it in the second, a third in the third."""
    ema: float = 0.999
    """Decay of the exponential moving average of the weights, which is what is shipped."""
    clip: float = 1.0
    """Largest norm of a gradient, taken over all parameters; a longer one is shortened."""
    candidates: tuple[int, ...] = (5, 10, 20, 50, 100)
    """Numbers of sampling steps whose uniform grids a prox is trained for."""
    seed: int = 0
    checkpoint_every: int = 250
    evaluate_every: int = 1000

    def __post_init__(self):
        for name in ("steps", "batch", "checkpoint_every", "evaluate_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is at least 1, got {getattr(self, name)}")
        if self.steps < 4:
            raise ValueError(f"proximal matching needs at least 4 steps, got {self.steps}")
        if not self.candidates or min(self.candidates) < 1:
            raise ValueError(f"candidates are numbers of steps, at least 1, got {self.candidates}")


@dataclass(frozen=True)
class DiffusionRecipe:
    """How a diffusion model is made from scratch; calling it trains the model."""

    name: str
    what: str
    """For its card and for `proxlab models`."""
    method: "Method"
    load: Callable[[Literal["train", "held-out"], Path | None], Tensor]
    """A part of the data, uint8 [N, C, S, S]; None is the folder in PROXLAB_DATA."""
    data: str
    """The data in words."""
    architecture: DiffusionNetConfig = DiffusionNetConfig()
    config: DiffusionTraining = DiffusionTraining()

    def __call__(
        self,
        data: Path | None = None,
        out: Path | None = None,
        *,
        config: DiffusionTraining | None = None,
        architecture: DiffusionNetConfig | None = None,
        minutes: float = math.inf,
        resume: bool = False,
        progress: bool = False,
        device: str = "cpu",
    ) -> Path | None:
        """Train in folder `out`, resumably; the model file, or None if `minutes` ended first.

        Raises ValueError where a model lies already, and as `loop.train`.
        """
        config, out = config or self.config, out or Path(self.name)
        check_unmade(out, self.name, resume)
        images, held_out = self.load("train", data), self.load("held-out", data)
        method = self.method
        model = method.build(architecture or self.architecture, config, self.name).to(device)
        count = min(MOST_HELD_OUT_PAIRS, 10 * len(held_out))
        drawn = method.pairs(held_out, model.schedule, config)(
            count, torch.Generator().manual_seed(1)
        )
        finished, spent = train(
            model,
            [{"params": list(model.parameters()), "lr": config.learning_rate}],
            method.pairs(images, model.schedule, config),
            method.stages(config),
            config,
            out,
            evaluate=lambda m: noise_error(m, drawn),
            minutes=minutes,
            resume=resume,
            progress=progress,
        )
        if not finished:
            return None

        def save() -> Path:
            about = {
                "what": self.what,
                "data": f"{len(images):,} images of {self.data}",
                **how_made(self.name, config, spent, device),
                "held_out_noise_error": noise_error(model, drawn),
            }
            return checkpoints.save(out / self.name, model, about, overwrite=True)

        return processes.first_makes(save)


def proximal_stages(config: DiffusionTraining) -> list[Stage]:
    """The l1 loss for half of the steps, then proximal matching, zeta halved once."""
    each, rate = config.steps // 4, config.learning_rate
    return [
        Stage(AbsoluteNoiseError(), rate, config.steps - 2 * each),
        Stage(NoiseMatching(ZETAS[0]), rate / 2, each),
        Stage(NoiseMatching(ZETAS[1]), rate / 3, each),
    ]


def score_stages(config: DiffusionTraining) -> list[Stage]:
    """The squared error throughout, at the learning rates of the prox."""
    return [
        Stage(squared_noise_error, stage.learning_rate, stage.steps)
        for stage in proximal_stages(config)
    ]


class Method(NamedTuple):
    """What is learned, from which pairs, by which losses."""

    build: Callable[[DiffusionNetConfig, DiffusionTraining, str], DiffusionModel]
    pairs: Callable[[Tensor, VP, DiffusionTraining], Pairs]
    """From images, uint8 [N, C, S, S]."""
    stages: Callable[[DiffusionTraining], list[Stage]]


PROX = Method(
    lambda architecture, config, name: ProxDM(architecture, config.candidates, name),
    lambda images, schedule, config: ProxPairs(images, schedule, config.candidates).draw,
    proximal_stages,
)
SCORE = Method(
    lambda architecture, config, name: ScoreModel(architecture, name),
    lambda images, schedule, config: ScorePairs(images, schedule).draw,
    score_stages,
)


def noise_error(model: DiffusionModel, drawn: tuple[Tensor, Tensor, Tensor]) -> dict[str, float]:
    """Mean square and mean absolute value of n_theta - n over given pairs."""
    device = next(model.parameters()).device
    errors = []
    with torch.no_grad():
        for noise, y, condition in zip(*(x.split(CHUNK) for x in drawn), strict=True):
            errors.append(model(y.to(device), condition.to(device)).cpu() - noise)
    error = torch.cat(errors)
    return {"squared": error.square().mean().item(), "absolute": error.abs().mean().item()}


def _digits(part: Literal["train", "held-out"], root: Path | None) -> Tensor:
    return load_digits(part, root).images


proxdm_mnist = DiffusionRecipe(
    "proxdm-mnist",
    "digits, learned prox of a diffusion, l1 then proximal matching",
    PROX,
    _digits,
    "MNIST",
)
score_mnist = DiffusionRecipe(
    "score-mnist",
    "digits, score of a diffusion, the network and the steps of proxdm-mnist",
    SCORE,
    _digits,
    "MNIST",
)
proxdm_cifar10 = DiffusionRecipe(
    "proxdm-cifar10",
    "small photographs, learned prox of a diffusion, l1 then proximal matching",
    PROX,
    load_cifar10,
    "CIFAR-10",
    DiffusionNetConfig(
        side=32, channels=3, fold=1, width=32, multipliers=(2, 3, 3), blocks=2, attention=(16,)
    ),
    DiffusionTraining(
        steps=150_000, learning_rate=2e-4, ema=0.9999, candidates=(5, 10, 20, 50, 100, 1000)
    ),
)
