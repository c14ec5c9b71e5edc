"""Doubts of a run whose numbers are known: lies of a known size, and how large they are told."""

import pytest
import torch
from torch import Tensor

from proxlab.operators import inpaint
from proxlab.operators.contract import Accuracy, Missed
from proxlab.operators.noise import PhotonCounts, Weights, measurement_weights
from proxlab.restoration import Checks
from proxlab.restoration.fixed_level import DESCENT
from tests.restoration.closed_forms import (
    CHECKERED,
    GREY,
    NOISE,
    Quadratic,
    Scaled,
    Silent,
    measured,
    minimiser,
    restored,
)
from tests.restoration.liars import Own, Term

MASK = inpaint(CHECKERED[0, 0], NOISE)
Y = measured(2)
CURVE, TAU = 0.5, (0.99 * NOISE) ** 2


def term(**lies) -> type[Term]:
    return type("FalseTerm", (Term,), lies)


def run_with(lies: dict, solver: str = "pgd", prior: object = None, **told):
    own = Own(MASK, term(**lies))
    return restored(prior or Quadratic(CURVE), own, Y, solver=solver, **{"tol": 1e-9} | told)


def with_tol(tol: float):
    def made(self, f):
        Term.__init__(self, f)
        self.tol = tol

    return made


@pytest.mark.parametrize("tol", [0.0, 1e-5])
@pytest.mark.parametrize("share", [0.05, 0.005, -0.05])
def test_a_gradient_off_by_a_share_is_told_by_that_share(share, tol):
    """Less what the prox may err by: 4 tol of what its right-hand side is, (1 + tau L) |x| / tau.

    A gradient 1 + s times as large is right at noise^2 / (1 + s), and there the run comes to rest.
    """
    false = {"grad": lambda f, x: (1 + share) * f.f.grad(x), "__init__": with_tol(tol)}
    result = run_with(false, sigma=0.09)
    at = minimiser(Y, CHECKERED, CURVE, result.sigma, NOISE / (1 + share) ** 0.5)
    assert (result.image - at).norm() < 1e-6 * at.norm()
    true = (CHECKERED * (at - Y) / NOISE**2).flatten(1).norm(dim=1)
    excused = 4 * tol * (1 + 0.81) * at.flatten(1).norm(dim=1) / 0.09**2
    expected = (abs(share) - excused / true).clamp(min=0)
    found = [one.data_error for one in result.evidence]
    assert found == pytest.approx(expected.tolist(), rel=1e-3, abs=1e-9)
    doubted = ["the data term's gradient differs" in words for words in result.doubts]
    assert doubted == (expected > 0.01).tolist()
    assert all("has a gradient that differs" in words for words in result.doubts)


def test_hqs_is_judged_by_the_gradient_at_the_answer_of_its_prox():
    honest = run_with({}, "hqs")
    assert honest.certified == [True, True]
    assert all(one.data_error < 1e-8 for one in honest.evidence)
    half = run_with({"prox": lambda f, v, t: (v + f.f.prox(v, t)) / 2}, "hqs")
    # v - x is then half of what it should be, and x further from y: 1 + tau L / 2 times
    expected = 1 - 0.5 / (1 + 0.99**2 / 2)
    assert [one.data_error for one in half.evidence] == pytest.approx([expected] * 2, rel=1e-3)


