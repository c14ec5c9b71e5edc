"""ADMM and Douglas-Rachford are one algorithm, relaxed or not, in the order that is proved."""

from itertools import islice

import pytest
import torch

from solvers import admm, drs, run
from tests.toys import L1, problem, zeros


def slow_admm(f, g, x, tau, steps, order, relaxation=1.0):
    z, u, h = x, 0 * x, x
    for _ in range(steps):
        x = f.prox(h - u, tau)
        if order == "data, dual, prior":
            u = u + x - h
        z = g.prox(x + u, tau)
        h = relaxation * z + (1 - relaxation) * x
        if order == "data, prior, dual":
            u = u + x - h
    return z


@pytest.mark.parametrize("relaxation", [1.0, 0.6, 1.7])
@pytest.mark.parametrize("tau", [0.3, [2.0, 1.0, 0.5, 0.5, 0.2]], ids=["constant", "schedule"])
def test_drs_and_admm_are_one_algorithm(tau, relaxation):
    f, g, how = problem(batch=2), L1(0.2), dict(tau=tau, relaxation=relaxation)
    pairs = zip(admm(f, g, zeros(f), **how), drs(f, g, zeros(f), **how), strict=True)
    for a, d in islice(pairs, 40):
        assert torch.allclose(a.x, d.x, rtol=0, atol=1e-12)


@pytest.mark.parametrize("solver", [admm, drs])
def test_relaxed_it_ends_at_the_same_point_in_fewer_steps(solver):
    f, g = problem(batch=2), L1(0.2)
    how = dict(max_steps=5000, tol=1e-12)
    plain = run(solver(f, g, zeros(f), tau=0.3), **how)
    relaxed = run(solver(f, g, zeros(f), tau=0.3, relaxation=1.7), **how)
    assert (plain.x - relaxed.x).norm() < 1e-9
    assert (relaxed.steps < 0.75 * plain.steps).all()
    for wrong in (0.0, 2.0, float("nan")):
        with pytest.raises(ValueError, match=f"lies between 0 and 2, got {wrong}; 1 is none"):
            next(solver(f, g, zeros(f), tau=0.3, relaxation=wrong))


def test_without_rescaling_its_dual_admm_would_jump():
    f, g, taus = problem(batch=2), L1(0.2), [2.0, 0.2]
    x = next(islice(admm(f, g, zeros(f), tau=taus), 1, None)).x
    u = f.prox(zeros(f), 2.0)
    z = g.prox(u + u, 2.0)
    for ratio, right in [(0.1, True), (1.0, False)]:  # the second is the planted mistake
        w = z - ratio * u
        p = f.prox(w, 0.2)
        assert torch.allclose(g.prox(2 * p - w, 0.2), x, atol=1e-12) == right


def test_admm_is_its_four_line_self_in_the_order_that_is_proved():
    f, g = problem(batch=2), L1(0.2)
    x = next(islice(admm(f, g, zeros(f), tau=0.3), 6, None)).x
    assert (x - slow_admm(f, g, zeros(f), 0.3, 7, "data, dual, prior")).norm() < 1e-12
    assert (x - slow_admm(f, g, zeros(f), 0.3, 7, "data, prior, dual")).norm() > 1e-4
    x = next(islice(admm(f, g, zeros(f), tau=0.3, relaxation=1.6), 6, None)).x
    assert (x - slow_admm(f, g, zeros(f), 0.3, 7, "data, dual, prior", 1.6)).norm() < 1e-12
