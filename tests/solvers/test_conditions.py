"""The theorems' bounds: they hold below, counter-examples break above, mistakes are seen."""

import itertools

import pytest
import torch

from solvers import Diverged, State, admm, drs, fista, hqs, pgd, run
from solvers.certificate import Rounding, doubts, rises
from solvers.conditions import PROVED, diverging
from solvers.protocols import envelope, relative
from tests.toys import L0, L1, Quadratic, Ridge, problem


class Form:
    """tau g(x) = x (J^-1 - I) x / 2: a quadratic, not convex if J has eigenvalues above 1."""

    def __init__(self, J: torch.Tensor):
        self.J = J

    def prox(self, v, tau):
        return v @ self.J

    def value(self, x):
        return ((torch.linalg.solve(self.J, x.T).T - x) * x).sum(1) / 2


class Wells:
    """prox v -> tanh(b v): two wells, R = x artanh(x) / b + log(1 - x^2) / (2 b) - x^2 / 2."""

    def __init__(self, b: float):
        self.b = b

    def prox(self, v, tau):
        return torch.tanh(self.b * v)

    def value(self, x):
        terms = x * torch.atanh(x) / self.b + torch.log1p(-x * x) / (2 * self.b) - x * x / 2
        return terms.sum(1)


def quadratic(H: torch.Tensor) -> Quadratic:
    """f = x H x / 2, so that tau = 1 is t = |H|."""
    return Quadratic(H.sqrt()[None], H.new_zeros(1, len(H)))


ONES = torch.ones(1, 2, dtype=torch.float64)


def one(t: float) -> Quadratic:
    return quadratic(torch.tensor([[t]], dtype=torch.float64))


def step_of(H: torch.Tensor, J: torch.Tensor, relaxation: float = 1.0) -> torch.Tensor:
    """The matrix of a Douglas-Rachford step, from its definition."""
    eye = torch.eye(len(H)).to(H)
    P = torch.linalg.inv(eye + H)
    return eye + relaxation * (J @ (2 * P - eye) - P)


def radius(H: torch.Tensor, J: torch.Tensor, relaxation: float = 1.0) -> float:
    return float(torch.linalg.eigvals(step_of(H, J, relaxation)).abs().max())


@pytest.mark.parametrize("t, lam", [(10, 2), (10, 1.2), (1.1, 20), (3, 3), (1.02, 1000)])
def test_above_the_bound_a_convex_sum_diverges(t, lam):
    H, J = diverging(t, lam)
    hessian = torch.linalg.inv(J) - torch.eye(2).double() + H
    assert torch.linalg.eigvalsh(hessian)[0] > 0
    assert torch.linalg.eigvalsh(J)[[0, -1]].tolist() == pytest.approx([1e-3, lam])
    assert all(radius(H, J, relaxation) > 1.005 for relaxation in (1.0, 1.3, 1.7, 1.99))
    assert t > PROVED[admm].local(lam)


@pytest.mark.parametrize("solver", [admm, drs])
def test_the_authors_setting_run_on_its_counter_example(solver):
    """t = 10, as with 1 / tau = 0.1 and |A^T A| = 1, and a prox that expands twofold at most."""
    H, J = diverging(10, 2)
    with pytest.raises(Diverged):
        run(solver(quadratic(H), Form(J), ONES, tau=1.0), max_steps=400, tol=1e-8)
    H = H * 0.099  # the same prior within the bound, t < 1: the envelope falls
    f, g = quadratic(H), Form(J)
    merit = [s.merit.item() for s, _ in zip(solver(f, g, ONES, tau=1.0), range(60), strict=False)]
    assert not rises(torch.tensor(merit).double()).any()


