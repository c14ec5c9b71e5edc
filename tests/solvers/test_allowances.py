"""What rounding excuses and what it does not: each allowance from both sides, at its own size.

Evaluations of two entries each, of which one carries the size of the image, and so the unit in the
last place, and the other a break of an inequality that is known exactly.
"""

from math import inf

import pytest
import torch

from solvers import cgls, pgd, run, sirt
from solvers.certificate import Rounding, doubts, risen, rises
from solvers.duality.restarts import Restarts
from solvers.evidence import curvature, cycle_margin, interpolation, possible
from solvers.linear_systems import conjugate_gradient
from solvers.schedules import steps_of
from tests.toys import Ridge, problem

UNIT = 2.0**-24
"""One unit in the last place of a float32 of size 1."""


def single(*rows: tuple[float, float]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float32)


@pytest.mark.parametrize("k, passes", [(3.8, True), (4.2, False)])
def test_two_answers_may_each_be_off_by_two_units_across_what_was_asked(k, passes):
    """<x - x', v - v'> is -k units times |v - v'|."""
    v = single((1.0, 0.5), (1.0, 0.0))
    x = single((1.0, -k * UNIT), (1.0, 0.0))
    assert (interpolation(v, x).margin >= 0) == passes
    r = single((0.0, -k * UNIT), (0.0, 0.0))  # v - x, of answers that are a sixteenth apart
    x = single((1.0, 1 / 16), (1.0, 0.0))
    assert (interpolation(x + r, x).convex_margin >= 0) == passes


@pytest.mark.parametrize("k, passes", [(11.5, True), (12.5, False)])
def test_a_value_may_be_off_by_twelve_units_of_the_square_over_the_root_of_the_pixels(k, passes):
    v, x = single((1.0, 0.5), (1.0, 0.0)), single((1.0, 0.0), (1.0, 0.0))
    told = torch.tensor([-k * UNIT / 2**0.5, 0.0], dtype=torch.float64)
    assert (interpolation(v, x, told).value_margin >= 0) == passes


def test_an_inequality_that_holds_exactly_is_not_called_broken():
    """<x - x', v - v'> is 0, of a prox onto a line; in float64 sums are rounded as well."""
    v = torch.tensor([[1e-6, 1.0], [0.0, 0.0]], dtype=torch.float64)
    x = torch.tensor([[1e-6, 0.0], [0.0, 0.0]], dtype=torch.float64)
    found = interpolation(v, x)
    assert found.margin >= 0 and found.convex_margin >= 0
    turned = interpolation(v, torch.tensor([[1e-6, -1e-20], [0, 0]], dtype=torch.float64))
    assert turned.margin >= 0  # still within rounding
    planted = interpolation(v, torch.tensor([[1e-6, -1e-5], [0, 0]], dtype=torch.float64))
    assert planted.margin < 0


