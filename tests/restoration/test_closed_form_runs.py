"""Runs of a quadratic prior, of which the answer and every number of the evidence are known."""

import math

import pytest
import torch
from torch import Tensor

from proxlab.operators import inpaint
from proxlab.priors.contract import Capabilities
from proxlab.restoration import Checks, Settings, default_sigma
from proxlab.restoration.data_terms import data_term
from proxlab.restoration.fixed_level import DESCENT, Fitted, alike, run_at_level
from proxlab.restoration.following import Following
from solvers import hqs
from solvers.conditions import PROVED
from tests.restoration.closed_forms import (
    CHECKERED,
    GREY,
    NOISE,
    Quadratic,
    Silent,
    measured,
    minimiser,
    pictures,
    restored,
)

OP = inpaint(CHECKERED[0, 0], NOISE)
Y = measured(2)
CURVE, TAU = 0.5, (0.99 * NOISE) ** 2
SOLVERS = ["pgd", "fista", "admm", "drs", "hqs"]


def objective(x: Tensor, y: Tensor = Y, told: float = 1.0, tau: float = TAU) -> Tensor:
    """f + R / tau."""
    misfit = (CHECKERED * x - y).square().flatten(1).sum(1) / (2 * NOISE**2)
    return misfit + told * CURVE * (x - GREY).square().flatten(1).sum(1) / (2 * tau)


def slope(x: Tensor, y: Tensor = Y) -> Tensor:
    """Gradient of f."""
    return CHECKERED * (CHECKERED * x - y) / NOISE**2


@pytest.mark.parametrize("solver", SOLVERS)
def test_every_number_of_a_run_is_what_it_is_of_a_quadratic(solver):
    result = restored(Quadratic(CURVE), OP, Y, solver=solver, tol=1e-9)
    assert result.certified == [True, True] and result.sigma.tolist() == [0.99 * NOISE] * 2
    # hqs minimises the Moreau envelope of f, whose weight is less
    noise = NOISE if solver != "hqs" else (NOISE**2 + TAU) ** 0.5
    exact = minimiser(Y, CHECKERED, CURVE, result.sigma, noise)
    assert (result.image - exact).norm() < 1e-7 * exact.norm()
    (theorem,) = (PROVED[one] for one in PROVED if one.__name__ == solver)
    for found, steps in zip(result.evidence, result.steps.tolist(), strict=True):
        assert found.margin == pytest.approx(1 / (1 + CURVE), rel=1e-4)
        assert found.value_margin == pytest.approx(1 / (1 + CURVE), rel=1e-4)
        assert found.convex_margin == pytest.approx(CURVE, rel=1e-4)
        assert found.step == pytest.approx(0.99**2) and found.step_limit == theorem.convex
        assert found.curvature == pytest.approx(1.0, rel=1e-3)
        assert found.data_error == 0 and found.gradient < 1e-6 and found.gap is None
        assert found.evaluations == found.looked_at == steps - DESCENT
    assert result.descent == DESCENT and result.premises.noise.tolist() == [NOISE] * 2


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_fall_is_that_of_the_objective_from_the_first_answer_to_the_last(solver):
    """One step from a start of one's own, whose two answers can be written down."""
    start = pictures(2, seed=3)
    told = restored(Quadratic(CURVE), OP, Y, start, solver=solver, steps=2, tol=1e-12)
    first = restored(Quadratic(CURVE), OP, Y, start, solver=solver, steps=1, tol=1e-12)
    fell = objective(first.image) - objective(told.image)
    for one, known in zip(told.evidence, fell.tolist(), strict=True):
        assert one.objective_fall == pytest.approx((known, known), rel=1e-9)
    silent = restored(Silent(CURVE), OP, Y, start, solver=solver, steps=2, tol=1e-12)
    assert torch.equal(silent.image, told.image) and silent.trace.objective is None
    for one, known in zip(silent.evidence, fell.tolist(), strict=True):
        low, high = one.objective_fall
        assert one.value_margin is None and low < known < high


