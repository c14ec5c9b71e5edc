"""Runs of an algorithm that tells a duality gap: the gap stops an image and certifies it."""

import math

import pytest
import torch

from solvers import Diverged, State, pgd, run
from tests.toys import L1, problem


def with_gaps(residual=1.0, gaps=((4.0, 8.0), (0.3, 2.0), (0.05, 0.5), (0.01, 0.02))):
    """Two images of objective 10 whose duality gaps are given, step by step, for ever after."""
    steps = torch.tensor([*gaps, *[gaps[-1]] * 20], dtype=torch.float64)
    each = torch.full((2,), 10.0, dtype=torch.float64)
    for k, gap in enumerate(steps):
        yield State(torch.full((2, 3), float(k)), each * residual, each, each, True, gap=gap)


def test_an_image_stops_by_its_gap_and_its_gap_certifies_it():
    result = run(with_gaps(), max_steps=10, tol=0.01)
    assert result.steps.tolist() == [3, 4] and result.stopped == ["tolerance"] * 2
    assert result.certified == [True, True] and result.doubts == ["", ""]
    assert result.x[:, 0].tolist() == [2.0, 3.0]
    expected = torch.tensor([[4.0, 8.0], [0.3, 2.0], [0.05, 0.5], [math.nan, 0.02]]).double()
    assert torch.allclose(result.trace.gap, expected, equal_nan=True)
    resting = run(with_gaps(residual=0.0), max_steps=2, tol=0.01)
    assert resting.stopped == ["max_steps"] * 2  # planted: a residual of 0 stops nobody here


def test_a_gap_that_is_too_large_is_the_doubt():
    result = run(with_gaps(residual=0.0), max_steps=3, tol=0.01)
    assert result.certified == [True, False]
    assert result.doubts[1] == "duality gap 5.0e-02 above tol 1.0e-02"


def test_an_infinite_gap_is_no_divergence_but_an_objective_is():
    run(with_gaps(gaps=((math.inf, 1.0), (0.01, 0.01))), max_steps=12, tol=0.01)
    with pytest.raises(Diverged):
        run(with_gaps(residual=math.inf), max_steps=12, tol=0.01)


def test_without_a_gap_the_trace_has_none():
    f = problem()
    x = f.y.new_zeros(1, f.A.shape[2])
    assert run(pgd(f, L1(0.1), x, tau=0.3), max_steps=5, tol=1e-5).trace.gap is None
