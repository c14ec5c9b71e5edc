"""The Hessian of the mixture potential is autograd's Jacobian: products and the diagonal."""

import pytest
import torch
from torch import Tensor

from proxlab.priors.lpn import (
    cache_blocks,
    mixture_diagonal,
    mixture_hessian,
    window_folds,
    windows,
)
from proxlab.priors.lpn.mixture_linear import Kept
from proxlab.priors.lpn.mixture_potential import MixturePotential
from tests.priors.lpn.potentials import SIGMA, images, potential

CASES = [
    (1, 1, (9, 6)),
    (3, 1, (9, 14)),
    (5, 1, (12, 7)),
    (7, 1, (5, 7)),
    (3, 3, (5, 6)),
]


def net_of(context: int, channels: int) -> MixturePotential:
    kept = 30 if channels == 1 else 70
    return potential(context, channels=channels, kept=kept).requires_grad_(False)


def dense(net: MixturePotential, v: Tensor, sigma: Tensor) -> Tensor:
    """The Jacobian of the gradient by autograd, [n, n], of one image."""
    return torch.func.jacrev(lambda x: net.gradient(x, sigma))(v).reshape(v.numel(), -1)


def gaps(context: int, channels: int, size: tuple[int, int]) -> tuple[float, float]:
    """Largest errors of products and of the diagonal, of a batch at two levels of noise."""
    net, v = net_of(context, channels), images(2, channels, *size)
    hessian, u = net.hessian(v, SIGMA), images(2, channels, *size, seed=5)
    product, diagonal = hessian(u), hessian.diagonal()
    away = []
    for i in range(2):
        slow = dense(net, v[i : i + 1], SIGMA[i : i + 1])
        away.append(
            (
                float((product[i].flatten() - slow @ u[i].flatten()).norm() / u[i].norm()),
                float((diagonal[i].flatten() - slow.diagonal()).abs().max()),
            )
        )
    products, diagonals = zip(*away, strict=True)
    return max(products), max(diagonals)


@pytest.mark.parametrize("context, channels, size", CASES, ids=str)
def test_products_and_diagonal_are_those_of_autograd(context, channels, size):
    product, diagonal = gaps(context, channels, size)
    assert product < 1e-10 and diagonal < 1e-10


@pytest.mark.parametrize("tile", [1, 3])
def test_tiles_and_groups_change_nothing(tile, monkeypatch):
    monkeypatch.setattr(cache_blocks, "TILE", tile)
    monkeypatch.setattr(cache_blocks, "IMAGES", 1)
    monkeypatch.setattr(mixture_diagonal, "MOST", 2**12 * tile)
    product, diagonal = gaps(3, 1, (9, 14))
    assert product < 1e-10 and diagonal < 1e-10


def without_covariance(monkeypatch):
    still = lambda p, own, shared, *_: (0 * own, 0 * shared)  # noqa: E731
    monkeypatch.setattr(mixture_hessian, "_turned", still)


def without_the_mean(monkeypatch):
    def wrong(p, own, shared, level, count):
        weights, common = level.weights, level.common
        scores = (common @ shared).unflatten(1, weights.shape[1:3]) + weights @ own
        scores = p * scores.flatten(1, 2) * (count / (2 * level.temperature))
        return weights.mT @ scores.unflatten(1, weights.shape[1:3]), common.mT @ scores

    monkeypatch.setattr(mixture_hessian, "_turned", wrong)


def with_another_sign(monkeypatch):
    right = mixture_hessian._turned
    monkeypatch.setattr(mixture_hessian, "_turned", lambda *a: tuple(-x for x in right(*a)))


def without_mirror(monkeypatch):
    right = windows.extend
    monkeypatch.setattr(windows, "extend", lambda x, size: right(x, size).roll(1, -1))


@pytest.mark.parametrize(
    "plant", [without_covariance, without_the_mean, with_another_sign, without_mirror]
)
def test_a_mistake_in_the_product_is_caught(plant, monkeypatch):
    net, v, u = net_of(3, 1), images(1, 1, 9, 8), images(1, 1, 9, 8, seed=5)
    hessian, slow = net.hessian(v, SIGMA[:1]), dense(net, v, SIGMA[:1])
    plant(monkeypatch)
    assert (hessian(u).flatten() - slow @ u.flatten()).norm() / u.norm() > 1e-4


