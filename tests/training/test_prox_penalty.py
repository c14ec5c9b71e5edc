"""What keeps a gradient step a prox in training, against maps whose eigenvalues are known."""

import pytest
import torch

from proxlab.training.prox_penalty import TARGET, ProxPenalty, top_curvature

SIGMA = torch.tensor([0.05, 0.2], dtype=torch.float64)


def bends(scale):
    """v -> scale D v for 64 pixels, eigenvalues from -9 to 1.7 times `scale`."""
    values = torch.linspace(-1, 1, 64, dtype=torch.float64).view(1, 1, 8, 8)
    values[..., 0, 0], values[..., -1, -1] = -9, 1.7
    return lambda v, sigma: scale * values * v


def some(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(2, 1, 8, 8, dtype=torch.float64, generator=generator)


def test_finds_the_largest_eigenvalue_and_not_a_larger_one_below_zero():
    found = top_curvature(bends(1.0), some(), SIGMA)
    assert found.tolist() == pytest.approx([1.7, 1.7], rel=0.03)


def test_each_image_has_its_own():
    def slope(v, sigma):
        return bends(1.0)(v, sigma) * (sigma / sigma.min()).view(-1, 1, 1, 1)

    assert top_curvature(slope, some(), SIGMA).tolist() == pytest.approx([1.7, 6.8], rel=0.03)


def test_is_pushed_down_by_its_gradient_until_it_costs_nothing():
    scale = torch.ones((), dtype=torch.float64, requires_grad=True)
    penalised = ProxPenalty(lambda *_: torch.zeros(()), lambda v, s: bends(scale)(v, s), 3.0)
    value = penalised(some(), some(), SIGMA)
    value.backward()
    assert value.item() == pytest.approx(3 * (1.7 - TARGET) ** 2, rel=0.1)
    assert scale.grad.item() == pytest.approx(3 * 2 * (1.7 - TARGET) * 1.7, rel=0.1)
    with torch.no_grad():
        scale.mul_(0.99 * TARGET / 1.7)
    assert penalised(some(), some(), SIGMA).item() == 0


def test_what_costs_nothing_is_as_told():
    def cost(target):
        penalised = ProxPenalty(lambda *_: torch.zeros(()), bends(1.0), 1.0, target)
        return penalised(some(), some(), SIGMA).item()

    assert cost(1.2) == pytest.approx((1.7 - 1.2) ** 2, rel=0.2)
    assert cost(1.8) == 0


def test_is_added_to_the_loss_and_draws_the_same_noise_for_the_same_batch():
    asked = []

    def slope(v, sigma):
        asked.append(v)
        return 0 * v

    penalised = ProxPenalty(lambda *_: torch.tensor(5.0), slope, 3.0)
    assert penalised(some(), some(), SIGMA) == 5
    first, asked = asked[0], []
    penalised(some(), some(), SIGMA)
    assert torch.equal(asked[0], first) and not torch.equal(first, some())
    penalised(some(), some(), SIGMA + 0.01)
    assert not torch.allclose(asked[-1], first)
