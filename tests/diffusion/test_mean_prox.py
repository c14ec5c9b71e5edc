"""The posterior-mean prox against closed forms, against quadrature, and against the true prox."""

import numpy as np
import pytest
import torch
from torch import Tensor

from proxlab.diffusion.mean_prox import DenoiserDiffusion, MeanProx
from proxlab.priors.exact.mixtures import Mixture
from solvers import VP, proxdm, uniform_grid

VP_ = VP()
TWO = Mixture(
    torch.tensor([0.6, 0.4], dtype=torch.float64),
    torch.tensor([[-1.0], [1.2]], dtype=torch.float64),
    torch.tensor([0.2, 0.3], dtype=torch.float64),
)
every_step = pytest.mark.parametrize("t, lam", [(0.0, 0.3), (0.05, 0.01), (0.3, 1.0), (1.0, 4)])


def points(n: int, d: int) -> Tensor:
    return 2 * torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def mean_of(mixture: Mixture):
    return lambda x, sigma: mixture.posterior_mean(x, sigma**2)


def careless(denoise, *, noise_free=False, unscaled=False):
    """MeanProx with a mistake: lam alone as the noise of y, or coordinates mixed up."""

    def prox(y: Tensor, t: float, lam: float) -> Tensor:
        root, total = VP_.signal(t) ** 0.5, lam if noise_free else VP_.noise(t) + lam
        x = y if unscaled else y / root
        return y + lam / total * (root * denoise(x, total**0.5 / root) - y)

    return prox


@every_step
def test_of_a_gaussian_it_is_the_exact_prox(t, lam):
    m, v = torch.tensor([0.4, -1.0]).double(), torch.tensor([0.1, 1.5]).double()
    y, a = points(20, 2), VP_.signal(t)

    def denoise(x, sigma):
        return (v * x + sigma**2 * m) / (v + sigma**2)

    v_t = a * v + 1 - a
    exact = (v_t * y + lam * a**0.5 * m) / (v_t + lam)
    torch.testing.assert_close(MeanProx(denoise)(y, t, lam), exact)
    if 0 < t < 1:  # at 0 and 1 they hardly differ
        for mistake in ({"noise_free": True}, {"unscaled": True}):
            assert (careless(denoise, **mistake)(y, t, lam) - exact).abs().max() > 1e-3


@every_step
def test_of_a_mixture_it_is_the_mean_by_quadrature(t, lam):
    x = np.linspace(-12, 12, 24001)
    y = np.linspace(-3, 3, 13)
    p = TWO.at(t).log_density(torch.from_numpy(x)[:, None]).numpy()
    w = np.exp(p - (y[:, None] - x) ** 2 / (2 * lam))
    mean = torch.from_numpy((w @ x) / w.sum(1))[:, None]
    y = torch.from_numpy(y)[:, None]
    torch.testing.assert_close(MeanProx(mean_of(TWO))(y, t, lam), mean, rtol=1e-9, atol=1e-9)
    if 0 < t < 1:  # at 0 and 1 they hardly differ
        for mistake in ({"noise_free": True}, {"unscaled": True}):
            assert (careless(mean_of(TWO), **mistake)(y, t, lam) - mean).abs().max() > 1e-3


def soft_in_norm(x: Tensor, sigma: float) -> Tensor:
    """The prox of sigma^2 |x|, which couples the coordinates."""
    return x * (1 - sigma**2 / x.norm(dim=-1, keepdim=True)).clamp(min=0)


def skewed(x: Tensor, sigma: float) -> Tensor:
    return x @ torch.tensor([[0.8, 0.3, 0], [-0.3, 0.8, 0], [0, 0, 0.5]], dtype=x.dtype)


def overdone(x: Tensor, sigma: float) -> Tensor:
    return -2 * x


def worst(denoise) -> tuple[float, float]:
    """Largest asymmetry of the Jacobian and least of its eigenvalues, at ten points and steps."""
    asymmetry, least = 0.0, 1.0
    for t, lam in [(0.0, 0.5), (0.2, 0.1), (0.2, 3.0)]:
        for y in points(10, 3):
            J = torch.func.jacrev(lambda y, t=t, lam=lam: MeanProx(denoise)(y, t, lam))(y)
            asymmetry = max(asymmetry, float((J - J.mT).abs().max()))
            least = min(least, float(torch.linalg.eigvalsh((J + J.mT) / 2)[0]))
    return asymmetry, least


def test_an_exact_prox_for_denoiser_makes_it_one():
    asymmetry, least = worst(soft_in_norm)
    assert asymmetry < 1e-14 and least > -1e-14
    assert worst(skewed)[0] > 0.05 and worst(overdone)[1] < -0.1


def test_it_meets_the_true_prox_to_first_order():
    """Their distance falls as lam^2; at coordinates mixed up as lam."""
    y, t, lams = torch.linspace(-2, 2, 21, dtype=torch.float64)[:, None], 0.1, [0.02, 0.01, 0.005]
    true = [TWO.at(t).prox(y, lam) for lam in lams]

    def order(prox) -> float:
        gaps = [float((prox(y, t, lam) - p).norm()) for lam, p in zip(lams, true, strict=True)]
        return float(np.polyfit(np.log(lams), np.log(gaps), 1)[0])

    assert abs(order(MeanProx(mean_of(TWO))) - 2) < 0.2
    assert order(careless(mean_of(TWO), unscaled=True)) < 1.2


class GaussianDenoiser(torch.nn.Module):
    """Of N(m, v) in each pixel, images in [0, 1]."""

    m, v = 0.3, 0.02

    def forward(self, x, sigma):
        return (self.v * x + sigma**2 * self.m) / (self.v + sigma**2)


def test_a_denoiser_of_images_is_worn_in_their_other_range():
    denoiser, x, sigma, t = GaussianDenoiser(), points(10, 2), 0.4, 0.2
    worn = DenoiserDiffusion(denoiser, (2,))
    M, V = 2 * denoiser.m - 1, 4 * denoiser.v
    exact = (V * x + sigma**2 * M) / (V + sigma**2)
    torch.testing.assert_close(worn.denoise(x, sigma), exact)
    unscaled = 2 * denoiser((x + 1) / 2, sigma) - 1
    assert (unscaled - exact).abs().max() > 1e-2
    a, noise = VP_.signal(t), VP_.noise(t)
    torch.testing.assert_close(worn.score(x, t), (a**0.5 * M - x) / (a * V + noise))
    torch.testing.assert_close(
        worn.prox(x, t, 0.3), ((a * V + noise) * x + 0.3 * a**0.5 * M) / (a * V + noise + 0.3)
    )


def test_it_samples_where_the_prox_does():
    """A mixture's two weights, at 200 steps; the sign of a sample tells its component."""
    generator, p0 = torch.Generator().manual_seed(0), TWO
    x = torch.randn(4000, 1, dtype=torch.float64, generator=generator)
    *_, (x, t) = proxdm(MeanProx(mean_of(p0)), x, uniform_grid(100), noise=generator)
    assert t == 0
    assert float(x.mean()) == pytest.approx(float(p0.mean()), abs=0.08)
    assert float(x.var()) == pytest.approx(float(p0.covariance()), rel=0.08)