@pytest.mark.parametrize("solver", ["pgd", "hqs"])
def test_the_gradient_at_the_end_is_told_over_that_at_the_first_estimate(solver):
    start, prior, plain = pictures(2, seed=3), Quadratic(CURVE), OP.first_estimate(Y)

    def length(x: Tensor, flatter: float = 1.0) -> Tensor:
        """|x - x'| / tau for a step of proximal gradient descent from x to x'."""
        moved = prior.prox(x - TAU * slope(x) / flatter, 0.1)
        return (x - moved).flatten(1).norm(dim=1) / TAU

    result = restored(prior, OP, Y, start, solver=solver, steps=1, tol=1e-12)
    envelope = 1 + TAU / NOISE**2 if solver == "hqs" else 1.0
    expected = length(start, envelope) / length(plain)
    assert [e.gradient for e in result.evidence] == pytest.approx(expected.tolist())
    assert all("the gradient of the objective is" in doubt for doubt in result.doubts)


def test_the_gradient_told_does_not_depend_on_contrast_nor_on_units():
    """A mask and a quadratic: what is c times as far from grey has c times the gradients."""
    start = pictures(2, seed=3)

    def told(c: float) -> list[float | None]:
        flat = OP.A(GREY + c * (Y - GREY))
        result = restored(Silent(CURVE), OP, flat, GREY + c * (start - GREY), solver="pgd", steps=1)
        return [found.gradient for found in result.evidence]

    assert told(1e-4) == pytest.approx(told(1.0), rel=1e-6)


@pytest.mark.parametrize("sigma", [0.05, 0.4])
def test_a_gradient_below_the_rounding_of_the_image_over_tau_is_rest(sigma):
    """Of a grey image, where the prior's least value is, the first gradient is 0."""
    flat = GREY * CHECKERED.expand(2, -1, -1, -1)
    f, level = data_term(flat, OP), torch.full((2,), sigma, dtype=torch.float64)
    start = [torch.full_like(flat, GREY)]
    nobody = Following(False, 30, "")
    run = run_at_level(hqs, f, Fitted(Silent(CURVE)), level, Settings(steps=30), start, nobody)
    rounding = torch.finfo(flat.dtype).eps * GREY * 8 / sigma**2
    assert run.reference.tolist() == pytest.approx([100 * rounding] * 2, abs=0)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_data_term_that_is_right_to_rounding_has_no_error(solver):
    result = restored(Silent(CURVE), OP, Y.float(), solver=solver)
    assert [found.data_error for found in result.evidence] == [0.0, 0.0]


def test_the_numbers_are_the_objective_s_step_by_step():
    result = restored(Quadratic(CURVE), OP, Y, solver="pgd", tol=1e-6)
    trace, first = result.trace, result.descent
    assert len(trace.residual) == int(result.steps.max())
    low, high = result.evidence[0].objective_fall
    k = int(result.steps[0]) - 1
    known = float(trace.objective[first, 0] - trace.objective[k, 0])
    assert low == high == pytest.approx(known, rel=1e-9)
    assert float(trace.objective[k, 0]) == pytest.approx(float(objective(result.image)[0]))


def test_a_prior_that_is_convex_and_a_start_of_one_s_own_need_no_descent():
    convex = Quadratic(CURVE, capabilities=Capabilities(exact=True, convex=True))
    direct = restored(convex, OP, Y, solver="pgd", tol=1e-9)
    assert direct.descent == 0 and direct.certified == [True, True]
    first = direct.evidence[0]
    assert first.evaluations == int(direct.steps[0]) and first.gradient < 1e-6
    own = restored(Quadratic(CURVE), OP, Y, pictures(2, seed=4), solver="pgd", tol=1e-9)
    assert own.descent == 0 and torch.allclose(own.image, direct.image, atol=1e-7)


