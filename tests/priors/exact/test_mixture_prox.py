"""The exact prox of Gaussian mixtures against closed forms and grids, and mistakes these see."""

import pytest
import torch

from proxlab.priors.exact.mixture_terms import mixture_terms
from proxlab.priors.exact.mixtures import Mixture
from tests.priors.exact.mixture_cases import KINDS, axes, build, generator, mixture


def cost(p, x, v, lam):
    return (x - v).square().sum(1) / 2 - lam * p.log_density(x)


def prox_gap(p, prox, v, lam):
    """Largest excess of F at the prox over F at the best point of a grid."""
    grid, _ = axes(p.dimension, -6, 6, 3001 if p.dimension == 1 else 161)
    values = grid.square().sum(1) / 2 - lam * p.log_density(grid) - v @ grid.T
    best = values.amin(1) + v.square().sum(1) / 2
    return float((cost(p, prox(v, lam), v, lam) - best).max())


def places(p, seed=0):
    """Points where a prox is tried: around, at the means, half-way between them and nearly so."""
    v = 1.7 * torch.randn(40, p.dimension, dtype=torch.float64, generator=generator(seed))
    ties = (p.means[:-1] + p.means[1:]) / 2
    return torch.cat([v, p.means, ties, ties + 1e-3 * v[: len(ties)]]).clamp(-5.5, 5.5)


def test_the_prox_of_one_gaussian_is_linear():
    for d in (1, 2, 4):
        p = mixture("full", d, k=1)
        v, s = places(p), torch.linalg.inv(p.covariances[0])
        for lam in (1e-3, 0.3, 10.0):
            right = v + lam * p.means @ s
            known = torch.linalg.solve(torch.eye(d) + lam * s, right.T).T
            torch.testing.assert_close(p.prox(v, lam), known, rtol=1e-9, atol=1e-9)
            assert float((p.prox(v, 1.1 * lam) - known).abs().max()) > 1e-5


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_no_point_of_a_grid_beats_the_prox(kind, d):
    for seed in range(20 if d == 1 else 8):
        p = mixture(kind, d, seed)
        for lam in ((1e-3, 0.6), (0.05, 10.0))[seed % 2]:
            assert prox_gap(p, p.prox, places(p, seed), lam) < 1e-9


def test_a_wrong_prox_is_beaten():
    p = build([0.6, 0.4], [[-1.0], [1.0]], [0.1, 0.1])
    v = places(p)

    def downhill_from_v(v, lam):
        x = v.clone()
        for _ in range(2000):
            x = x - 0.02 * (x - v - lam * p.score(x))
        return x

    assert prox_gap(p, p.prox, v, 1.0) < 1e-9
    assert prox_gap(p, downhill_from_v, v, 1.0) > 1e-2  # a local minimum, and not the least
    assert prox_gap(p, lambda v, lam: p.prox(v, 1.05 * lam), v, 1.0) > 1e-5
    assert prox_gap(p, lambda v, lam: p.posterior_mean(v, lam), v, 1.0) > 1e-2


@pytest.mark.parametrize("kind", KINDS)
def test_in_more_dimensions_descents_from_everywhere_find_nothing_less(kind):
    for d in (3, 12, 40):
        p = mixture(kind, d, seed=d, k=5, size=0.7, reach=1.0)
        v = 1.2 * torch.randn(25, d, dtype=torch.float64, generator=generator())
        for lam in (0.05, 1.0):
            x = p.prox(v, lam)
            grad = x - v - lam * p.score(x)
            assert float(grad.abs().max()) < 1e-6
            least = cost(p, x, v, lam) + 1e-9
            precision = 1 / (p.covariances if kind != "full" else p.covariances.diagonal(0, 1, 2))
            step = 1 / (1 + lam * 4 * float(precision.max()))
            for start in (v, *p.means, p.mean(), torch.zeros(d)):
                z = start.to(v).expand_as(v)
                for _ in range(60):
                    z = z - step * (z - v - lam * p.score(z))
                assert bool((cost(p, z, v, lam) >= least - 2e-9).all())


