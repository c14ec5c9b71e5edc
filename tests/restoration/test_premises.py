"""What a restoration checks before it runs: computed right, and each broken condition in words."""

import pytest
import torch
from deepinv.physics import LinearPhysics

import proxlab
from proxlab.operators import Noise, deblur, gaussian_kernel, inpaint, random_mask
from proxlab.priors.contract import Capabilities
from proxlab.restoration import default_sigma
from proxlab.restoration.data_terms import data_term
from proxlab.restoration.premises import premises
from solvers import admm, drs, fista, hqs, pgd

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


class Prior:
    """prox v -> M v with claims about itself."""

    name, sigma_range = "toy", (1 / 255, 1.0)

    def __init__(self, change, capabilities=Capabilities(exact=True)):
        self.change, self.capabilities = change, capabilities

    def prox(self, v, sigma):
        return self.change(v)

    def prox_and_value(self, v, sigma):
        return self.change(v), v.new_zeros(len(v), dtype=torch.float64)


# its Jacobian has the eigenvalues 1/2 and 2
DOUBLING = Prior(lambda v: v * torch.where(torch.arange(16).to(v) < 8, 0.5, 2.0))


def test_lipschitz_constant_of_a_scaled_operator_and_the_sigma_that_follows():
    y = TRIPLED(CLEAN)
    f = data_term(y, TRIPLED, strength=1 / 0.5)
    basis = torch.eye(256).view(256, 1, 16, 16)
    A = TRIPLED.A(basis).flatten(1).T
    exact = float(torch.linalg.matrix_norm(A, 2)) ** 2 / (0.5 * 0.05**2)
    assert float(f.lipschitz()) == pytest.approx(exact, rel=2e-3)
    sigma = default_sigma(f.lipschitz(), PRIOR)
    assert 0.95 < sigma**2 * exact < 1
    forgotten = 0.99 * 0.5**0.5 * 0.05  # planted: takes |A| for one
    assert forgotten**2 * exact > 8


@pytest.mark.parametrize("op", [BLUR, inpaint(random_mask((16, 16), 0.5, RNG), 0.02), TRIPLED])
@pytest.mark.parametrize("solver", ["pgd", "admm", "drs", "hqs"])
def test_defaults_keep_every_condition(op, solver):
    result = proxlab.restore(op(CLEAN), op, PRIOR, solver, steps=2)
    assert result.premises.broken == [""]
    assert result.premises.tau * float(result.premises.lipschitz[0]) < 1
    assert result.doubts[0].startswith("residual")
    assert result.certified == [False]


def check(algorithm, prior=DOUBLING, tau_L=0.9, lipschitz=(1e4,)):
    each = torch.tensor(lipschitz, dtype=torch.float64)
    return premises(
        algorithm, prior, tau_L / lipschitz[0], CLEAN.expand(len(each), 1, 16, 16), each
    )


@pytest.mark.parametrize("algorithm", [pgd, admm, drs])
def test_a_step_too_long_names_the_sigma_that_would_do(algorithm):
    assert check(algorithm).broken == [""]
    words = check(algorithm, tau_L=4.0).broken[0]
    assert words.startswith(
        f"tau = 4.0e-04 is not below 1 / L = 1.0e-04, so nothing is proved for "
        f"{algorithm.__name__}; take sigma <= 0.0099"
    )
    near = 1 + 1 / 2 if algorithm is pgd else 2 / (2 - 1)
    for tau_L, word in [(0.99 * near, "kept"), (1.01 * near, "broken too")]:
        words = check(algorithm, tau_L=tau_L).broken[0]
        bound = f"(bound near a solution {near * 1e-4:.1e}, {word}, for a Jacobian up to 2.00)"
        assert words.endswith(bound)


def test_each_image_has_its_own_verdict():
    assert [bool(w) for w in check(admm, lipschitz=(1e4, 2e4, 9e3)).broken] == [False, True, False]


def test_hqs_has_no_bound_and_fista_wants_convexity():
    assert check(hqs, tau_L=50.0).broken == [""]
    words = check(fista).broken[0]
    assert words == "fista is proved for convex priors alone and toy is not one; take admm"
    assert check(fista, proxlab.load("none")).broken == [""]
    assert "not below 1 / L" in check(fista, proxlab.load("none"), tau_L=1.5).broken[0]
    for algorithm, most in [(pgd, 2), (admm, 1000), (drs, 1000)]:
        assert check(algorithm, proxlab.load("none"), tau_L=0.99 * most).broken == [""]
    assert "not below 2 / L" in check(pgd, proxlab.load("none"), tau_L=2.1).broken[0]


def test_a_level_that_the_prior_does_not_know():
    words = check(admm, tau_L=1.5, lipschitz=(9e4,)).broken[0]
    assert "take sigma <= 0.0033, which the prior does not know (from 0.0039 on), or hqs" in words


def test_priors_that_do_not_vouch_or_do_so_wrongly():
    assert check(admm, proxlab.load("tv")).broken == [
        "nobody vouches that the prox of tv is exact, so descent is not proved"
    ]
    assert check(admm, Prior(lambda v: 0.5 * v)).broken == [""]
    twisted = check(admm, Prior(lambda v: 0.9 * v + 0.1 * v.roll(1, -1))).broken[0]
    assert twisted.startswith("the prox of toy is none: its Jacobian is not symmetric, by ")
    turned = check(admm, Prior(lambda v: -0.2 * v)).broken[0]
    assert turned == "the prox of toy is none: its Jacobian has the eigenvalue -2.0e-01"


@pytest.mark.parametrize("solver, sigma", [("pgd", 0.017), ("admm", 0.1), ("fista", None)])
def test_outside_the_conditions_a_run_goes_ahead_and_is_not_certified(solver, sigma):
    result = proxlab.restore(BLUR(CLEAN), BLUR, PRIOR, solver, sigma=sigma, steps=30, tol=0.9)
    assert result.image.isfinite().all() and result.certified == [False]
    assert ("nothing is proved" if sigma else "fista is proved for convex") in result.doubts[0]


def test_a_measurement_of_unknown_noise_is_taken_at_the_assumed_one():
    op = deblur(gaussian_kernel(1.2), 0.0)
    result = proxlab.restore(op(CLEAN), op, PRIOR, steps=2, weight=1.0)
    assert float(result.premises.lipschitz[0]) == pytest.approx(1e4, rel=1e-3)


def test_a_prior_of_one_size_is_looked_at_whole():
    seen = []
    prior = Prior(lambda v: seen.append(v.shape[-2:]) or 0.5 * v)
    x, each = torch.zeros(1, 1, 70, 66), torch.tensor([1e4])
    for fixed, size in [(False, (64, 64)), (True, (70, 66))]:
        prior.capabilities = Capabilities(exact=True, fixed_size=fixed)
        seen.clear()
        assert premises(admm, prior, 0.9e-4, x, each).broken == [""]
        assert set(seen) == {size}
