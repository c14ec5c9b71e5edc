"""The likelihood of counts: against its definition, by brute force; and against its own slope."""

import math

import pytest
import torch

from proxlab.operators.counts.camera import Counting
from proxlab.operators.counts.likelihood import CountLikelihood

GAIN, READ, BACKGROUND = 0.1, 0.03, 0.05


def loss(y, gain=GAIN, read=0.0, background=0.0, share=0.25, strength=1.0):
    one = torch.ones(len(y), dtype=torch.float64)
    numbers = Counting(gain * one, read * one, background * one)
    return CountLikelihood.of(y, numbers, strength * one, share)


def divergence(u, t, offset, gain):
    """KL as it is written in a book, infinite where the mean is negative."""
    p = u + offset
    entropy = torch.where(t > 0, t * (t / p.clamp(min=1e-300)).log(), 0 * p)
    return torch.where(p >= 0, (p - t + entropy) / gain, math.inf)


def grid(low=-0.5, high=3.0, count=35001):
    return torch.linspace(low, high, count, dtype=torch.float64)


def along(f, i, z):
    """E of entry i at every one of z [P]."""
    each = (f.gain, f.offset, f.least, f.smoothing, f.strength)
    one = CountLikelihood(f.counts[:, i].expand(len(z))[:, None], *(n.expand(len(z)) for n in each))
    return one.value(z[:, None])


def entries():
    return torch.tensor([[0.0, 0.1, 0.5, 1.3]], dtype=torch.float64)


CASES = {"poisson": (0.0, 0.0), "background": (0.0, BACKGROUND), "read": (READ, BACKGROUND)}


def by_force(y, z, step, read, background):
    """The least of (u - z)^2 / 2 + step KL(u), u + background >= 0, by looking."""
    u, extra = grid(), read**2 / GAIN
    cost = divergence(u, y + extra, background + extra, GAIN)
    cost = torch.where(u + background >= -1e-12, cost, math.inf)
    return float(((u - z) ** 2 / 2 + step * cost).min())


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("tau", [0.002, 0.05, 3.0])
def test_the_prox_is_that_of_the_envelope_by_brute_force(case, tau):
    """prox of a Moreau envelope: that of KL at a longer step, a part of the way."""
    read, background = CASES[case]
    y = entries()
    f, v = loss(y, read=read, background=background), torch.tensor([[0.7, -0.1, 0.4, 0.2]]).double()
    m = float(f.smoothing)
    for i in range(4):
        few = grid(-0.4, 1.6, 13)
        envelope = [by_force(y[0, i], float(z), m, read, background) / m for z in few]
        found = along(f, i, few)
        torch.testing.assert_close(found, torch.tensor(envelope).double(), rtol=1e-3, atol=1e-4)
        z = grid(-0.4, 1.6, 20001)
        best = z[((z - v[0, i]) ** 2 / 2 + tau * along(f, i, z)).argmin()]
        assert abs(float(f.prox(v, tau)[0, i] - best)) < 3e-4


def test_that_look_would_see_a_wrong_prox():
    y, v, tau = entries(), torch.full((1, 4), 0.7, dtype=torch.float64), 0.05
    f = loss(y)
    right, without_corner = f.prox(v, tau), f._mean(v, torch.full((1,), tau).double())
    assert (right - without_corner).abs().max() > 5e-3


@pytest.mark.parametrize("case", CASES)
def test_slope_and_curvature_are_derivatives(case):
    read, background = CASES[case]
    f = loss(entries().expand(3, 4), read=read, background=background, strength=1.7)
    z = torch.tensor([[0.3, 0.2, 0.6, 0.1], [-0.3, -0.2, 1.0, 2.0], [0.05, 0.001, 0.4, 5.0]])
    z = z.double()
    for pick, derivative in ((f.value, f.slope), (None, f.curvature)):
        h = 1e-6
        for i in range(4):
            step = torch.zeros_like(z)
            step[:, i] = h
            if pick is not None:
                wanted = (pick(z + step) - pick(z - step)) / (2 * h)
            else:
                wanted = (f.slope(z + step) - f.slope(z - step))[:, i] / (2 * h)
            torch.testing.assert_close(derivative(z)[:, i], wanted, rtol=1e-4, atol=1e-5)
    assert (f.curvature(z) >= 0).all() and (
        f.curvature(z) <= f.bound()[:, None] * (1 + 1e-12)
    ).all()


def test_the_prox_has_no_gradient_left():
    y = torch.rand(2, 1, 5, 5, generator=torch.Generator().manual_seed(0)).double()
    f, v = loss(y, read=READ, strength=0.7), torch.randn(2, 1, 5, 5).double()
    for tau in (1e-3, 0.1, torch.tensor([0.01, 5.0]).double()):
        p = f.prox(v, tau)
        t = tau.view(-1, 1, 1, 1) if isinstance(tau, torch.Tensor) else tau
        torch.testing.assert_close(p + t * f.slope(p), v)


def test_moreau_s_identity_gives_the_prox_of_the_conjugate():
    """E* = KL* + m |.|^2 / 2, and KL* = -(y / g) log(1 - g s) for no background."""
    y = torch.tensor([[0.3, 0.8]]).double()
    f, v, tau = loss(y), torch.tensor([[0.9, 0.1]]).double(), 0.2
    m = float(f.smoothing)
    found = v - tau * f.prox(v / tau, 1 / tau)
    s = torch.linspace(-60, 1 / GAIN - 1e-4, 100001, dtype=torch.float64)
    for i in range(2):
        conjugate = -(y[0, i] / GAIN) * (1 - GAIN * s).log() + m * s**2 / 2
        best = s[int(((s - v[0, i]) ** 2 / 2 + tau * conjugate).argmin())]
        assert abs(float(found[0, i] - best)) < 1e-3


def test_the_corner_is_rounded_and_nothing_else():
    """m -> 0 gives Kullback-Leibler; far from the corner its curvature is y / (g z^2)."""
    y = torch.tensor([[0.5]]).double()
    z = torch.tensor([[0.8]]).double()
    wanted = float(divergence(z, y, 0.0, GAIN))
    assert float(loss(y, share=1e-6).value(z)) == pytest.approx(wanted, rel=1e-4)
    assert float(loss(y, share=1e-6).curvature(z)) == pytest.approx(0.5 / (GAIN * 0.64), rel=1e-4)
    assert float(loss(y, share=1.0).value(z)) < wanted


def test_counts_in_photons_and_in_image_units_say_the_same():
    y, v, m = entries(), torch.tensor([[0.7, -0.1, 0.4, 0.2]]).double(), 1000.0
    small, large = loss(y, read=READ), loss(m * y, gain=m * GAIN, read=m * READ)
    torch.testing.assert_close(large.value(m * v), small.value(v))
    torch.testing.assert_close(large.prox(m * v, m**2 * 0.1), m * small.prox(v, 0.1))


def test_float32_keeps_the_root_where_it_is_small():
    y = torch.tensor([[1e-4, 0.0, 2.0]])
    v = torch.tensor([[-5.0, -5.0, -5.0]])
    single, double = loss(y).prox(v, 10.0), loss(y.double()).prox(v.double(), 10.0)
    torch.testing.assert_close(single.double(), double, rtol=1e-5, atol=1e-6)


def test_a_share_of_nothing_is_refused():
    with pytest.raises(ValueError, match="share > 0"):
        loss(entries(), share=0.0)
