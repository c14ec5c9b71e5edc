"""More lies, told by data terms, operators and composites; those of priors: `test_more_lies`.

Of a data term, refused: (19) the prox of another noise level; (20) half its L, in deblurring,
inpainting and tomography; (21) an L of 0 or below; (22) a tolerance that excuses any image;
(23) a value without a factor; (24) the gradient of another kernel; (25) images swapped by `select`;
(26) conjugate gradients stopped at once; (27) a prox of another level behind a duality gap.
Of an operator: (28) an adjoint that is right on the range of A alone, (29) or until it was checked;
(33) one that becomes 1.4 times itself, A and A^T alike, once it was checked.
Of total variation: (30) a larger dual ball, (31) a shorter adjoint, (32) a smaller value.
"""

import pytest
import torch

import proxlab
from proxlab.operators import deblur, gaussian_kernel
from proxlab.operators.contract import Accuracy
from proxlab.operators.noise import Weights
from proxlab.priors.weighted_length import WeightedLength
from solvers import Diverged
from tests.restoration.liars import (
    CLEAN,
    FalseTV,
    LargerBall,
    Made,
    Own,
    ShorterAdjoint,
    SmallerValue,
    Term,
    Turning,
    generator,
    noisy,
    problem,
    restored,
)

BLUR, BLURRED = problem()


def term(**lies):
    """A data term that lies about those of its methods."""
    return type("FalseTerm", (Term,), lies)


def loose(self, f):
    Term.__init__(self, f)
    self.tol = 0.5


def stopped(self, f):
    """Conjugate gradients of a single step, which say nothing of it."""
    Term.__init__(self, problem("ct")[0].data_term(f.y, _weights(f), Accuracy(1e-5, 1)))
    self.stopped_short = ()


def _weights(f):
    return Weights(f.weight, f.precision)


OTHER = deblur(gaussian_kernel(1.3), 0.0)
TERMS = {
    "prox": (term(prox=lambda f, v, t: f.f.prox(v, 1.1 * t)), "prox"),
    "tolerance": (
        term(__init__=loose, prox=lambda f, v, t: (v + f.f.prox(v, t)) / 2),
        "knows its prox to 0.5 alone",
    ),
    "no L": (term(lipschitz=lambda f: 0 * f.f.lipschitz()), "bends inf times"),
    "negative L": (term(lipschitz=lambda f: -f.f.lipschitz()), "bends inf times"),
    "value": (term(value=lambda f, x: 2 * f.f.value(x)), "has a value that differs"),
    "gradient": (term(grad=lambda f, x: OTHER.A(f.f.grad(x))), "has a gradient that differs"),
    "honest": (Term, ""),
}


@pytest.mark.parametrize("name", TERMS)
def test_data_terms_of_an_operator_s_own(name):
    kind, why = TERMS[name]
    result = proxlab.restore(BLURRED, Own(BLUR, kind), "unet-gray", "admm", steps=120)
    assert result.certified == [name == "honest"] and why in result.doubts[0]


@pytest.mark.parametrize("solver", ["pgd", "admm", "drs"])
@pytest.mark.parametrize("kind", ["deblur", "inpaint", "ct"])
def test_half_of_l_is_seen(kind, solver):
    op, y = problem(kind)
    half = Own(op, term(lipschitz=lambda f: f.f.lipschitz() / 2))
    try:
        result = proxlab.restore(y, half, "unet-gray", solver, steps=26)
    except Diverged:  # an error is no certificate
        assert (kind, solver) == ("ct", "pgd")
        return
    assert result.certified == [False] and "times as much as its L says" in result.doubts[0]


def test_a_single_step_of_conjugate_gradients_is_not_a_prox():
    op, y = problem("ct")
    result = proxlab.restore(y, Own(op, term(__init__=stopped)), "unet-gray", steps=150)
    assert result.certified == [False]
    assert "not convex along the run" in result.doubts[0]


def test_images_that_select_swaps_are_seen():
    two = torch.cat([CLEAN, CLEAN.roll(20, -1)])
    two[1] += 0.05 * torch.randn(two[1].shape, generator=generator(1))  # it takes longer
    op = deblur(gaussian_kernel(1.2), 0.02)
    y = op(two, generator=generator())

    def run(kind):
        return proxlab.restore(y, Own(op, kind), "unet-gray", "admm", steps=150)

    honest_run = run(Term)
    assert honest_run.certified == [True, True]
    late = int(honest_run.steps.argmax())  # its data term becomes that of the other
    assert honest_run.steps[0] != honest_run.steps[1]
    false = run(term(select=lambda f, index: Term(f.f.select(len(y) - 1 - index))))
    assert not false.certified[late] and "prox or its grad is wrong" in false.doubts[late]


@pytest.mark.parametrize("c", [0.5, 1.0, 1.1])
def test_a_gap_rests_on_the_prox_of_the_data_term(c):
    kind = term(prox=lambda f, v, t: f.f.prox(v, c * t))
    result = proxlab.restore(BLURRED, Own(BLUR, kind), "tv")
    assert result.evidence[0].gap < 1e-4  # as computed by the liar
    assert result.certified == [c == 1.0] and (c == 1.0 or "has a prox" in result.doubts[0])


def test_an_adjoint_that_is_right_on_the_range_alone_is_refused():
    def twice(x):
        return torch.cat([BLUR.A(x), BLUR.A(x)], 1)

    def back(a, b):
        return lambda y: BLUR.A_adjoint(a * y[:, :1] + b * y[:, 1:])

    y = noisy(twice(CLEAN))
    assert torch.allclose(back(3, -1)(twice(CLEAN)), back(1, 1)(twice(CLEAN)), atol=1e-5)
    assert proxlab.restore(y, Made(twice, back(1, 1)), "unet-gray").certified == [True]
    with pytest.raises(ValueError, match="A_adjoint is not the adjoint"):
        proxlab.restore(y, Made(twice, back(3, -1)), "unet-gray")


def test_an_operator_is_asked_again_after_the_run():
    y = noisy(BLUR.A(CLEAN))
    turning = Turning(BLUR.A_adjoint, lambda y: 0.5 * BLUR.A_adjoint(y), 150)
    share = [1.0]
    for op in (Made(BLUR.A, turning), Made(BLUR.A, lambda y: share[0] * BLUR.A_adjoint(y))):
        if op.back is not turning:
            assert proxlab.restore(y, op, "unet-gray").certified == [True]
            share[0] = 0.5  # nothing that the operator holds has changed: it is remembered
        result = proxlab.restore(y, op, "unet-gray")
        assert result.certified == [False] and "A_adjoint is not" in result.doubts[0]


def test_an_operator_that_grows_as_a_whole_is_found_out_after_the_run():
    A, back = (Turning(f, lambda x, f=f: 1.4 * f(x), 150) for f in (BLUR.A, BLUR.A_adjoint))
    result = proxlab.restore(noisy(BLUR.A(CLEAN)), Made(A, back), "unet-gray")
    assert result.certified == [False] and "times as much as its L says" in result.doubts[0]


@pytest.mark.parametrize("kind", [LargerBall, ShorterAdjoint, SmallerValue, WeightedLength])
@pytest.mark.parametrize("name", ["deblur", "inpaint"])
def test_a_composite_that_is_none_proves_nothing_by_its_gap(name, kind):
    result = restored(FalseTV(kind), name, None, steps=1000)
    assert result.evidence[0].gap < 1e-4  # below zero for two of them
    right = kind is WeightedLength
    assert result.certified == [right] and (right or "proves nothing" in result.doubts[0])
