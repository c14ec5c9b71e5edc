"""The mixture potential: convex, its gradient exact, nothing lost at borders, any size."""

import pytest
import torch
import torch.nn.functional as F

from proxlab import filters, windows
from proxlab.convex import MixturePotential
from proxlab.filters import TaperedBases
from proxlab.mixture_config import MixtureConfig

SIZES = [(23, 30), (9, 14), (5, 7), (40, 21)]


def potential(context: int = 3, spread: float = 0.3, **more) -> MixturePotential:
    torch.manual_seed(0)
    sizes = {"bases": 2, "kept": 30} | more
    net = MixturePotential(MixtureConfig(6, 3, context=context, **sizes)).double()
    with torch.no_grad():
        for p in net.parameters():
            p.add_(spread * torch.randn_like(p))
    return net


def images(*shape: int, seed: int = 1) -> torch.Tensor:
    return 3 * torch.randn(
        *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )


SIGMA = torch.tensor([0.1, 0.03], dtype=torch.float64)


def autograd_gap(net: MixturePotential, v: torch.Tensor) -> float:
    v = v.requires_grad_()
    (slow,) = torch.autograd.grad(net.value(v, SIGMA).sum(), v)
    with torch.no_grad():
        fast = net.gradient(v, SIGMA)
    return float((fast - slow).norm() / slow.norm())


@pytest.mark.parametrize("context", [1, 3, 5, 7])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_gradient_is_that_of_autograd(size, context):
    assert autograd_gap(potential(context), images(2, 1, *size)) < 1e-12


def test_gradient_of_colour_images_is_that_of_autograd():
    assert autograd_gap(potential(channels=3, kept=70), images(2, 3, 9, 14)) < 1e-12


def test_a_wrong_fold_is_caught(monkeypatch):
    right = windows.fold
    monkeypatch.setattr(windows, "fold", lambda *a: right(*a).roll(1, -1))
    assert autograd_gap(potential(), images(2, 1, 23, 30)) > 1e-3


