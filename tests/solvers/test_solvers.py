"""The algorithms against closed forms, against each other, and by their rates."""

from itertools import islice
from math import sqrt

import pytest
import torch

from solvers import admm, drs, fista, hqs, pgd, run
from solvers.protocols import State, relative
from solvers.schedules import at, geometric, steps_of
from tests.toys import L0, L1, Laplace, Quadratic, Ridge, Valueless, WrongL0, problem, soft, zeros

EXACT = [pgd, fista, admm, drs]
ALL = [*EXACT, hqs]


def solve(solver, f, g, tau=None, max_steps=5000, tol=1e-13):
    return run(solver(f, g, zeros(f), tau=tau or 0.9 / f.lipschitz()), max_steps=max_steps, tol=tol)


def ridge_solution(f: Quadratic, w: float) -> torch.Tensor:
    eye = torch.eye(f.A.shape[2]).to(f.A)
    return torch.linalg.solve(f.A.mT @ f.A + w * eye, f.A.mT @ f.y[..., None])[..., 0]


def kkt_gap(f: Quadratic, x: torch.Tensor, w: float) -> float:
    """How far x is from `0 in grad f(x) + w d|x|_1`, written out entry by entry."""
    d = f.A.mT @ (f.A @ x[..., None] - f.y[..., None])
    d = d[..., 0]
    return float(torch.where(x != 0, (d + w * x.sign()).abs(), (d.abs() - w).clamp(min=0)).max())


def forgetful_pgd(f, g, x, *, tau):
    """Planted: proximal gradient descent whose prox forgets the step size."""
    while True:
        x_old, x = x, g.prox(x - tau * f.grad(x), 1.0)
        yield State(x, relative(x - x_old, x), f.value(x) + g.value(x), f.value(x), True)


@pytest.mark.parametrize("solver", EXACT)
def test_ridge_against_the_dense_solve(solver):
    f = problem(batch=2)
    assert (solve(solver, f, Ridge(0.3)).x - ridge_solution(f, 0.3)).norm() < 1e-10


def test_that_check_catches_a_prox_without_its_step():
    f = problem(batch=2)
    assert (solve(forgetful_pgd, f, Ridge(0.3)).x - ridge_solution(f, 0.3)).norm() > 1e-2


@pytest.mark.parametrize("solver", EXACT)
@pytest.mark.parametrize("g", [L1(0.2), Laplace(5.0)], ids=repr)
def test_separable_lasso_against_its_closed_form(solver, g):
    d = torch.linspace(0.3, 1.5, 20, dtype=torch.float64)
    f = Quadratic(d.diag()[None], problem(m=20).y)
    result = solve(solver, f, g)
    exact = soft(d * f.y, 0.2) / d**2
    assert (result.x - exact).norm() < 1e-10
    objective = f.value(exact) + 0.2 * exact.abs().sum(1)
    assert abs(result.trace.objective[-1] - objective) < 1e-10
    assert abs(result.trace.data_misfit[-1] - f.value(exact)) < 1e-9


@pytest.mark.parametrize("solver", EXACT)
def test_dense_lasso_meets_its_optimality_conditions(solver):
    f = problem()
    x = solve(solver, f, L1(0.2)).x
    assert 0 < (x == 0).sum() < 20
    assert kkt_gap(f, x, 0.2) < 1e-10
    assert kkt_gap(f, solve(forgetful_pgd, f, L1(0.2)).x, 0.2) > 1e-2


def envelope_minimiser(f: Quadratic, w: float, tau: float) -> torch.Tensor:
    """z of min f(x) + w |z|^2 / 2 + |x - z|^2 / (2 tau): x = (1 + tau w) z, then f's equation."""
    c = 1 + tau * w
    eye = torch.eye(f.A.shape[2]).to(f.A)
    return torch.linalg.solve(c * f.A.mT @ f.A + w * eye, f.A.mT @ f.y[..., None])[..., 0]


def test_hqs_minimises_its_envelope_and_the_true_objective_only_in_the_limit():
    f, true = problem(), ridge_solution(problem(), 0.3)
    errors = []
    for tau in [1.0, 0.1, 0.01]:
        x = solve(hqs, f, Ridge(0.3), tau=tau, max_steps=20000, tol=1e-13).x
        assert (x - envelope_minimiser(f, 0.3, tau)).norm() < 1e-9
        errors.append(float((x - true).norm()))
    assert errors[0] > 1e-2 and errors[1] < errors[0] / 5 and errors[2] < errors[1] / 5


