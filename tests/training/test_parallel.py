"""Training shared by processes is the training of one; what cannot be shared is refused."""

import contextlib
import importlib.util
import io
import json
import math
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from skimage.data import camera
from test_loss_shares import Net, mean_loss, pairs, summed

from proxlab.commands.main import main
from proxlab.training import processes
from proxlab.training.config import Run, TrainConfig
from proxlab.training.loop import Task, train
from proxlab.training.stages import Stage
from tests.processes import together


def broken_in_the_last(estimate, clean, sigma):
    return mean_loss(estimate, clean, sigma) * (math.nan if processes.rank() else 1)


def averaged(loss, estimate, clean, sigma, part):
    return loss(estimate, clean[part], sigma[part]) / processes.count()


STAGES = [Stage(mean_loss, 1e-2, 6), Stage(mean_loss, 2e-3, 4)]
MISTAKES = {
    "averaged": ("proxlab.training.loop.share", averaged),
    "not added up": ("proxlab.training.processes.add_up", lambda model, value: value),
}


def run(out, batch, loss=STAGES, minutes=math.inf, resume=False, mistake=None):
    """(finished?, minutes, weights as lists) of ten steps from weights that only the first has."""
    with pytest.MonkeyPatch.context() as patched, processes.joined("cpu"):
        if mistake:
            patched.setattr(*MISTAKES[mistake])
        torch.manual_seed(processes.rank())
        model, rate = Net(), 1e-2
        # to where Adam knows lengths: by which gradient's norm it was shortened is seen
        config = TrainConfig(10, batch, 8, learning_rate=rate, clip=1e-7, evaluate_every=4)
        groups = [{"params": list(model.parameters()), "lr": rate}]
        task = Task(model, groups, pairs, loss, lambda: {"rank": processes.rank()})
        minutes = minutes if processes.rank() == 0 else max(minutes, 1e6)
        finished = train(task, config, out, Run(pause=minutes, resume=resume)).finished
        return finished, {k: v.tolist() for k, v in model.state_dict().items()}


def difference(one, other):
    """Largest relative difference, by norm, of the weights of two runs."""
    weights = [
        [torch.tensor(run[1][k], dtype=torch.float64) for k in one[1]] for run in (one, other)
    ]
    return max(float((a - b).norm() / a.norm()) for a, b in zip(*weights, strict=True))


@pytest.mark.parametrize("batch", [4, 5])
def test_two_processes_train_what_one_does(batch, tmp_path):
    alone = run(tmp_path / "alone", batch)
    first, second = together(run, tmp_path / "two", batch)
    assert first == second and first[0]
    assert 0 < difference(alone, first) < 1e-6 and difference(alone, run(tmp_path / "b", 6)) > 1e-4
    log = [json.loads(line) for line in (tmp_path / "two/log.jsonl").read_text().splitlines()]
    assert [(line["step"], line["rank"]) for line in log] == [(4, 0), (8, 0), (10, 0)]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_that_comparison_catches_a_planted_mistake(mistake, tmp_path):
    alone = run(tmp_path / "alone", 5)
    wrong, _ = together(run, tmp_path / "two", 5, STAGES, math.inf, False, mistake)
    assert difference(alone, wrong) > 1e-4


def test_all_stop_when_the_first_does_and_go_on_together(tmp_path):
    alone, out = run(tmp_path / "alone", 5), tmp_path / "two"
    stopped = together(run, out, 5, STAGES, 0)
    assert stopped[0] == stopped[1] and not stopped[0][0]
    assert torch.load(out / "state.pt", weights_only=True)["step"] == 1
    assert run(out, 5, minutes=0, resume=True)[0] is False  # a step alone
    first, second = together(run, out, 5, STAGES, math.inf, True)
    assert first == second and first[0] and difference(alone, first) < 1e-6
    again = together(run, out, 5)
    assert all("already holds a training run" in said for said in again)


def test_what_cannot_be_shared_is_refused_by_all(tmp_path):
    for batch, loss, sentence in [
        (1, STAGES, "ValueError: a batch of 1 is too small for 2 processes"),
        (5, summed, "ValueError: the loss summed of a batch is"),
        (5, broken_in_the_last, "FloatingPointError: the loss is nan at step 0; lower the rate"),
    ]:
        said = together(run, tmp_path / "out", batch, loss)
        assert all(words.startswith(sentence) for words in said), said
    assert run(tmp_path / "alone", 1, summed)[0]


def test_a_process_has_a_device_of_its_own(monkeypatch):
    with processes.joined("cuda") as place:
        assert place == "cuda" and (processes.rank(), processes.count()) == (0, 1)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "test")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    refused = pytest.raises(ValueError, match="number 2 on a machine that has 1; start at most 1")
    with refused, processes.joined("cuda"):
        pass


def told(words):
    """What the command says."""
    with contextlib.redirect_stdout(io.StringIO()) as said:
        assert main(words) == 0
    return said.getvalue()


def test_the_command_saves_one_model_and_says_so_once(tmp_path):
    for i in range(2):
        Image.fromarray(camera()[100 + 70 * i : 166 + 70 * i, 200:266]).save(tmp_path / f"{i}.png")
    words = (
        f"train unet-gray-small --device cpu --data {tmp_path} --steps 2 --batch 3 --out".split()
    )
    made = {name: tmp_path / name / "unet-gray-small.safetensors" for name in ("one", "two")}
    said = together(told, [*words, str(tmp_path / "two")])
    assert said == [f"{made['two']}\n", ""]
    assert told([*words, str(tmp_path / "one")]) == f"{made['one']}\n"
    one, two = (load_file(path) for path in made.values())
    assert all((one[k] - two[k]).norm() <= 1e-3 * one[k].norm() for k in one)
    cards = [json.loads(path.with_suffix(".json").read_text()) for path in made.values()]
    assert [card.pop("processes", None) for card in cards] == [None, 2]
    assert set(cards[0]) == set(cards[1])


def bench():
    file = Path(__file__).parents[2] / "examples/benchmarks/bench_parallel.py"
    spec = importlib.util.spec_from_file_location("bench_parallel", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def recorded(words):
    return bench().main(words)


def test_the_bench_compares_losses_step_by_step(monkeypatch, capsys):
    module = bench()
    monkeypatch.setattr(module, "launch", lambda count, argv: together(recorded, argv, count=count))
    words = ["--recipe", "unet-gray-small", "--steps", "3", "--batch", "3", "--patch", "16"]
    relative, efficiency = module.main(words)
    assert 0 < relative < 1e-4 and efficiency > 0
    assert "unet-gray-small, 3 steps at 0.001, batch 3, cpu" in capsys.readouterr().out