def test_below_the_local_bound_nothing_diverges():
    rng = torch.Generator().manual_seed(0)
    worst, beyond, seen = 0.0, 0.0, 0
    for trial in range(600):
        n = 2 + trial % 3
        lam = 1 + 10 ** float(3.5 * torch.rand(1, generator=rng) - 2)
        q = 10 ** (6 * torch.rand(n, generator=rng, dtype=torch.float64) - 3) - (1 - 1 / lam)
        q[0] = 1 / lam - 1
        h = torch.rand(n, generator=rng, dtype=torch.float64) ** 3
        h[0] = 1
        U = torch.linalg.qr(torch.randn(n, n, generator=rng, dtype=torch.float64))[0]
        H, Q = (h * PROVED[drs].local(lam)).diag(), U @ q.diag() @ U.T
        if torch.linalg.eigvalsh(H + Q)[0] > 1e-6:
            seen += 1
            J = torch.linalg.inv(Q + torch.eye(n).double())
            worst = max(worst, *(radius(H, J, r) for r in (0.2, 1.0, 1.5, 1.9, 1.99)))
            beyond = max(beyond, radius(H, J, 2.1))
    assert seen > 200 and worst < 1 < beyond


@pytest.mark.parametrize("t, rho", [(0.9, 0.85), (2.0, 0.79), (2.0, 0.81), (5.0, 0.5), (5.0, 0.7)])
def test_factor_of_one_dimension(t, rho):
    """(1 - t rho) / ((1 + t) (1 - rho)): a two-cycle at t = 2, rho = 4/5, never for rho <= 1/2."""
    factor = (1 - t * rho) / ((1 + t) * (1 - rho))
    one_by_one = torch.tensor([[1.0]], dtype=torch.float64)
    assert step_of(t * one_by_one, one_by_one / (1 - rho)).item() == pytest.approx(factor)
    assert (abs(factor) < 1) == (t > rho and t * (2 * rho - 1) < 2 - rho)


@pytest.mark.parametrize("t, holds", [(1.24, True), (1.26, False)])
def test_bound_of_proximal_gradient_is_sharp(t, holds):
    """lam = 4: descent up to t = 1 + 1 / lam, divergence beyond."""
    J = torch.tensor([[4.0]], dtype=torch.float64)
    steps = pgd(one(t), Form(J), ONES[:, :1], tau=1.0)
    assert (t < PROVED[pgd].local(4.0)) == holds
    if holds:
        result = run(steps, max_steps=300, tol=1e-6)
        assert result.x.abs() < 1e-4 and not rises(result.trace.objective[:, 0]).any()
        return
    with pytest.raises(Diverged):
        run(steps, max_steps=500, tol=1e-6)


def test_two_wells_cycle_for_ever_outside_and_come_to_rest_inside():
    """f + g is least at 0; outside the bound admm swings between two points for ever."""
    x, g = ONES[:, :1] * 0.5, Wells(10.0)
    swinging = run(admm(one(2.0), g, x, tau=1.0), max_steps=300, tol=1e-6)
    assert swinging.stopped == ["max_steps"] and not swinging.certified[0]
    states = [s.x.item() for s, _ in zip(admm(one(2.0), g, x, tau=1.0), range(52), strict=False)]
    assert states[-1] == pytest.approx(-states[-2], abs=1e-9) and abs(states[-1]) > 0.5
    resting = run(admm(one(0.99), g, x, tau=1.0), max_steps=300, tol=1e-6)
    assert not rises(resting.trace.merit[:, 0]).any()
    assert resting.x.abs() < 1e-12  # its residual, relative to x, says nothing at x = 0


@pytest.mark.parametrize("g", [L0(0.3), L1(0.2), Ridge(0.5)], ids=repr)
@pytest.mark.parametrize("t", [0.3, 0.99])
def test_envelope_falls_as_proved_and_lies_above_the_objective(g, t):
    f = problem(scale=3.0)
    tau = t / f.lipschitz()
    x = f.y.new_zeros(1, 20)
    states = [s for s, _ in zip(admm(f, g, x, tau=tau), range(40), strict=False)]
    merit = torch.stack([s.merit for s in states])[:, 0]
    assert not rises(merit, rounding=Rounding(1e-12)).any()
    assert all(s.merit >= s.objective - 1e-9 for s in states)
    for a, d in zip(states, drs(f, g, x, tau=tau), strict=False):
        assert a.merit.item() == pytest.approx(d.merit.item(), rel=1e-9)