@pytest.mark.parametrize("m", [0.25, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("count", [2, 3, 7])
def test_both_margins_of_a_multiple_are_known(m, count):
    v = torch.randn(count, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values = (1 / m - 1) * (m * v).square().sum(1) / 2
    found = interpolation(v, m * v, values)
    assert found.margin == pytest.approx(m) and found.convex_margin == pytest.approx(1 / m - 1)
    assert found.value_margin == pytest.approx(m)


@pytest.mark.parametrize("scale", [1e-9, 1e-3, 1.0, 1e6])
def test_whether_a_cycle_is_negative_does_not_depend_on_its_units(scale):
    cost = scale * torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)
    price = torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=torch.float64)
    assert possible(cost) and possible(cost + 1e-9 * scale * price)
    assert not possible(cost - 1e-9 * scale * price)
    assert possible(cost - 1e-14 * scale * price)  # a sum of rounded numbers
    assert cycle_margin(cost + 0.3 * scale * price, price) == pytest.approx(0.3 * scale)


def test_a_margin_of_costs_that_are_no_numbers_is_minus_infinity():
    cost, price = torch.zeros(2, 2), 1 - torch.eye(2)
    assert cycle_margin(cost, price) == 0.0
    assert cycle_margin(cost + torch.nan, price) == cycle_margin(cost, price * inf) == -inf


@pytest.mark.parametrize("k, seen", [(0.8, False), (1.2, True)])
def test_a_difference_of_gradients_counts_from_thirty_times_its_error_on(k, seen):
    """Of 2 units in the last place and `accuracy`, of the size of the last point."""
    error = 2 * torch.finfo(torch.float64).eps + 1e-6
    length = 30 * k * error
    point = torch.tensor([[1 + length, 0.0], [1.0, 0.0]], dtype=torch.float64)
    most, least = curvature(point, 0 * point, 0.5, accuracy=1e-6)  # of f = |x|^2 / (2 tau)
    assert (most == pytest.approx(2.0) and least == pytest.approx(1.0)) == seen
    assert (most, least) == (0.0, 1.0) or seen


@pytest.mark.parametrize("k, rose", [(2.5, False), (2.8, True)])
def test_a_squared_norm_may_rise_by_what_an_error_of_the_data_makes_of_it(k, rose):
    """F <= e sqrt(F F_max) + e^2 F_max holds up to F = (1 + sqrt 5)^2 / 4 = 2.618 e^2 F_max."""
    for top in (1.0, 100.0):
        F = torch.tensor([top, 0.0, k * 1e-12 * top], dtype=torch.float64)
        assert bool(rises(F).any()) == rose
        assert rises(F)[:2].tolist() == [0, 0]
    # what counts is what lies above the least, and the misfit, not a constant beside them
    for misfit in (F, torch.zeros_like(F) + F):
        assert bool(rises(F.clone() + 7.0 - 7.0, misfit * 0).any()) == rose


def test_a_floor_is_an_error_in_the_units_of_the_objective():
    F = torch.tensor([1.0, 0.5, 0.5 + 1e-3], dtype=torch.float64)
    assert rises(F, rounding=Rounding(1e-6, 2e-3)).any() == False  # noqa: E712  (a tensor)
    found = rises(F, rounding=Rounding(1e-6, 0.5e-3))
    assert found.tolist() == pytest.approx([0, 0, 1e-3])
    assert risen("it", F, None, Rounding()) == "it rose by 1.0e-03 at step 3"
    assert risen("it", F, None, Rounding(), first=5) == "it rose by 1.0e-03 at step 7"
    assert risen("it", F[:2], None, Rounding()) == risen("it", F[:0], None, Rounding()) == ""


def test_a_climb_of_small_steps_is_seen_from_the_lowest_before_it():
    F = torch.tensor([1.0, 0.0, 0.1, 0.2, 0.05, -1.0], dtype=torch.float64)
    assert rises(F).tolist() == pytest.approx([0, 0, 0.1, 0.2, 0.05, 0])


def test_what_was_before_the_schedule_s_end_is_another_problem_s():
    F = torch.tensor([0.0, 1.0, 0.5, 0.4], dtype=torch.float64)
    told = {"tol": 1e-3, "misfit": F}
    assert doubts(F, 1e-4, settled_at=2, **told) == ""
    assert doubts(F, 1e-4, settled_at=1, **told).startswith("objective rose by 1.0e+00 at step 2")
    assert doubts(F, 1e-4, settled_at=2, merit=F.flip(0), **told).startswith(
        "merit rose by 5.0e-01 at step 3"
    )
    assert doubts(None, 1e-3, settled_at=None, tol=1e-3) == (
        "the prior has no value; the schedule was still running; residual 1.0e-03 above tol 1.0e-03"
    )


def test_an_image_that_is_done_is_left_alone_whatever_its_neighbours_need():
    """The first starts within tol of its solution, and could come nearer."""
    A = torch.diag(torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64))
    b = torch.ones(2, 3, dtype=torch.float64)
    start = torch.linalg.solve(A, b.T).T
    start[0] += 1e-7
    start[1] = 0
    found = conjugate_gradient(
        lambda x: x @ A, lambda x: b - x @ A, start, scale=torch.ones(2), tol=1e-5, max_steps=50
    )
    assert torch.equal(found.x[0], start[0]) and found.steps[0] == 0 < found.steps[1]
    assert (found.residual <= 1e-5).all()
    none = conjugate_gradient(
        lambda x: x @ A, lambda x: b - x @ A, start, scale=torch.ones(2), tol=1e-5, max_steps=0
    )
    assert torch.equal(none.x, start) and none.steps.tolist() == [0, 0]


