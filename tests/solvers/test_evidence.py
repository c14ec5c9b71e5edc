"""Evidence of one prox: closed forms pass, with the margin that theory says; impostors do not."""

from itertools import combinations, pairwise, permutations
from math import cos, inf, pi, sin, tan

import pytest
import torch

from solvers.evidence import (
    curvature,
    cycle_margin,
    distances,
    gram,
    interpolation,
    judge,
    possible,
    shortest,
)
from tests.toys import soft

RNG = torch.Generator().manual_seed(0)


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=RNG, dtype=torch.float64)


V = 2 * normal(14, 30)
PATH = torch.cat(
    [torch.lerp(a, b, torch.linspace(0, 0.9, 10).double()[:, None]) for a, b in pairwise(V[:4])]
)
"""Ten steps from each of three points to the next: a run asks about neighbours."""


def hard(v, t=1.0):
    return torch.where(v.abs() > t, v, 0.0)


def firm(v, t=0.5, s=1.5):
    """Between soft and hard threshold, slope s / (s - t) from t to s."""
    return torch.where(v.abs() > s, v, v.sign() * ((v.abs() - t).clamp(min=0) * s / (s - t)))


def two_points(v, variance=0.4):
    """Posterior mean of x = +-1 from v = x + noise."""
    return torch.tanh(v / variance)


def twisted(v):
    """Nonexpansive, monotone in pairs, the gradient of nothing: rotates pairs of pixels."""
    a, b = v[..., 0::2], v[..., 1::2]
    c, s = 0.9 * cos(pi / 3), 0.9 * sin(pi / 3)
    return torch.stack([c * a - s * b, s * a + c * b], -1).flatten(-2)


CONVEX = {"soft": lambda v: soft(v, 0.5), "identity": lambda v: v, "half": lambda v: v / 2}
NONCONVEX = {"hard": hard, "firm": firm, "two points": two_points, "twice": lambda v: 2 * v}


@pytest.mark.parametrize("name", [*CONVEX, *NONCONVEX])
def test_exact_proxes_pass_and_only_convex_ones_as_convex(name):
    f = {**CONVEX, **NONCONVEX}[name]
    found = interpolation(PATH, f(PATH))
    assert found.margin >= 0
    assert (found.convex_margin >= 0) == (name in CONVEX)


def test_a_map_that_is_no_gradient_is_refused_though_every_pair_of_it_is_monotone():
    v = [V[0]]
    for _ in range(9):  # round about 0, as an iteration would
        v.append(twisted(v[-1]))
    v = torch.stack(v)
    x = twisted(v)
    assert all(
        float((a - b) @ (p - q)) > 0 for (a, p), (b, q) in combinations(zip(v, x, strict=True), 2)
    )
    assert distances(x @ x.mT).le(distances(v @ v.mT)).all()
    assert interpolation(v, x).margin < -0.1


@pytest.mark.parametrize("least", [0.3, 0.0, -0.05])
def test_margin_of_a_symmetric_map_is_its_least_eigenvalue(least):
    turn = torch.linalg.qr(normal(2, 2)).Q
    M = turn @ torch.diag(torch.tensor([least, 1.5]).double()) @ turn.mT
    v = normal(60, 2)
    margin = interpolation(v, v @ M).margin
    assert least - 1e-3 <= margin <= least + 0.01


@pytest.mark.parametrize("count, angle", [(3, pi / 4), (6, pi / 4), (5, 0.1), (8, pi / 2)])
def test_margin_of_a_rotation_on_a_polygon(count, angle):
    """K points of a regular polygon and a rotation by a: K-cyclically monotone iff a <= pi / K."""
    turns = 2 * pi * torch.arange(count, dtype=torch.float64) / count
    v = torch.stack([turns.cos(), turns.sin()], 1)
    M = torch.tensor([[cos(angle), -sin(angle)], [sin(angle), cos(angle)]]).double()
    expected = cos(angle) - sin(angle) / tan(pi / count)
    assert interpolation(v, v @ M).margin == pytest.approx(expected, abs=2e-3)
    assert expected < cos(angle) - 0.1  # planted: two points at a time, which have cos a
    assert (expected >= 0) == (angle <= pi / count)


