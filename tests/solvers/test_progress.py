"""A bar is drawn for whoever asked for it, terminal or none, and for nobody else."""

import io
import sys

import pytest
import torch

import solvers
from proxlab.commands.main import main
from solvers.progress import NoBar, on_terminal, progress_bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


def drawn(wanted, stderr, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stderr)
    with progress_bar(wanted, 3) as bar:
        for _ in range(3):
            bar.update()
    return stderr.getvalue()


def test_whoever_asks_sees_a_bar_in_a_notebook_too(monkeypatch):
    assert "3/3" in drawn(True, io.StringIO(), monkeypatch)  # a kernel's stderr is no terminal
    for wanted in (False, None):
        assert drawn(wanted, io.StringIO(), monkeypatch) == ""
        assert drawn(wanted, Terminal(), monkeypatch) == ""


def test_a_notebook_with_widgets_gets_a_widget(monkeypatch):
    from tqdm.auto import tqdm  # which is text here, and tqdm.notebook's where there are widgets

    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with progress_bar(True, 3) as bar:
        assert isinstance(bar, tqdm)


def halves():
    x = torch.ones(1, 1, 2, 2)
    while True:
        x = x / 2
        nothing = torch.zeros(1)
        yield solvers.State(x, nothing + 1, None, nothing, True)


def test_a_run_draws_where_they_were_told_to(monkeypatch):
    for progress in (True, False):
        out = io.StringIO()
        monkeypatch.setattr(sys, "stderr", out)
        solvers.run(halves(), max_steps=5, tol=1e-3, progress=progress)
        assert bool(out.getvalue()) == progress


@pytest.mark.parametrize("stderr, expected", [(Terminal(), True), (io.StringIO(), False)])
def test_commands_ask_for_a_terminal(stderr, expected, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sys, "stderr", stderr)
    assert on_terminal() is expected
    main(["sample", "proxdm-mnist", "--n", "1", "--steps", "5", "--out", f"{tmp_path}/digits.png"])
    assert ("5/5" in stderr.getvalue()) is expected


@pytest.mark.parametrize("how", ["closed", "missing"])
def test_without_a_stderr_nothing_is_drawn_and_nothing_fails(how, monkeypatch):
    stderr = None if how == "missing" else io.StringIO()
    if stderr is not None:
        stderr.close()
    monkeypatch.setattr(sys, "stderr", stderr)
    assert isinstance(progress_bar(True, 3), NoBar) and not on_terminal()
