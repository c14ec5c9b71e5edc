"""The best weights so far lie on disk however a training ends, and are what it ends with."""

import json
import os
import signal
from itertools import count

import pytest
import torch
from test_loss_shares import Net, mean_loss, pairs

import proxlab
from proxlab import checkpoints
from proxlab.commands.main import main
from proxlab.priors.lpn.mixture_config import MixtureConfig
from proxlab.training import keeping, loop
from proxlab.training.config import Run, TrainConfig
from proxlab.training.held_out import HeldOut, Judged, judge, once
from proxlab.training.loop import Task, train
from proxlab.training.recipe import Recipe
from proxlab.training.recipes import photographs
from proxlab.training.stages import Stage

CONFIG = TrainConfig(steps=8, batch=2, patch=16, evaluate_every=4, checkpoint_every=3)
SMALL = MixtureConfig(4, 2, context=1)
TINY = Recipe("lpn-gray", "gray photographs, a test", photographs.GRAY_LPN, SMALL, CONFIG)


def judged(loss, stage=0):
    return Judged(stage, loss, 1, {}, {})


def test_the_better_is_of_a_later_stage_or_a_lower_loss():
    assert judged(2.0).better(None) and judged(1.0).better(judged(2.0))
    assert not judged(2.0).better(judged(1.0)) and not judged(1.0).better(judged(1.0))
    assert judged(9.0, stage=1).better(judged(1.0)) and not judged(1.0).better(judged(9.0, stage=1))
    assert not judged(float("inf")).better(judged(1.0))
    assert judged(1.0).better(judged(float("inf")))
    assert judged(None).better(judged(None))  # nothing held out: the later


def test_the_held_out_loss_is_the_mean_over_all_pairs():
    model, held_out = Net(), HeldOut(once(pairs, 37), lambda x, clean: {"n": len(x)})
    clean, noisy, sigma = held_out.pairs()
    assert held_out.pairs()[0] is clean
    found = judge(model, mean_loss, held_out, 0, 5)
    right = float(mean_loss(model(noisy, sigma), clean, sigma).detach())
    assert found.loss == pytest.approx(right) and found.figures == {"n": 37} and found.step == 5


def check_the_best_is_kept(out):
    """AssertionError unless a training whose held-out pairs want no training ends where it began.

    The held-out pairs are what the untrained network answers, so that each step makes it worse.
    """
    torch.manual_seed(0)
    model = Net()
    _, noisy, sigma = pairs(8, torch.Generator().manual_seed(9))
    with torch.no_grad():
        drawn = model(noisy, sigma), noisy, sigma
    kept = []
    task = Task(
        model,
        [{"params": list(model.parameters()), "lr": 1e-1}],
        pairs,
        [Stage(mean_loss, 1e-1, 8)],
        held_out=HeldOut(lambda: drawn, lambda x, clean: {}),
    )
    config = TrainConfig(steps=8, batch=2, patch=16, learning_rate=1e-1, evaluate_every=2, ema=0.0)

    def keep(best, minutes):
        weights = {k: v.clone() for k, v in model.state_dict().items()}
        assert all(torch.equal(weights[k], best.weights[k]) for k in weights)
        kept.append((best.step, weights))

    trained = train(task, config, out, keep=keep)
    assert [step for step, _ in kept] == [1] and trained.best.step == 1
    assert all(torch.equal(v, kept[0][1][k]) for k, v in model.state_dict().items())
    saved = torch.load(out / "state.pt", weights_only=True)
    assert saved["step"] == 8 and not torch.equal(
        saved["average"]["last.bias"], kept[0][1]["last.bias"]
    )
    lines = (out / "log.jsonl").read_text().splitlines()
    losses = [json.loads(line)["held_out_loss"] for line in lines]
    assert len(losses) == 5 and min(losses) == losses[0]


def test_it_ends_with_the_best_and_not_with_the_last(tmp_path):
    check_the_best_is_kept(tmp_path)


@pytest.mark.parametrize(
    "place, mistake",
    [
        (Judged, ("better", lambda self, other: True)),  # the best is the last
        (Judged, ("better", lambda self, other: other is None or self.loss > other.loss)),
        (keeping, ("judge", lambda *a: judge(*a)._replace(loss=-a[4]))),  # by steps taken
    ],
)
def test_that_check_catches_planted_mistakes(place, mistake, tmp_path, monkeypatch):
    monkeypatch.setattr(place, *mistake)
    with pytest.raises(AssertionError):
        check_the_best_is_kept(tmp_path)


def trained(photos, out, **options):
    return TINY(photos, out, run=Run(**options))


class Killed(BaseException):
    """The end of a process: nothing is done about it."""


def ended_at(step, how, monkeypatch):
    """Trainings end in the middle of that step, counted from 0."""
    steps, original = count(), loop._backward

    def backward(*args):
        if next(steps) == step:
            how()
        return original(*args)

    monkeypatch.setattr(loop, "_backward", backward)


def raise_killed():
    raise Killed