def test_each_image_has_its_own_tolerance_noise_and_weight():
    each = {
        "tol": torch.tensor([1e-9, 0.5]),
        "noise": torch.tensor([NOISE, NOISE / 2]),
        "weight": torch.tensor([1.0, 4.0]),
    }
    result = restored(Quadratic(CURVE), OP, Y, solver="pgd", **each)
    assert result.certified == [True, False]
    assert result.doubts[1] == "tol = 0.5 is above 0.01, which certifies nothing"
    assert result.sigma.tolist() == pytest.approx([0.99 * NOISE] * 2)  # NOISE / 2 sqrt(4)
    assert result.premises.noise.tolist() == pytest.approx([NOISE, NOISE / 2])
    assert result.premises.lipschitz.tolist() == pytest.approx([100, 100])
    assert int(result.steps[0]) > int(result.steps[1])


def test_a_level_is_as_large_as_is_proved_and_one_that_the_prior_knows():
    prior = Silent(sigma_range=(0.02, 0.5))
    found = default_sigma(torch.tensor([100.0, 1e-3, 1e9, 0.0]), prior)
    assert found.tolist() == pytest.approx([0.099, 0.5, 0.02, 0.5])


def test_one_number_is_said_where_all_images_have_the_same():
    assert alike(torch.tensor([0.25, 0.25])) == 0.25
    each = torch.tensor([0.25, 0.5])
    assert alike(each) is each


class Exploding(Silent):
    """Doubles the second image at each step from the descent's end on, if `late`."""

    def __init__(self, late: bool):
        super().__init__(CURVE)
        object.__setattr__(self, "late", late)
        object.__setattr__(self, "calls", [])

    def prox(self, v, sigma):
        self.calls.append(sigma)
        x = super().prox(v, sigma)
        if len(x) == 2 and (not self.late or len(self.calls) > DESCENT):
            x = torch.cat([x[:1], 1e30 * (1 + v[1:].abs())])
        return x


@pytest.mark.parametrize("late", [True, False])
def test_an_image_that_diverges_has_no_evidence_and_the_phase_says_why(late):
    result = restored(Exploding(late), OP, Y, solver="pgd", tol=1e-9)
    assert result.stopped == ["tolerance", "diverged"] and result.certified == [True, False]
    lost = result.evidence[1]
    assert (lost.evaluations, lost.looked_at, lost.margin, lost.gradient) == (0, 0, None, None)
    assert lost.adjoint_error == result.evidence[0].adjoint_error
    assert lost.brief == "nothing" and "at step" in result.doubts[1]
    assert result.image[1].isnan().all() and result.image[0].isfinite().all()


@pytest.mark.parametrize("told", [0.5, 0.9, 1.1, 2.0, -1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_off_by_a_tenth_are_seen_by_the_probe_after_the_run(told, dtype):
    """The run itself is short, and most of its steps excuse more than that."""
    result = restored(Quadratic(CURVE, told=told), OP, Y.to(dtype), solver="admm")
    honest = restored(Quadratic(CURVE), OP, Y.to(dtype), solver="admm")
    assert honest.certified == [True, True]
    for found, words in zip(result.evidence, result.doubts, strict=True):
        assert found.value_margin < 0 < found.margin and "do not belong to its answers" in words
    alone = restored(
        Quadratic(CURVE, told=told), OP, Y.to(dtype), solver="admm", checks=Checks(values=False)
    )
    assert alone.certified == [True, True] and alone.evidence[0].value_margin is None


def test_a_loose_step_is_doubted_with_its_number():
    result = restored(Silent(CURVE), OP, Y, solver="fista", sigma=1.1 * NOISE, tol=1e-6)
    assert [found.step for found in result.evidence] == pytest.approx([1.21] * 2)
    assert all("so nothing is proved for fista" in words for words in result.doubts)
    assert math.isclose(result.evidence[0].step_limit, 1.0)
