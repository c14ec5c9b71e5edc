"""L of a data term is never below the largest eigenvalue, and not far above it."""

import math

import pytest
import torch
from deepinv import physics as dp

from proxlab import operators
from proxlab.operators.contract import Accuracy
from proxlab.operators.data_terms.linear import LinearData
from proxlab.operators.draws import Draws
from proxlab.operators.foreign import as_operator
from proxlab.operators.noise import PhotonCounts, Weights, measurement_weights
from solvers import spectrum
from solvers.spectrum import SLACK, largest_eigenvalue, perron_bound
from tests.images.pictures import image

KERNEL = operators.gaussian_kernel(0.6)
SHARPENING = torch.zeros(5, 5, dtype=torch.float64)
SHARPENING[1:4, 1:4] = -0.1
SHARPENING[2, 2] = 1.8
ROUNDING = {torch.float32: 2e-6, torch.float64: 1e-13}
WIDE = torch.linspace(-1, 1, 30 * 64, dtype=torch.float64).sin().view(30, 64) % 0.37 - 0.2


def matrix(A: torch.Tensor, **more) -> dp.LinearPhysics:
    """The linear physics of a matrix [m, 64] of images [B, 1, 8, 8]."""
    return dp.LinearPhysics(
        A=lambda x: x.flatten(1) @ A.mT.to(x),
        A_adjoint=lambda y: (y @ A.to(y)).view(len(y), 1, 8, 8),
        **more,
    )


def hiding(side: int, where: int, size: float = 10.0) -> dp.LinearPhysics:
    """x -> d x with d = 1 but for one pixel, which a fixed start need not see."""
    d = torch.ones(side * side)
    d[where] = size
    d = d.view(side, side)
    return dp.LinearPhysics(A=lambda x: d.to(x) * x, A_adjoint=lambda y: d.to(y) * y)


OPERATORS = {
    "ct strips": operators.ct((8, 8), 5, 0.1),
    "ct lines": operators.ct((8, 8), 5, 0.1, model="line"),
    "ct fan": operators.ct((8, 8), 5, 0.1, fan=(20, 40)),
    "ct photons": operators.ct((8, 8), 5, PhotonCounts(50, 0.5)),
    "valid": operators.deblur(KERNEL, 0.1, "valid"),
    "reflect": operators.deblur(KERNEL, 0.1, "reflect"),
    "sharpening": operators.deblur(SHARPENING, 0.1, "reflect", normalize=True),
    "circular": operators.deblur(SHARPENING, 0.1, normalize=True),
    "mask": operators.inpaint(image(8, 8, seed=1) > 0.5, 0.1),
    "deepinv valid": dp.Blur(filter=KERNEL[None, None], padding="valid"),
    "deepinv replicate": dp.Blur(filter=KERNEL[None, None], padding="replicate"),
    "downsampling": dp.Downsampling((1, 8, 8), filter="bicubic", factor=2),
    "wide": matrix(WIDE),
    "repeated": matrix(torch.ones(64, dtype=torch.float64).diag()),
    "hiding": hiding(8, 11),
}


def dense(op: dp.LinearPhysics, dtype: torch.dtype) -> torch.Tensor:
    return op.A(torch.eye(64, dtype=dtype).view(64, 1, 8, 8)).flatten(1).double().T


def term(name: str, dtype=torch.float64, batch: int = 3):
    op, x = OPERATORS[name], image(batch, 1, 8, 8, dtype=dtype)
    if isinstance(op, (dp.Blur, dp.Downsampling)):
        op.to(dtype)
    y = op.A(x)
    if isinstance(op.noise_model, PhotonCounts):
        y = op(x, generator=torch.Generator().manual_seed(0))
    told = None if op.noise_model is not None and name.startswith("ct") else 0.1
    weights = measurement_weights(y, op, told)
    return as_operator(op).data_term(y, weights, Accuracy()), weights


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", OPERATORS)
def test_the_bound_is_above_the_largest_eigenvalue_and_near(name, dtype):
    f, weights = term(name, dtype)
    A, found = dense(OPERATORS[name], dtype), f.lipschitz()
    for b in range(3):
        W = torch.ones(len(A)) if weights.entry is None else weights.entry[b].flatten()
        exact = weights.image[b] * torch.linalg.eigvalsh(A.T @ (W[:, None].double() * A))[-1]
        assert 1 - ROUNDING[dtype] <= found[b] / exact < 1.055


