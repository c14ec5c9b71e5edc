"""Laws that mutation testing found nobody to look after: each kills a mutant that had survived."""

import pytest
import torch

from proxlab.operators import deblur, gaussian_kernel
from proxlab.priors.total_variation import TV
from proxlab.restoration.data_terms import data_term
from solvers import Diverged, cgls, conjugate_gradient, fista, pdhg, pgd, run, sirt, witness
from solvers.conditions import PROVED, diverging
from solvers.duality.curvature import FLOOR, Curvature
from solvers.evidence import curvature
from solvers.primal_dual import _gap, _gap_by_gradient, _least, _size, condat_vu, partial_gap
from solvers.protocols import dot
from solvers.spectrum import jacobian_spectrum, scattered
from tests.toys import Ridge, problem


def hilbert(n: int) -> torch.Tensor:
    """A symmetric matrix that float32 barely inverts, float64."""
    i = torch.arange(n, dtype=torch.float64)
    return 1 / (i + i[:, None] + 1) + 1e-4 * torch.eye(n, dtype=torch.float64)


def test_conjugate_gradients_begin_again_until_the_true_residual_is_small():
    """The recursion believes to be at the goal before it is; a restart from the truth goes on."""
    A, b = hilbert(14), torch.ones(1, 14)
    sweeps = []

    def residual(x: torch.Tensor) -> torch.Tensor:
        sweeps.append(x)
        return (b.double() - x.double() @ A).float()

    scale = dot(b, b).sqrt()
    found = conjugate_gradient(
        lambda x: x @ A.float(), residual, torch.zeros(1, 14), scale=scale, tol=1e-6, max_steps=500
    )
    assert len(sweeps) > 2, "one sweep was enough: a harder matrix is needed"
    after_one = (b - sweeps[1] @ A.float()).norm() / b.norm()
    assert float(found.residual) < 0.9 * float(after_one)


@pytest.mark.parametrize("largest", [1.5, 4.0])
def test_the_counter_example_is_there_up_to_the_bound_itself(largest):
    limit = largest / (largest - 1)
    H, J = diverging(1.01 * limit, largest)
    assert float(H[0, 0]) == pytest.approx(1.01 * limit)
    assert float(torch.linalg.eigvalsh(J)[-1]) == pytest.approx(largest)
    with pytest.raises(ValueError, match="below t = lam / \\(lam - 1\\) nothing diverges"):
        diverging(0.99 * limit, largest)


class Nothing:
    """A composite whose g is 0: |K x| counts for nothing."""

    radius = 1.0


@pytest.mark.parametrize("tau", [torch.ones(2, 1), torch.ones(3), torch.tensor([1.0, -1.0]), 0.0])
def test_a_step_of_pdhg_is_a_number_or_one_for_each_image(tau):
    f = problem(2, 6, 4)
    with pytest.raises(ValueError, match="tau is a positive float, or one for each image"):
        next(pdhg(f, Nothing(), torch.zeros(2, 4, dtype=torch.float64), tau=tau))


def blurred():
    """A deblurring problem of 8 x 8 in float64, total variation, and an image and dual for it."""
    x = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    g = TV().composite()
    return data_term(x, deblur(gaussian_kernel(0.5), 0.1)), g, x / 2, g.project(g.forward(x))


def test_the_gap_by_a_prox_is_at_most_that_by_the_gradient():
    """Both bound the same truth, so the less of them is told; neither may be of another q."""
    f, g, x, u = blurred()
    size = x.flatten(1).norm(dim=1)
    by_gradient = partial_gap(g, x, u, f.grad(x) + g.adjoint(u), size)
    for t in (1e-3, 1e-2):
        found = _gap(f, g, x, u, size, torch.full_like(size, t))
        assert (found <= by_gradient * (1 + 1e-12)).all() and (found > 0).all()