def test_bands_change_nothing(monkeypatch):
    net, v = potential(), images(2, 1, 61, 30)
    with torch.no_grad():
        banded = net.gradient_and_gap(v, SIGMA)
    whole = net.gradient_and_gap(v, SIGMA)
    torch.testing.assert_close(banded[0], whole[0].detach(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(banded[1], whole[1].detach(), rtol=1e-12, atol=1e-9)


def jacobian(net: MixturePotential, scale: float = 1.0) -> torch.Tensor:
    shape = (1, net.channels, 8, 7)
    v = scale * images(*shape)
    return torch.func.jacrev(lambda x: net.gradient(x, SIGMA[:1]))(v).reshape(v.numel(), -1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])
def test_jacobian_is_symmetric_and_at_least_alpha(scale, channels):
    net = potential(channels=channels, kept=30)
    j = jacobian(net, scale).detach()
    assert float((j - j.T).norm() / j.norm()) < 1e-12
    assert float(torch.linalg.eigvalsh(j).min()) > net.config.alpha - 1e-12


def bounds(net: MixturePotential, sigma, like) -> torch.Tensor:
    """Of the weights of what all components share: the window's energy, and those around."""
    share = net.fine_mixture.share_at(sigma, like)[..., None]
    return torch.cat([1 - share, share.expand(-1, -1, net.config.kept + 1)], -1)


def plant_negative_weights(net: MixturePotential) -> None:
    at = net.fine_mixture._at

    def wrong(sigma, like):
        weights, common, bias, t = at(sigma, like)
        most = bounds(net, sigma, like)
        return -3 * weights, -3 * (common + most) - most, bias, t

    net.fine_mixture._at = wrong


def test_a_negative_weight_is_caught():
    net = potential()
    plant_negative_weights(net)
    least = [torch.linalg.eigvalsh(jacobian(net, s).detach()).min() for s in (0.1, 1.0)]
    assert min(least) < -1e-3


def test_without_alpha_it_is_hardly_convex_at_all():
    net = potential(alpha=0.0)
    with torch.no_grad():
        for mixture in (net.fine_mixture, net.coarse_mixture):
            mixture.gains[0] -= 20
        net.fine_mixture.context_gains[0] -= 20
    assert torch.linalg.eigvalsh(jacobian(net).detach()).min() < MixtureConfig().alpha / 2


def test_monotone_between_far_images():
    net = potential()
    with torch.no_grad():
        for seed in range(5):
            a, b = images(2, 1, 12, 15, seed=seed), 20 * images(2, 1, 12, 15, seed=seed + 50)
            change = net.gradient(a, SIGMA) - net.gradient(b, SIGMA)
            assert ((a - b) * change).sum((1, 2, 3)).min() > 0


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


def test_filters_are_orthonormal_whatever_the_turn():
    bank = TaperedBases(8, 3, 2, 50, torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        bank.turn.normal_(generator=torch.Generator().manual_seed(1))
        found = bank(torch.zeros(1, dtype=torch.float64))
    taper = F.pixel_shuffle(found.weight, 2).sqrt()[0]
    for basis in F.pixel_shuffle(found.fine, 2).split(50):
        rows = torch.cat([basis, F.pixel_shuffle(found.mean, 2)]).div(taper).flatten(1)
        torch.testing.assert_close(rows @ rows.T, torch.eye(53).double(), atol=1e-12, rtol=0)
        assert basis.sum((2, 3)).abs().max() < 1e-12  # orthogonal to constants, colour by colour


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
    monkeypatch.setattr(
        MixturePotential, "_shares", lambda self, q: F.pad(q * 0 + 1, [2] * 4, value=1)
    )
    assert least_gap(net) < -1e-3


def test_shares_of_the_components_own_are_caught(monkeypatch):
    net = potential(context=5, spread=0.0)
    plain = net.fine_mixture._at

    def own_shares(sigma, like):
        weights, common, bias, t = plain(sigma, like)
        own = torch.arange(common.shape[1])[:, None] % 2 == (torch.arange(common.shape[2]) == 0)
        return 0 * weights, own.to(common) - bounds(net, sigma, like), 0 * bias, t

    monkeypatch.setattr(net.fine_mixture, "_at", own_shares)
    assert least_gap(net) < -1e-3


def test_filters_longer_than_one_are_caught(monkeypatch):
    net = open_gains(potential(spread=0.0))
    with torch.no_grad():
        net.fine_mixture.gains[0, ..., -1].fill_(-200.0)  # or the rest would make up for it
    assert least_gap(net) >= 0
    rotations = filters.rotations
    monkeypatch.setattr(filters, "rotations", lambda turn: 1.4 * rotations(turn))
    assert least_gap(net) < -1e-3


@pytest.mark.parametrize("channels", [1, 3])
def test_constants_pass_and_cost_nothing(channels):
    net, v = potential(channels=channels), images(2, channels, 23, 30)
    colour = torch.tensor([7.0, -20.0, 31.0])[:channels, None, None]
    with torch.no_grad():
        moved, gap = net.gradient_and_gap(v + colour, SIGMA)
        still, same = net.gradient_and_gap(v, SIGMA)
    torch.testing.assert_close(moved, still + colour, rtol=1e-10, atol=1e-9)
    torch.testing.assert_close(gap, same, rtol=1e-10, atol=1e-8)
    assert net.value(torch.zeros_like(v), SIGMA).detach().abs().max() < 1e-9


def test_an_image_does_not_see_its_batch():
    net, v = potential(), images(2, 1, 23, 30)
    with torch.no_grad():
        both = net.gradient(v, SIGMA)
        alone = torch.cat([net.gradient(v[i : i + 1], SIGMA[i : i + 1]) for i in range(2)])
    torch.testing.assert_close(both, alone, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_fold_is_the_adjoint_of_extend(size):
    x = images(2, 1, *size)
    blocks = windows.extend(x, 20)
    y = images(*blocks.shape, seed=3)
    left = (blocks * y).sum()
    assert abs(left - (x * windows.fold(y, 20, *size)).sum()) < 1e-9 * left.abs().clamp(min=1)


def test_nonsense_sizes_are_refused():
    with pytest.raises(ValueError, match="1, 3, 5 or 7"):
        MixtureConfig(context=4)
    with pytest.raises(ValueError, match="at least 1 component"):
        MixtureConfig(components=0)
    with pytest.raises(ValueError, match="from 1 to 62 filters, got 63"):
        MixtureConfig(kept=63)
    with pytest.raises(ValueError, match="1 channel or 3, got 2"):
        MixtureConfig(channels=2)
    with pytest.raises(ValueError, match="alpha is a share"):
        MixtureConfig(alpha=1.0)
