"""The one training loop: a network, pairs, a loss or several in turn; resumable after a kill.

Every step draws from a generator seeded by (seed, step) alone, so that a run which was interrupted
and resumed ends with the same weights, bit for bit, as one that was not. Several processes
(`processes`) each draw the whole batch and train on a part of it; the gradients of the
parts are added up before they are clipped, so that all take the step of one process, to rounding.
"""

import json
import math
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from proxlab.images.files import writing
from proxlab.training import processes
from proxlab.training.draws import Pairs, draws
from proxlab.training.losses import Loss, check_shares, loss_name, share
from proxlab.training.stages import Stage, stage_at
from proxlab.training.state import restore_state
from solvers.progress import progress_bar


@dataclass(frozen=True)
class TrainConfig:
    """How long and how hard to train, on which noise."""

    steps: int = 10_000
    batch: int = 8
    patch: int = 64
    sigma_range: tuple[float, float] = (1 / 255, 75 / 255)
    """Noise levels of the training pairs, image units; drawn uniformly in their square roots."""
    learning_rate: float = 3e-3
    """Of Adam; constant after a warm-up of 50 steps, then linear to 2 % over the second half."""
    ema: float = 0.998
    """Decay of the exponential moving average of the weights, which is what is shipped."""
    clip: float = math.inf
    """Largest norm of a gradient, taken over all parameters; a longer one is shortened."""
    seed: int = 0
    checkpoint_every: int = 250
    evaluate_every: int = 1000

    def __post_init__(self):
        low, high = self.sigma_range
        if not 0 < low <= high < 1:
            raise ValueError(
                f"sigma_range is in image units, expected 0 < low <= high < 1, got {low}, {high}; "
                "divide by 255?"
            )
        for name in ("steps", "batch", "patch", "checkpoint_every", "evaluate_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is at least 1, got {getattr(self, name)}")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema is a decay, expected 0 <= ema < 1, got {self.ema}")
        if not self.clip > 0:
            raise ValueError(f"clip is the largest norm of a gradient, positive, got {self.clip}")


class Loop(Protocol):
    """What the loop reads of a configuration: `TrainConfig`, or any dataclass that has these."""

    steps: int
    batch: int
    learning_rate: float
    ema: float
    clip: float
    seed: int
    checkpoint_every: int
    evaluate_every: int


