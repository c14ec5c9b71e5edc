"""Functions behind the evidence, one by one: closed forms, and both sides of each threshold."""

from math import inf, nan, sqrt

import pytest
import torch

from proxlab.restoration import evidence
from proxlab.restoration.evidence import (
    Evidence,
    Probe,
    curvature_met,
    data_doubts,
    fall,
    gap_doubts,
    interpolated,
    prior_doubts,
    probed,
    rest_doubts,
    value_error,
)
from solvers.evidence import VALUE, Interpolation, gram
from tests.restoration.closed_forms import GREY, Quadratic, pictures, run_of

CURVE = 0.5
PRIOR = Quadratic(CURVE)


def quadratic_run(count: int = 4, told: float | None = 1.0, spread: float = 1.0):
    """Evaluations of the quadratic prior at random images, `told` times its values with them."""
    v = [GREY + spread * (one - GREY) for one in pictures(count)]
    x = [PRIOR.prox(one[None], 0.1)[0] for one in v]
    values = [CURVE * float((one - GREY).square().sum()) / 2 for one in x]
    return run_of(x, v, None if told is None else [told * r for r in values])


def asked_once_more(seen, told: float = 1.0) -> Probe:
    v = probed(seen)
    x, r = Quadratic(CURVE, told=told).prox_and_value(v[None], 0.1)
    return Probe(v, x[0], float(r))


@pytest.mark.parametrize("dtype, spread", [(torch.float32, 0.1), (torch.float64, 1e-5)])
def test_a_probe_goes_as_far_as_lets_an_error_of_values_be_told_from_rounding(dtype, spread):
    """Its step squared is forty times the allowance that the test makes for a reported value."""
    seen = quadratic_run(spread=spread)
    v, x = [[one.to(dtype) for one in many] for many in (seen.v, seen.x)]
    x[-1], v[-1] = x[-1] * 1.001, v[-1] * 1.001  # the last answer is the largest
    removed = (v[-1] - x[-1]).double().norm()
    step = (probed(seen._replace(v=v, x=x)) - v[-1]).double()
    allowance = VALUE * gram(v, x).value_unit
    assert 1e-3 < float(step.norm() / removed) < 0.25
    assert float(step.norm()) ** 2 == pytest.approx(40 * allowance, rel=0.02)
    assert torch.cosine_similarity(step.flatten(), (v[-1] - x[-1]).double().flatten(), 0) > 0.99


@pytest.mark.parametrize("spread, share", [(1.0, 1e-3), (1e-9, 0.25)])
def test_a_probe_goes_neither_less_than_a_thousandth_nor_more_than_a_quarter(spread, share):
    seen = quadratic_run(spread=spread)
    v, x = seen.v[-1], seen.x[-1]
    torch.testing.assert_close(probed(seen) - v, share * (v - x), rtol=1e-4, atol=1e-16)
    resting = seen._replace(v=seen.x)  # a prior that removes nothing is asked there again
    assert torch.equal(probed(resting), x)


def test_a_probe_stands_before_the_run_and_is_no_part_of_its_fall():
    seen = quadratic_run()
    with_probe = interpolated(seen, asked_once_more(seen))
    alone = interpolated(seen, None)
    assert len(with_probe.low) == len(alone.low) + 1 == 5
    for found in (with_probe, alone):
        assert found.margin == pytest.approx(1 / (1 + CURVE), rel=1e-4)
        assert found.value_margin == pytest.approx(1 / (1 + CURVE), rel=1e-3)
        known = float(seen.values[0] - seen.values[-1]) / seen.tau
        assert fall(seen, found) == pytest.approx((15 + known, 15 + known))  # 16 - 1 of the misfit
    # without values nothing is asked once more, and the interval holds the truth
    silent = seen._replace(values=None)
    found = interpolated(silent, asked_once_more(seen))
    assert len(found.low) == 4 and found.value_margin is None
    low, high = fall(silent, found)
    assert low < 15 + known < high