def least_mean_cycle(cost: torch.Tensor, price: torch.Tensor) -> float:
    """Least sum of cost over sum of price on any cycle, by trying them all."""
    c, p, found = cost.tolist(), price.tolist(), inf
    for size in range(2, len(c) + 1):
        for chosen in combinations(range(len(c)), size):
            for rest in permutations(chosen[1:]):
                way = (chosen[0], *rest, chosen[0])
                edges = list(pairwise(way))
                found = min(found, sum(c[i][j] for i, j in edges) / sum(p[i][j] for i, j in edges))
    return found


@pytest.mark.parametrize("seed", range(8))
def test_shortest_paths_find_what_a_search_of_all_cycles_finds(seed):
    rng = torch.Generator().manual_seed(seed)
    count = 3 + seed % 4
    v = torch.randn(count, 3, generator=rng, dtype=torch.float64)
    M = torch.eye(3).double() + 0.8 * torch.randn(3, 3, generator=rng, dtype=torch.float64)
    x = v @ M
    cost = (x * v).sum(1)[:, None] - x @ v.mT
    price = (v[:, None] - v).square().sum(2) / 2
    brute = least_mean_cycle(cost, price)
    assert interpolation(v, x).margin == pytest.approx(brute, abs=2e-3 * max(1, abs(brute)))
    assert cycle_margin(cost, price) == pytest.approx(brute, abs=2e-3 * max(1, abs(brute)))
    assert possible(cost - (brute - 1e-6) * price) and not possible(cost - (brute + 1e-6) * price)


def violation(v, x, r):
    """Largest break of R_j + |x_j - v_i|^2 / 2 >= R_i + |x_i - v_i|^2 / 2: x_i is best for v_i."""
    toward = (x[None] - v[:, None]).square().sum(2) / 2 + r
    return float((toward.diagonal()[:, None] - toward).max())


@pytest.mark.parametrize("name", [*CONVEX, *NONCONVEX])
def test_both_ends_of_the_interval_and_all_between_are_functions_with_these_proxes(name):
    x = {**CONVEX, **NONCONVEX}[name](V)
    found = interpolation(V, x)
    assert (found.low <= found.high + 1e-9).all()
    assert found.low[-1] == pytest.approx(0, abs=1e-9) == found.high[-1]
    for share in (0.0, 0.4, 1.0):
        assert violation(V, x, found.low + share * (found.high - found.low)) < 1e-8
    for ends in (found.low, found.high):  # planted: a value beyond its end
        beyond = ends.clone()
        beyond[3] += 0.1 if ends is found.high else -0.1
        assert violation(V, x, beyond) > 0.05


def test_shortest_paths_give_the_psi_of_rockafellar():
    cost = V[:6] @ V[:6].mT
    cost = cost.diagonal()[:, None] - cost  # of x = v
    paths = shortest(cost)
    for psi in (paths[:, 2], -paths[2]):
        assert (psi[:, None] - psi <= cost + 1e-12).all()
    assert (paths.diagonal() == 0).all()


@pytest.mark.parametrize("t", [0.2, 1.0])
def test_values_that_belong_to_the_prox_pass_and_lie_in_the_interval(t):
    x, r = soft(PATH, t), t * soft(PATH, t).abs().sum(1)
    found = interpolation(PATH, x, r)
    assert found.value_margin is not None and found.value_margin >= 0
    assert (found.low - 1e-9 <= r - r[-1]).all() and (r - r[-1] <= found.high + 1e-9).all()
    assert interpolation(PATH, x, r + 1e9).value_margin >= 0


WRONG_VALUES = {
    "zero": lambda x, r: 0 * r,
    "turned": lambda x, r: -r,
    "doubled": lambda x, r: 2 * r,
    "halved": lambda x, r: r / 2,
    "of another function": lambda x, r: x.square().sum(1) / 2,
    "behind a billion": lambda x, r: 1e9 - r,
    "not a number": lambda x, r: torch.where(torch.arange(len(r)) == 4, torch.nan, r),
}


@pytest.mark.parametrize("name", WRONG_VALUES)
def test_other_values_are_refused_though_the_proxes_pass(name):
    x = soft(PATH, 1.0)
    found = interpolation(PATH, x, WRONG_VALUES[name](x, x.abs().sum(1)))
    assert found.value_margin is not None and found.value_margin < 0 <= found.margin


