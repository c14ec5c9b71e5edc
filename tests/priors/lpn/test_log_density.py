"""Log-densities as potentials: the posterior mean, convex, exact at every level; fits of them."""

import pytest
import torch
from torch.distributions import MultivariateNormal

from proxlab import checkpoints
from proxlab.priors.lpn.fit_log_density import fit_mixture
from proxlab.priors.lpn.log_density import LogDensityConfig, LogDensityPotential
from proxlab.priors.lpn.network import LPN

LEVELS = [0.05, 0.3, 1.0]
WHOLE = LogDensityConfig(2, 3, components=3, rank=2)
BLOCKS = LogDensityConfig(4, 2, components=3, rank=2, side=2, classes=2)
COLOR = LogDensityConfig(2, 2, components=2, rank=3, channels=3)


def made(config, seed=0):
    net = LogDensityPotential(config).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.3 * torch.randn(p.shape, dtype=p.dtype, generator=generator))
    return net


def images(config, count=5, seed=1):
    generator = torch.Generator().manual_seed(seed)
    shape = (count, config.channels, config.height, config.width)
    return 0.5 + 0.7 * torch.randn(shape, dtype=torch.float64, generator=generator)


def levels(s, count=5):
    return torch.full((count,), s, dtype=torch.float64)


def gaussians(net, noise):
    """Each block's Gaussians with `noise` added to their variance, dense: [P][J]."""
    eye = torch.eye(net.config.size, dtype=torch.float64)
    return [
        [
            MultivariateNormal(m, b.T @ b + (e.exp() + noise) * eye)
            for m, b, e in zip(*of_block, strict=True)
        ]
        for of_block in zip(net.means, net.factors, net.log_residual, strict=True)
    ]


def dense_log_density(net, y, noise):
    """The same by one dense Gaussian after the other, without the potential's algebra."""
    config = net.config
    tiles = [
        y[..., i : i + (config.side or config.height), j : j + (config.side or config.width)]
        for i in range(0, config.height, config.side or config.height)
        for j in range(0, config.width, config.side or config.width)
    ]
    logs = torch.stack(
        [
            torch.stack([g.log_prob(tile.flatten(1)) for g in of_block])
            for tile, of_block in zip(tiles, gaussians(net, noise), strict=True)
        ]
    )  # [P, J, B]
    classes = (net.choices.log_softmax(2)[..., None] + logs).logsumexp(2).sum(1)
    return (net.classes.log_softmax(0)[:, None] + classes).logsumexp(0)


def brute_force_mean(net, y, s):
    """E[x | x + s e = y] by Tweedie's formula on the dense density, differentiated numerically."""
    mean, step = y.clone(), 1e-5
    for k in range(y[0].numel()):
        d = torch.zeros_like(y).flatten(1)
        d[:, k] = step
        d = d.view_as(y)
        slope = dense_log_density(net, y + d, s**2) - dense_log_density(net, y - d, s**2)
        mean.flatten(1)[:, k] += s**2 * slope / (2 * step)
    return mean


@pytest.mark.parametrize("s", LEVELS)
@pytest.mark.parametrize("config", [WHOLE, BLOCKS, COLOR], ids=["whole", "blocks", "color"])
def test_the_gradient_is_the_posterior_mean(config, s):
    net, y = made(config).requires_grad_(False), images(config)
    grad, gap = net.gradient_and_gap(y / s, levels(s))
    expected = brute_force_mean(net, y, s)
    torch.testing.assert_close(s * grad, expected, rtol=1e-6, atol=1e-7)
    density = dense_log_density(net, y, s**2)
    torch.testing.assert_close(net.log_density(y / s, levels(s)), density, rtol=1e-9, atol=1e-9)
    assert float(gap.min()) >= 0


