"""The pace of a training: its learning rate follows steps or the clock, and so does its end."""

import itertools

import pytest
import torch
from test_loss_shares import Net, mean_loss, pairs

from proxlab.training import keeping
from proxlab.training.config import Run, TrainConfig
from proxlab.training.loop import Task, train
from proxlab.training.pace import ByMinutes, BySteps
from proxlab.training.stages import Stage

STAGES = [Stage(mean_loss, 1e-3, 100), Stage(mean_loss, 1e-4, 300)]


def test_by_steps_the_rate_is_that_of_the_step():
    pace = BySteps(STAGES, 10)
    for step, (index, within, rate) in {
        0: (0, 0, 1 / 50),
        49: (0, 49, 1.0),
        75: (0, 75, 0.5),
        99: (0, 99, 0.02),
        100: (1, 0, 1 / 50),
        250: (1, 150, 1.0),
        325: (1, 225, 0.5),
    }.items():
        place = pace.place(step, 1e9)
        assert (place.index, place.within) == (index, within)
        assert place.rate == pytest.approx(rate) and place.stage is STAGES[index]
    assert [pace.over(n, 0.0) for n in (0, 399, 400)] == [False, False, True]


def test_by_the_clock_stages_are_shares_of_the_time():
    pace = ByMinutes(STAGES, 8.0)
    places = [pace.place(k, k / 100) for k in range(800)]  # a step each 100th of a minute
    assert [p.index for p in places] == [0] * 200 + [1] * 600
    assert [p.within for p in places] == [*range(200), *range(600)]
    for k, rate in {49: 1.0, 100: 1.0, 150: 0.5, 199: 0.02, 200: 0.02, 500: 1.0, 650: 0.5}.items():
        assert places[k].rate == pytest.approx(rate), k


def test_by_the_clock_a_stage_is_not_gone_back_to():
    pace = ByMinutes(STAGES, 100.0, index=1, since=40)
    place = pace.place(60, 3.0)
    assert (place.index, place.within, place.rate) == (1, 20, pytest.approx(21 / 50))


def test_the_weights_are_judged_soon_and_then_as_often_as_it_is_worth():
    pace, at = ByMinutes(STAGES, 60.0), []
    for tick in range(36_000):  # a tick is a tenth of a second
        now = tick / 600
        if pace.judges(tick, now):
            at.append(now)
            pace.judged(now, now + 0.01)
    assert at[0] == pytest.approx(1 / 6) and at[1] < 0.4
    assert max(b - a for a, b in itertools.pairwise(at)) < 60 / 24 + 0.02
    slow = ByMinutes(STAGES, 60.0)
    slow.judged(0.0, 1.0)  # a minute long
    assert not slow.judges(1, 10.9) and slow.judges(1, 11.1)
    assert slow.over(1, 59.1) and not slow.over(1, 58.9)
    short = ByMinutes(STAGES, 0.24)
    assert short.judges(1, 0.0101) and not short.judges(1, 0.0099)


def test_by_steps_they_are_judged_early_too_and_always_at_the_same_steps():
    pace = BySteps(STAGES, 64)
    assert [n for n in range(1, 200) if pace.judges(n, 0.0)] == [2, 4, 8, 16, 32, 64, 128, 192]


class Ticking:
    """A clock that moves a second at each step."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def pairs(self, count, generator):
        self.now += 1
        return pairs(count, generator)


def steps_taken(out, clock, minutes, resume=False):
    torch.manual_seed(0)
    model = Net()
    groups = [{"params": list(model.parameters()), "lr": 1e-2}]
    task = Task(model, groups, clock.pairs, mean_loss)
    config = TrainConfig(steps=7, batch=2, patch=8, checkpoint_every=10)
    return train(task, config, out, Run(minutes, resume))


def check_budget(out, clock):
    """AssertionError unless three minutes of a second a step are 180 steps, in two parts or one."""
    assert steps_taken(out / "whole", clock, 3.0).steps == 180
    assert steps_taken(out / "part", clock, 1.0).steps == 60
    again = steps_taken(out / "part", clock, 3.0, resume=True)
    assert again.steps == 180 and again.minutes == pytest.approx(3.0)


def test_minutes_end_a_training_and_not_its_steps(tmp_path, monkeypatch):
    clock = Ticking()
    monkeypatch.setattr(keeping, "monotonic", clock)
    check_budget(tmp_path, clock)


@pytest.mark.parametrize(
    "mistake",
    [
        lambda self, done, minutes: done >= 7,  # the steps of the configuration
        lambda self, done, minutes: minutes >= 2 * self.minutes,
        lambda self, done, minutes: done >= 60 * self.minutes / 2,
    ],
)
def test_that_check_catches_a_budget_that_is_ignored(mistake, tmp_path, monkeypatch):
    clock = Ticking()
    monkeypatch.setattr(keeping, "monotonic", clock)
    monkeypatch.setattr(ByMinutes, "over", mistake)
    with pytest.raises(AssertionError):
        check_budget(tmp_path, clock)


def test_a_run_by_the_clock_is_not_resumed_by_steps(tmp_path, monkeypatch):
    clock = Ticking()
    monkeypatch.setattr(keeping, "monotonic", clock)
    steps_taken(tmp_path, clock, 0.1)
    with pytest.raises(ValueError, match="made with another configuration, .*by the clock"):
        steps_taken(tmp_path, clock, None, resume=True)


@pytest.mark.parametrize("minutes", [0.0, -1.0, float("nan"), float("inf")])
def test_minutes_are_positive_and_finite(minutes):
    with pytest.raises(ValueError, match="minutes are positive and finite, got"):
        Run(minutes)
