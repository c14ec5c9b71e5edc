"""The witness of a run: it keeps the right evaluations, and tells rest from a short step."""

from math import inf

import pytest
import torch

from solvers import admm, drs, fista, hqs, pgd, run
from solvers import witness as keeping
from solvers.witness import Witness
from tests.toys import L1, Quadratic, Ridge, Stubborn, Valueless, problem, zeros

ALL = [pgd, fista, admm, drs, hqs]


def uneven(batch: int = 3) -> Quadratic:
    f = problem(batch=batch)
    scale = torch.linspace(0.6, 1.0, batch, dtype=torch.float64)[:, None, None]
    return Quadratic(f.A * scale, f.y)


def first_gradient(f, g, x, tau):
    """Norm of the gradient of f + g near x, by a step of `pgd` that is written out here."""
    p = g.prox(x - tau * f.grad(x), tau)
    return (p - x).flatten(1).norm(dim=1) / tau


def watched(solver, f, g, tau, witness, max_steps=2000, tol=1e-4):
    """The result, and the states of the run as they went by, copied."""
    states = []
    steps = solver(f, g, zeros(f if isinstance(f, Quadratic) else f.inner), tau=tau)
    result = run(
        steps,
        max_steps=max_steps,
        tol=tol,
        witness=witness,
        watch=lambda k, s: states.append(s.x.clone()),
    )
    return result, states


@pytest.mark.parametrize("pairs, length", [(2, 37), (3, 1), (5, 4), (8, 37), (64, 37), (7, 100)])
def test_it_keeps_the_first_the_last_and_some_between(pairs, length):
    f, witness = problem(), Witness(pairs)
    _, states = watched(pgd, f, L1(0.1), 0.1, witness, length, 1e-15)
    seen = witness.of(0)
    assert seen.steps[0] == 1 and seen.steps[-1] == length == seen.evaluations
    assert seen.steps == sorted(set(seen.steps)) and len(seen.steps) <= max(pairs, 3)
    assert len(seen.v) == len(seen.x) == len(seen.point) == len(seen.steps) == len(seen.misfits)
    for x, k in zip(seen.x, seen.steps, strict=True):
        assert torch.equal(x, states[k - 1][0])
    if length > 2 * pairs > 4:  # spread: no gap is much wider than an even one
        gaps = torch.tensor(seen.steps).diff()
        assert gaps.max() <= 4 * length / (pairs - 1) and len(seen.steps) > pairs / 2
    if length < pairs:
        assert seen.steps == list(range(1, length + 1))


@pytest.mark.parametrize("solver", ALL)
def test_it_writes_down_what_was_asked_and_answered(solver):
    f, tau, w = problem(), 0.2, 0.1
    witness = Witness(5)
    watched(solver, f, L1(w), tau, witness, 40, 1e-15)
    seen = witness.of(0)
    values = []
    for v, x, point, misfit in zip(seen.v, seen.x, seen.point, seen.misfits, strict=True):
        assert torch.allclose(L1(w).prox(v[None], tau)[0], x, atol=1e-12)
        assert float(f.value(x[None])) == pytest.approx(float(misfit))
        # hqs walks down f's Moreau envelope, whose step ends at f's prox
        down = f.prox(point[None], tau) if solver is hqs else point - tau * f.grad(point[None])
        assert torch.allclose(down[0], v, atol=1e-10)
        values.append(tau * float(L1(w).value(x[None])))
    assert seen.values is not None and seen.tau == tau
    assert seen.values.tolist() == pytest.approx(values)
    # planted: the answer of the next step
    assert not torch.allclose(L1(w).prox(seen.v[0][None], tau)[0], seen.x[1], atol=1e-6)


def test_values_are_none_where_the_prior_has_none():
    f, witness = problem(), Witness()
    watched(pgd, f, Valueless(L1(0.1)), 0.2, witness, 10)
    assert witness.of(0).values is None


@pytest.mark.parametrize("solver", ALL)
@pytest.mark.parametrize("narrowing", [True, False])
@pytest.mark.parametrize("pairs", [4, 64])
def test_images_that_stop_at_different_steps_end_with_their_own_result(solver, narrowing, pairs):
    f = uneven()
    witness = Witness(pairs)
    result, _ = watched(solver, f if narrowing else Stubborn(f), L1(0.1), 0.2, witness)
    assert len(set(result.steps.tolist())) == 3 and result.stopped == ["tolerance"] * 3
    for b, k in enumerate(result.steps.tolist()):
        seen, alone = witness.of(b), Witness(pairs)
        assert torch.equal(seen.x[-1], result.x[b])
        assert seen.steps[-1] == seen.evaluations == k and seen.steps[0] == 1
        assert torch.allclose(L1(0.1).prox(seen.v[-1][None], 0.2)[0], seen.x[-1], atol=1e-12)
        one, _ = watched(solver, f.select(torch.tensor([b])), L1(0.1), 0.2, alone)
        assert float(one.steps) == k
        assert seen.gradient == pytest.approx(alone.of(0).gradient, rel=1e-6, abs=1e-12)
        assert seen.largest == pytest.approx(alone.of(0).largest)