@pytest.mark.parametrize("context, channels, size", CASES, ids=str)
def test_its_gradient_is_that_of_the_potential(context, channels, size, monkeypatch):
    monkeypatch.setattr(cache_blocks, "TILE", 3)
    net, v = net_of(context, channels), images(2, channels, *size)
    found = net.hessian(v, SIGMA).gradient()
    torch.testing.assert_close(found, net.gradient(v, SIGMA), rtol=1e-12, atol=1e-12)


def unlent(part: Kept) -> Kept:
    return part._replace(lent=0 * part.lent)


def with_means_of_windows(part: Kept) -> Kept:
    return part._replace(left=0 * part.left)


@pytest.mark.parametrize("plant", [unlent, with_means_of_windows])
def test_a_mistake_in_the_gradient_is_caught(plant):
    net, v = net_of(3, 1), images(1, 1, 9, 8)
    hessian = net.hessian(v, SIGMA[:1])
    hessian.parts = [(plant(part), layers) for part, layers in hessian.parts]
    assert (hessian.gradient() - net.gradient(v, SIGMA[:1])).abs().max() > 1e-6


def squares_unfolded(monkeypatch):
    monkeypatch.setattr(window_folds.Group, "folded", lambda group, x, patches: x)


def no_variance(monkeypatch):
    monkeypatch.setattr(
        mixture_diagonal, "_variance_of_sums", lambda p, weights, seen: 0 * seen[:, 0]
    )


def no_choice_by_pixels(monkeypatch):
    monkeypatch.setattr(mixture_diagonal, "_add_choices_by_pixels", lambda *_: None)


@pytest.mark.parametrize("plant", [squares_unfolded, no_variance, no_choice_by_pixels])
def test_a_mistake_in_the_diagonal_is_caught(plant, monkeypatch):
    net, v = net_of(3, 1), images(1, 1, 9, 8)
    slow = dense(net, v, SIGMA[:1])
    plant(monkeypatch)
    away = net.hessian(v, SIGMA[:1]).diagonal().flatten() - slow.diagonal()
    assert away.abs().max() > 1e-5


def test_it_is_symmetric_and_positive_and_keeps_constants():
    net, v = net_of(5, 1), images(2, 1, 11, 13)
    hessian = net.hessian(v, SIGMA)
    u, w = images(2, 1, 11, 13, seed=2), images(2, 1, 11, 13, seed=3)
    one, other = hessian(u), hessian(w)
    torch.testing.assert_close((w * one).sum((1, 2, 3)), (u * other).sum((1, 2, 3)))
    assert ((u * one).sum((1, 2, 3)) > net.alpha * u.square().sum((1, 2, 3))).all()
    torch.testing.assert_close(hessian(torch.ones_like(v)), torch.ones_like(v))
    assert (hessian.diagonal() >= net.alpha).all()


def test_an_image_does_not_see_its_batch():
    net, v, u = net_of(3, 1), images(3, 1, 9, 8), images(3, 1, 9, 8, seed=2)
    sigma = torch.tensor([0.1, 0.03, 0.2], dtype=torch.float64)
    v[1] = float("nan")
    together, alone = net.hessian(v, sigma), net.hessian(v[2:], sigma[2:])
    torch.testing.assert_close(together(u)[2:], alone(u[2:]), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(together.diagonal()[2:], alone.diagonal())


def test_no_graph_is_kept_and_memory_is_what_is_said():
    net = potential(5)  # whose weights ask for gradients
    hessian = net.hessian(images(1, 1, 24, 24).requires_grad_(), SIGMA[:1])
    part, _ = hessian.parts[0]
    assert not any(x.requires_grad for x in part)
    assert not hessian.diagonal().requires_grad
    windows_ = part.q.numel()
    assert sum(x.numel() for x in part) < windows_ * (2 * 60 + 12 + 3 + 31 + 40 + 30)