@pytest.mark.parametrize("solver", ["pgd", "hqs"])
def test_weights_of_entries_count_in_the_error_of_the_gradient(solver):
    """Of counted photons: an honest data term has none, one that takes them as even has much."""
    op = inpaint(CHECKERED[0, 0], NOISE)
    op.noise_model = PhotonCounts(50.0, 2.0)
    honest = restored(Quadratic(CURVE), op, Y, solver=solver, tol=1e-8, steps=1000)
    assert honest.certified == [True, True]
    assert all(found.data_error < 1e-3 for found in honest.evidence)
    w, W = measurement_weights(Y, op)
    c = (CURVE / honest.sigma**2).view(-1, 1, 1, 1)
    per_pixel = w.view(-1, 1, 1, 1) * W * CHECKERED
    if solver == "hqs":  # the envelope of f
        per_pixel = per_pixel / (1 + honest.sigma.view(-1, 1, 1, 1) ** 2 * per_pixel)
    exact = (per_pixel * Y + c * GREY) / (per_pixel + c)
    assert (honest.image - exact).norm() < 1e-4 * exact.norm()
    flat = MASK.data_term(Y[:1], Weights(w[:1], None), Accuracy())
    even = Own(op, term(prox=lambda f, v, t: flat.prox(v, t), grad=lambda f, x: flat.grad(x)))
    even.noise_model = op.noise_model
    (told,) = restored(Quadratic(CURVE), even, Y[:1], solver=solver, tol=1e-8).evidence
    assert told.data_error > 0.02


@pytest.mark.parametrize("tol, doubted", [(1e-4, False), (1.5e-4, True)])
def test_a_prox_known_too_loosely_certifies_nothing(tol, doubted):
    result = run_with({"__init__": with_tol(tol)}, "admm", tol=1e-4)
    assert ["which would excuse any image" in words for words in result.doubts] == [doubted] * 2
    assert result.certified == [not doubted] * 2


def test_misses_of_the_data_term_count_for_the_image_and_the_last_phase_alone():
    missed: list[Missed] = []

    def made(self, f):
        Term.__init__(self, f)
        self.stopped_short = missed

    def prox(self, v, tau):
        missed.append(Missed(1.0, (1,)))
        return self.f.prox(v, tau)

    result = run_with({"__init__": made, "prox": prox}, "admm", tol=1e-4)
    count = int(result.steps.max()) - DESCENT
    assert result.doubts[0] == "" and len(missed) > count
    assert result.doubts[1] == f"the data term's prox missed its tolerance {count} times"


@pytest.mark.parametrize("share", [1.0, 0.98, 0.5])
def test_curvature_above_l_is_told_over_it(share):
    said = {"lipschitz": lambda f: share * f.f.lipschitz()}
    result = run_with(said, sigma=0.05, steps=60, tol=1e-6)
    for found in result.evidence:
        assert found.curvature == pytest.approx(1 / share, rel=1e-3)
        assert found.step == pytest.approx(share * 0.25)
    assert ["bends" in words for words in result.doubts] == [share < 1] * 2


def test_a_data_term_without_curvature_needs_no_bound_and_any_other_does():
    nothing = {"lipschitz": lambda f: 0 * f.f.lipschitz()}
    result = run_with(nothing, sigma=0.05, steps=30)
    assert all("bends inf times" in words for words in result.doubts)
    flat = nothing | {"grad": lambda f, x: 0 * x}
    result = run_with(flat, sigma=0.05, steps=30)
    assert [found.curvature for found in result.evidence] == [0.0, 0.0]


@pytest.mark.parametrize(
    "solver, tau_L, watched",
    [("pgd", 0.9, True), ("pgd", 1.5, True), ("admm", 0.9, True), ("admm", 1.5, False)],
)
def test_what_a_theorem_makes_fall_is_watched_where_it_holds(solver, tau_L, watched):
    calls = []

    def value(self, x):
        """Right when it is checked, then larger with each step."""
        calls.append(1)
        return self.f.value(x) + 0.1 * max(0, len(calls) - 30)

    sigma = tau_L**0.5 * NOISE
    result = run_with({"value": value}, solver, sigma=sigma, steps=60, tol=1e-14)
    assert ["the merit rose" in words for words in result.doubts] == [watched] * 2
    honest = run_with({}, solver, sigma=sigma, steps=60, tol=1e-14)
    assert not any("rose" in words for words in honest.doubts)


