"""The one training loop, of a network, pairs and a loss or several in turn; resumable after a kill.

Every step draws from a generator seeded by (seed, step) alone, so that a run which was interrupted
and resumed ends with the same weights, bit for bit, as one that was not. Several processes
(`processes`) each draw the whole batch and train on a part of it; the gradients of the
parts are added up before they are clipped, so that all take the step of one process, to rounding.
"""

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from proxlab.training import processes
from proxlab.training.config import DEFAULT_RUN, Loop, Run
from proxlab.training.draws import Drawn, Pairs, draws
from proxlab.training.losses import Loss, check_shares, loss_name, share
from proxlab.training.stages import Stage, stage_at
from proxlab.training.state import Done, StateFile
from solvers.progress import progress_bar


class Task(NamedTuple):
    """A network to be trained, the pairs it is shown, and the loss it is to minimise."""

    model: nn.Module
    """The network: `model(input, condition)` estimates the target. It starts from its weights."""
    groups: list[dict]
    """Its parameters as an optimiser takes them, at the learning rate of the configuration."""
    pairs: Pairs
    loss: Loss | Sequence[Stage]
    """`loss(estimate, target, condition)`, or stages whose steps add up to the configuration's;
    each starts Adam afresh, whose memory is of another loss."""
    evaluate: Callable[[], dict] | None = None
    """Gives figures for the log; called while the model has its averaged weights."""
    ahead: int = 0
    """Steps whose pairs are drawn in advance, in as many threads; none is changed by it."""


class Trained(NamedTuple):
    """The end of a training, or of a part of it."""

    finished: bool
    """Whether all steps are taken; if not, `Run.minutes` ended first."""
    minutes: float
    """Minutes spent in all, those before a resumption included."""


def train(task: Task, config: Loop, out: Path, run: Run = DEFAULT_RUN) -> Trained:
    """Train the model of `task` in place, on `run.device`; it ends with its averaged weights.

    `out` is a folder: `state.pt` holds everything needed to go on, `log.jsonl` a line per
    evaluation. Of several processes the first evaluates and writes, and says when time is up.

    Raises ValueError for a folder that holds a run when not told to resume, or a run of another
    configuration, for stages of another length, for a batch smaller than the number of processes
    and for a loss they cannot share; FloatingPointError if the loss is NaN.
    """
    model, first_process = task.model.to(run.device), processes.rank() == 0
    if config.batch < processes.count():
        raise ValueError(
            f"a batch of {config.batch} is too small for {processes.count()} processes; start at "
            "most as many as it has images, or make it larger (--batch)"
        )
    stages = _stages(task.loss, config)
    processes.copy_first(model.state_dict().values())
    optimiser = torch.optim.Adam(task.groups, betas=(0.9, 0.99))
    rates = [group["lr"] for group in optimiser.param_groups]
    average = _Average(model)
    state = StateFile(
        out / "state.pt", _described(task.loss, config), model, optimiser, average.weights
    )
    first, before = _begin(state, run.resume)
    out.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()

    def minutes() -> float:
        return (time.monotonic() - started) / 60

    steps = draws(task.pairs, config.batch, config.seed, range(first, config.steps), task.ahead)
    shown = progress_bar(run.progress and first_process, config.steps, done=first)
    with shown as bar, closing(steps):
        for step, drawn in steps:
            stage, within = stage_at(stages, step)
            if within == 0:
                optimiser.state.clear()
            target, given, condition = (a.to(run.device) for a in drawn)
            batch = target, given, condition
            if processes.count() > 1 and (within == 0 or step == first):
                check_shares(stage.loss, model, batch)
            total = _backward(stage.loss, model, batch, optimiser)
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
            average.update(min(config.ema, (step + 1) / (step + 10)))
            done = step + 1
            bar.update()
            last = done == config.steps
            if task.evaluate and first_process and (last or done % config.evaluate_every == 0):
                with average.in_place():
                    line = {"step": done, "minutes": before + minutes()} | task.evaluate()
                with open(out / "log.jsonl", "a") as log:
                    log.write(json.dumps(line) + "\n")
            out_of_time = minutes() >= run.minutes
            if run.minutes < math.inf:
                out_of_time = bool(processes.first_says(out_of_time))
            due = last or out_of_time or done % config.checkpoint_every == 0
            if due and first_process:
                state.save(Done(done, before + minutes()))
            if out_of_time and not last:
                return Trained(False, before + minutes())
    model.load_state_dict(average.weights)
    return Trained(True, before + minutes())


def _stages(loss: Loss | Sequence[Stage], config: Loop) -> list[Stage]:
    """The stages of a training; a single loss is one. Raises ValueError where steps do not fit."""
    stages = [Stage(loss, config.learning_rate, config.steps)] if callable(loss) else list(loss)
    if sum(stage.steps for stage in stages) != config.steps:
        raise ValueError(
            f"the stages have {sum(stage.steps for stage in stages)} steps and the configuration "
            f"{config.steps}; make them equal"
        )
    return stages


def _described(loss: Loss | Sequence[Stage], config: Loop) -> dict:
    """The configuration as JSON has it, stages included, with which alone a run is resumed."""
    described = json.loads(json.dumps(asdict(config)))
    if not callable(loss):
        described["stages"] = [[loss_name(s.loss), s.learning_rate, s.steps] for s in loss]
    return described


def _begin(state: StateFile, resume: bool) -> Done:
    """Read `state` from its file if there is one; how far it has come. Raises as `train`."""
    done = Done(0, 0.0)
    if state.path.exists():
        if not resume:
            raise ValueError(
                f"{state.path.parent} already holds a training run; resume it or choose another "
                "folder"
            )
        done = state.restore()
    if done.step != (there := processes.first_says(done.step)):
        raise ValueError(
            f"process {processes.rank()} finds {done.step} steps done in {state.path.parent} and "
            f"the first process {there}; all processes need the same folder"
        )
    return done


def _backward(
    loss: Loss, model: nn.Module, batch: Drawn, optimiser: torch.optim.Optimizer
) -> Tensor:
    """The gradients of a batch, of all processes, left in the model; the loss, a scalar."""
    target, given, condition = batch
    # every so many images, so that the first of a batch, which a penalty looks at, are shared too
    part = slice(processes.rank(), None, processes.count())
    value = share(loss, model(given[part], condition[part]), target, condition, part)
    optimiser.zero_grad()
    value.backward()
    return processes.add_up(model, value)


class _Average:
    """The exponential moving average of a model's weights."""

    def __init__(self, model: nn.Module):
        self.model = model
        self.weights = {k: v.detach().clone() for k, v in model.state_dict().items()}

    def update(self, decay: float) -> None:
        """Move towards the weights of now by 1 - `decay`."""
        with torch.no_grad():
            for name, value in self.model.state_dict().items():
                self.weights[name].lerp_(value, 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Inside, the model has the averaged weights."""
        own = {k: v.clone() for k, v in self.model.state_dict().items()}
        self.model.load_state_dict(self.weights)
        try:
            yield
        finally:
            self.model.load_state_dict(own)