@pytest.mark.parametrize("told", [0.9, 1.1])
def test_only_the_probe_tells_of_values_off_by_less_than_the_run_excuses(told):
    seen = quadratic_run(2, told)
    asked = asked_once_more(seen, told)
    assert interpolated(seen, None).value_margin > 0 > interpolated(seen, asked).value_margin


def test_curvature_is_met_and_the_last_point_is_kept():
    point = list(pictures(5))
    v = [one - 0.1 * 3.0 * one for one in point]  # of f = 3 |x|^2 / 2
    seen = run_of(point, v)._replace(point=list(point), tau=0.1)
    assert curvature_met(seen, 0.0) == pytest.approx((3.0, 1.0))
    assert len(seen.point) == 1 and seen.point[0] is point[-1]


@pytest.mark.parametrize(
    "told, words",
    [
        ((1.005, 1.0, 0.0, 0), []),
        ((1.015, 1.0, 0.0, 0), ["bends 1.01 times"]),
        ((1.0, -0.005, 0.0, 0), []),
        ((1.0, -0.015, 0.0, 0), ["is not convex along the run"]),
        ((1.0, 1.0, 0.01, 0), []),
        ((1.0, 1.0, 0.015, 0), ["differs from A^T (A x - y) by 1.5e-02"]),
        ((1.0, 1.0, nan, 0), ["differs from A^T (A x - y) by nan"]),
        ((1.0, 1.0, 0.0, 1), ["missed its tolerance 1 times"]),
        ((2.0, -1.0, 1.0, 2), ["bends 2 times", "not convex", "1.0e+00", "2 times"]),
    ],
)
def test_doubts_of_a_data_term_begin_where_the_page_says(told, words):
    found = data_doubts(*told)
    assert len(found) == len(words)
    assert all(word in said for word, said in zip(words, found, strict=True))


@pytest.mark.parametrize(
    "gap, tol, words",
    [
        (0.9e-4, 1e-4, ""),
        (1e-4, 1e-4, "duality gap 1.0e-04 of the objective, above tol 1.0e-04"),
        (nan, 1e-4, "duality gap nan"),
        (1e-3, 1e-2, ""),
        (1e-3, 1.5e-2, "tol = 0.015 is above 0.01"),
    ],
)
def test_doubts_of_a_gap(gap, tol, words):
    found = gap_doubts(gap, tol)
    assert len(found) == (words != "") and "".join(found).startswith(words)


@pytest.mark.parametrize(
    "residual, tol, gradient, words",
    [
        (1e-5, 1e-4, 1e-2, []),
        (1e-5, 1e-4, None, []),
        (1e-4, 1e-4, 0.0, ["residual 1.0e-04 above tol 1.0e-04"]),
        (nan, 1e-4, 0.0, ["residual nan"]),
        (1e-5, 1e-2, 0.0, []),
        (1e-5, 1.5e-2, 0.0, ["tol = 0.015 is above 0.01"]),
        (1e-5, 1e-4, 1.5e-2, ["the gradient of the objective is 1.5e-02"]),
        (1e-5, 1e-4, nan, ["the gradient of the objective is nan"]),
        (1.0, 0.5, 1.0, ["residual 1.0e+00", "the gradient", "tol = 0.5"]),
    ],
)
def test_doubts_of_rest(residual, tol, gradient, words):
    found = rest_doubts(residual, tol, gradient)
    assert [said[: len(word)] for word, said in zip(words, found, strict=True)] == words
    restless = any(word.startswith(("residual", "the gradient")) for word in words)
    assert "; ".join(found).count("allow more steps") == restless


def verdict(margin: float, value_margin: float | None = None) -> Interpolation:
    return Interpolation(margin, -1.0, value_margin, torch.zeros(4), torch.zeros(4))


