"""The proximal flow: the probability flow in implicit steps, on Gaussians."""

import torch

from solvers import proxdm, uniform_grid
from tests.solvers.diffusion.test_proximal_diffusion import VP_, M, V, last, prox, start


def test_the_flow_follows_the_probability_flow():
    """With many steps it takes each point where the closed form of a Gaussian does."""
    x = start(5)
    a = VP_.signal(1.0)
    exact = M + (V / (a * V + 1 - a)).sqrt() * (x - a**0.5 * M)

    def error(n, wrong=1.0):
        def other(y, t, lam):
            return prox(y, t, wrong * lam)

        return float((last(proxdm(other, x, uniform_grid(n), kind="flow")) - exact).norm())

    assert error(2000) < 5e-3 * float(exact.norm())
    assert 1.8 < error(500) / error(1000) < 2.2  # first order
    assert error(2000, wrong=2.0) > 0.1 * float(exact.norm())


def test_the_flow_leaves_white_noise_alone_in_steps_of_any_length():
    def white(y, t, lam):
        return y / (1 + lam)

    x, generator = start(5), torch.Generator().manual_seed(0)
    torch.testing.assert_close(last(proxdm(white, x, [0.0, 1.0], kind="flow")), x)
    x = torch.randn(4000, 3, dtype=torch.float64, generator=generator)
    shrunk = last(proxdm(white, x, [0.0, 1.0], kind="hybrid", noise=generator))
    assert float(shrunk.var()) < 0.5