class Switching(Silent):
    """A prior that calls `then` once, well into the second phase."""

    def __init__(self, then):
        super().__init__(CURVE)
        object.__setattr__(self, "then", then)
        object.__setattr__(self, "calls", [])

    def prox(self, v, sigma):
        self.calls.append(1)
        if len(self.calls) == DESCENT + 3:
            self.then()
        return super().prox(v, sigma)


class Changing(Own):
    """An operator whose data term stays right; its own products become `now` times as large."""

    def __init__(self, kind: type[Term] = Term):
        super().__init__(MASK, kind)
        self.now = [1.0, 1.0]

    def A(self, x: Tensor, **kwargs) -> Tensor:
        return self.now[0] * super().A(x)

    def A_adjoint(self, y: Tensor, **kwargs) -> Tensor:
        return self.now[1] * super().A_adjoint(y)


@pytest.mark.parametrize("of_A, of_adjoint", [(1.0, 1.0), (1.0, 0.5), (-1.0, 1.0)])
def test_an_adjoint_that_is_lost_on_the_way_is_found_out_after_the_run(of_A, of_adjoint):
    op = Changing()

    def change() -> None:
        op.now[:] = of_A, of_adjoint

    result = restored(Switching(change), op, Y, solver="admm", tol=1e-7, steps=60)
    same = of_A == of_adjoint
    assert result.certified == [same] * 2
    for words, found in zip(result.doubts, result.evidence, strict=True):
        assert ("A_adjoint is not the adjoint" in words) == (not same)
        assert (found.adjoint_error > 0.1) == (not same)


@pytest.mark.parametrize("c", [0.5, 1.5])
def test_a_multiple_of_the_adjoint_is_refused_and_told_by_those_who_insist(c):
    op = Changing()
    op.now[1] = c
    with pytest.raises(ValueError, match=r"not the adjoint of A.*; checks=Checks\(adjoint=False\)"):
        restored(Quadratic(CURVE), op, Y, solver="admm")
    result = restored(
        Quadratic(CURVE), op, Y, solver="admm", tol=1e-7, checks=Checks(adjoint=False)
    )
    told = [found.adjoint_error for found in result.evidence]
    assert told[0] == told[1] and 0.7 < told[0] / (abs(1 - c) / 2**0.5) < 1.5
    assert all("A_adjoint is not the adjoint of A" in words for words in result.doubts)


@pytest.mark.parametrize("growth", [1.0, 1.96])
def test_curvature_that_grows_on_the_way_is_found_out_after_the_run(growth):
    """admm asks for no gradient in between; two looks find a projection's eigenvalue exactly."""
    now = [1.0]
    own = Own(MASK, term(grad=lambda f, x: now[0] * f.f.grad(x)))

    def change() -> None:
        now[0] = growth

    result = restored(Switching(change), own, Y, solver="admm", tol=1e-7, steps=60)
    assert result.certified == [growth == 1] * 2
    assert [found.curvature for found in result.evidence] == pytest.approx([growth] * 2, rel=1e-3)
    assert ["bends 1.96 times" in words for words in result.doubts] == [growth > 1] * 2


@pytest.mark.parametrize("solver", ["pgd", "admm"])
def test_an_operator_without_a_closed_form_has_the_same_numbers(solver):
    d = torch.linspace(0.2, 2.0, 64, dtype=torch.float64).view(1, 1, 8, 8)
    y = measured(2, d)
    result = restored(Quadratic(CURVE), Scaled(d), y, solver=solver, tol=1e-8, steps=2000)
    assert result.certified == [True, True]
    exact = minimiser(y, d, CURVE, result.sigma)
    assert (result.image - exact).norm() < 1e-4 * exact.norm()
    for found in result.evidence:
        assert 0.5 < found.curvature <= 1 and found.data_error < 1e-3
        assert found.adjoint_error < 1e-14 and found.linearity_error < 1e-14
    wrong = restored(Quadratic(CURVE), Scaled(d), 3 * y, solver=solver, steps=2000)
    assert [words.startswith("the first estimate") for words in wrong.doubts] == [False, False]