@pytest.mark.parametrize(
    "found, words",
    [
        (verdict(0.0), ""),
        (verdict(0.0, 0.0), ""),
        (verdict(-1e-3, 0.5), "those of no prox: the interpolation test fails by -0.001"),
        (verdict(nan), "those of no prox"),
        (verdict(0.5, -1e-3), "do not belong to its answers"),
        (verdict(0.5, nan), "do not belong to its answers"),
    ],
)
def test_doubts_of_a_prior_follow_the_margins_and_0_is_enough(found, words):
    said = prior_doubts("it", found, quadratic_run())
    assert len(said) == (words != "") and words in "".join(said)


def test_one_question_or_the_same_one_again_says_nothing_of_a_prox():
    assert "was asked once" in prior_doubts("it", verdict(inf), quadratic_run(1))[0]
    seen = quadratic_run()
    last = seen.v[-1]
    # apart by 20 times the error of an inner product in units of 1: nothing below is told apart
    least = 20 * 2 * torch.finfo(torch.float64).eps
    # it is the last image that the others are compared with
    for shares, doubted in (((0.0, 0.0), True), ((0.7, 0.0), True), ((1.5, 0.75), False)):
        v = [*(last * (1 + share * least) for share in shares), last]
        said = prior_doubts("it", verdict(0.5), seen._replace(v=v, x=v))
        assert ["3 times about one image" in one for one in said] == [True] * doubted


def test_a_value_errs_by_two_units_in_the_last_place():
    seen = quadratic_run()
    x = seen.x[-1]
    unit = 2 * torch.finfo(torch.float64).eps * float(x.square().sum()) / (sqrt(64) * seen.tau)
    assert value_error(seen) == pytest.approx(unit, abs=0)


NUMBERS = Evidence(12, 7, 1e-7, 2e-7)


def test_what_a_certificate_rests_on_is_said_in_a_few_words():
    assert NUMBERS.brief == "nothing" == Evidence(1, 1, 0.0, 0.0, margin=1.0).brief
    assert Evidence(0, 0, 0.0, 0.0, gap=1e-5).brief == "duality gap 1.0e-05"
    told = Evidence(12, 7, 0.0, 0.0, margin=0.5, gradient=1e-3)
    assert told.brief == ("one prox, by 7 of 12 evaluations, margin 0.5; gradient left 1.0e-03")
    for values, least in ((0.25, "0.25"), (0.75, "0.5")):
        both = Evidence(12, 7, 0.0, 0.0, 0.5, value_margin=values, gradient=1e-3)
        assert (
            both.brief.startswith("one prox, and its values, by 7") and f"n {least};" in both.brief
        )


def test_the_table_of_numbers_leaves_out_what_is_not_known():
    lines = str(NUMBERS).splitlines()
    assert [line.split("  ")[0] for line in lines] == [
        "evaluations looked at",
        "error of the adjoint",
        "error of linearity",
    ]
    assert lines[0].endswith("7 of 12") and lines[1].endswith("1e-07  <= 0.0001")
    full = Evidence(9, 9, 0, 0, step=0.5, step_limit=2.0, objective_fall=(1.0, 1.5), gap=0.25)
    told = {line[:28].strip(): line[28:].split() for line in str(full).splitlines()}
    assert told["tau L"] == ["0.5", "<", "2"] and told["duality gap / objective"][0] == "0.25"
    assert told["fall of the objective"] == ["1", "to", "1.5"]
    alone = str(Evidence(9, 9, 0, 0, step=0.5, objective_fall=(2.0, 2.0))).splitlines()
    assert alone[1].split() == ["tau", "L", "0.5"] and alone[-1].split()[-1] == "2"


def test_thresholds_are_those_of_the_page():
    assert (
        pytest.approx(0.01),
        pytest.approx(0.01),
        pytest.approx(0.01),
    ) == (evidence.LOOSEST_TOL, evidence.CURVATURE_SLACK, evidence.DATA_ERROR)
