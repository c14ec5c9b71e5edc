"""The one training loop, of a network, pairs and a loss or several in turn; resumable after a kill.

Every step draws from a generator seeded by (seed, step) alone, so that a run which was interrupted
and resumed ends with the same weights, bit for bit, as one that was not; unless the clock ends it.
Several processes (`processes`) each draw the whole batch and train on a part of it; the gradients
of the parts are added up before they are clipped, so that all take the step of one process, to
rounding.
"""

import json
import math
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from proxlab.training import processes
from proxlab.training.average import Average
from proxlab.training.config import DEFAULT_RUN, Loop, Run
from proxlab.training.draws import Drawn, Pairs, draws
from proxlab.training.held_out import HeldOut, Judged
from proxlab.training.keeping import Clock, Keep, Keeping, not_kept
from proxlab.training.losses import Loss, check_shares, loss_name, share
from proxlab.training.pace import ByMinutes, BySteps, Pace
from proxlab.training.stages import Stage
from proxlab.training.state import Done, StateFile
from proxlab.training.stopping import stopping
from solvers.progress import progress_bar

STATE = "state.pt"
"""Name of the file of a run in its folder."""


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
    """Gives figures for the log; called while the model has its averaged weights. They may take
    long, so that a training by the clock does without."""
    ahead: int = 0
    """Steps whose pairs are drawn in advance, in as many threads; none is changed by it."""
    held_out: HeldOut | None = None
    """Pairs by which the best of its weights are chosen; without any the latest are."""


class Trained(NamedTuple):
    """The end of a training, or of a part of it."""

    finished: bool
    """Whether it is over; if not, `Run.pause` ended first."""
    steps: int
    """Steps taken in all."""
    minutes: float
    """Minutes spent in all, those before a resumption included."""
    best: Judged | None = None
    """The best of its averaged weights, which the model has now, if it is over."""


def train(
    task: Task,
    config: Loop,
    out: Path,
    run: Run = DEFAULT_RUN,
    keep: Keep = not_kept,
) -> Trained:
    """Train the model of `task` in place, on `run.device`; it ends with the best averaged weights.

    They are judged now and then by held-out pairs. `keep(best, minutes so far)` is called whenever
    they are better than all before, while the model has them, and `out`, a folder, has by then
    what is needed to go on: `state.pt`. `log.jsonl` there gets a line for every judgement. SIGINT
    and SIGTERM wait for the end of a step, and for the last judgement and state.
    Of several processes the first judges and writes, and says when time is up.

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
    average = Average(model)
    state = StateFile(
        out / STATE, _described(task.loss, config, run), model, optimiser, average.weights
    )
    begun = _begin(state, run.resume)
    pace, clock = _pace(stages, config, run, begun), Clock(begun.minutes)
    out.mkdir(parents=True, exist_ok=True)
    keeping = Keeping(out, state, average, pace, clock, task.held_out, keep, begun.best)
    done, over = begun.step, pace.over(begun.step, clock.now)
    left = range(done, done if over else pace.steps)
    steps = draws(task.pairs, config.batch, config.seed, left, task.ahead)
    shown = progress_bar(
        run.progress and first_process,
        None if run.minutes else config.steps,
        done=done,
        label=f"{run.minutes:g} minutes" if run.minutes else None,
    )
    with shown as bar, closing(steps), stopping(processes.count() == 1) as stop:
        for step, drawn in steps:
            index, stage, within, rate = pace.place(step, _agreed(clock.now, run))
            if within == 0:
                optimiser.state.clear()
            target, given, condition = (a.to(run.device) for a in drawn)
            batch = target, given, condition
            if processes.count() > 1 and (within == 0 or step == begun.step):
                check_shares(stage.loss, model, batch)
            total = _backward(stage.loss, model, batch, optimiser)
            if not total.isfinite():
                raise FloatingPointError(
                    f"the loss is {float(total)} at step {step}; lower the rate"
                )
            if config.clip < math.inf:
                nn.utils.clip_grad_norm_(model.parameters(), config.clip)
            for group, own in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = own * (stage.learning_rate / config.learning_rate) * rate
            optimiser.step()
            average.update(min(config.ema, (step + 1) / (step + 10)))
            done = step + 1
            bar.update()
            over = _first_decides(pace.over(done, clock.now), run.minutes is not None)
            paused = _first_decides(clock.here >= run.pause, run.pause < math.inf)
            if first_process:
                regular = over or pace.judges(done, clock.now)
                if regular or stop.asked:
                    # what a signal adds is no part of a run by steps, which ends to the bit
                    keeping.judge(done, index, stage.loss, regular or run.minutes is not None)
                elif paused or done % config.checkpoint_every == 0:
                    keeping.save(done)
                evaluates = run.minutes is None and (over or done % config.evaluate_every == 0)
                if task.evaluate and evaluates:
                    with average.in_place():
                        keeping.note(done, task.evaluate())
            stop.go_on()
            if over or paused:
                break
    if not over:
        return Trained(False, done, clock.now)
    model.load_state_dict(keeping.best.weights if keeping.best else average.weights)
    processes.copy_first(model.state_dict().values())
    return Trained(True, done, clock.now, keeping.best)


def check_unbegun(out: Path, resume: bool) -> None:
    """Raises ValueError if the folder `out` holds a run already that is not to be resumed."""
    if (out / STATE).exists() and not resume:
        raise ValueError(f"{out} already holds a training run; resume it or choose another folder")


def _pace(stages: list[Stage], config: Loop, run: Run, begun: Done) -> Pace:
    """The pace of a training, where `begun` it is."""
    if run.minutes is None:
        return BySteps(stages, config.evaluate_every)
    return ByMinutes(stages, run.minutes, *begun.stage, last=begun.minutes)


def _agreed(minutes: float, run: Run) -> float:
    """The minutes of the first process, in all of them, where steps depend on the clock."""
    if run.minutes is None or processes.count() == 1:
        return minutes
    return processes.first_says(round(60_000 * minutes)) / 60_000


def _first_decides(so: bool, by_the_clock: bool) -> bool:
    """The value that the first process finds, in all of them, where it may differ."""
    return bool(processes.first_says(so)) if by_the_clock else so


def _stages(loss: Loss | Sequence[Stage], config: Loop) -> list[Stage]:
    """The stages of a training; a single loss is one. Raises ValueError where steps do not fit."""
    stages = [Stage(loss, config.learning_rate, config.steps)] if callable(loss) else list(loss)
    if sum(stage.steps for stage in stages) != config.steps:
        raise ValueError(
            f"the stages have {sum(stage.steps for stage in stages)} steps and the configuration "
            f"{config.steps}; make them equal"
        )
    return stages


def _described(loss: Loss | Sequence[Stage], config: Loop, run: Run) -> dict:
    """The configuration as JSON has it, stages included, with which alone a run is resumed."""
    described = json.loads(json.dumps(asdict(config)))
    if run.minutes is not None:
        described["steps"] = "by the clock"
    if not callable(loss):
        described["stages"] = [[loss_name(s.loss), s.learning_rate, s.steps] for s in loss]
    return described


def _begin(state: StateFile, resume: bool) -> Done:
    """Read `state` from its file if there is one; how far it has come. Raises as `train`."""
    check_unbegun(state.path.parent, resume)
    done = state.restore() if state.path.exists() else Done(0, 0.0)
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
