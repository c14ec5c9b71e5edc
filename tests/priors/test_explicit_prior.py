"""deepinv's own solvers with our prior: the same iterates and cost as ours, refusals in words."""

import deepinv
import pytest
import torch
from deepinv.optim.data_fidelity import L2

import proxlab
import solvers
from proxlab.operators import deblur, gaussian_kernel, inpaint, random_mask
from proxlab.priors.classical import TV
from proxlab.priors.explicit_prior import ExplicitPrior
from proxlab.priors.lpn.mixture_config import MixtureConfig
from proxlab.priors.lpn.mixture_potential import MixturePotential
from proxlab.priors.lpn.network import LPN
from proxlab.restoration.data_terms import data_term
from proxlab.restoration.fixed_level import AtStep

SIGMA, NOISE, STEPS = 0.1, 0.11, 12


def generator():
    return torch.Generator().manual_seed(0)


OPERATORS = {
    "deblur": deblur(gaussian_kernel(0.8), NOISE),
    "inpaint": inpaint(random_mask((16, 17), 0.4, generator()), NOISE),
}


@pytest.fixture(scope="module")
def lpn():
    return LPN(MixturePotential(MixtureConfig(4, 2, context=1))).requires_grad_(False)


@pytest.fixture(scope="module")
def x():
    return torch.rand(2, 1, 16, 17, generator=generator(), dtype=torch.float64)


def theirs(prior, op, y, steps=STEPS, solver=deepinv.optim.PGD, **words):
    """The last iterate of deepinv's solver, and its cost at every iterate, [steps, B]."""
    model = solver(
        data_fidelity=L2(NOISE),
        prior=prior,
        lambda_reg=1 / SIGMA**2,
        stepsize=SIGMA**2,
        g_param=SIGMA,
        max_iter=steps,
        **words,
    )
    image, metrics = model(y, op, init=(y, y), compute_metrics=True)
    return image, torch.tensor(metrics["cost"], dtype=torch.float64).T


def ours(prior, op, y, steps=STEPS):
    states = solvers.pgd(data_term(y, op), AtStep(prior), y, tau=SIGMA**2)
    with torch.no_grad():
        path = [next(states) for _ in range(steps)]
    return path[-1].x, torch.stack([s.objective for s in path])


def gap(a, b):
    return float((a - b).norm() / b.norm())


@pytest.mark.parametrize("name", OPERATORS)
def test_pgd_of_deepinv_takes_our_steps_at_our_cost(lpn, x, name):
    op = OPERATORS[name]
    y = op(x, generator=generator())
    image, cost = theirs(ExplicitPrior(lpn), op, y)
    our_image, objective = ours(lpn, op, y)
    assert cost.shape == objective.shape == (STEPS, 2)
    assert gap(image, our_image) < 1e-10 and gap(cost, objective) < 1e-10
    falls = objective.diff(dim=0)  # to rounding at the end, where it has converged
    assert (falls[:6] < 0).all() and (falls <= 1e-13 * objective[1:].abs()).all()
    assert gap(our_image, y) > 1e-2


class ValueOfTheInput(ExplicitPrior):
    """Planted: R at the wrong place."""

    def fn(self, x, g_param, reduce=True):
        return self.prior.prox_and_value(x, g_param)[1]


class PerPixel(ExplicitPrior):
    """Planted: a mean where the sum belongs."""

    def fn(self, x, g_param, reduce=True):
        return super().fn(x, g_param) / x[0].numel()


class AnyStep(ExplicitPrior):
    """Planted: the prox of R taken for that of R / sigma^2 at gamma = 1."""

    def prox(self, x, g_param, gamma=1.0):
        return x + g_param**2 * (super().prox(x, g_param) - x)


@pytest.mark.parametrize("wrong", [ValueOfTheInput, PerPixel, AnyStep])
def test_that_comparison_catches_planted_mistakes(lpn, x, wrong):
    op = OPERATORS["deblur"]
    y = op(x, generator=generator())
    assert gap(theirs(wrong(lpn), op, y)[1], ours(lpn, op, y)[1]) > 1e-4


