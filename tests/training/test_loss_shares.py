"""A loss of a batch is the sum of what its parts add, or is refused."""

import pytest
import torch
from torch import nn

from proxlab.training.losses import check_shares, share
from proxlab.training.prox_penalty import CORNER_COUNT, ProxPenalty


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 1, 3, padding=1)
        self.double()

    def forward(self, x, sigma):
        return x + sigma.view(-1, 1, 1, 1) * self.last(torch.tanh(self.first(x)))


def pairs(count, generator):
    clean = torch.rand(count, 1, 8, 8, generator=generator, dtype=torch.float64)
    sigma = 0.1 + torch.rand(count, generator=generator, dtype=torch.float64)
    noise = torch.randn(clean.shape, generator=generator, dtype=torch.float64)
    return clean, clean + sigma.view(-1, 1, 1, 1) * noise, sigma


def mean_loss(estimate, clean, sigma):
    return ((estimate - clean).square().mean((1, 2, 3)) / sigma).mean()


def summed(estimate, clean, sigma):
    return 2 * mean_loss(estimate, clean, sigma) * len(clean)


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_the_shares_of_a_penalised_loss_add_up_to_it(count):
    clean, noisy, sigma = pairs(7, torch.Generator().manual_seed(0))
    values = torch.linspace(-1, 1.9, 64, dtype=torch.float64).view(1, 1, 8, 8)
    asked = []

    def slope(v, s):
        asked.append(len(v))
        return values * v * (1 + s.view(-1, 1, 1, 1))

    penalised = ProxPenalty(mean_loss, slope, 3.0)
    whole = float(penalised(noisy, clean, sigma))
    assert whole > 1.2 * float(mean_loss(noisy, clean, sigma))
    asked.clear()
    parts = [slice(rank, None, count) for rank in range(count)]
    shares = [float(share(penalised, noisy[part], clean, sigma, part)) for part in parts]
    assert sum(shares) == pytest.approx(whole, rel=1e-9)
    assert max(asked) == -(-CORNER_COUNT // count)  # each process looks at its own images alone


def test_only_losses_and_models_that_keep_images_apart_are_shared():
    drawn, net = pairs(5, torch.Generator().manual_seed(0)), Net()
    check_shares(mean_loss, net, drawn)
    check_shares(mean_loss, net, tuple(a[:2] for a in drawn))
    with pytest.raises(ValueError, match="give it a method `share`, or train in one process"):
        check_shares(summed, net, drawn)

    class Mixing(Net):  # by so much that any random weights show it: 0.6 to 0.7 of the loss
        def forward(self, x, sigma):
            return super().forward(x, sigma) - x.sum(0)

    with pytest.raises(ValueError, match="the loss mean_loss of a batch is"):
        check_shares(mean_loss, Mixing(), drawn)