class Point:
    """g = 0 at 0 and infinite elsewhere."""

    def prox(self, v, tau):
        return 0 * v

    def value(self, x):
        return 0 * x.sum(1)


def falls(f, g, v, tau: float, relaxation: float) -> list[tuple[float, float]]:
    """Falls of the envelope at each step, with |x+ - x|^2 / tau, x the data term's prox."""
    seen = []
    for _ in range(30):
        x = f.prox(v, tau)
        z = g.prox(2 * x - v, tau)
        seen.append((envelope(f.value(x), g.value(z), x, 2 * x - v, z - x, tau).item(), x))
        v = v + relaxation * (z - x)
    return [
        (a - b, float((y - x).square().sum()) / tau) for (a, x), (b, y) in itertools.pairwise(seen)
    ]


def least_fall(t: float, r: float) -> float:
    """The bound of docs/convergence.md, for |x+ - x|^2 / tau = 1."""
    return min(2 - r, (1 - t) * (2 * (1 + t) - r)) / (2 * r)


@pytest.mark.parametrize("r", [0.3, 1.0, 1.7, 1.95])
@pytest.mark.parametrize("t", [0.3, 0.7, 0.99])
@pytest.mark.parametrize("g", [L0(0.3), L1(0.2), Ridge(0.5)], ids=repr)
def test_envelope_falls_by_what_is_proved_at_any_relaxation(g, t, r):
    f = problem(scale=3.0)
    tau = t / f.lipschitz()
    steps = falls(f, g, f.y.new_ones(1, 20), tau, r)
    assert all(fall >= least_fall(t, r) * moved - 1e-9 for fall, moved in steps)


@pytest.mark.parametrize("t, r", [(0.9, 1.0), (0.9, 1.5), (0.6, 1.0), (0.999, 1.9)])
def test_no_greater_fall_is_true_of_all(t, r):
    """Equality where z stays and f bends by L: a bound without its -2 t^2, say, would break."""
    for fall, moved in falls(one(t), Point(), ONES[:, :1], 1.0, r)[:5]:
        assert fall == pytest.approx(least_fall(t, r) * moved, rel=1e-6, abs=1e-12)


def test_envelope_against_its_definition_and_with_its_sign_turned():
    f, g, tau = problem(scale=3.0), L0(0.3), 0.9 / problem().lipschitz()
    v = f.y.new_ones(1, 20)
    x = f.prox(v, tau)
    z = g.prox(2 * x - v, tau)
    gap = z - x
    slow = f.value(x) + g.value(z) + (f.grad(x) * gap).sum(1) + gap.square().sum(1) / (2 * tau)
    found = envelope(f.value(x), g.value(z), x, 2 * x - v, gap, tau)
    assert found.item() == pytest.approx(slow.item())
    turned = envelope(f.value(x), g.value(z), x, v, gap, tau)  # planted
    assert abs(turned - slow) > 1e-2


def test_a_rise_of_the_merit_alone_is_doubted():
    falling = torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64)
    words = doubts(falling, 1e-4, settled_at=1, tol=1e-3, merit=falling.flip(0))
    assert words == "merit rose by 2.0e+00 at step 3"

    def algorithm():
        for k in range(9):
            x = torch.ones(1, 2, dtype=torch.float64)
            yield State(x, x[0, :1] * 0, x[0, :1], x[0, :1], k > 0, x[0, :1] * (k + 1))

    result = run(algorithm(), max_steps=9, tol=1e-3)
    assert result.trace.merit.shape == (2, 1) and result.certified == [True]
    assert relative(result.x, result.x) == 1


@pytest.mark.parametrize("solver", [pgd, hqs, fista])
def test_elsewhere_the_objective_is_what_falls(solver):
    f = problem()
    result = run(solver(f, L1(0.1), f.y.new_zeros(1, 20), tau=0.3), max_steps=3, tol=1e-9)
    assert torch.equal(result.trace.merit, result.trace.objective)


def test_no_counter_example_below_the_bound():
    with pytest.raises(ValueError, match="nothing diverges, got t = 1.9, lam = 2"):
        diverging(1.9, 2)
