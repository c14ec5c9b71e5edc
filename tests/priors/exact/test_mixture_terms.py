"""Terms of a mixture's prox, and its starts, against autograd and closed forms."""

import pytest
import torch

from proxlab.priors.exact import mixture_terms as module
from proxlab.priors.exact.mixture_starts import ConvexStart, ShareStarts, grid_starts
from proxlab.priors.exact.mixture_terms import (
    AlikeTerms,
    GeneralTerms,
    RoundTerms,
    mixture_terms,
    precision_matrices,
    solved,
)
from proxlab.priors.exact.mixtures import Mixture
from tests.priors.exact.mixture_cases import KINDS, generator, mixture


def points(d: int, n: int = 12) -> torch.Tensor:
    return 1.5 * torch.randn(n, d, dtype=torch.float64, generator=generator(5))


def every_kind(p: Mixture):
    """All terms that this mixture allows."""
    w, m, c = p.weights, p.means, p.covariances
    yield GeneralTerms(w, m, precision_matrices(c, p.dimension))
    if c.ndim == 1:
        yield RoundTerms(w, m, c)
        if (c == c[0]).all():
            yield AlikeTerms(w, m, c[0])


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_terms_are_minus_the_log_density_and_its_derivatives(kind, d):
    p, x = mixture(kind, d, seed=d), points(d)
    for terms in every_kind(p):
        found = terms(x.T)
        torch.testing.assert_close(found.value, -p.log_density(x))
        torch.testing.assert_close(found.slope.T, -p.score(x))
        one = x[:1].clone()
        exact = -torch.autograd.functional.hessian(lambda z: p.log_density(z)[0], one)[0, :, 0]
        pull = found.pull[..., 0] * (torch.eye(d) if found.pull.shape[0] == 1 else 1)
        if terms.newton:
            torch.testing.assert_close(found.hessian[..., 0], exact)
        else:
            torch.testing.assert_close(found.hessian, found.pull)
        assert torch.linalg.eigvalsh(pull - exact)[0] > -1e-9  # the pull is never below it
        part = found.at(torch.tensor([3, 1]))
        assert torch.equal(part.value, found.value[[3, 1]])
        assert torch.equal(part.slope, found.slope[:, [3, 1]])


def test_the_fastest_exact_terms_are_taken():
    assert isinstance(made("alike", 8), AlikeTerms) and isinstance(made("alike", 9), GeneralTerms)
    assert isinstance(made("round", 32), GeneralTerms) and isinstance(made("round", 33), RoundTerms)
    assert isinstance(made("full", 40), GeneralTerms)
    # of 1e5 times the variance and more, expanded squares lose their digits
    far = [torch.tensor([[-s], [s]], dtype=torch.float64) for s in (310.0, 320.0)]
    half, one = torch.full((2,), 0.5).double(), torch.ones(2).double()
    assert [type(mixture_terms(half, m, one)) for m in far] == [AlikeTerms, GeneralTerms]


def made(kind: str, d: int):
    p = mixture(kind, d, seed=1, k=4, size=1.0)
    return mixture_terms(p.weights, p.means, p.covariances)


def test_terms_of_points_near_and_far_are_those_of_each_alone():
    """Where densities are below the least number they are shifted by the largest of each point."""
    p = mixture("alike", 2, seed=3, size=0.3)
    terms = mixture_terms(p.weights, p.means, p.covariances)
    x = torch.cat([points(2), 20 * points(2)])
    together, near = terms(x.T), terms(x[:12].T)
    assert float(p.log_density(x).min()) < -745 < float(p.log_density(x[:12]).min())
    for one, other in zip(together.at(torch.arange(12)), near, strict=True):
        torch.testing.assert_close(one, other)
    torch.testing.assert_close(together.value, -p.log_density(x))


