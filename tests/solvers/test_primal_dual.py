"""PDHG and Condat-Vu: two roads to one minimum, and a gap that is above the truth at each step."""

from itertools import islice

import pytest
import torch
from skimage.data import camera

from proxlab.operators import ct, deblur, gaussian_kernel, inpaint, random_mask
from proxlab.priors.total_variation import TV
from proxlab.priors.wavelets import Wavelets
from proxlab.restoration.data_terms import data_term, start
from solvers import Diverged, fista, run
from solvers.duality.curvature import Curvature
from solvers.duality.restarts import Restarts
from solvers.primal_dual import condat_vu, partial_gap, pdhg

SIDE = 24
PHOTO = torch.from_numpy(camera()[96 : 96 + SIDE, 200 : 200 + SIDE]).double()[None, None] / 255
OPERATORS = {
    "deblur": deblur(gaussian_kernel(1.0), 0.02),
    "inpaint": inpaint(random_mask((SIDE, SIDE), 0.5, torch.Generator().manual_seed(0)), 0.02),
    "ct": ct(SIDE, 12, noise=0.1),
}
PRIORS = {"tv": TV(), "wavelets": Wavelets()}
SOLVERS = [pdhg, condat_vu]


def problem(name, x=PHOTO, noise=None):
    op = OPERATORS[name]
    y = op(x, generator=torch.Generator().manual_seed(1))
    f = data_term(y, op, noise=noise, tol=1e-10)
    return f, start(y, op)


def steps_of(solver, f, g, x):
    return condat_vu(f, g, x, lipschitz=f.lipschitz()) if solver is condat_vu else solver(f, g, x)


def solved(solver, f, g, x, steps=1000):
    return list(islice(steps_of(solver, f, g, x), steps))[-1]


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("name", OPERATORS)
def test_the_gap_is_above_the_truth_at_every_step_and_comes_down_to_it(name, prior):
    f, x = problem(name)
    g = PRIORS[prior].composite()
    long = solved(pdhg if name != "ct" else condat_vu, f, g, x, 1500)
    least = float(long.objective) - float(long.gap)  # below the minimum: proved, and tight
    assert float(long.gap) < 1e-4 * float(long.objective)
    solver = condat_vu if name != "ct" else pdhg  # the other road
    first = None
    for state in islice(steps_of(solver, f, g, x), 400):
        excess = float(state.objective) - float(long.objective)
        assert float(state.gap) >= excess - 1e-12 * float(state.objective)
        first = first or state
    assert float(state.gap) < 1e-1 * float(first.gap)
    assert float(state.objective) >= least


class Wrong:
    """Planted mistakes: a composite with one method exchanged."""

    def __init__(self, g, **methods):
        self.g, self.methods = g, methods

    def __getattr__(self, name):
        return self.methods.get(name) or getattr(self.g, name)


def test_that_check_catches_planted_mistakes():
    """A dual outside the ball, or a wrong transpose, makes a gap that is below the truth."""
    f, x = problem("deblur")
    g = PRIORS["tv"].composite()
    least = float(solved(pdhg, f, g, x).objective)
    excess = float(f.value(x) + g.value(x)) - least
    u = g.project(1e6 * g.forward(x))
    ball = x.flatten(1).norm(dim=1)

    def found(composite, dual):
        q = f.grad(x) + composite.adjoint(dual)
        return float(partial_gap(composite, x, dual, q, ball))

    assert found(g, u) >= excess
    assert float(partial_gap(g, x, 3 * u, 0 * x, ball)) < 0  # outside the ball
    assert float(partial_gap(g, x, u, 0 * x, ball)) < excess  # without the gradient
    half = Wrong(g, value=lambda z: g.value(z) / 2)
    assert float(partial_gap(half, x, u, 0 * x, ball)) < 0


@pytest.mark.parametrize("name", ["deblur", "inpaint"])
def test_three_roads_to_one_minimum(name):
    """FISTA knows the prox of wavelets in closed form, and nothing of duals."""
    f, x = problem(name)
    prior = PRIORS["wavelets"]

    class AsPrior:
        def prox(self, v, tau):
            return prior.prox(v, tau**0.5)

        def value(self, x):
            return prior.composite().value(x)

    tau = 1 / float(f.lipschitz())
    other = run(fista(f, AsPrior(), x, tau=tau), max_steps=1500, tol=1e-12)
    for solver in SOLVERS:
        state = solved(solver, f, prior.composite(), x)
        assert float(state.objective) <= float(other.trace.objective[-1]) + float(state.gap)
        assert float((state.x - other.x).norm() / other.x.norm()) < 1e-2


@pytest.mark.parametrize("solver", SOLVERS)
def test_an_image_does_not_see_its_batch_and_batches_narrow(solver):
    f, x = problem("deblur", torch.cat([0 * PHOTO + 0.5, PHOTO, PHOTO.flip(3)]))
    g = PRIORS["tv"].composite()
    index = torch.tensor([0, 2])
    together = list(islice(steps_of(solver, f, g, x), 120))[-1]
    alone = list(islice(steps_of(solver, f.select(index), g, x[index]), 120))[-1]
    assert torch.allclose(together.x[index], alone.x, atol=1e-12)
    assert torch.allclose(together.gap[index], alone.gap, rtol=1e-6)
    steps = steps_of(solver, f, g, x)
    for _ in range(35):
        state = next(steps)
    narrowed = steps.send(index)
    assert torch.equal(narrowed.x, state.x[index]) and len(narrowed.gap) == 2
    for _ in range(84):
        narrowed = next(steps)
    assert torch.allclose(narrowed.x, alone.x, atol=1e-12)