def test_both_come_to_rest_at_the_same_image(lpn, x):
    op = OPERATORS["deblur"]
    y = op(x[:1], generator=generator())
    image, cost = theirs(proxlab.ExplicitPrior(lpn), op, y, steps=60)
    run = solvers.run(
        solvers.pgd(data_term(y, op), AtStep(lpn), 0 * y, tau=SIGMA**2), max_steps=60, tol=1e-8
    )
    assert gap(image, run.x) < 1e-5 and gap(cost[-1], run.trace.objective[-1]) < 1e-6


@pytest.mark.parametrize("solver", [deepinv.optim.ADMM, deepinv.optim.DRS, deepinv.optim.HQS])
def test_other_solvers_of_deepinv_take_it_too(lpn, x, solver):
    op = OPERATORS["inpaint"]
    y = op(x, generator=generator())
    image, cost = theirs(ExplicitPrior(lpn), op, y, steps=4, solver=solver)
    assert image.shape == x.shape and cost.isfinite().all() and (cost[-1] < cost[0]).all()


def test_the_gradient_is_that_of_the_value(lpn, x):
    g, h = ExplicitPrior(lpn), 1e-3
    way = torch.randn(x.shape, generator=generator(), dtype=x.dtype)
    slope = (g.grad(x, SIGMA) * way).sum((1, 2, 3))
    rise = (g.fn(x + h * way, SIGMA) - g.fn(x - h * way, SIGMA)) / (2 * h)
    assert gap(slope, rise) < 1e-3 < gap((x - lpn.prox(x, SIGMA)).mul(way).sum((1, 2, 3)), rise)
    assert not x.requires_grad


def test_a_value_is_kept_for_its_own_output_alone(lpn, x):
    g = ExplicitPrior(lpn)
    p, value = g.prox_and_value(x, SIGMA)
    assert torch.equal(g.fn(p, SIGMA), value)
    assert gap(lpn.value(p, SIGMA), value) < 1e-8
    assert gap(g.fn(p, 0.05), lpn.value(p, 0.05)) < 1e-8 < gap(g.fn(p, 0.05), value)
    assert gap(g.fn(p + 0.01 * x, SIGMA), value) > 1e-4
    p += 0.01 * x
    assert gap(g.fn(p, SIGMA), lpn.value(p, SIGMA)) < 1e-8 < gap(g.fn(p, SIGMA), value)


def test_nothing_is_kept_while_weights_may_change(x):
    lpn = LPN(MixturePotential(MixtureConfig(4, 2, context=1)))
    g = ExplicitPrior(lpn)
    with torch.no_grad():
        p, value = g.prox_and_value(x, SIGMA)
        lpn.potential.fine_mixture.gains += 1
        assert gap(g.fn(p, SIGMA), lpn.value(p, SIGMA)) < 1e-8 < gap(g.fn(p, SIGMA), value)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda g, x: g.prox(x, 0.1, gamma=0.5), ValueError, "got 0.5; set lambda_reg = 1 / step"),
        (lambda g, x: g.prox(x, 0.1, gamma=torch.tensor([1.0, 2.0])), ValueError, "got 1, 2;"),
        (lambda g, x: g.prox(x, 0.1, gamma=float("nan")), ValueError, "got nan"),
        (lambda g, x: g.prox(x, None), ValueError, "g_param is the noise level"),
        (lambda g, x: g.fn(x, 25.0), ValueError, "divide by 255"),
        (lambda g, x: ExplicitPrior(TV()).grad(x, 0.1), TypeError, "no inverse"),
        (lambda g, x: ExplicitPrior(torch.nn.Identity()), TypeError, "no prox and no prox_and_val"),
    ],
)
def test_nonsense_is_refused(lpn, x, call, error, message):
    with pytest.raises(error, match=message):
        call(ExplicitPrior(lpn), x)


def test_a_wrong_step_size_is_refused_in_the_solver(lpn, x):
    op = OPERATORS["deblur"]
    model = deepinv.optim.PGD(L2(NOISE), ExplicitPrior(lpn), stepsize=SIGMA**2, g_param=SIGMA)
    with pytest.raises(ValueError, match="got 0.01; set lambda_reg = 1 / stepsize"):
        model(op(x, generator=generator()), op)
