"""Settings and measurements at the very edge of what is let in, from both sides."""

import math

import numpy as np
import pytest
import torch
from deepinv.physics import LinearPhysics

from proxlab.operators import deblur, inpaint, noise_level
from proxlab.operators.contract import Accuracy
from proxlab.restoration import Checks, Settings
from proxlab.restoration.data_terms import data_term
from tests.images.pictures import image

EMPTY = torch.zeros(0)
IN = [
    {"steps": 1},
    {"steps": np.int64(3)},
    {"steps": True},
    {"tol": 1e-300},
    {"tol": math.inf},
    {"tol": np.array([1e-3, 2.0])},
    {"weight": 1e-300},
    {"weight": torch.tensor(2)},
    {"sigma": 1e-300},
    {"sigma": 1 - 1e-12},
    {"sigma": torch.tensor([0.1, 0.9])},
    {"noise": "auto"},
    {"noise": 1e300},
    {"solver": "hqs"},
    {},
]
OUT = [
    ({"steps": 0}, "whole number of steps >= 1, got 0"),
    ({"steps": 1.0}, "whole number of steps >= 1, got 1.0"),
    ({"tol": 0.0}, "tol is a relative residual, above 0, got 0.0"),
    ({"tol": torch.tensor([0.1, 0.0])}, "tol is a relative residual"),
    ({"tol": EMPTY}, r"tol .* a number or one for each image, got \[\]"),
    ({"tol": torch.ones(1, 1)}, "tol .* a number or one for each image"),
    ({"tol": torch.tensor(1j)}, "tol .* a number or one for each image"),
    ({"tol": None}, "tol .* a number or one for each image, got None"),
    ({"weight": 0}, "weight multiplies the prior, positive and finite, got 0"),
    ({"weight": math.inf}, "weight multiplies"),
    ({"weight": EMPTY}, r"weight .* one for each image, got \[\]"),
    ({"sigma": 0.0}, "0 < sigma < 1, got 0.0$"),
    ({"sigma": 1.0}, "0 < sigma < 1, got 1.0; divide by 255"),
    ({"sigma": torch.tensor([0.1, 25.0])}, "divide by 255"),
    ({"sigma": torch.tensor([0.1, -0.1])}, r"got \[[^;]*\]$"),
    ({"noise": "guess"}, 'number, a tensor of one for each image, or "auto", got'),
    ({"noise": 0.0}, "noise is a standard deviation, positive and finite"),
    ({"noise": math.nan}, "noise is a standard deviation"),
    ({"solver": "adm"}, "solver is one of pgd, fista, admm, drs, hqs, pdhg, got 'adm'"),
]


@pytest.mark.parametrize("told", IN, ids=str)
def test_what_is_just_inside_is_let_in(told):
    assert all(getattr(Settings(**told), name) is value for name, value in told.items())


@pytest.mark.parametrize("told, words", OUT, ids=lambda one: str(one)[:40])
def test_what_is_just_outside_is_refused(told, words):
    with pytest.raises(ValueError, match=words):
        Settings(**told)


def test_a_long_list_of_numbers_is_cut_in_its_sentence():
    with pytest.raises(ValueError) as caught:
        Settings(tol=-torch.ones(1000))
    assert len(str(caught.value)) < 200
    Checks(pairs=2)
    with pytest.raises(ValueError, match="pairs >= 2 evaluations, got 1"):
        Checks(pairs=1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("alone", [False, True, "a single pixel"])
def test_a_measurement_is_as_large_as_lets_its_squares_be_added_up(dtype, alone):
    """sqrt(max / n): of a measurement of n such numbers the sum of squares is just finite."""
    shape = (1, 1, 1, 1) if alone == "a single pixel" else (2, 1, 6, 7)
    n = math.prod(shape)
    limit = (torch.finfo(dtype).max / n) ** 0.5
    for share, allowed in ((0.999, True), (1.001, False)):
        y = torch.full(shape, share * limit, dtype=dtype)
        assert bool(y.square().sum().isfinite()) == allowed
        if alone:  # one of them decides, and its sign does not
            y[:, 0, 1:] = 0
            y[0, 0, 0, 0] *= -1
        if allowed:
            assert data_term(y, deblur(torch.ones(1, 1)), noise=1.0).weight.tolist() == [1] * len(y)
        else:
            with pytest.raises(ValueError, match="whose square is too large for"):
                data_term(y, deblur(torch.ones(1, 1)), noise=1.0)


@pytest.mark.parametrize("tol, steps, right", [(1e-300, 1, 1), (1 - 1e-12, 1, 1), (0, 1, 0)])
def test_an_accuracy_lies_between_0_and_1(tol, steps, right):
    for asked, allowed in (((tol, steps), right), ((1.0, 1), 0), ((0.5, 0), 0), ((0.5, 1), 1)):
        if allowed:
            assert Accuracy(*asked).max_steps == 1
        else:
            with pytest.raises(ValueError, match="expected 0 < tol < 1|max_steps >= 1"):
                Accuracy(*asked)


def test_the_noise_of_an_operator_lies_between_0_and_1_inclusive():
    for noise in (0.0, 1e-300, 1.0):
        assert noise_level(inpaint(torch.ones(2, 2), noise)) == noise
    for noise in (-1e-300, 1 + 1e-12, math.nan):
        with pytest.raises(ValueError, match="0 <= noise <= 1"):
            inpaint(torch.ones(2, 2), noise)


def test_a_step_of_a_data_term_is_0_or_more_and_one_for_each_image():
    y = image(2, 1, 4, 5)
    f = data_term(y, inpaint(torch.ones(4, 5)), noise=1.0)
    assert torch.equal(f.prox(0 * y, 0.0), 0 * y) and f.prox(0 * y, math.inf).isnan().all()
    torch.testing.assert_close(f.prox(0 * y, torch.tensor(1.0)), y / 2)
    torch.testing.assert_close(f.prox(0 * y, torch.tensor([0.0, 1.0]))[1], y[1] / 2)
    for tau in (-1e-300, math.nan, torch.tensor(-1.0)):
        with pytest.raises(ValueError, match="tau >= 0"):
            f.prox(y, tau)
    for tau in (torch.ones(1), torch.ones(3), torch.ones(2, 1)):
        with pytest.raises(ValueError, match="tau is a float or .B., B = 2"):
            f.prox(y, tau)
    for wrong in (y[0], y.half(), y.to_sparse(), y.to("meta"), y.tolist()):
        with pytest.raises((TypeError, ValueError), match=r"the data term|a data term takes"):
            f.value(wrong)


def test_a_measurement_may_have_any_shape_behind_its_batch():
    A = image(5, 12)
    op = LinearPhysics(
        A=lambda x: x.flatten(1) @ A.mT, A_adjoint=lambda y: (y @ A).view(len(y), 1, 3, 4)
    )
    y = image(2, 5, seed=1)
    x = data_term(y, op, noise=1.0, tol=1e-12).prox(torch.zeros(2, 1, 3, 4).double(), 1.0)
    exact = torch.linalg.solve(torch.eye(12) + A.mT @ A, (y @ A).mT).mT
    torch.testing.assert_close(x.flatten(1), exact)
    with pytest.raises(TypeError, match=r"a measurement is one .* \[B, ...\], got .* \[5\]"):
        data_term(y[0], op)