@pytest.mark.parametrize("side, size", [(64, 10.0), (512, 10.0), (512, 100.0), (512, 1.06)])
def test_no_eigenvalue_hides(side, size):
    for where in (0, side * side // 3, side * side - 1):
        op, y = hiding(side, where, size), image(1, 1, side, side, dtype=torch.float32)
        f = LinearData(y, op, Weights(torch.ones(1), None), Accuracy())
        assert f.lipschitz().item() >= size**2
    # planted: the power method from one fixed start does not find it
    u = torch.ones(side * side, dtype=torch.float64)
    d = u.clone()
    d[u.argmin()], u[u.argmin()] = size, 1e-9
    assert (u @ (d**2 * u)) / (u @ u) < 1.001


def test_a_random_start_is_enough_in_the_worst_case(monkeypatch):
    """One eigenvalue 1 above many that crowd towards 1 - SLACK, as in the proof; 400 draws."""
    n = 4096
    d = (1 - SLACK) * torch.linspace(0, torch.pi / 2, n, dtype=torch.float64).cos() ** 2
    d[0] = 1
    start = torch.randn(400, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    bound = largest_eigenvalue(lambda q: d * q, start)
    assert (bound >= 1).all() and (bound <= 1 / (1 - SLACK) + 1e-9).all()
    # planted: a start that cannot see it, and too few steps
    blind = start * (d < 1)
    assert (largest_eigenvalue(lambda q: d * q, blind) < 1.001).all()
    monkeypatch.setattr(spectrum, "FAILURE", 30)
    assert (largest_eigenvalue(lambda q: d * q, start) < 1).any()


@pytest.mark.parametrize("name", ["ct photons", "reflect", "sharpening", "wide", "hiding"])
def test_it_depends_on_no_neighbour(name):
    f, _ = term(name)
    whole = f.lipschitz()
    for b in range(3):
        part = f.select(torch.tensor([b])).lipschitz()
        assert part.item() == pytest.approx(whole[b].item(), rel=1e-12)


def test_what_sees_nothing_has_no_slope_and_what_gives_nan_no_bound():
    like = torch.ones(2, 5)
    for bound in (largest_eigenvalue, perron_bound):
        assert bound(lambda x: 0 * x, like).tolist() == [0, 0]
        assert bound(lambda x: x / torch.tensor([[1.0], [0.0]]) * 0, like)[1] == torch.inf
        assert largest_eigenvalue(lambda x: x, 0 * like).tolist() == [0, 0]


@pytest.mark.parametrize("n", [4, 16, 4096, 512 * 512])
def test_so_many_steps_are_taken_that_the_chance_is_small_enough_and_no_more(n):
    """1.648 sqrt(n) exp(-sqrt(e) (2 K - 1)) <= 1e-6 at e = 5 %. [Kuczynski92]"""

    def chance(steps: int) -> float:
        return 1.648 * n**0.5 * math.exp(-(0.05**0.5) * (2 * steps - 1))

    steps = spectrum._lanczos_steps(n)
    assert chance(steps) <= 1e-6 < chance(steps - 1)
    assert n != 16 or steps == 36
    assert n != 512 * 512 or steps == 47


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_both_bounds_leave_room_for_the_rounding_of_products(dtype):
    """Of the identity, whose Ritz value and quotients are 1 exactly: 64 units on top."""
    start = torch.ones(1, 4, dtype=dtype)
    room = 64 * torch.finfo(dtype).eps
    lanczos = largest_eigenvalue(lambda x: x, start).item() * (1 - SLACK)
    for bound in (lanczos, perron_bound(lambda x: x, start).item()):
        assert bound - 1 == pytest.approx(room, rel=0.1, abs=0)


def test_entries_below_zero_break_the_other_bound():
    """Why `non_negative` has to be said: max_i (M p)_i / p_i bounds nothing otherwise."""
    M = torch.tensor([[1.0, -1.0], [-1.0, 1.0]], dtype=torch.float64)  # eigenvalues 0 and 2
    assert perron_bound(lambda x: x @ M, torch.ones(1, 2, dtype=torch.float64)) < 1
    start = torch.randn(1, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert largest_eigenvalue(lambda x: x @ M, start).item() == pytest.approx(2 / (1 - SLACK))


def test_weighted_pixels_are_bounded_to_a_hundredth_by_their_products():
    """An operator that says that it has no entry below 0 is believed: 1 % and not 5."""
    holed = torch.tensor([[0.0, 0.3, 0.0], [0.2, 0.5, 0.0], [0.0, 0.0, 0.0]])
    blurs = [operators.deblur(holed, 0.1, kind) for kind in ("circular", "valid", "reflect")]
    for op in (OPERATORS["mask"], *blurs):
        y = op.A(image(2, 1, 8, 8))
        W = 0.5 + image(*y.shape, seed=7)
        f = op.data_term(y, Weights(torch.ones(2).double(), W), Accuracy())
        A, found = dense(op, torch.float64), f.lipschitz()
        assert f.non_negative
        for b in range(2):
            exact = torch.linalg.eigvalsh(A.T @ (W[b].view(-1, 1) * A))[-1]
            assert 1 - 1e-12 <= found[b] / exact < 1.0101


def test_nothing_is_claimed_of_an_operator_by_default():
    y = image(1, 30)
    f = LinearData(y, matrix(WIDE), Weights(torch.ones(1), None), Accuracy())
    assert not f.non_negative and f.lipschitz() >= torch.linalg.matrix_norm(WIDE, 2) ** 2


def test_who_claims_entries_of_one_sign():
    claims = {n: f.non_negative for n in OPERATORS if isinstance(f := claim(n), LinearData)}
    assert {name for name, said in claims.items() if said} == {
        *("ct strips", "ct lines", "ct fan", "ct photons", "reflect"),
        *("deepinv valid", "deepinv replicate"),
    }
    assert all(
        (dense(OPERATORS[name], torch.float32) >= -1e-7).all()
        for name, said in claims.items()
        if said
    )


def claim(name: str):
    return term(name, torch.float32)[0]


def test_numbers_are_drawn_by_the_measurement_alone():
    y = image(3, 2, 90, 90, dtype=torch.float32)
    state = torch.get_rng_state()
    drawn = Draws(y).normal(y)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(Draws(y).normal(y), drawn) and not torch.equal(drawn[0], drawn[1])
    assert torch.equal(Draws(y[1:2]).normal(y[1:2])[0], drawn[1])
    assert torch.equal(Draws(y.double()).normal(y), drawn)
    assert abs(drawn.mean()) < 0.02 and abs(drawn.std() - 1) < 0.02
    other = y.clone()
    other[0, 1, -2, -3] += 1  # the entries that decide are spread over all of it
    spread = sum(not torch.equal(Draws(moved(y, i)).normal(y), drawn) for i in range(0, 16000, 997))
    assert spread >= 3
    draws = Draws(y)
    assert not torch.equal(draws.normal(y), draws.normal(y))


def moved(y: torch.Tensor, i: int) -> torch.Tensor:
    other = y.clone()
    other.view(3, -1)[0, i] += 1
    return other