@pytest.mark.parametrize("share", [0.1, 10.0])
def test_a_gap_counts_within_the_size_of_the_problem_or_of_the_image_whichever_is_more(share):
    f, g, x, u = blurred()
    size = x.flatten(1).norm(dim=1)
    grad = f.grad(x)
    told = _gap_by_gradient(g, x, u, grad, share * size)
    assert torch.equal(told, partial_gap(g, x, u, grad + g.adjoint(u), max(share, 1.0) * size))
    t = torch.full_like(size, 1e-2)
    least = _gap(f, g, x, u, size, t)
    assert torch.equal(_gap(f, g, x, u, 0.1 * size, t), least)  # the image itself is larger
    assert (_gap(f, g, x, u, 10 * size, t) > 1.05 * least).all()


def test_of_two_gaps_the_less_is_told_with_its_image():
    f, g, x, _ = blurred()
    small, large = torch.tensor([1.0, 4.0]), torch.tensor([2.0, 3.0])
    state = _least(None, f, g, (x, small), (x + 1, large), small)
    assert state.gap.tolist() == [1.0, 3.0]
    assert torch.equal(state.x[0], x[0]) and torch.equal(state.x[1], x[1] + 1)
    later = _least(state, f, g, (x + 2, large), (x + 3, small), small)
    assert later.gap.tolist() == [1.0, 3.0] and torch.equal(later.x, state.x)


def test_a_start_at_zero_has_the_size_of_the_best_step_down():
    f = problem(2, 6, 4)
    x = torch.zeros(2, 4, dtype=torch.float64)
    d = f.grad(x)
    bend = ((f.A @ d[..., None])[..., 0]).square().sum(1)
    step = d.square().sum(1) / bend
    torch.testing.assert_close(_size(f, x), step * d.norm(dim=1))
    away = x + 1000
    torch.testing.assert_close(_size(f, away)[0], away[0].norm(), rtol=1, atol=0)


