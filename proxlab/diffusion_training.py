"""How the diffusion models were made: `proxlab train proxdm-mnist`, `score-mnist`, ..."""

from dataclasses import dataclass

from proxlab.diffusion_pairs import NoiseMatching, absolute_noise_error, squared_noise_error
from proxlab.stages import Stage


@dataclass(frozen=True)
class DiffusionTraining:
    """How long and how hard to train a diffusion network."""

    steps: int = 14_000
    batch: int = 128
    learning_rate: float = 1e-3
    """Of Adam, in the first stage."""
    ema: float = 0.999
    clip: float = 1.0
    """Largest norm of a gradient."""
    candidates: tuple[int, ...] = (5, 10, 20, 50, 100)
    """Numbers of sampling steps whose uniform grids a prox is trained for."""
    seed: int = 0
    checkpoint_every: int = 250
    evaluate_every: int = 1000


def proximal_stages(config: DiffusionTraining) -> list[Stage]:
    """The l1 loss for six tenths of the steps, then proximal matching, zeta halved once."""
    each = config.steps // 5
    rate = config.learning_rate
    return [
        Stage(absolute_noise_error, rate, config.steps - 2 * each),
        Stage(NoiseMatching(0.5), rate / 2, each),
        Stage(NoiseMatching(0.25), rate / 3, each),
    ]


def score_stages(config: DiffusionTraining) -> list[Stage]:
    """The squared error throughout, at the learning rates of the prox."""
    return [
        Stage(squared_noise_error, stage.learning_rate, stage.steps)
        for stage in proximal_stages(config)
    ]