def test_pairs_take_a_bounded_memory(monkeypatch):
    each = 3 * 20 * 8  # v, x and point of one image of 20 float64 numbers
    monkeypatch.setattr(keeping, "MOST_BYTES", 10 * each)
    kept = []
    for batch in (1, 2):
        witness = Witness(64)
        f = problem(batch=batch)
        watched(pgd, f, L1(0.1), 0.1, witness, 50, 1e-15)
        kept.append(len(witness.of(0).x))
        assert len(witness._kept) <= 10 / batch
    assert kept[1] < kept[0] <= 10
    monkeypatch.setattr(keeping, "MOST_BYTES", 0)  # still the first and the last
    witness = Witness(64)
    watched(pgd, problem(), L1(0.1), 0.1, witness, 50, 1e-15)
    assert witness.of(0).steps[0] == 1 and witness.of(0).steps[-1] == 50


def test_a_run_that_was_not_seen_has_no_evidence():
    with pytest.raises(ValueError, match="no evaluation of image 0"):
        Witness().of(0)
    witness = Witness()
    watched(pgd, problem(), L1(0.1), 0.1, witness, 3)
    with pytest.raises(ValueError, match="image 1"):
        witness.of(1)
    with pytest.raises(ValueError, match="first and the last"):
        Witness(pairs=1)


@pytest.mark.parametrize("solver", ALL)
@pytest.mark.parametrize("t", [0.5, 1.0, 1.9, 6.0])
def test_the_gradient_told_is_never_below_the_true_one(solver, t):
    """On |A x - y|^2 / 2 + |x|^2 / 2, whose gradient at x is known; too long steps too."""
    f, w = problem(), 0.05
    L = f.lipschitz()
    steps = 4 if t > 1 and solver in (pgd, fista) else 25  # before they blow up
    tau = t / L
    for k in range(1, steps, 3):
        witness = Witness(2, lipschitz=L)
        watched(solver, f, Ridge(w), tau, witness, k, 1e-15)
        x = witness.of(0).x[-1][None]
        true = f.grad(x) + w * x
        if solver is hqs:  # of g and f's envelope
            true = (x - f.prox(x, tau)) / tau + w * x
        assert float(true.norm()) <= witness.of(0).gradient * (1 + 1e-9)
        assert witness.of(0).gradient <= max(1.0, t - 1) * 200 * float(true.norm()) + 1e-9


def test_a_long_step_needs_the_wider_bound():
    f = problem()
    tau, told, wide = 6.0 / f.lipschitz(), Witness(2), Witness(2, lipschitz=f.lipschitz())
    for witness in (told, wide):
        watched(pgd, f, Ridge(0.05), tau, witness, 4, 1e-15)
    x = told.of(0).x[-1][None]
    true = float((f.grad(x) + 0.05 * x).norm())
    assert told.of(0).gradient < true <= wide.of(0).gradient  # planted: without L


def test_a_small_step_buys_no_rest():
    f, g = problem(), L1(0.1)
    start = zeros(f)
    tiny = 1e-9 / f.lipschitz()

    def ends(rest):
        reference = first_gradient(f, g, start, tiny)
        witness = Witness(reference=reference, rest=rest)
        result = run(pgd(f, g, start + 1, tau=tiny), max_steps=30, tol=1e-4, witness=witness)
        return result.stopped[0], int(result.steps)

    assert ends(1e-2) == ("max_steps", 30)
    assert ends(inf) == ("tolerance", 1)  # planted: by the step alone
    tau = 0.5 / f.lipschitz()
    witness = Witness(reference=first_gradient(f, g, start, tau))
    result = run(pgd(f, g, start, tau=tau), max_steps=3000, tol=0.9, witness=witness)
    seen = witness.of(0)
    assert result.stopped == ["tolerance"]
    assert seen.gradient <= 1e-2 * float(first_gradient(f, g, start, tau))


def test_the_first_step_is_the_reference_where_none_is_told():
    f, witness = problem(), Witness()
    watched(pgd, f, L1(0.1), 0.2, witness, 3000, 0.5)
    seen = witness.of(0)
    assert seen.gradient <= 1e-2 * seen.largest
    assert float(witness.reference) == pytest.approx(seen.largest)


@pytest.mark.parametrize("tau", [1e-3, 0.1])
def test_a_witness_of_one_step_of_pgd_measures_the_gradient(tau):
    f, w = problem(batch=2), 0.3
    x = torch.ones(2, 20, dtype=torch.float64)
    p = Ridge(w).prox(x - tau * f.grad(x), tau)
    look = Witness()
    run(pgd(f, Ridge(w), x, tau=tau), max_steps=1, tol=1e-4, witness=look)
    found = look.reference
    assert found is not None and found.shape == (2,) and found.dtype == torch.float64
    assert torch.allclose(found, (f.grad(x) + w * p).norm(dim=1))
    assert torch.allclose(found, first_gradient(f, Ridge(w), x, tau))
    if tau == 1e-3:
        assert torch.allclose(found, (f.grad(x) + w * x).norm(dim=1), rtol=0.01)
