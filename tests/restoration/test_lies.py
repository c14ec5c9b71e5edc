"""Certificates that lied once: each lie that a stranger found is refused, its honest twin is not.

The list is that of the second round: L hidden from a power method, false adjoints, curved and
mixing operators, zero, made-up values behind a billion, a prior that is right in float64 alone,
loose tolerances, a step too small to move, noise that nobody told. More in `test_more_lies.py`.
"""

import math

import pytest
import torch
from deepinv.physics import GaussianNoise, UniformNoise, ZeroNoise

import proxlab
from proxlab.priors.contract import Capabilities
from solvers import Diverged
from solvers.spectrum import scattered
from tests.restoration.liars import (
    CLEAN,
    LEVEL,
    Liar,
    Made,
    Silent,
    answered,
    honest,
    noisy,
    problem,
    restored,
    rolled,
    valued,
)

BLUR = problem()[0]
CLAIMS = Capabilities(exact=True, convex=True, default_weight=0.35)


def alone(A, A_adjoint, y=None, solver="admm", steps=120, **more):
    """A restoration with an operator of two functions, by `unet-gray`."""
    op = Made(A, A_adjoint)
    return proxlab.restore(
        noisy(A(CLEAN)) if y is None else y, op, "unet-gray", solver, steps=steps, **more
    )


def hidden() -> torch.Tensor:
    """x -> d x, d = 1 but 10 where the start of the power method has its least entry."""
    d = torch.ones_like(CLEAN)
    d.view(-1)[int(scattered(d).argmin())] = 10
    return d


@pytest.mark.parametrize("solver", ["pgd", "admm", "drs"])
def test_a_large_eigenvalue_cannot_hide(solver):
    d, level = hidden(), 0.1
    op, flat = Made(lambda x: d * x, lambda y: d * y, level), Made(lambda x: x, lambda y: y, level)
    s = 0.057  # what is proved if L is that of the honest twin

    def run(one):
        y = noisy(one.A(CLEAN), level)
        return proxlab.restore(y, one, "unet-gray", solver, sigma=s, steps=60)

    assert run(flat).certified == [True]
    try:
        result = run(op)
    except Diverged:
        return
    found = result.evidence[0]
    assert result.certified == [False] and "is not below 1 / L" in result.doubts[0]
    assert 100 <= float(result.premises.lipschitz[0]) * 0.35 * level**2 < 106
    assert found.step is not None and found.step > 90


def test_a_hidden_eigenvalue_is_bounded_at_the_default_level_too():
    d = hidden()
    op = Made(lambda x: d * x, lambda y: d * y, 0.1)
    result = proxlab.restore(noisy(op.A(CLEAN), 0.1), op, "unet-gray", steps=26)
    assert result.sigma**2 * 100 / (0.35 * 0.1**2) < 1  # the true L


@pytest.mark.parametrize("c", [0.2, 0.5, 1.5])
def test_a_multiple_of_the_adjoint_is_an_error_and_a_doubt_for_those_who_insist(c):
    def back(y):
        return c * BLUR.A_adjoint(y)

    with pytest.raises(ValueError, match="A_adjoint is not the adjoint of A"):
        alone(BLUR.A, back)
    insisted = alone(BLUR.A, back, checks=proxlab.Checks(adjoint=False))
    assert insisted.stopped == ["tolerance"]  # nothing but the check is against it
    assert insisted.certified == [False] and "A_adjoint is not" in insisted.doubts[0]


def test_the_adjoint_itself_is_certified():
    assert alone(BLUR.A, BLUR.A_adjoint).certified == [True]


CURVES = {
    "tanh": torch.tanh,
    "sqrt": lambda x: x.clamp(min=0).sqrt(),
    "clamp": lambda x: (2 * x).clamp(0, 1),
}


@pytest.mark.parametrize("name", [*CURVES, "line"])
def test_an_operator_that_bends_is_no_operator(name):
    A = CURVES.get(name, lambda x: x)
    result = alone(A, lambda y: y, solver="pgd", init=noisy(A(CLEAN)))  # no prox of f is asked for
    assert result.certified == [name == "line"]
    assert name == "line" or "A is not linear" in result.doubts[0]