def gap(solver, steps: int) -> float:
    """F(x_k) - min F on a quadratic of condition 1e8 whose minimum is 0.

    The solution d^(1/4) makes the sums over log-uniform d fall like k^-2.5 and k^-1.25.
    """
    d = torch.logspace(-4, 0, 60, dtype=torch.float64)
    f = Quadratic(d.diag()[None], (d * d**0.25)[None])
    states = solver(f, Ridge(0.0), zeros(f), tau=1.0)
    return float(next(islice(states, steps - 1, None)).objective)


def fista_with(t_next):
    def solver(f, g, x, *, tau):
        y, t = x, 1.0
        while True:
            x_old, x = x, g.prox(y - tau * f.grad(y), tau)
            t_old, t = t, t_next(t)
            y = x + (t_old - 1) / t * (x - x_old)
            yield State(x, relative(x - x_old, x), f.value(x) + g.value(x), f.value(x), True)

    return solver


def drop(solver) -> float:
    return gap(solver, 30) / gap(solver, 300)


def test_fista_ten_times_the_steps_buys_a_hundredfold():
    assert drop(fista) > 100
    assert drop(pgd) < 30


@pytest.mark.parametrize(
    "t_next",
    [lambda t: (1 + sqrt(1 + 3 * t * t)) / 2, lambda t: (1 + sqrt(1 + 4 * t)) / 2],
    ids=["3 for 4", "t for t squared"],
)
def test_that_check_catches_a_merely_plausible_momentum(t_next):
    assert drop(fista_with(t_next)) < 30


def test_fista_is_its_four_line_self():
    plain = fista_with(lambda t: (1 + sqrt(1 + 4 * t * t)) / 2)
    assert gap(fista, 50) == pytest.approx(gap(plain, 50), rel=1e-12)


def test_pgd_descends_on_a_nonconvex_objective():
    f = problem(batch=3, scale=3.0)
    result = solve(pgd, f, L0(0.3), tol=1e-10)
    assert result.certified == [True] * 3 and result.doubts == [""] * 3
    assert 0 < (result.x == 0).sum() < result.x.numel()


def test_hqs_never_raises_its_energy_on_a_nonconvex_one():
    f = problem(batch=3, scale=3.0)
    assert solve(hqs, f, L0(0.3), tau=2.0, tol=1e-10).certified == [True] * 3


@pytest.mark.parametrize("solver", [pgd, hqs])
def test_a_wrong_prox_is_not_certified(solver):
    f = problem(batch=3, scale=3.0)
    result = solve(solver, f, WrongL0(0.3), tol=1e-10)
    assert not all(result.certified)
    assert any(d.startswith("objective rose by") for d in result.doubts)


def test_settled_waits_until_two_steps_used_the_last_tau():
    f = problem()
    for tau, flags in [(0.3, [True] * 5), ([0.3, 0.2, 0.1], [False] * 3 + [True] * 2)]:
        states = hqs(f, Ridge(1.0), zeros(f), tau=tau)
        assert [s.settled for s in islice(states, 5)] == flags


@pytest.mark.parametrize("solver", EXACT)
def test_a_schedule_reaches_the_same_limit(solver):
    f = problem()
    taus = geometric(0.9 / f.lipschitz(), 0.3 / f.lipschitz(), 20)
    result = solve(solver, f, L1(0.2), tau=taus)
    assert (result.x - solve(solver, f, L1(0.2)).x).norm() < 1e-9
    assert result.steps[0] > 20


def test_schedules():
    assert geometric(1.0, 0.01, 3) == pytest.approx([1.0, 0.1, 0.01])
    assert geometric(1.0, 0.5, 1) == [0.5]
    x = torch.zeros(2, 5)
    taus = steps_of([3.0, 2.0], x)
    assert [at(taus, k) for k in range(3)] == [(3.0, False), (2.0, False), (2.0, True)]
    for bad in [0.0, -1.0, float("nan"), float("inf"), [], [1.0, 0.0], torch.ones(3)]:
        with pytest.raises(ValueError, match="tau"):
            steps_of(bad, x)
    for bad in [(0.0, 1.0, 3), (1.0, 0.5, 0)]:
        with pytest.raises(ValueError, match="geometric"):
            geometric(*bad)


@pytest.mark.parametrize("solver", ALL)
def test_no_value_no_objective(solver):
    f = problem()
    assert next(solver(f, Valueless(Ridge(1.0)), zeros(f), tau=0.1)).objective is None


@pytest.mark.parametrize("solver", ALL)
def test_a_solution_is_a_fixed_point_of_zero_residual(solver):
    f = Quadratic(torch.eye(4, dtype=torch.float64)[None], torch.zeros(1, 4, dtype=torch.float64))
    state = next(solver(f, L1(1.0), zeros(f), tau=0.5))
    assert state.residual == 0 and state.misfit == 0
