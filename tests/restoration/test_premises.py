"""What a restoration knows before it runs: computed right, and each broken bound in words."""

import pytest
import torch
from deepinv.physics import LinearPhysics, ZeroNoise

import proxlab
from proxlab.operators import Noise, deblur, gaussian_kernel, inpaint, random_mask
from proxlab.priors.contract import Capabilities
from proxlab.restoration import default_sigma
from proxlab.restoration.data_terms import data_term
from proxlab.restoration.premises import curvature_floor, is_proved, step_doubt
from solvers import admm, drs, fista, hqs, pgd
from solvers.primal_dual import pdhg

RNG = torch.Generator().manual_seed(0)
CLEAN = torch.rand(1, 1, 16, 16, generator=RNG)
PRIOR = proxlab.load("lpn-gray")
BLUR = deblur(gaussian_kernel(1.2), 0.02)


class Tripled(LinearPhysics):
    """A physics of norm three without a closed form here: half the pixels, thrice as bright."""

    def __init__(self, seen: torch.Tensor):
        super().__init__(noise_model=Noise(0.05))
        self.seen = seen

    def A(self, x, **kwargs):
        return 3 * self.seen * x

    def A_adjoint(self, y, **kwargs):
        return 3 * self.seen * y


TRIPLED = Tripled(random_mask((16, 16), 0.5, RNG))


def test_lipschitz_constant_of_a_scaled_operator_and_the_sigma_that_follows():
    y = TRIPLED(CLEAN)
    f = data_term(y, TRIPLED, strength=1 / 0.5)
    basis = torch.eye(256).view(256, 1, 16, 16)
    A = TRIPLED.A(basis).flatten(1).T
    exact = float(torch.linalg.matrix_norm(A, 2)) ** 2 / (0.5 * 0.05**2)
    assert exact <= float(f.lipschitz()) < 1.06 * exact  # a bound from above
    sigma = default_sigma(f.lipschitz(), PRIOR)
    assert 0.92 < sigma**2 * exact < 1
    forgotten = 0.99 * 0.5**0.5 * 0.05  # planted: takes |A| for one
    assert forgotten**2 * exact > 8


@pytest.mark.parametrize("op", [BLUR, inpaint(random_mask((16, 16), 0.5, RNG), 0.02), TRIPLED])
@pytest.mark.parametrize("solver", ["pgd", "admm", "drs", "hqs"])
def test_defaults_keep_every_bound(op, solver):
    result = proxlab.restore(op(CLEAN), op, PRIOR, solver, steps=3, init=CLEAN)
    found, before = result.evidence[0], result.premises
    assert before.tau * float(before.lipschitz[0]) == pytest.approx(found.step) and found.step < 1
    assert found.step < found.step_limit
    assert (
        before.data_doubt == before.operator.adjoint_wrong == "" == "".join(before.operator.doubts)
    )
    assert (before.curvature <= before.lipschitz * (1 + 1e-6)).all()
    assert result.doubts[0].startswith("residual") and result.certified == [False]


def said(algorithm, prior=PRIOR, tau_L=0.9, lipschitz=1e4, convex=False):
    return step_doubt(algorithm, prior, tau_L / lipschitz, lipschitz, convex)


@pytest.mark.parametrize("algorithm", [pgd, admm, drs])
def test_a_step_too_long_names_the_sigma_that_would_do(algorithm):
    assert said(algorithm) == ""
    assert said(algorithm, tau_L=4.0) == (
        "tau = 4.0e-04 is not below 1 / L = 1.0e-04, so nothing is proved for "
        f"{algorithm.__name__}; take sigma <= 0.0099"
    )
    assert said(algorithm, tau_L=0.99 * 0.0099**2 * 1e4) == ""  # and it would


@pytest.mark.parametrize(
    "algorithm, any_prior, convex",
    [(pgd, 1, 2), (admm, 1, 1e9), (drs, 1, 1e9), (hqs, 1e9, 1e9), (fista, 0, 1)],
)
def test_bounds_for_any_prior_and_for_convex_ones(algorithm, any_prior, convex):
    for bound, is_convex in [(any_prior, False), (convex, True)]:
        for t, proved in [(0.99 * bound, bound > 0), (1.01 * bound, bound == 1e9)]:
            assert is_proved(algorithm, t, is_convex) == proved
            assert (said(algorithm, tau_L=t, convex=is_convex) == "") == proved
    assert said(fista) == (
        "fista is proved for convex priors alone, and lpn-gray was none in this run; take admm"
    )
    assert "not below 2 / L" in said(pgd, tau_L=2.1, convex=True)
    assert not is_proved(pdhg, 0.5, False) and is_proved(pdhg, 5.0, True)


def test_a_level_that_the_prior_does_not_know():
    words = said(admm, tau_L=1.5, lipschitz=9e4)
    assert "take sigma <= 0.0033, which the prior does not know (from 0.0039 on), or hqs" in words


