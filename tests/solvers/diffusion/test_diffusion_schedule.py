"""The variance-preserving schedule against quadrature and series; grids by their ends and steps."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from solvers import VP, even_grid, power_grid, uniform_grid
from solvers.diffusion.schedule import check_grid

SCHEDULES = [VP(), VP(0.5, 3.0), VP(4.0, 4.0)]
every_schedule = pytest.mark.parametrize("vp", SCHEDULES, ids=repr)


def quadrature(vp: VP, s: float, t: float) -> float:
    x, w = np.polynomial.legendre.leggauss(5)
    return float((t - s) / 2 * w @ vp.beta(s + (t - s) * (x + 1) / 2))


@every_schedule
def test_integral_against_quadrature(vp):
    for s, t in [(0.0, 1.0), (0.3, 0.31), (0.0, 1e-3), (0.2, 0.9)]:
        assert vp.integral(s, t) == pytest.approx(quadrature(vp, s, t), rel=1e-13)
    assert vp.integral(0.7, 0.7) == 0


def test_that_check_catches_the_left_point_rule():
    assert 0.1 * VP().beta(0.3) != pytest.approx(quadrature(VP(), 0.3, 0.4), rel=1e-2)


@every_schedule
def test_signal_decays_at_the_rate_beta(vp):
    t, h = torch.linspace(0.1, 0.9, 9, dtype=torch.float64), 1e-6
    slope = (vp.signal(t + h) - vp.signal(t - h)) / (2 * h)
    torch.testing.assert_close(slope, -vp.beta(t) * vp.signal(t), rtol=1e-6, atol=1e-9)
    assert not torch.allclose(slope, -vp.beta(t) * vp.signal(t) ** 0.5, rtol=0.1)


@pytest.mark.parametrize("t", [0.0, 1e-12, 1e-8, 1e-5, 1e-3])
def test_noise_near_zero_keeps_its_digits(t):
    vp = VP()
    b = vp.integral(0.0, t)
    series = b - b**2 / 2 + b**3 / 6 - b**4 / 24
    assert vp.noise(t) == pytest.approx(series, rel=1e-15 + b**4, abs=0)
    assert abs(vp.signal(t) + vp.noise(t) - 1) <= 1.2e-16
    if t == 1e-12:  # planted: what cancellation would leave
        assert 1 - vp.signal(t) != pytest.approx(series, rel=1e-5, abs=0)


@every_schedule
def test_a_tensor_of_times_is_answered_as_floats_are(vp):
    t = torch.linspace(0, 1, 7, dtype=torch.float64)
    for f in (vp.beta, vp.signal, vp.noise):
        assert f(t).tolist() == pytest.approx([f(float(s)) for s in t], rel=1e-14)
    assert vp.noise(t.float()).dtype == torch.float32
    assert torch.equal(vp.integral(0.0, t), vp.integral(torch.zeros_like(t), t))


@every_schedule
def test_time_at_undoes_the_integral(vp):
    for t in (0.0, 1e-9, 1e-3, 0.4, 1.0):
        assert vp.time_at(vp.integral(0.0, t)) == pytest.approx(t, rel=1e-13, abs=0)


@every_schedule
def test_time_of_noise_has_that_noise(vp):
    for sigma in (1e-6, 0.01, 0.3, 2.0):
        t = vp.time_of_noise(sigma)
        assert (vp.noise(t) / vp.signal(t)) ** 0.5 == pytest.approx(sigma, rel=1e-12)
        wrong = vp.time_at(math.log1p(sigma))  # planted: a deviation for a variance
        assert (vp.noise(wrong) / vp.signal(wrong)) ** 0.5 != pytest.approx(sigma, rel=1e-2)
    edge = (vp.noise(1.0) / vp.signal(1.0)) ** 0.5
    assert vp.time_of_noise(edge) == pytest.approx(1)
    assert vp.time_of_noise(1.1 * edge) > 1


GRIDS = [
    uniform_grid,
    lambda n: uniform_grid(n, 1e-3),
    lambda n: power_grid(n, 2.5),
    lambda n: power_grid(n, 0.5, 0.1),
    lambda n: even_grid(n, VP()),
    lambda n: even_grid(n, VP(4.0, 4.0)),
]
FIRST = [0.0, 1e-3, 0.0, 0.1, 0.0, 0.0]


@pytest.mark.parametrize("grid, first", [*zip(GRIDS, FIRST, strict=True)])
@pytest.mark.parametrize("n", [1, 2, 7, 1000])
def test_grids_rise_from_their_first_time_to_one(grid, first, n):
    times = grid(n)
    assert len(times) == n + 1 and times[0] == first and times[-1] == 1.0
    assert all(s < t for s, t in pairwise(times))
    assert check_grid(times) is times


def steps(times: list[float], vp: VP) -> list[float]:
    return [vp.integral(s, t) for s, t in pairwise(times)]


@every_schedule
def test_the_even_grid_has_equal_integrals_and_thus_the_least_largest(vp):
    equal = steps(even_grid(20, vp), vp)
    assert equal == pytest.approx([vp.integral(0.0, 1.0) / 20] * 20, rel=1e-12)
    for other in (uniform_grid(20), power_grid(20, 2.0), power_grid(20, 0.7)):
        assert max(steps(other, vp)) >= max(equal) - 1e-12
    if vp == VP():  # planted: a uniform grid in its place
        assert steps(uniform_grid(20), vp) != pytest.approx(equal, rel=0.5)


def test_grids_by_hand():
    assert uniform_grid(4) == [0, 0.25, 0.5, 0.75, 1]
    assert uniform_grid(2, 0.5) == [0.5, 0.75, 1]
    assert power_grid(2, 3.0) == [0, 0.125, 1]
    assert power_grid(4, 1.0) == uniform_grid(4) == even_grid(4, VP(2.0, 2.0))


@pytest.mark.parametrize("ends", [(0, 1), (-1, 1), (2, 1), (0.1, math.inf), (math.nan, 1)])
def test_a_schedule_refuses(ends):
    with pytest.raises(ValueError, match="0 < beta_min <= beta_max"):
        VP(*ends)


@pytest.mark.parametrize("n", [0, -3, 2.5, True])
@pytest.mark.parametrize("grid", GRIDS[::2])
def test_a_grid_refuses_a_number_of_steps(grid, n):
    with pytest.raises(ValueError, match="whole number, at least 1"):
        grid(n)


def test_a_grid_refuses_its_other_arguments():
    for power in (0, -1, math.inf, math.nan):
        with pytest.raises(ValueError, match="power of a time grid is positive"):
            power_grid(3, power)
    for first in (-0.1, 1.0, math.nan):
        with pytest.raises(ValueError, match=r"starts in \[0, 1\)"):
            uniform_grid(3, first)


@pytest.mark.parametrize(
    "times",
    [[], [0.0], [0.0, 0.0], [1.0, 0.0], [0.0, 1.5], [-0.1, 1.0], [0.0, math.nan, 1.0],
     [0.0, 0.5, 0.4, 1.0]],
)  # fmt: skip
def test_what_is_no_grid_is_refused(times):
    with pytest.raises(ValueError, match="rises from 0 to 1 in at least one step"):
        check_grid(times)


@pytest.mark.parametrize("number", [-1.0, float("nan"), float("inf")])
def test_a_schedule_is_asked_for_times_that_exist(number):
    with pytest.raises(ValueError, match="an integral of beta from 0 is not negative"):
        VP().time_at(number)
    with pytest.raises(ValueError, match="a standard deviation is not negative"):
        VP().time_of_noise(number)


@pytest.mark.parametrize("steps", [float("nan"), float("inf"), 2.5])
def test_steps_are_counted(steps):
    with pytest.raises(ValueError, match="steps is a whole number"):
        uniform_grid(steps)


def test_a_power_that_leaves_no_time_between_steps_is_refused():
    with pytest.raises(ValueError, match="a time grid rises"):
        power_grid(1000, 200.0)