@pytest.mark.parametrize("kind", KINDS)
def test_the_prox_is_monotone_and_takes_a_lam_for_each_point(kind):
    p = mixture(kind, 2, seed=3, size=0.3)
    v = 2 * torch.randn(200, 2, dtype=torch.float64, generator=generator())
    x = p.prox(v, 0.5)
    products = ((x[:, None] - x) * (v[:, None] - v)).sum(2)
    assert float(products.min()) > -1e-9
    assert float((((v - x)[:, None] - (v - x)) * (v[:, None] - v)).sum(2).min()) < -1e-3
    lam = torch.linspace(0.01, 3, 20, dtype=torch.float64)
    each = torch.cat([p.prox(v[i : i + 1], float(lam[i])) for i in range(20)])
    torch.testing.assert_close(p.prox(v[:20], lam), each, rtol=0, atol=1e-7)
    assert p.prox(v[:0], 0.5).shape == (0, 2)
    single = Mixture(p.weights.float(), p.means.float(), p.covariances.float())
    near = single.prox(v.float(), 0.5)
    assert near.dtype == torch.float32 and float((near - x).abs().median()) < 1e-6


def test_point_masses_are_the_limit_of_small_variance():
    points = torch.randn(30, 2, dtype=torch.float64, generator=generator())
    v = torch.randn(100, 2, dtype=torch.float64, generator=generator(1))
    nearest = points[torch.cdist(v, points).argmin(1)]
    assert Mixture.points(points).prox(v, 0.7).equal(nearest)
    w = torch.rand(30, dtype=torch.float64, generator=generator(2))
    p = Mixture.points(points, w / w.sum())
    near = Mixture(p.weights, points, torch.full_like(w, 1e-10))
    for lam in (0.01, 0.7):
        torch.testing.assert_close(near.prox(v, lam), p.prox(v, lam), rtol=0, atol=1e-7)
        # The constant that tends to infinity is common, so unequal weights go on to count.
        assert not p.prox(v, lam).equal(nearest)


@pytest.mark.parametrize("d", [1, 2, 5])
def test_where_it_is_known_to_be_convex_one_start_finds_what_many_find(d):
    points = torch.randn(12, d, dtype=torch.float64, generator=generator())
    v = 2 * torch.randn(50, d, dtype=torch.float64, generator=generator(1))
    wide = float((points - points.mean(0)).square().sum(1).amax())
    for share, known in ((1.2, True), (0.2, False)):
        c = torch.full((12,), share * wide, dtype=torch.float64)
        p = Mixture(torch.full_like(c, 1 / 12), points, c)
        terms = mixture_terms(p.weights, points, c)
        assert terms.convex(torch.tensor(20.0)) == known
        least = torch.linalg.eigvalsh(terms(v.T).hessian.permute(2, 0, 1)).min()
        bound = terms.precision - terms.precision**2 * terms.reach
        assert least > bound - 1e-12 and (bound > 0) == known
        for lam in (0.3, 20.0):
            z = v.clone()
            for _ in range(3000):
                z = z - (z - v - lam * p.score(z)) / (1 + lam * float(terms.precision))
            x = p.prox(v, lam)
            assert (cost(p, x, v, lam) <= cost(p, z, v, lam) + 1e-12).all()
            if known:
                torch.testing.assert_close(x, z, rtol=0, atol=1e-8)


def test_far_from_all_components_the_terms_still_have_digits():
    """A shift by the largest saves densities that are all below the least number."""
    p = build([0.6, 0.4], [[-0.1, 0.0], [0.1, 0.3]], [0.01, 0.01])
    v = torch.tensor([[4.0, -3.0], [30.0, 1.0]], dtype=torch.float64)
    terms = mixture_terms(p.weights, p.means, p.covariances)
    found = terms(v.T)
    torch.testing.assert_close(found.value, -p.log_density(v))
    torch.testing.assert_close(found.slope.T, -p.score(v))
    assert float(p.log_density(v).max()) < -745  # exp of it is 0