def train(
    model: nn.Module,
    groups: list[dict],
    pairs: Pairs,
    loss: Loss | Sequence[Stage],
    config: Loop,
    out: Path,
    *,
    evaluate: Callable[[nn.Module], dict] | None = None,
    minutes: float = math.inf,
    resume: bool = False,
    progress: bool = False,
    ahead: int = 0,
) -> tuple[bool, float]:
    """Train `model` in place to its averaged weights; (finished?, minutes spent in all).

    `model(input, condition)` estimates the target and starts from the weights it has, `groups` are
    its parameters as an optimiser takes them at `config.learning_rate`. `loss(estimate, target,
    condition)` is one, or stages whose steps add up to `config.steps`; each starts Adam afresh, its
    memory being of another loss. `out` is a folder: `state.pt` holds everything needed to go on,
    `log.jsonl` a line per evaluation; of several processes the first evaluates and writes, and says
    when time is up. Stops after `minutes` with the state saved. `ahead` steps are drawn in advance,
    which changes none. Raises ValueError for a folder that holds a run when not told to `resume`,
    or a run of another configuration, for stages of another length, for a batch smaller than the
    number of processes and a loss they cannot share; FloatingPointError if the loss is NaN.
    """
    first_process = processes.rank() == 0
    # every so many images, so that the first of a batch, which a penalty looks at, are shared too
    part = slice(processes.rank(), None, processes.count())
    if config.batch < processes.count():
        raise ValueError(
            f"a batch of {config.batch} is too small for {processes.count()} processes; start at "
            "most as many as it has images, or make it larger (--batch)"
        )
    stages = [Stage(loss, config.learning_rate, config.steps)] if callable(loss) else list(loss)
    if sum(stage.steps for stage in stages) != config.steps:
        raise ValueError(
            f"the stages have {sum(stage.steps for stage in stages)} steps and the configuration "
            f"{config.steps}; make them equal"
        )
    described = _as_json(config)
    if not callable(loss):
        described["stages"] = [[loss_name(s.loss), s.learning_rate, s.steps] for s in stages]
    device = next(model.parameters()).device
    processes.copy_first(model.state_dict().values())
    optimiser = torch.optim.Adam(groups, betas=(0.9, 0.99))
    rates = [group["lr"] for group in optimiser.param_groups]
    average = {k: v.detach().clone() for k, v in model.state_dict().items()}
    state_file, log_file = out / "state.pt", out / "log.jsonl"
    first, spent = 0, 0.0
    if state_file.exists():
        if not resume:
            raise ValueError(
                f"{out} already holds a training run; resume it or choose another folder"
            )
        first, spent = restore_state(state_file, described, model, optimiser, average)
    if first != (there := processes.first_says(first)):
        raise ValueError(
            f"process {processes.rank()} finds {first} steps done in {out} and the first process "
            f"{there}; all processes need the same folder"
        )
    out.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()

    def save(step: int) -> None:
        with writing(state_file, overwrite=True) as path:
            state = {
                "config": described,
                "step": step,
                "minutes": spent + (time.monotonic() - started) / 60,
                "model": model.state_dict(),
                "average": average,
                "optimiser": optimiser.state_dict(),
            }
            torch.save(state, path)

    steps = draws(pairs, config.batch, config.seed, range(first, config.steps), ahead)
    shown = progress_bar(progress and first_process, config.steps, done=first)
    with shown as bar, closing(steps):
        for step, drawn in steps:
            stage, within = stage_at(stages, step)
            if within == 0:
                optimiser.state.clear()
            target, given, condition = (a.to(device) for a in drawn)
            if processes.count() > 1 and (within == 0 or step == first):
                check_shares(stage.loss, model, (target, given, condition))
            estimate = model(given[part], condition[part])
            value = share(stage.loss, estimate, target, condition, part)
            optimiser.zero_grad()
            value.backward()
            total = processes.add_up(model, value)
            if not total.isfinite():
                raise FloatingPointError(
                    f"the loss is {float(total)} at step {step}; lower the rate"
                )
            if config.clip < math.inf:
                nn.utils.clip_grad_norm_(model.parameters(), config.clip)
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                base = rate * (stage.learning_rate / config.learning_rate)
                group["lr"] = base * stage.rate(within)
            optimiser.step()
            _update(average, model, min(config.ema, (step + 1) / (step + 10)))
            done = step + 1
            bar.update()
            due = done % config.evaluate_every == 0 or done == config.steps
            if evaluate and due and first_process:
                with _Averaged(model, average), open(log_file, "a") as log:
                    figures = evaluate(model)
                    minutes_now = spent + (time.monotonic() - started) / 60
                    log.write(json.dumps({"step": done, "minutes": minutes_now} | figures) + "\n")
            out_of_time = (time.monotonic() - started) / 60 >= minutes
            if minutes < math.inf:
                out_of_time = bool(processes.first_says(out_of_time))
            due = done % config.checkpoint_every == 0 or done == config.steps or out_of_time
            if due and first_process:
                save(done)
            if out_of_time and done < config.steps:
                return False, spent + (time.monotonic() - started) / 60
    model.load_state_dict(average)
    return True, spent + (time.monotonic() - started) / 60


def check_unmade(out: Path, name: str, resume: bool) -> None:
    """ValueError if the folder `out` holds the model `name` already and its run is not resumed."""
    for made in (out / f"{name}.safetensors", out / f"{name}.json"):
        if made.exists() and not resume:
            raise ValueError(f"{made} exists; choose another folder, or resume its run")


def _update(average: dict[str, Tensor], model: nn.Module, decay: float) -> None:
    with torch.no_grad():
        for name, value in model.state_dict().items():
            average[name].lerp_(value, 1 - decay)


class _Averaged:
    """The model with its averaged weights, inside a with."""

    def __init__(self, model: nn.Module, average: dict[str, Tensor]):
        self.model, self.average = model, average

    def __enter__(self) -> None:
        self.saved = {k: v.clone() for k, v in self.model.state_dict().items()}
        self.model.load_state_dict(self.average)

    def __exit__(self, *_) -> None:
        self.model.load_state_dict(self.saved)


def _as_json(config: Loop) -> dict:
    return json.loads(json.dumps(asdict(config)))
