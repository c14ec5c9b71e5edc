"""Input-convex networks: convex, near the identity at first, trainable, any size, saved whole."""

import math

import pytest
import torch

from proxlab import checkpoints
from proxlab.priors.lpn import icnn_layers
from proxlab.priors.lpn.icnn import ImageICNN, ImageICNNConfig, VectorICNN, VectorICNNConfig
from proxlab.priors.lpn.network import LPN

ALPHA = 1e-3
SIGMA = torch.tensor([0.1, 0.03], dtype=torch.float64)


def vectors(spread=0.0):
    return moved(VectorICNN(VectorICNNConfig(size=6, width=32, layers=3, alpha=ALPHA)), spread)


def images(spread=0.0):
    return moved(ImageICNN(ImageICNNConfig(width=36, strides=(2, 1), alpha=ALPHA)), spread)


def moved(net, spread):
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in net.double().parameters():
            p.add_(spread * torch.randn(p.shape, dtype=p.dtype, generator=generator))
    return net


def point(*shape, seed=1, scale=3.0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*shape, dtype=torch.float64, generator=generator)


def jacobian(net, v):
    n = v.numel()
    j = torch.autograd.functional.jacobian(lambda x: net.gradient(x, SIGMA[:1]), v)
    return j.reshape(n, n)


CASES = [(vectors, (1, 1, 2, 3)), (images, (1, 1, 7, 6))]


@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("make, shape", CASES)
def test_jacobian_is_symmetric_and_above_alpha(make, shape, scale):
    j = jacobian(make(0.5), point(*shape, scale=scale))
    assert float((j - j.T).norm() / j.norm()) < 1e-12
    assert float(torch.linalg.eigvalsh(j).min()) > ALPHA * (1 - 1e-9)


@pytest.mark.parametrize("make, shape", CASES)
def test_a_planted_negative_weight_is_caught(make, shape, monkeypatch):
    net = make(0.5)
    assert float(torch.linalg.eigvalsh(jacobian(net, point(*shape))).min()) > 0
    right = icnn_layers.F.softplus
    monkeypatch.setattr(
        icnn_layers.F, "softplus", lambda a, beta=1.0: -right(a) if beta == 1.0 else right(a, beta)
    )
    assert float(torch.linalg.eigvalsh(jacobian(net, point(*shape))).min()) < 0


@pytest.mark.parametrize("size", [(5, 7), (16, 16), (1, 9)], ids=str)
def test_images_start_near_the_identity(size):
    net, v = images(), point(2, 1, *size)
    with torch.no_grad():
        far = net.gradient(v, SIGMA) - v
        for readout in net.layers.readouts[1:]:
            readout[0] = -50.0
        exact = net.gradient(v, SIGMA)
    assert 0 < float(far.norm() / v.norm()) < 0.1
    torch.testing.assert_close(exact, v, rtol=1e-5, atol=1e-5)


def test_vectors_start_near_the_identity():
    net, v = vectors(), point(2, 1, 1, 6)
    assert float((net.gradient(v, SIGMA) - v).detach().norm() / v.norm()) < 0.25


@pytest.mark.parametrize("make, shape", CASES)
def test_value_gap_and_gradient_agree(make, shape):
    net, v = make(0.5), point(2, *shape[1:])
    with torch.no_grad():
        grad, gap = net.gradient_and_gap(v, SIGMA)
        torch.testing.assert_close(gap, v.square().sum((1, 2, 3)) / 2 - net.value(v, SIGMA))
        step = 1e-4 * point(*v.shape, seed=2)
        rise = net.value(v + step, SIGMA) - net.value(v - step, SIGMA)
        torch.testing.assert_close(2 * (grad * step).sum((1, 2, 3)), rise, rtol=1e-5, atol=1e-9)
        assert net.value(0 * v, SIGMA).abs().max() == 0
    assert not v.requires_grad and not grad.requires_grad


def test_all_weights_move_in_training():
    net = vectors()
    before = [p.detach().clone() for p in net.parameters()]
    optimiser = torch.optim.Adam(net.parameter_groups(1e-2))
    for k in range(50):
        v = point(64, 1, 1, 6, seed=k)
        optimiser.zero_grad()
        (net.gradient(v, SIGMA[:1]) - 0.3 * v).square().mean().backward()
        optimiser.step()
    for p, q in zip(net.parameters(), before, strict=True):
        assert float((p - q)[0].detach().abs().median()) > 0.02
    v = point(64, 1, 1, 6, seed=99)
    error = (net.gradient(v, SIGMA[:1]) - 0.3 * v).detach()
    assert float(error.norm() / (0.7 * v).norm()) < 0.5


@pytest.mark.parametrize("make, shape", CASES)
def test_an_lpn_wears_it(make, shape, tmp_path):
    prior = LPN(make(0.2).float())
    y = 0.3 + 0.1 * point(2, *shape[1:]).float()
    path = checkpoints.save(tmp_path / "net", prior, {})
    again = checkpoints.load(path)
    assert torch.equal(again.prox(y, 0.1), prior.prox(y, 0.1).detach())
    assert not again.prox(y, 0.1).requires_grad
    again = again.double()
    p, value = again.prox_and_value(y.double(), 0.1)
    torch.testing.assert_close(again.value(p, 0.1, tol=1e-8), value, rtol=1e-5, atol=1e-9)
    q, other = again.prox_and_value(y.double().flip(0, 2), 0.1)
    gap = other - value + ((q - y).square() - (p - y).square()).sum((1, 2, 3)) / 2
    assert float(gap.min()) > 0


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="at least 36, got 32"):
        ImageICNNConfig(width=32)
    with pytest.raises(ValueError, match="0 < alpha < 1"):
        VectorICNNConfig(alpha=0)
    with pytest.raises(ValueError, match="vectors of 6 entries"):
        vectors().value(point(1, 1, 5, 1), SIGMA[:1])


@pytest.mark.parametrize(
    "told, right",
    [
        ({"size": 1, "layers": 1, "width": 4}, True),
        ({"size": 0}, False),
        ({"layers": 0}, False),
        ({"size": 6, "width": 24}, True),
        ({"size": 6, "width": 20}, False),
        ({"size": 6, "width": 26}, False),
        ({"alpha": 1e-300}, True),
        ({"alpha": 1 - 1e-12}, True),
        ({"alpha": 1.0}, False),
        ({"corner": 1e-300}, True),
        ({"corner": 0.0}, False),
        ({"spread": -1e300}, True),
        ({"spread": math.inf}, False),
    ],
)
def test_a_configuration_is_let_in_up_to_its_very_edge(told, right):
    told = {"size": 2, "width": 32} | told
    if right:
        assert VectorICNNConfig(**told).alpha > 0
    else:
        with pytest.raises(ValueError, match="inputs and layers|multiple of 4|0 < alpha < 1"):
            VectorICNNConfig(**told)
