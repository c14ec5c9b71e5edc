"""Least squares without a prior: against dense solves, their laws, and planted mistakes."""

import pytest
import torch

from solvers import cgls, run, sirt


def system(batch: int = 2, m: int = 30, n: int = 12) -> tuple:
    """A with entries >= 0, its adjoint, data that no x explains, the least squares solution."""
    generator = torch.Generator().manual_seed(0)
    matrix = torch.rand(m, n, generator=generator, dtype=torch.float64)
    y = torch.rand(batch, m, generator=generator, dtype=torch.float64)
    solution = torch.linalg.lstsq(matrix, y.mT).solution.mT
    return lambda x: x @ matrix.mT, lambda r: r @ matrix, y, solution, matrix


def test_cgls_is_done_after_as_many_steps_as_unknowns():
    A, adjoint, y, solution, _ = system()
    result = run(cgls(A, adjoint, y, torch.zeros_like(solution)), max_steps=12, tol=1e-30)
    assert (result.x - solution).norm() < 1e-4 * solution.norm()
    early = run(cgls(A, adjoint, y, torch.zeros_like(solution)), max_steps=3, tol=1e-30)
    assert (early.x - solution).norm() > 1e-2 * solution.norm()


def test_cgls_stops_at_once_at_the_solution():
    A, adjoint, y, solution, _ = system()
    result = run(cgls(A, adjoint, y, solution), max_steps=5, tol=1e-10)
    assert result.stopped == ["tolerance"] * 2 and int(result.steps.max()) == 1


def test_sirt_solves_the_weighted_problem():
    A, adjoint, y, _, matrix = system()
    root = matrix.sum(1).rsqrt()
    weighted = torch.linalg.lstsq(root[:, None] * matrix, (root * y).mT).solution.mT
    result = run(sirt(A, adjoint, y, torch.zeros_like(weighted)), max_steps=20_000, tol=1e-13)
    assert (result.x - weighted).norm() < 1e-4 * weighted.norm()


@pytest.mark.parametrize("solver", [cgls, sirt])
def test_what_they_minimise_never_rises(solver):
    A, adjoint, y, solution, _ = system()
    trace = run(solver(A, adjoint, y, torch.ones_like(solution)), max_steps=10, tol=1e-30).trace
    assert (trace.objective.diff(dim=0) <= 1e-12).all()


def test_a_wrong_adjoint_is_seen():
    A, adjoint, y, solution, _ = system()
    wrong = run(
        cgls(A, lambda r: adjoint(r.roll(1, 1)), y, torch.zeros_like(solution)),
        max_steps=12,
        tol=1e-30,
    )
    assert (wrong.x - solution).norm() > 1e-2 * solution.norm()


def test_images_do_not_see_each_other():
    A, adjoint, y, solution, _ = system()
    for solver in (cgls, sirt):
        both = run(solver(A, adjoint, y, torch.zeros_like(solution)), max_steps=4, tol=1e-30).x
        one = run(solver(A, adjoint, y[1:], torch.zeros_like(solution[1:])), max_steps=4, tol=1e-30)
        torch.testing.assert_close(both[1:], one.x)
