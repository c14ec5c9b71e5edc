"""A restoration that is followed: one bar, or a function that sees each step and may end it."""

import io
import logging
import re
import sys

import numpy as np
import pytest
import torch
from skimage.data import camera

import proxlab
import solvers
from proxlab.restoration.following import Following
from solvers.book import Book
from solvers.progress import NoBar, ends, fill, progress_bar

X = torch.from_numpy(camera()[70:94, 200:224] / 255).float()[None, None]
OP = proxlab.operators.inpaint(np.indices((24, 24)).sum(0) % 3 > 0, noise=0.05)
Y = OP(X, generator=torch.Generator().manual_seed(0))
HARD = OP(X.flip(-1) / 2, generator=torch.Generator().manual_seed(1))


class Seen:
    """A function that keeps what it was told, and ends the run at a step."""

    def __init__(self, last: int | None = None, answer: object = True):
        self.last, self.answer = last, answer
        self.steps, self.images, self.residuals = [], [], []

    def __call__(self, k, x, residual):
        self.steps.append(k)
        self.images.append(x)
        self.residuals.append(residual)
        return self.answer if k == self.last else None


def restored(progress, y=Y, prior="lpn-gray-small", **words):
    return proxlab.restore(y, OP, prior, progress=progress, **words)


@pytest.mark.parametrize("prior", ["lpn-gray-small", "tv"])
def test_a_function_sees_every_step_and_changes_nothing(prior):
    seen, y = Seen(), torch.cat([Y, HARD])
    result, alone = restored(seen, y, prior), restored(False, y, prior)
    assert torch.equal(result.image, alone.image) and result.evidence == alone.evidence
    assert seen.steps == list(range(1, len(result.trace.residual) + 1))
    told = torch.stack(seen.residuals)
    assert torch.equal(told.nan_to_num(-1), result.trace.residual.nan_to_num(-1))
    assert torch.equal(seen.images[-1], result.image)
    first = int(result.steps.argmin())
    assert result.steps[first] < result.steps.max()  # the other image went on
    for k in range(int(result.steps[first]) - 1, len(seen.steps)):
        assert torch.equal(seen.images[k][first], result.image[first])


@pytest.mark.parametrize(
    "prior, k, answer",
    [("lpn-gray-small", 30, True), ("tv", 7, np.True_), ("tv", 7, torch.tensor([True]))],
)
def test_a_run_that_is_ended_is_the_run_up_to_there(prior, k, answer):
    ended = restored(Seen(k, answer), prior=prior)
    allowed = restored(False, prior=prior, steps=k)
    assert ended.stopped == ["callback"] and allowed.stopped == ["max_steps"]
    assert torch.equal(ended.image, allowed.image) and ended.evidence == allowed.evidence
    assert ended.doubts == allowed.doubts and not ended.certified[0]
    assert int(ended.steps) == k


@pytest.mark.parametrize("k", [1, 23])
def test_a_run_ended_on_its_way_down_takes_one_step_more_which_is_judged(k):
    seen = Seen(k)
    result = restored(seen)
    assert result.stopped == ["callback"] and int(result.steps) == k + 1
    assert seen.steps == list(range(1, k + 2)) and result.descent == k
    assert torch.equal(seen.images[-1], result.image)
    assert not result.certified[0] and "was asked once" in result.doubts[0]


def test_images_at_rest_stay_certified_when_the_others_are_ended():
    y = torch.cat([Y, HARD])
    alone = restored(False, y)
    first, other = int(alone.steps.argmin()), int(alone.steps.argmax())
    result = restored(Seen(int(alone.steps.max()) - 1), y)
    assert result.certified[first] and result.stopped[first] == "tolerance"
    assert result.stopped[other] == "callback"


def spoiling(k, x, residual):
    x.zero_()
    residual.fill_(0)