def check_a_killed_training_leaves_its_best(photos, out, monkeypatch):
    """AssertionError unless a model that loads is there after a kill in the 7th step."""
    with monkeypatch.context() as patch:
        ended_at(6, raise_killed, patch)
        with pytest.raises(Killed):
            trained(photos, out)
    path = out / "lpn-gray.safetensors"
    assert path.exists()
    card = json.loads(path.with_suffix(".json").read_text())
    assert card["steps"] == 4 and "unfinished" in card
    assert card["command"].startswith("proxlab train lpn-gray --steps 8 --batch 2 --data ")
    assert card["held_out_loss"] > 0 and card["held_out_patches_psnr"] > 10
    assert card["held_out"] == "0.png (1 of 3 images)" and card["data"] == "2 images of photos"
    image = proxlab.load(path).prox(torch.rand(1, 1, 20, 20), 0.1)
    assert image.shape == (1, 1, 20, 20)


def test_a_killed_training_leaves_its_best(photos, tmp_path, monkeypatch):
    check_a_killed_training_leaves_its_best(photos, tmp_path / "run", monkeypatch)
    resumed = trained(photos, tmp_path / "run", resume=True)
    whole = trained(photos, tmp_path / "whole")
    assert resumed.read_bytes() == whole.read_bytes()
    card = json.loads(resumed.with_suffix(".json").read_text())
    assert "unfinished" not in card and card["steps"] == 8 and card["best_step"] in (1, 2, 4, 8)
    assert card["held_out_psnr"].keys() == {"5", "15", "25", "50"}


@pytest.mark.parametrize(
    "place, name, mistake",
    [
        (keeping.Keeping, "judge", lambda *a: None),
        (checkpoints, "save", lambda path, *a, **k: path),
    ],
)
def test_that_check_catches_a_best_that_is_not_written(
    place, name, mistake, photos, tmp_path, monkeypatch
):
    monkeypatch.setattr(place, name, mistake)
    with pytest.raises(AssertionError):
        check_a_killed_training_leaves_its_best(photos, tmp_path / "run", monkeypatch)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("by, how", [("SIGINT", "interrupted"), ("SIGTERM", "terminated")])
def test_a_signal_ends_it_after_the_step_with_a_model_and_a_state(
    by, how, photos, tmp_path, monkeypatch, capsys
):
    whole = trained(photos, tmp_path / "whole")
    monkeypatch.setattr(photographs, "lpn_gray", TINY)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    words = f"train lpn-gray --device cpu --data {photos} --out {tmp_path / 'run'}".split()
    try:
        with monkeypatch.context() as patch:
            ended_at(5, lambda: signal.raise_signal(getattr(signal, by)), patch)
            assert main(words) == 1
    finally:
        signal.signal(signal.SIGINT, before)
    path = tmp_path / "run/lpn-gray.safetensors"
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "held out to judge by: 0.png (1 of 3 images)",
        f"proxlab: {how}; nothing was left half-written; {path} holds the best so far; "
        "go on with --resume",
    ]
    assert json.loads(path.with_suffix(".json").read_text())["steps"] == 6  # judged at the end too
    assert torch.load(tmp_path / "run/state.pt", weights_only=True)["step"] == 6
    assert main([*words, "--resume", "--quiet"]) == 0
    assert path.read_bytes() == whole.read_bytes()


def test_a_second_signal_does_not_wait(photos, tmp_path, monkeypatch):
    def twice():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("it went on")

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        ended_at(0, twice, monkeypatch)
        with pytest.raises(KeyboardInterrupt):
            trained(photos, tmp_path / "run")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_minutes_of_the_command_leave_a_model_that_says_so(photos, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(photographs, "lpn_gray", TINY)
    words = f"train lpn-gray --device cpu --data {photos} --out {tmp_path} --minutes 0.01".split()
    assert main(words) == 0
    path = tmp_path / "lpn-gray.safetensors"
    told = capsys.readouterr()
    card = json.loads(path.with_suffix(".json").read_text())
    assert told.out == f"{path}\n"
    assert "held-out PSNR " + " / ".join(f"{v:.2f}" for v in card["held_out_psnr"].values()) in (
        told.err
    )
    assert card["command"].startswith("proxlab train lpn-gray --minutes 0.01 --batch 2 --data ")
    assert card["steps"] >= card["best_step"] >= 1 and card["minutes"] <= 0.1
    assert proxlab.load(path).prox(torch.rand(1, 1, 20, 20), 0.1).isfinite().all()


def test_minutes_and_steps_exclude_each_other(capsys):
    with pytest.raises(SystemExit) as end:
        main(["train", "lpn-gray", "--minutes", "1", "--steps", "5"])
    assert end.value.code == 2 and "not allowed with argument" in capsys.readouterr().err
    for minutes in ("0", "nan", "inf", "-3"):
        assert main(["train", "lpn-gray", "--minutes", minutes]) == 1
        assert "--minutes is a positive number" in capsys.readouterr().err