@pytest.mark.parametrize("tol", [1e-2, 1e-4, 1e-8])
def test_conjugate_gradients_stop_at_half_the_goal_and_no_later(tol):
    """As many steps as the recursion written out takes to come so far. [Golub13, Alg. 11.3.3]"""
    A = torch.diag(torch.logspace(0, 2, 40, dtype=torch.float64))
    b = torch.ones(1, 40, dtype=torch.float64)
    x, r, steps = torch.zeros_like(b), b.clone(), 0
    p = r
    while float(r.norm()) > tol * float(b.norm()) / 2:
        alpha = r.square().sum() / (p * (p @ A)).sum()
        x, last, r = x + alpha * p, r, r - alpha * (p @ A)
        p, steps = r + r.square().sum() / last.square().sum() * p, steps + 1
    found = conjugate_gradient(
        lambda x: x @ A,
        lambda x: b - x @ A,
        torch.zeros_like(b),
        scale=b.norm(dim=1),
        tol=tol,
        max_steps=500,
    )
    assert found.steps.tolist() == [steps] and torch.allclose(found.x, x, rtol=1e-9)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_least_squares_does_not_depend_on_the_units_of_the_measurement(scale):
    A = torch.rand(6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = torch.rand(2, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def third(solver, c):
        x = torch.zeros(2, 4, dtype=torch.float64)
        states = solver(lambda x: c * x @ A.mT, lambda r: c * r @ A, c * y, x)
        return [next(states) for _ in range(3)][-1]

    for solver in (cgls, sirt):
        here, there = third(solver, 1.0), third(solver, scale)
        assert torch.allclose(here.x, there.x, rtol=1e-9)
        assert torch.allclose(here.misfit * scale**2, there.misfit, rtol=1e-9)
        assert torch.allclose(here.residual, there.residual, rtol=1e-6)
    R = 1 / A.sum(1)
    r = third(sirt, 1.0).x @ A.mT - y
    assert torch.allclose(third(sirt, 1.0).objective, (R * r.square()).sum(1) / 2)


@pytest.mark.parametrize("units", [1e-6, 1.0, 1e6])
def test_restarts_do_not_depend_on_the_units_of_the_gap(units):
    """At a fifth of the last restart's gap at once, at four fifths once the gap has risen."""

    def looked(*gaps: float) -> list[int]:
        """Steps since the last restart, at each look."""
        means, x, count = Restarts.at(torch.zeros(1, 1)), torch.ones(1, 1), []
        for gap in gaps:
            means.add(x)
            told = torch.tensor([gap * units], dtype=torch.float64)
            means.restarted(told, 2 * told, x)
            count.append(int(means.count))
        return count

    assert looked(1.0, 0.5, 0.4, 0.25) == [0, 1, 2, 3]  # the first look is a restart
    assert looked(1.0, 0.25, 0.19) == [0, 1, 0]
    assert looked(1.0, 0.5, 0.75) == [0, 1, 0]
    assert looked(1.0, 0.5, 0.85) == [0, 1, 2]
    assert looked(1.0, 0.19, 0.1, 0.03) == [0, 0, 1, 0]


def test_a_step_is_told_in_the_dtype_of_the_images():
    x = torch.zeros(2, 3)
    for tau in (torch.tensor(0.1, dtype=torch.float64), torch.tensor([0.1, 0.2]).double()):
        assert steps_of(tau, x)[0].dtype == torch.float32
        state = next(pgd(problem(2, 4, 3), Ridge(0.1), x.double(), tau=tau.float()))
        assert state.evaluation.tau.dtype == torch.float64


def test_a_run_of_one_step_is_told_as_one():
    f = problem(1, 6, 4)
    result = run(pgd(f, Ridge(0.1), torch.zeros(1, 4).double(), tau=0.1), max_steps=1, tol=1e-12)
    assert result.steps.tolist() == [1] and len(result.trace.residual) == 1
    assert result.doubts[0].startswith("residual 1.0e+00")  # |x+ - 0| / |x+|