def test_an_operator_that_mixes_its_batch_is_doubted():
    two = torch.cat([CLEAN, CLEAN.flip(-1)])

    def mixed(share):
        return lambda x: (1 - share) * x + share * x.flip(0)

    result = alone(mixed(0.1), mixed(0.1), noisy(mixed(0.1)(two)))
    assert result.certified == [False] * 2 and "mixes the images" in result.doubts[1]
    assert alone(mixed(0), mixed(0), noisy(two)).certified == [True] * 2


def test_an_operator_that_sees_nothing_certifies_nothing():
    result = alone(lambda x: 0 * x, lambda y: 0 * y, steps=40)
    assert result.certified == [False] and "A sees nothing" in result.doubts[0]


@pytest.mark.parametrize("solver", ["pgd", "admm", "fista"])
def test_claims_and_a_billion_hide_no_wrong_value_of_a_network(solver):
    def billion(x, r):
        return torch.full((len(x),), 1e9, dtype=torch.float64)

    result = restored(Liar("unet-gray", valued(billion), CLAIMS), solver=solver)
    assert result.certified == [False] and "do not belong to its answers" in result.doubts[0]
    assert restored(Silent("unet-gray", answered(lambda v, x: x), CLAIMS)).certified == [True]


def test_rounding_is_certified_as_the_projection_that_it_is_and_never_as_convex():
    """Rounding to 8 levels is the prox of 0 on these and infinity elsewhere, so a constant value is
    right. It was certified as convex, for longer steps; those it gets no more."""

    def rounding(ask, v, sigma, k):
        return (v * 7).round() / 7, torch.full((len(v),), 1e9, dtype=torch.float64)

    result = restored(Liar("unet-gray", rounding, CLAIMS), "deblur", sigma=0.05, steps=200)
    found = result.evidence[0]
    assert found.step is not None and found.step > 1  # proved for convex priors alone
    assert result.certified == [False] or found.convex_margin >= 0


VALUES = {"zero": lambda x, r: 0 * r, "turned": lambda x, r: -r, "right": lambda x, r: r}


@pytest.mark.parametrize("name", VALUES)
def test_a_right_prox_with_another_value_is_not_certified(name):
    result = restored(Liar("lpn-gray", valued(VALUES[name])))
    assert result.certified == [name == "right"]
    assert name == "right" or "do not belong to its answers" in result.doubts[0]


def test_values_that_are_wrong_can_be_left_out():
    false = Liar("lpn-gray", valued(VALUES["turned"]))
    result = restored(false, checks=proxlab.Checks(values=False))
    assert result.certified == [True] and result.trace.objective is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_prior_is_looked_at_in_the_dtype_in_which_it_runs(dtype):
    def lie(v, x):
        return rolled(x) if v.dtype == torch.float32 else x

    op, y = problem()
    false = Liar("wavelets", answered(lie))
    result = proxlab.restore(y.to(dtype), op, false, "admm", steps=300)
    assert result.certified == [dtype == torch.float64]
    assert dtype == torch.float64 or "false wavelets" in result.doubts[0]


@pytest.mark.parametrize("tol", [1, 10, math.inf])
def test_a_tolerance_that_anything_meets_certifies_nothing(tol):
    for steps in (1, 30):
        result = restored(honest("unet-gray"), steps=steps, tol=tol)
        assert result.certified == [False] and "which certifies nothing" in result.doubts[0]


def test_a_step_too_small_to_move_is_not_rest():
    noise = torch.rand(CLEAN.shape, generator=torch.Generator().manual_seed(3))
    small = restored(honest("unet-gray"), sigma=1 / 255, init=noise, tol=1e-2)
    assert small.stopped == ["max_steps"]  # the residual is below tol from the first step on
    assert float(small.trace.residual[-1]) < 1e-2
    assert small.certified == [False] and "gradient of the objective" in small.doubts[0]
    assert restored(honest("unet-gray"), init=noise, steps=400).certified == [True]


@pytest.mark.parametrize("model", [ZeroNoise(), GaussianNoise(0.0), UniformNoise(0.02)])
def test_noise_is_never_assumed(model):
    op, y = Made(BLUR.A, BLUR.A_adjoint), noisy(BLUR.A(CLEAN))
    op.noise_model = model
    with pytest.raises(ValueError, match='noise=.*"auto"'):
        proxlab.restore(y, op, "unet-gray")
    told = proxlab.restore(y, op, "unet-gray", noise=LEVEL, steps=120)
    assert told.certified == [True]