def test_the_posterior_mean_agrees_with_samples():
    net, s = made(WHOLE).requires_grad_(False), 0.8
    generator = torch.Generator().manual_seed(3)
    j = torch.multinomial(net.choices[0, 0].softmax(0), 400_000, True, generator=generator)
    z = torch.randn(len(j), 1, 2, generator=generator, dtype=torch.float64)
    noise = torch.randn(len(j), 6, generator=generator, dtype=torch.float64)
    x = net.means[0, j] + (z @ net.factors[0, j])[:, 0]
    x = x + net.log_residual[0, j].exp().sqrt()[:, None] * noise
    y = net.means[0].mean(0)
    weight = (-(y - x).square().sum(1) / (2 * s**2)).exp()
    sampled = (weight[:, None] * x).sum(0) / weight.sum()
    mean = s * net.gradient(y.view(1, 1, 2, 3) / s, levels(s, 1)).flatten()
    assert float((mean - sampled).abs().max()) < 0.02


def test_that_check_catches_noise_forgotten(monkeypatch):
    net, y, s = made(WHOLE).requires_grad_(False), images(WHOLE), 0.3
    right = brute_force_mean(net, y, s)
    solve = LogDensityPotential._solve

    def forgetful(self, gram, inner, sigma):  # no s^2 in the covariances' subspaces
        return solve(self, gram, inner, sigma.clamp(max=1e-3))

    monkeypatch.setattr(LogDensityPotential, "_solve", forgetful)
    wrong = s * net.gradient(y / s, levels(s))
    assert float((wrong - right).norm() / right.norm()) > 0.01


@pytest.mark.parametrize("config", [WHOLE, BLOCKS, COLOR], ids=["whole", "blocks", "color"])
def test_gradient_is_that_of_the_value_and_convex(config):
    net, v = made(config), 4 * images(config)
    sigma = torch.tensor([0.05, 0.3, 0.3, 0.1, 1.0], dtype=torch.float64)
    v.requires_grad_()
    (slow,) = torch.autograd.grad(net.value(v, sigma).sum(), v)
    torch.testing.assert_close(net.gradient(v, sigma), slow, rtol=1e-9, atol=1e-9)
    for k in range(len(v)):
        one = sigma[k : k + 1]
        jacobian = torch.autograd.functional.jacobian(
            lambda x, one=one: net.gradient(x[None], one)[0], v[k].detach()
        ).reshape(v[k].numel(), -1)
        assert float((jacobian - jacobian.T).norm() / jacobian.norm()) < 1e-10
        assert float(torch.linalg.eigvalsh(jacobian).min()) >= net.alpha * (1 - 1e-9)


def test_a_planted_repulsion_is_not_convex(monkeypatch):
    """Shares that add up to three: a pull to the means three times too strong."""
    net, v = made(WHOLE), 4 * images(WHOLE)
    mix = LogDensityPotential._mix

    def wrong(self, scores):
        total, share = mix(self, scores)
        return total, 3 * share

    monkeypatch.setattr(LogDensityPotential, "_mix", wrong)
    jacobian = torch.autograd.functional.jacobian(
        lambda x: net.gradient(x[None], levels(1.0, 1))[0], v[0]
    ).reshape(6, 6)
    assert float(torch.linalg.eigvalsh((jacobian + jacobian.T) / 2).min()) < 0


