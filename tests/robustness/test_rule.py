"""The rule of the fuzzing itself: which ends of a call it lets pass, and which it catches."""

import json
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import rule
import torch
from rule import ForeignError, Refused, outcome
from targets import keeps, per_image

import proxlab
import solvers

X = torch.rand(2, 1, 4, 4)


def test_answers_and_sentences_of_ours_pass():
    assert outcome(lambda: 3) == 3
    for call in (
        lambda: proxlab.load("no-such"),
        lambda: solvers.uniform_grid(0),
        lambda: proxlab.operators.gaussian_kernel(-1.0),
        lambda: proxlab.images.read_image("/nowhere.png"),
        Path("/nowhere").read_bytes,
    ):
        assert isinstance(outcome(call), Refused)


def torch_says() -> object:
    return torch.ones(2) @ torch.ones(3)


def numpy_says() -> object:
    return np.zeros(3).reshape(2, 2)


def python_says() -> object:
    return int("x")


def ours_without_words() -> object:
    raise ValueError


def a_test_says() -> object:
    raise ValueError("in a file that is none of the packages'")


def json_says() -> object:
    return json.loads("[" * 100_000)


def a_warning() -> object:
    warnings.warn("of torch", UserWarning, stacklevel=1)
    return 0


def another_type() -> object:
    return {}["x"]


@pytest.mark.parametrize(
    "call",
    [
        torch_says,
        numpy_says,
        python_says,
        ours_without_words,
        a_test_says,
        json_says,
        a_warning,
        another_type,
        lambda: keeps(X, X[0]),
        lambda: keeps(X, X.double()),
        lambda: keeps(X, X * torch.nan),
        lambda: keeps(X, None),
        lambda: per_image(X, X.sum()),
    ],
)
def test_what_is_foreign_is_caught(call):
    with pytest.raises(ForeignError):
        outcome(call)


def test_a_call_that_hangs_is_caught(monkeypatch):
    monkeypatch.setattr(rule, "PATIENCE", 1)
    with pytest.raises(ForeignError, match="no answer within 1 s"):
        outcome(lambda: time.sleep(20))
