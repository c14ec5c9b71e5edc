"""Processes share cases so that each is run once, whatever moment one of them is lost at.

Nothing here waits for a clock: who is slow is told by the order of calls, and a process is killed
when it opens, renames or removes its k-th file.
"""

import json
from multiprocessing import get_context
from random import Random

import pytest
import torch
from PIL import Image
from skimage.data import camera
from strikes import LONG, struck
from torch.distributed import FileStore, HashStore

from proxlab.comparison.case import PriorSettings
from proxlab.comparison.comparing import compare
from proxlab.comparison.plan import ComparisonRun, Plan
from proxlab.comparison.rows import ROWS, key_of, read_rows
from proxlab.comparison.team import Alone, Team, gather, own_device, part, team

CASES = 8


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "photographs"
    made.mkdir()
    for i in range(2):
        Image.fromarray(camera()[100 * i : 100 * i + 32, 200:232]).save(made / f"{i}.png")
    return made


class Shrinks:
    def __init__(self, share):
        self.share = share

    def prox(self, v, sigma):
        return self.share * v


def run(folder, out, team=None, watch=None):
    priors = {"a": Shrinks(0.9), "b": Shrinks(0.8)}
    return compare(
        priors,
        ["deblur", "inpaint"],
        folder,
        out,
        Plan(default=PriorSettings(steps=3)),
        ComparisonRun(resume=True, watch=watch, team=team or Alone()),
    )


def one_of_two(folder, out, store, rank, watch=None, kill=0):
    torch.set_num_threads(1)
    if kill:
        struck(kill)
    run(folder, out, Team(FileStore(str(store), 2), rank, 2), watch)


def alone(folder, out, kill):
    struck(kill)
    run(folder, out)


def figures(rows):
    return {key_of(row): row["psnr"] for row in rows}


def test_each_is_taken_once_and_a_slow_process_takes_fewer():
    store = HashStore()
    quick, slow = Team(store, 0, 2), Team(store, 1, 2)
    for ours, found in ((quick, ["done"]), (slow, [])):
        ours.begin()
        assert ours.agree(found) == ["done"]
    mine, yours = quick.share(range(40)), slow.share(range(40))
    taken = {0: [next(mine)], 1: [next(yours)]}
    while len(taken[0]) + len(taken[1]) < 40:  # ten of the one while the other does one
        taken[0] += [x for _, x in zip(range(10), mine, strict=False)]
        taken[1] += [x for _, x in zip(range(1), yours, strict=False)]
    assert not [*mine, *yours]
    assert sorted(taken[0] + taken[1]) == list(range(40))
    assert len(taken[0]) > 2 * len(taken[1]) > 0


def test_two_processes_do_what_one_does(folder, tmp_path):
    expected = run(folder, tmp_path / "alone")
    fork, out = get_context("fork"), tmp_path / "shared"
    both = fork.Barrier(2)  # each has a case before any has two
    met = {0: False}

    def meet(row):
        if not met[0]:
            met[0] = True
            both.wait(LONG)

    store = tmp_path / "store"
    other = fork.Process(target=one_of_two, args=(folder, out, store, 1, meet))
    other.start()
    seen = []

    def watch(row):
        seen.append(row)
        meet(row)

    rows = run(folder, out, Team(FileStore(str(store), 2), 0, 2), watch)
    other.join(LONG)
    assert other.exitcode == 0 and figures(rows) == figures(expected) and len(rows) == CASES
    assert {row["process"] for row in rows} == {0, 1}
    assert sorted(map(key_of, seen)) == sorted(map(key_of, rows))
    assert len(read_rows(out / ROWS)) == CASES and not list(out.glob("part-*"))


@pytest.mark.parametrize("count", [1, 2])
def test_killed_at_any_moment_no_finished_case_is_lost_and_none_run_twice(count, folder, tmp_path):
    fork, draw = get_context("fork"), Random(count)
    out, finished = tmp_path / "out", {}
    for attempt in range(10):
        store, kill = tmp_path / f"store {attempt}", draw.randint(1, 120)
        if count == 1:
            workers = [fork.Process(target=alone, args=(folder, out, kill))]
        else:
            kills = (kill, 0) if attempt % 2 else (0, kill)
            given = [(folder, out, store, rank, None, kills[rank]) for rank in (0, 1)]
            workers = [fork.Process(target=one_of_two, args=each) for each in given]
        for worker in workers:
            worker.start()
        # one is lost, or all is done; then torchrun stops the other
        workers[count - 1 - attempt % count].join(LONG)
        for worker in workers:
            worker.kill()
            worker.join()
        rows = [row for path in sorted(out.glob(f"*{ROWS}")) for row in read_rows(path)]
        now = {key_of(row): row for row in rows}
        assert all(now[key] == row for key, row in finished.items())
        finished = now
    rows = run(folder, out)
    assert all(row in rows for row in finished.values())
    assert len(read_rows(out / ROWS)) == len(rows) == CASES
    assert len(finished) > 0 and figures(rows) == figures(run(folder, tmp_path / "whole"))


def test_rows_in_two_files_after_an_interrupt_are_gathered_once(tmp_path):
    rows = [{"a": i} for i in range(4)]
    (tmp_path / ROWS).write_text("".join(json.dumps(row) + "\n" for row in rows[:3]))
    (tmp_path / f"part-0-{ROWS}").write_text(json.dumps(rows[1]) + "\n")
    (tmp_path / f"part-1-{ROWS}").write_text(json.dumps(rows[3]) + '\n{"unfin')
    assert gather(tmp_path) == rows == read_rows(tmp_path / ROWS)
    assert [path.name for path in tmp_path.iterdir()] == [ROWS]
    assert gather(tmp_path / "nowhere") == []


def test_after_a_loss_all_is_counted_anew(monkeypatch):
    store = HashStore()  # torchrun's, which outlives an attempt
    monkeypatch.setattr("proxlab.comparison.team.rendezvous", lambda url: iter([(store, 0, 1)]))
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    for attempt, done in enumerate((["a"], ["a", "b"])):
        monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", str(attempt))
        ours = team()
        for _ in range(2):  # comparisons, as a tuning makes them
            ours.begin()
            assert ours.agree(done) == done
            assert list(ours.share("xyz")) == ["x", "y", "z"]


def test_without_torchrun_a_process_is_alone(monkeypatch):
    assert isinstance(team(), Alone) and part(team()) == ROWS
    assert own_device("cuda") == "cuda"
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert own_device("cuda") == "cuda:3" and own_device("cpu") == "cpu"