@pytest.mark.parametrize("d", [1, 2, 3, 4])
@pytest.mark.parametrize("least, definite", [(0.1, True), (-0.99, True), (-1.01, False)])
def test_a_system_is_solved_and_told_to_be_positive_definite(d, least, definite):
    """I + lam matrix, at lam = 1 / 2 and so from an eigenvalue of -2 on."""
    turn = torch.linalg.qr(points(d, d))[0]
    values = torch.linspace(3, 4, d, dtype=torch.float64)
    values[-1] = 2 * least
    matrix = (turn * values) @ turn.T
    g, lam = points(d, 3).T.contiguous(), torch.full((3,), 0.5).double()
    step, positive = solved(lam, matrix[..., None].expand(d, d, 3), g)
    assert positive.tolist() == [definite] * 3
    if definite:
        torch.testing.assert_close((torch.eye(d) + matrix / 2) @ step, g)
    both = -4 * torch.eye(d).double()[..., None].expand(d, d, 3)  # the determinant may be above 0
    assert not solved(lam, both, g)[1].any()


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_starts_by_shares_are_the_minima_of_bounds_from_above(kind, d):
    """Of F(x) = |x - v|^2 / 2 + lam g(x); the first starts of each point have the least bounds."""
    p, v = mixture(kind, d, seed=d + 3, k=5), points(d)
    lam = torch.linspace(0.1, 2, len(v), dtype=torch.float64)
    terms = GeneralTerms(p.weights, p.means, precision_matrices(p.covariances, d))
    i, x, first = ShareStarts(terms, p.weights, p.means, p.covariances)(v.T, lam)
    assert (i.bincount() == i.bincount()[0]).all() and torch.equal(first.value, terms(x).value)
    K = len(p.weights)
    assert len(i) == len(v) * (2 * K + 1 + K * (K - 1) // 2)  # alone, at means, weights, pairs
    precisions = precision_matrices(p.covariances, d)
    # a start of one component's share alone is the prox of that component
    for k in range(K):
        eye = torch.eye(d).double()
        alone = torch.linalg.solve(
            eye + lam[:, None, None] * precisions[k],
            (v + lam[:, None] * (precisions[k] @ p.means[k]))[..., None],
        )[..., 0]
        away = torch.stack([(x.T[i == n] - alone[n]).norm(dim=1).min() for n in range(len(v))])
        assert (away < 1e-9).all()


def test_a_grid_covers_v_and_the_means_and_its_table_is_that_of_its_points():
    for d in (1, 2):
        p, v, lam = mixture("full", d, seed=2, size=0.5), points(d), torch.ones(12).double()
        terms = mixture_terms(p.weights, p.means, p.covariances)
        grid = grid_starts(terms, p.means, p.covariances, v.T, lam)
        variances = torch.linalg.eigvalsh(p.covariances)
        reach = 2 * variances.max().sqrt()
        corners = torch.cat([v, p.means])
        torch.testing.assert_close(grid.points.amin(1), corners.amin(0) - reach)
        torch.testing.assert_close(grid.points.amax(1), corners.amax(0) + reach)
        side = (grid.points.amax(1) - grid.points.amin(1)) / (torch.tensor(grid.counts) - 1)
        assert (side <= 0.4 * variances.min().sqrt()).all()
        assert grid.cell == pytest.approx(float(side.square().sum()) / 8)
        torch.testing.assert_close(grid.table.value, -p.log_density(grid.points.T))
        i, x, _ = grid(v.T, lam)
        F = (x.T - v[i]).square().sum(1) / 2 - p.log_density(x.T)
        whole = grid.halves + grid.table.value - v @ grid.points
        whole = whole.amin(1) + v.square().sum(1) / 2
        for n in range(len(v)):  # the lowest point is among the starts
            assert float(F[i == n].min()) == pytest.approx(float(whole[n]))
    # too many cells, or dimensions, and there is none
    assert grid_starts(terms, p.means, 1e-8 * p.covariances, v.T, lam) is None
    q = mixture("full", 3)
    assert grid_starts(made("full", 3), q.means, q.covariances, points(3).T, lam) is None


def test_a_convex_start_is_near_the_prox_already():
    p = mixture("alike", 2, seed=1, size=3.0)
    terms = mixture_terms(p.weights, p.means, p.covariances)
    v, lam = points(2), torch.full((12,), 2.0).double()
    assert terms.convex(lam[0])
    _, x, first = ConvexStart(terms, p.weights, p.means)(v.T, lam)
    exact = p.prox(v, lam)
    assert float((x.T - exact).abs().max()) < 1e-3 < 1e-1 < float((v - exact).abs().max())
    torch.testing.assert_close(first.slope.T, -p.score(x.T))


def test_small_chunks_change_nothing(monkeypatch):
    p, v = mixture("round", 2, seed=4), points(2)
    whole = p.prox(v, 0.5)
    monkeypatch.setattr(module, "CHUNK_NUMBERS", 60)
    monkeypatch.setattr("proxlab.priors.exact.mixture_prox.CHUNK_NUMBERS", 60)
    torch.testing.assert_close(p.prox(v, 0.5), whole, rtol=0, atol=1e-8)