def at_rest(least: float) -> tuple[torch.Tensor, torch.Tensor]:
    """A float32 run of 2304 pixels: ten steps of .3 and less, twenty of 1e-7 of its size.

    Its prox is a symmetric map with the eigenvalues 1/2 and `least`; the latter's directions are
    those in which the steps went. Each answer is off by a unit in the last place, at its worst.
    """
    rng = torch.Generator().manual_seed(1)
    rest = 0.5 + 0.2 * torch.randn(2304, generator=rng)
    d = torch.randn(30, 2304, generator=rng)
    d /= d.norm(dim=1, keepdim=True)
    size = torch.tensor([0.3 * 0.7**k for k in range(10)] + [1e-7] * 20)
    v = rest + size[:, None] * rest.norm() * d
    Q = torch.linalg.qr(d[:10].double().mT).Q
    part = ((v - rest).double() @ Q) @ Q.mT
    x = rest + 0.5 * ((v - rest).double() - part) + least * part
    return v, (x - 2**-24 * rest.norm() * d).float()


def test_runs_at_rest_in_float32_raise_no_false_alarm():
    v, x = at_rest(0.1)
    found = gram(v, x)
    assert judge(found).margin >= 0
    assert judge(found._replace(unit=0.0)).margin < 0  # planted: without an allowance


def test_a_small_negative_eigenvalue_is_seen_in_float32():
    v, x = at_rest(-0.02)
    assert interpolation(v, x).margin == pytest.approx(-0.02, abs=0.01)


def test_one_evaluation_says_nothing_and_none_is_refused():
    found = interpolation(V[:1], -V[:1], torch.zeros(1))
    assert found.margin == found.convex_margin == found.value_margin == inf
    assert found.low.tolist() == found.high.tolist() == [0.0]
    with pytest.raises(ValueError, match="pairs"):
        interpolation(V, V[:3])
    with pytest.raises(ValueError, match="pairs"):
        interpolation([], [])


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_answers_that_are_no_numbers_are_those_of_no_prox(bad):
    x = V / 2
    x[2, 1] = bad
    found = interpolation(V, x)
    assert found.margin == found.convex_margin == -inf
    assert found.low.isnan().all() and found.high.isnan().all()


def test_shape_and_container_do_not_matter():
    x = soft(V, 0.5)
    flat = interpolation(V, x)
    images = interpolation(list(V.view(14, 1, 5, 6)), list(x.view(14, 1, 5, 6)))
    assert images.margin == flat.margin and torch.equal(images.low, flat.low)
    single = interpolation(V.float(), soft(V.float(), 0.5))
    assert single.margin == pytest.approx(flat.margin, abs=1e-4)
    assert (single.low - flat.low).abs().max() < 1e-3 and single.low.dtype == torch.float64


def test_gram_is_that_of_differences_with_the_last_in_pieces_too(monkeypatch):
    x = firm(V)
    whole = gram(V, x)
    assert torch.allclose(whole.xv, (x - x[-1]) @ (V - V[-1]).mT)
    assert torch.allclose(whole.x_rest, (x - x[-1]) @ (V[-1] - x[-1]))
    monkeypatch.setattr("solvers.evidence.CHUNK", 100)
    assert torch.allclose(gram(V, x).vv, whole.vv) and gram(V, x).unit == whole.unit


def hessian(largest: float) -> torch.Tensor:
    Q = torch.linalg.qr(normal(6, 6)).Q
    return Q @ torch.diag(torch.tensor([0, 0.1, 0.2, 0.5, 0.7, largest]).double()) @ Q.mT


def test_curvature_met_is_the_largest_eigenvalue_along_the_run():
    H, tau = hessian(3.0), 0.25
    top = torch.linalg.eigh(H).eigenvectors[:, -1]
    points = normal(8, 6)
    seen, monotone = curvature(points, points - tau * points @ H, tau)
    assert 0.5 < seen <= 3 + 1e-9 and monotone > 0
    points = torch.cat([points, points[-1:] + top])
    seen, monotone = curvature(points, points - tau * points @ H, tau)
    assert seen == pytest.approx(3.0) and monotone > 0  # and so above an L of 2.9, say


def test_curvature_of_a_concave_f_is_not_monotone():
    points = normal(8, 6)
    assert curvature(points, points + 0.2 * points, 1.0)[1] == pytest.approx(-1)
    assert curvature(points, points + 0 * points, 1.0) == (0.0, 1.0)  # of f = 0


def test_curvature_of_steps_below_the_accuracy_says_nothing():
    points = 1 + 1e-6 * normal(8, 6)
    wrong = points + 1e-7 * normal(8, 6)  # gradients off by so much
    assert curvature(points, wrong, 1.0, accuracy=1e-6) == (0.0, 1.0)
    assert curvature(points, wrong, 1.0) != (0.0, 1.0)
