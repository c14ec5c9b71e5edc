"""psi never above |v|^2 / 2, and equal to it with open gains: what keeps the prior R >= 0."""

import pytest
import torch
import torch.nn.functional as F

from proxlab.priors.lpn import tapered_bases, window_sums, windows
from proxlab.priors.lpn.mixture_potential import MixturePotential
from proxlab.priors.lpn.tapered_bases import TaperedBases
from tests.priors.lpn.potentials import SIGMA, SIZES, bounds, images, potential


def open_gains(net: MixturePotential) -> MixturePotential:
    with torch.no_grad():
        net.fine_mixture.gains[0].fill_(200.0)
        net.fine_mixture.context_gains[0].fill_(200.0)
        net.coarse_mixture.gains[0].fill_(200.0)
    return net


def identity_error(size: tuple[int, int], channels: int = 1) -> float:
    net, v = open_gains(potential(spread=0.0, channels=channels)), images(2, channels, *size)
    with torch.no_grad():
        net.bases.turn += torch.randn(net.bases.turn.shape, dtype=torch.float64)
        net.fine_mixture.share[0].fill_(-200.0)
        return float((net.gradient(v, SIGMA) - v).abs().max())


@pytest.mark.parametrize("size", [*SIZES, (64, 64)], ids=str)
def test_open_gains_give_the_identity_at_every_size(size):
    assert identity_error(size) < 1e-12


def test_open_gains_give_the_identity_in_colour():
    assert identity_error((9, 14), channels=3) < 1e-12


def test_a_taper_whose_squares_do_not_add_up_is_caught(monkeypatch):
    heights = TaperedBases._heights
    monkeypatch.setattr(TaperedBases, "_heights", lambda *a: heights(*a) ** 1.1)
    assert identity_error((23, 30)) > 1e-3


@pytest.fixture
def two_threads():
    """Told of, which changes what MKL does even where two are the default."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_filters_are_orthonormal_with_two_threads(two_threads):
    assert_orthonormal(lean=False)


@pytest.mark.parametrize("lean", [False, True])
def test_filters_are_orthonormal_whatever_the_turn(lean):
    assert_orthonormal(lean)


def assert_orthonormal(lean: bool) -> None:
    bank = TaperedBases(8, 3, 2, 50, torch.Generator().manual_seed(0), lean=lean).double()
    with torch.no_grad():
        bank.turn.normal_(generator=torch.Generator().manual_seed(1))
        found = bank(torch.zeros(1, dtype=torch.float64))
    taper = F.pixel_shuffle(found.weight, 2).sqrt()[0]
    for basis in F.pixel_shuffle(found.fine, 2).split(50):
        rows = torch.cat([basis, F.pixel_shuffle(found.mean, 2)]).div(taper).flatten(1)
        torch.testing.assert_close(rows @ rows.T, torch.eye(53).double(), atol=1e-12, rtol=0)
        assert basis.sum((2, 3)).abs().max() < 1e-12  # orthogonal to constants, colour by colour


def lean_difference() -> float:
    """Between the filters of a bank and those of the lean one that has to have the same.

    With k rows [P R] of the bank's rotation, S = [[X, Y], [-Y^T, 0]] has the Cayley transform with
    these rows for Y = -(I + P)^-1 R, X = 2 (I + P)^-1 - I - Y Y^T, which is skew.
    """
    full, lean = (
        TaperedBases(8, 1, 2, 9, torch.Generator().manual_seed(0), lean=short).double()
        for short in (False, True)
    )
    assert lean.turn.shape == (2, 9, 63) and full.turn.shape == (2, 63, 63)
    one = torch.eye(9).double()
    with torch.no_grad():
        full.turn.mul_(4)
        rows = tapered_bases.rotations(full.turn)[:, :9]
        inverse = torch.linalg.inv(one + rows[..., :9])
        across = -inverse @ rows[..., 9:]
        lean.turn.copy_(torch.cat([2 * inverse - one - across @ across.mT, across], 2))
        like = torch.zeros(1).double()
        return float((full(like).fine - lean(like).fine).abs().max())


def test_lean_bases_can_be_what_full_ones_are():
    assert lean_difference() < 1e-12


def test_a_lean_turn_that_is_not_skew_is_caught(monkeypatch):
    square = tapered_bases._square
    monkeypatch.setattr(tapered_bases, "_square", lambda turn: square(turn).triu(-8))
    assert lean_difference() > 1e-2


def test_uncounted_mirror_images_are_caught(monkeypatch):
    ones = lambda size, h, w, like: torch.ones_like(multiplicity(size, h, w, like))  # noqa: E731
    multiplicity = windows.multiplicity
    monkeypatch.setattr(windows, "multiplicity", ones)
    assert identity_error((23, 30)) > 0.1


def least_gap(net: MixturePotential, steps: int = 40) -> float:
    """The smallest |v|^2 / 2 - psi(v) that gradient descent finds from rough and spiky images."""
    worst = []
    for scale in (1.0, 100.0):
        v = images(2, 1, 26, 21)
        v = (scale * v * (v > 4)).requires_grad_()
        optimiser = torch.optim.Adam([v], lr=0.3)
        for _ in range(steps):
            gap = v.square().sum((1, 2, 3)) / 2 - net.value(v, SIGMA)
            optimiser.zero_grad()
            gap.sum().backward()
            optimiser.step()
        worst.append(float((gap.detach() / v.detach().square().sum((1, 2, 3))).min()))
    return min(worst)


@pytest.mark.parametrize("spread", [0.3, 3.0])
def test_psi_stays_below_that_of_the_identity(spread):
    assert least_gap(potential(context=5, spread=spread)) >= 0


def one_sided_context(net: MixturePotential) -> None:
    """Every window looks at neighbours on one side only, filters at different ones."""
    side = net.config.context
    with torch.no_grad():
        net.context.fill_(-50.0)
        for i, row in enumerate(net.context):
            row.view(side, side)[side // 2, 0 if i % 2 else -1] = 50.0
        net.fine_mixture.share.fill_(0.0)
        net.fine_mixture.share[0].fill_(50.0)


def test_a_one_sided_context_does_not_lift_psi_at_the_border(monkeypatch):
    net = open_gains(potential(context=5, spread=0.0))
    one_sided_context(net)
    assert least_gap(net) >= -1e-12
    monkeypatch.setattr(window_sums, "shares", lambda q, side: F.pad(q * 0 + 1, [2] * 4, value=1))
    assert least_gap(net) < -1e-3


def test_shares_of_the_components_own_are_caught(monkeypatch):
    net = potential(context=5, spread=0.0)
    plain = net.fine_mixture.at

    def own_shares(sigma, like):
        level = plain(sigma, like)
        common = level.common
        own = torch.arange(common.shape[1])[:, None] % 2 == (torch.arange(common.shape[2]) == 0)
        return level._replace(
            weights=0 * level.weights, common=own.to(common) - bounds(level), bias=0 * level.bias
        )

    monkeypatch.setattr(net.fine_mixture, "at", own_shares)
    assert least_gap(net) < -1e-3


def test_filters_longer_than_one_are_caught(monkeypatch):
    net = open_gains(potential(spread=0.0))
    with torch.no_grad():
        net.fine_mixture.gains[0, ..., -1].fill_(-200.0)  # or the rest would make up for it
    assert least_gap(net) >= 0
    rotations = tapered_bases.rotations
    monkeypatch.setattr(tapered_bases, "rotations", lambda turn: 1.4 * rotations(turn))
    assert least_gap(net) < -1e-3