@pytest.mark.parametrize("solver", SOLVERS)
def test_units_do_not_matter(solver):
    """Gray levels 255 times as large, noise too: the same steps."""
    f, x = problem("deblur")
    y = 255 * OPERATORS["deblur"](PHOTO, generator=torch.Generator().manual_seed(1))
    large = data_term(y, OPERATORS["deblur"], noise=255 * 0.02, tol=1e-10)
    small = list(islice(steps_of(solver, f, TV(8.0).composite(), x), 60))[-1]
    other = list(islice(steps_of(solver, large, TV(8.0 / 255).composite(), 255 * x), 60))[-1]
    assert torch.allclose(other.x / 255, small.x, atol=1e-10)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_start_at_zero_is_not_called_a_minimum(solver):
    f, x = problem("deblur")
    g = PRIORS["tv"].composite()
    first = next(steps_of(solver, f, g, 0 * x))
    assert float(first.gap) >= float(first.objective) - float(solved(pdhg, f, g, x).objective)


def test_float32_reaches_small_gaps_where_f_is_steep():
    f, x = problem("inpaint", PHOTO.float(), noise=1e-3)
    g = PRIORS["tv"].composite()
    state = solved(pdhg, f, g, x, 1500)
    assert float(state.gap) < 1e-4 * float(state.objective)
    u = g.project(g.forward(state.x) * 1e6)
    rough = f.grad(state.x)  # what rounding x alone makes of the gradient
    exact = f.grad(state.x.double())
    assert u.isfinite().all() and float((rough - exact).norm()) > 0


def test_a_filter_too_small_is_raised():
    f, x = problem("ct")
    g = PRIORS["tv"].composite()
    right = Curvature.measured(f.grad, x, f.lipschitz())
    generator = torch.Generator().manual_seed(2)
    for _ in range(20):
        d = torch.randn(x.shape, generator=generator, dtype=x.dtype)
        bent = (d * (f.grad(d) - f.grad(0 * d))).sum()
        filtered = torch.fft.irfft2(right.scale * right.filter * torch.fft.rfft2(d), s=d.shape[-2:])
        assert bent <= (d * filtered).sum() * (1 + 1e-6)
    assert torch.allclose(right.raised(torch.tensor([True])).scale, 1.5 * right.scale)
    with pytest.MonkeyPatch.context() as patch:
        small = Curvature(right.filter, right.scale / 3)
        patch.setattr(Curvature, "measured", staticmethod(lambda *_: small))
        state = solved(condat_vu, f, g, x, 1500)
        assert float(state.gap) < 1e-2 * float(state.objective)
        patch.setattr(Curvature, "raised", lambda self, _: self)  # planted: never raised
        with pytest.raises(Diverged):
            run(condat_vu(f, g, x, lipschitz=f.lipschitz()), max_steps=3000, tol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_start_at_zero_measures_the_curvature_that_an_image_does(dtype):
    """Points as small as such a start were drowned by rounding, and the run diverged."""
    op = ct(16, 12, noise=0.1)
    y = op(PHOTO[..., :16, :16].to(dtype), generator=torch.Generator().manual_seed(1))
    f, g = data_term(y, op), TV().composite()
    x = start(y, op)
    zero, near = (Curvature.measured(f.grad, s, f.lipschitz()) for s in (0 * x, x))
    assert torch.allclose(zero.filter, near.filter, rtol=1e-3)
    assert torch.allclose(zero.scale, near.scale, rtol=1e-3)
    steps = condat_vu(f, g, 0 * x, lipschitz=f.lipschitz())
    assert run(steps, max_steps=1000, tol=1e-3).certified == [True]


def test_restarts_move_an_image_to_its_mean_where_that_is_nearer():
    means = Restarts.at(torch.zeros(2, 1, 1, 1))
    for value in (1.0, 3.0):
        means.add(torch.full((2, 1, 1, 1), value))
    (mean,) = means.means()
    assert mean.flatten().tolist() == [2.0, 2.0]
    now = torch.full((2, 1, 1, 1), 3.0)
    again, x = means.restarted(torch.tensor([5.0, 1.0]), torch.tensor([1.0, 5.0]), now)
    assert again.tolist() == [True, False] and x.flatten().tolist() == [2.0, 3.0]
    assert means.count.tolist() == [0, 0]
    means.add(x)
    again, _ = means.restarted(torch.tensor([0.9, 0.9]), torch.tensor([0.95, 0.1]), x)
    assert again.tolist() == [False, True] and means.count.tolist() == [1, 0]  # to a tenth
    assert means.restarted(torch.tensor([0.9, 0.9]), torch.tensor([0.9, 0.9]), x)[0] is None


@pytest.mark.parametrize(
    "options, said",
    [
        ({"relaxation": 2.0}, "between 0 and 2, got 2.0"),
        ({"tau": 0.0}, "positive float.*got 0.0"),
        ({"tau": torch.ones(2)}, "one for each image"),
    ],
)
def test_nonsense_is_refused(options, said):
    f, x = problem("deblur")
    with pytest.raises(ValueError, match=said):
        next(pdhg(f, PRIORS["tv"].composite(), x, **options))