@pytest.mark.parametrize("solver", [cgls, sirt])
def test_least_squares_tells_the_misfit_that_its_image_has(solver):
    A = torch.rand(6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = torch.rand(2, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x = torch.zeros(2, 4, dtype=torch.float64)
    states = solver(lambda x: x @ A.mT, lambda r: r @ A, y, x)
    for state in (next(states) for _ in range(3)):
        misfit = (state.x @ A.mT - y).square().sum(1) / 2
        assert state.misfit.tolist() == pytest.approx(misfit.tolist())
        if solver is cgls:
            assert state.objective.tolist() == pytest.approx(misfit.tolist())
            gradient = ((state.x @ A.mT - y) @ A).norm(dim=1) / (y @ A).norm(dim=1)
            assert state.residual.tolist() == pytest.approx(gradient.tolist(), abs=1e-12)


@pytest.mark.parametrize("solver, t", [(pgd, 2.05), (fista, 1.5)])
def test_no_step_is_called_proved_at_which_a_quadratic_diverges(solver, t):
    f = problem(1, 8, 6)
    far = torch.ones(1, 6, dtype=torch.float64)
    tau = t / torch.linalg.matrix_norm(f.A, 2).square().max()
    with pytest.raises(Diverged):
        run(solver(f, Ridge(0.0), far, tau=float(tau)), max_steps=20_000, tol=1e-300)
    assert PROVED[solver].convex < t


def test_a_witness_keeps_no_more_than_its_memory_allows(monkeypatch):
    f = problem(2, 8, 6)
    x = torch.zeros(2, 6, dtype=torch.float64)
    monkeypatch.setattr(witness, "MOST_BYTES", 5 * 3 * x.numel() * x.element_size())
    look = witness.Witness(pairs=64)
    run(pgd(f, Ridge(0.1), x, tau=0.1), max_steps=40, tol=1e-12, witness=look)
    assert len(look.of(0).x) == 5


def wrapping(height: int, width: int):
    """A deblurring problem of that size in float64, of which the Hessian is a filter."""
    rng = torch.Generator().manual_seed(0)
    x = torch.rand(2, 1, height, width, generator=rng, dtype=torch.float64)
    kernel = torch.tensor([[0.0, 0.1, 0.0], [0.2, 0.4, 0.2], [0.0, 0.1, 0.0]])
    return data_term(x, deblur(kernel, 0.1)), x


@pytest.mark.parametrize("height, width", [(6, 10), (9, 8)])
def test_the_curvature_of_a_filter_is_that_filter(height, width):
    f, x = wrapping(height, width)
    found = Curvature.measured(f.grad, x, f.lipschitz())
    exact = f.power.expand_as(found.filter) / 0.1**2 + FLOOR * f.lipschitz().view(-1, 1, 1, 1)
    torch.testing.assert_close(found.filter, exact, rtol=1e-9, atol=1e-9)
    # and c, the largest eigenvalue of the Hessian over it, is 1 / (1 + FLOOR) or a little more
    assert ((found.scale > 0.999 / (1 + FLOOR)) & (found.scale < 1.05)).all()


def test_a_metric_that_is_above_the_curvature_is_never_raised(monkeypatch):
    f, x = wrapping(8, 8)
    asked = []
    raised = Curvature.raised
    monkeypatch.setattr(
        Curvature, "raised", lambda self, where: (asked.append(where), raised(self, where))[1]
    )
    run(condat_vu(f, TV().composite(), x, lipschitz=f.lipschitz()), max_steps=200, tol=1e-14)
    assert len(asked) > 10 and not torch.stack(asked).any()
    # planted: a metric of half its size is
    asked.clear()
    half = Curvature.measured
    monkeypatch.setattr(
        Curvature,
        "measured",
        lambda grad, x, L: Curvature(half(grad, x, L).filter, half(grad, x, L).scale / 2),
    )
    run(condat_vu(f, TV().composite(), x, lipschitz=f.lipschitz()), max_steps=200, tol=1e-14)
    assert torch.stack(asked).any()


def test_without_a_bound_the_gradient_is_the_step_over_tau_however_long_that_is():
    f = problem(1, 6, 4, scale=0.1)
    small = type(f)(0.1 * f.A, f.y)
    x = torch.zeros(1, 4, dtype=torch.float64)
    told = []
    for look in (witness.Witness(), witness.Witness(lipschitz=1.0)):
        moved = run(pgd(small, Ridge(0.1), x, tau=5.0), max_steps=1, tol=1e-12, witness=look).x
        told.append(look.of(0).gradient)
    assert told == pytest.approx([float(moved.norm()) / 5, 4 * float(moved.norm()) / 5])


def test_curvature_is_looked_for_between_neighbours_and_with_the_last():
    """Of diag(1, 9): along the second axis alone it is 9."""
    H = torch.diag(torch.tensor([1.0, 9.0], dtype=torch.float64))
    for points in ([(0, 0), (1, 1), (0, 2)], [(0, 0), (0, 1), (5, 1)], [(5, 1), (0, 0), (0, 1)]):
        x = torch.tensor(points, dtype=torch.float64)
        assert curvature(x, x - 0.1 * x @ H, 0.1)[0] == pytest.approx(9.0)


def test_a_spectrum_by_one_product_is_a_quotient():
    """Of diag(0.2, 1): <u, A u> over <u, u>, and what is left of A u as the error."""
    d = torch.tensor([0.2, 1.0], dtype=torch.float64)
    v = torch.zeros(1, 2, dtype=torch.float64)
    found = jacobian_spectrum(lambda x: d * x, v, 1e-3, steps=1)
    u = scattered(v)
    quotient = (d * u.square()).sum() / u.square().sum()
    left = (d * u - quotient * u).norm() / u.norm()
    assert float(found.highest) == float(found.lowest) == pytest.approx(float(quotient))
    assert float(found.error) == pytest.approx(float(left)) and float(found.asymmetry) == 0