def test_what_a_function_does_to_its_copies_changes_nothing(monkeypatch):
    alone, spoilt = restored(False, steps=30), restored(spoiling, steps=30)
    assert torch.equal(alone.image, spoilt.image) and alone.evidence == spoilt.evidence
    # planted: the state itself is handed out
    monkeypatch.setattr(Book, "now", lambda book, state: (state.x, book.rows[-1][0]))
    assert not torch.equal(restored(spoiling, steps=30).image, alone.image)


@pytest.mark.parametrize("answer", [1, "yes", torch.tensor([True, True]), object()])
def test_an_answer_that_is_none_is_refused(answer):
    with pytest.raises(TypeError, match="returns True to end it, and False or nothing to go on"):
        restored(Seen(2, answer))
    assert not ends(None) and not ends(np.False_) and ends(np.True_)


def test_what_follows_nothing_is_refused_and_errors_pass():
    with pytest.raises(TypeError, match="progress is True or False, or a function.*got str"):
        restored("yes")
    with pytest.raises(TypeError, match="progress is True or False, or a function.*got list"):
        restored([], Y[0, 0].numpy())

    def failing(k, x, residual):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        restored(failing)


def test_of_an_array_the_function_sees_arrays():
    seen = Seen(3)
    levels = (255 * Y[0, 0].clamp(0, 1)).round().to(torch.uint8).numpy()
    result = restored(seen, levels)
    assert result.image.dtype == np.uint8 and result.stopped == ["callback"]
    for x, residual in zip(seen.images, seen.residuals, strict=True):
        assert x.shape == (24, 24) and x.dtype == np.float32 and residual.shape == (1,)
    assert np.array_equal(seen.images[-1], result.pixels[0, 0].numpy())


def test_solvers_take_such_a_function_too():
    f, g = proxlab.data_terms.data_term(Y, OP), proxlab.classical.Identity()
    seen = Seen(3)
    steps = solvers.pgd(f, g, torch.zeros_like(Y), tau=1e-4)
    result = solvers.run(steps, max_steps=9, tol=1e-9, progress=seen)
    assert result.stopped == ["callback"] and seen.steps == [1, 2, 3] and int(result.steps) == 3


def drawn(monkeypatch, prior):
    out = io.StringIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", out)
        result = restored(True, prior=prior)
    return out.getvalue(), int(result.steps)


def one_full_bar(monkeypatch, prior):
    said, steps = drawn(monkeypatch, prior)
    assert said.count("\n") == 1 and said.endswith("\n")
    last = said.rstrip("\n").split("\r")[-1]
    assert last.startswith(f"restore, {prior}: 100%") and f"{steps}/{steps}" in last
    counts = [int(n) for n in re.findall(r"(\d+)/\d+ \[", said)]
    assert counts == sorted(counts)


@pytest.mark.parametrize("prior", ["lpn-gray-small", "tv"])
def test_a_restoration_draws_one_bar_with_its_name_which_ends_full(prior, monkeypatch):
    one_full_bar(monkeypatch, prior)


def test_a_bar_for_each_phase_is_caught(monkeypatch):
    def apart(self, steps, max_steps, tol, rounding=1e-6, witness=None):
        return solvers.run(
            steps, max_steps=max_steps, tol=tol, rounding=rounding, witness=witness, progress=True
        )

    monkeypatch.setattr(Following, "run", apart)
    with pytest.raises(AssertionError):
        one_full_bar(monkeypatch, "lpn-gray-small")


def test_a_bar_that_fails_is_not_filled(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", out)
    with pytest.raises(ZeroDivisionError), Following(True, 10, "planted") as follow:
        follow.step(X, torch.ones(1))
        _ = 1 / 0
    assert "1/10" in out.getvalue() and "100%" not in out.getvalue()
    fill(NoBar())  # nothing to fill
    with progress_bar(True) as bar:
        fill(bar)  # no total is known


def test_who_listens_to_the_logger_is_told(caplog, capsys):
    with caplog.at_level(logging.INFO, logger="proxlab"):
        result = restored(False, steps=3)
    assert [record.getMessage() for record in caplog.records] == [repr(result)]
    assert capsys.readouterr() == ("", "")