def test_each_image_has_its_own_verdict():
    noise = torch.tensor([0.05, 0.02, 0.05])
    op = inpaint(random_mask((16, 16), 0.5, RNG), 0.05)
    y = op(CLEAN).expand(3, 1, 16, 16)
    sigma = 0.9 * 0.05 * PRIOR.capabilities.default_weight**0.5
    result = proxlab.restore(y, op, PRIOR, "pgd", noise=noise, sigma=sigma, steps=3)
    assert ["nothing is proved" in words for words in result.doubts] == [False, True, False]
    assert result.premises.noise.tolist() == pytest.approx(noise.tolist())
    steps = [found.step for found in result.evidence]
    assert steps[0] == steps[2] < 1 < steps[1]


@pytest.mark.parametrize("solver, sigma", [("pgd", 0.017), ("admm", 0.1)])
def test_outside_the_bounds_a_run_goes_ahead_and_is_not_certified(solver, sigma):
    result = proxlab.restore(BLUR(CLEAN), BLUR, PRIOR, solver, sigma=sigma, steps=30, tol=0.009)
    assert result.image.isfinite().all() and result.certified == [False]
    assert "nothing is proved" in result.doubts[0]


class Stretching:
    """prox v -> M v of a nonconvex quadratic: M has the eigenvalues 1/2 and 1.1."""

    name, sigma_range, capabilities = "toy", (1 / 255, 1.0), Capabilities(exact=True)

    def prox(self, v, sigma):
        return v * torch.where(torch.arange(16).to(v) < 8, 0.5, 1.1)


def test_fista_is_judged_by_the_convexity_that_the_run_met_not_by_what_is_claimed():
    convex = proxlab.restore(BLUR(CLEAN), BLUR, "none", "fista", steps=8)
    assert convex.evidence[0].convex_margin >= 0 and "convex" not in convex.doubts[0]
    claimed = Stretching()
    claimed.capabilities = Capabilities(exact=True, convex=True)
    for prior in (Stretching(), claimed):
        result = proxlab.restore(BLUR(CLEAN), BLUR, prior, "fista", steps=8, init=CLEAN)
        assert result.evidence[0].margin >= 0 > result.evidence[0].convex_margin
        assert "fista is proved for convex priors alone, and toy was none" in result.doubts[0]


@pytest.mark.parametrize("prior", [PRIOR, "tv"])
@pytest.mark.parametrize("noise", [None, 0.0])
def test_a_measurement_of_unknown_noise_is_refused_until_it_is_told(prior, noise):
    op = Tripled(TRIPLED.seen)
    op.noise_model = ZeroNoise() if noise is None else Noise(noise)
    y = op(CLEAN)
    with pytest.raises(ValueError, match=r"knows no noise level.*pass noise=.*\"auto\""):
        proxlab.restore(y, op, prior, steps=2)
    result = proxlab.restore(y, op, prior, steps=2, noise=0.01, weight=1.0)
    assert float(result.premises.lipschitz[0]) == pytest.approx(9e4, rel=6e-2)
    assert result.premises.noise.tolist() == pytest.approx([0.01])


def test_curvature_is_found_from_below_and_betrays_a_constant_that_is_too_small():
    y = TRIPLED(CLEAN.expand(2, 1, 16, 16))
    f = data_term(y, TRIPLED, noise=torch.tensor([0.1, 0.05]))
    exact = torch.tensor([900.0, 3600.0]).double()
    floor = curvature_floor(f, torch.rand(2, 1, 16, 16, generator=RNG))
    assert floor.shape == (2,) and floor.dtype == torch.float64
    assert (floor <= exact * (1 + 1e-5)).all() and (floor > 0.95 * exact).all()
    assert (floor > f.lipschitz() / 2).all()  # planted: half of what it is
    flat = data_term(0 * y, Tripled(0 * TRIPLED.seen), noise=1.0)
    assert (curvature_floor(flat, CLEAN.expand(2, 1, 16, 16)) == 0).all()
    assert curvature_floor(f, 0 * CLEAN.expand(2, 1, 16, 16)).isfinite().all()


class Boastful(LinearPhysics):
    """Half the pixels, whose data term says a quarter of its L."""

    def __init__(self):
        super().__init__(noise_model=Noise(0.05))
        self.inner = inpaint(TRIPLED.seen, 0.05)

    def A(self, x, **kwargs):
        return self.inner.A(x)

    def A_adjoint(self, y, **kwargs):
        return self.inner.A_adjoint(y)

    def usable(self, y):
        return self.inner.usable(y)

    def first_estimate(self, y):
        return self.inner.first_estimate(y)

    def data_term(self, y, weights, accuracy):
        return Understated(self.inner.data_term(y, weights, accuracy))


class Understated:
    tol, stopped_short = 0.0, ()

    def __init__(self, inner):
        self.inner, self.weight = inner, inner.weight
        self.value, self.grad, self.prox = inner.value, inner.grad, inner.prox

    def lipschitz(self):
        return self.inner.lipschitz() / 4


def test_a_data_term_that_understates_its_constant_is_doubted():
    op, true = Boastful(), inpaint(TRIPLED.seen, 0.05)
    for one, doubted in [(true, False), (op, True)]:
        result = proxlab.restore(true(CLEAN), one, PRIOR, "admm", steps=3)
        assert ("bends" in result.doubts[0]) == doubted
        assert (result.evidence[0].curvature > 2) == doubted