@pytest.mark.parametrize("s", LEVELS)
def test_one_gaussian_is_the_wiener_filter(s):
    config = LogDensityConfig(2, 3, components=1, rank=2)
    net = made(config).requires_grad_(False)
    prior, y = LPN(net, (0.01, 1.0)), images(config)
    eye = torch.eye(6, dtype=torch.float64)
    covariance = net.factors[0, 0].T @ net.factors[0, 0] + net.log_residual[0, 0].exp() * eye
    d = y.flatten(1) - net.means[0, 0]
    wiener = net.means[0, 0] + d @ torch.linalg.solve(covariance + s**2 * eye, covariance)
    x, value = prior.prox_and_value(y, s)
    torch.testing.assert_close(x.flatten(1), wiener, rtol=1e-9, atol=1e-9)
    e = x.flatten(1) - net.means[0, 0]
    known = s**2 * (e * torch.linalg.solve(covariance, e.T).T).sum(1) / 2  # -s^2 log p, 0 at m
    torch.testing.assert_close(value, known, rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(prior.value(x, s, tol=1e-8), value, rtol=1e-5, atol=1e-9)


def two_clusters(count=400):
    generator = torch.Generator().manual_seed(0)
    side = torch.arange(count) % 2
    line = torch.randn(count, 1, generator=generator) * 0.2
    direction = torch.tensor([[0.5, 0.5, 0.5, 0.5], [0.5, -0.5, 0.5, -0.5]])
    x = torch.tensor([[0.2], [0.8]])[side] + line * direction[side]
    return (x + 0.03 * torch.randn(count, 4, generator=generator)).view(count, 1, 2, 2)


def test_a_fit_finds_what_was_drawn():
    x = two_clusters()
    config = LogDensityConfig(2, 2, components=2, rank=1)
    net = fit_mixture(x, config, torch.Generator().manual_seed(1), rounds=5).requires_grad_(False)
    order = net.means[0].mean(1).argsort()
    low, high = net.factors[0, order, 0]
    assert net.means[0, order].mean(1).tolist() == pytest.approx([0.2, 0.8], abs=0.05)
    assert float(low.norm()) == pytest.approx(0.2, rel=0.2)
    assert abs(float(torch.nn.functional.cosine_similarity(low, high, 0))) < 0.2
    assert net.log_residual.exp().sqrt().flatten().tolist() == pytest.approx([0.03] * 2, rel=0.2)
    worse = LogDensityPotential(config).requires_grad_(False)
    s = torch.full((len(x),), 0.05)
    assert float((net.log_density(x / 0.05, s) - worse.log_density(x / 0.05, s)).mean()) > 2


def test_classes_tie_blocks_together():
    """Both blocks bright or both dark: with two classes a half and half image is unlikely."""
    generator = torch.Generator().manual_seed(0)
    bright = (torch.arange(200) % 2).float().view(-1, 1, 1, 1)
    x = 0.8 * bright + 0.1 + 0.03 * torch.randn(200, 1, 4, 2, generator=generator)
    torn = torch.cat([x[:1, :, :2], x[1:2, :, 2:]], 2)
    costs = []
    for classes in (1, 2):
        config = LogDensityConfig(4, 2, components=2, rank=1, side=2, classes=classes)
        net = fit_mixture(x, config, torch.Generator().manual_seed(1)).requires_grad_(False)
        s = torch.full((2,), 0.1)
        costs.append(float(net.log_density(x[:2] / 0.1, s).mean()))
        costs[-1] -= float(net.log_density(torn / 0.1, s[:1]))
    assert abs(costs[0]) < 3 and costs[1] > costs[0] + 3


def test_it_trains_and_is_saved_whole(tmp_path):
    x = two_clusters()
    config = LogDensityConfig(2, 2, components=2, rank=1)
    net = LogDensityPotential(config)
    optimiser = torch.optim.Adam(net.parameter_groups(3e-2))
    s = torch.full((len(x), 1, 1, 1), 0.2)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(2))
    losses = []
    for _ in range(60):
        error = 0.2 * net.gradient(x / s + noise, s.flatten()) - x
        losses.append(error.square().mean())
        optimiser.zero_grad()
        losses[-1].backward()
        optimiser.step()
    assert losses[-1] < 0.8 * losses[0]
    prior = LPN(net.requires_grad_(False))
    again = checkpoints.load(checkpoints.save(tmp_path / "net", prior, {}))
    assert torch.equal(again.prox(x[:3], 0.1), prior.prox(x[:3], 0.1))
    assert again.prox(x[:3], 0.1).dtype == torch.float32 and 0 < again.capabilities.alpha < 1


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="do not tile 4 x 6"):
        LogDensityConfig(4, 6, side=4)
    with pytest.raises(ValueError, match="rank is from 1 to 3"):
        LogDensityConfig(2, 2, rank=4)
    with pytest.raises(ValueError, match="1 channel or 3"):
        LogDensityConfig(2, 2, rank=1, channels=2)
    net = LogDensityPotential(WHOLE)
    with pytest.raises(ValueError, match=r"\[B, 1, 2, 3\], got \[1, 1, 3, 2\]"):
        net.gradient(torch.zeros(1, 1, 3, 2), torch.ones(1))
    with pytest.raises(ValueError, match="0 < sigma <= 1"):
        net.gradient(torch.zeros(1, 1, 2, 3), torch.full((1,), 2.0))
    with pytest.raises(ValueError, match="float images, at least 3, got 2"):
        fit_mixture(torch.zeros(2, 1, 2, 3), WHOLE, torch.Generator())
