"""The mixture potential: convex, its gradient exact, nothing lost at borders, any size."""

import pytest
import torch
import torch.nn.functional as F

from proxlab.priors.lpn import cache_blocks, windows
from proxlab.priors.lpn.mixture_config import MixtureConfig
from proxlab.priors.lpn.mixture_potential import MixturePotential
from proxlab.priors.lpn.window_mixture import Level
from tests.priors.lpn.potentials import SIGMA, SIZES, bounds, images, potential


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


def tiled_and_whole(size: tuple[int, int], channels: int = 1) -> float:
    """The largest difference between the gradient and gap tile by tile and of the image at once."""
    net, v = potential(context=5, channels=channels), images(2, channels, *size)
    with torch.no_grad():
        tiled = net.gradient_and_gap(v, SIGMA)
    assert net.bases.turn.requires_grad
    whole = (x.detach() for x in net.gradient_and_gap(v, SIGMA))
    return max(float((a - b).abs().max()) for a, b in zip(tiled, whole, strict=True))


@pytest.mark.parametrize("tile", [1, 7, 20])
def test_tiles_change_nothing(tile, monkeypatch):
    monkeypatch.setattr(cache_blocks, "TILE", tile)
    monkeypatch.setattr(cache_blocks, "IMAGES", 1)
    assert tiled_and_whole((43, 30)) < 1e-9


def test_tiles_of_colour_images_change_nothing(monkeypatch):
    monkeypatch.setattr(cache_blocks, "TILE", 9)
    assert tiled_and_whole((23, 30), channels=3) < 1e-9


def test_levels_of_other_images_are_caught(monkeypatch):
    monkeypatch.setattr(cache_blocks, "IMAGES", 1)
    right = Level.only
    first = lambda level, images: right(level, slice(0, images.stop - images.start))  # noqa: E731
    monkeypatch.setattr(Level, "only", first)
    assert tiled_and_whole((23, 30)) > 1e-3


@pytest.mark.parametrize("followed", [False, True])
@pytest.mark.parametrize("dilation", [1, 2])
def test_the_adjoint_of_filters_is_the_transposed_convolution(dilation, followed):
    y, filters = images(2, 6, 7, 9), images(6, 3, 4, 4)
    right = F.conv_transpose2d(y, filters, dilation=dilation)
    ours = cache_blocks.adjoint(y, filters.requires_grad_(followed), dilation)
    torch.testing.assert_close(ours.detach(), right)


@pytest.fixture
def overlapping_tiles(monkeypatch):
    monkeypatch.setattr(cache_blocks, "TILE", 9)
    right = cache_blocks._parts
    wrong = lambda *a: [slice(max(p.start - 1, 0), p.stop) for p in right(*a)]  # noqa: E731
    monkeypatch.setattr(cache_blocks, "_parts", wrong)


def test_tiles_that_overlap_are_caught(overlapping_tiles):
    assert tiled_and_whole((23, 30)) > 1e-3


def test_tiles_are_for_what_autograd_does_not_follow(overlapping_tiles):
    net, v = potential().requires_grad_(False), images(2, 1, 23, 30)
    followed = net.gradient(v.requires_grad_(), SIGMA).detach()
    assert (net.gradient(v.detach(), SIGMA) - followed).norm() > 1e-3  # in tiles, so wrong here


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


def plant_negative_weights(net: MixturePotential) -> None:
    at = net.fine_mixture.at

    def wrong(sigma, like):
        level = at(sigma, like)
        weights, common, most = level.weights, level.common, bounds(level)
        return level._replace(weights=-3 * weights, common=-3 * (common + most) - most)

    net.fine_mixture.at = wrong


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
