"""Weak orders of restricted steps on a mixture, by paths that share their noise."""

import math

import pytest
import torch

from examples.restricted_orders import gaussian_error, halved, levels, mixture_differences
from solvers import Restricted, proxdm

PATHS = 20_000


@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize("order", [1, 2])
def test_on_a_mixture_the_order_is_that_of_the_step(order, eta):
    found = mixture_differences(Restricted(order, eta), 16, PATHS)["x^2"]
    assert abs(found.second) > 2.5 * found.deviations[1]  # known well enough to tell
    assert order - 0.35 < found.order < order + 0.35


def test_a_mistake_in_the_fresh_noise_is_seen():
    """Noise of the level before the step, not after it: the differences no longer fall as N^-2."""

    def late(prox, x, times, *, kind, noise):
        ratio = (1 / len(times[1:])) + 1
        return proxdm(prox, x, times, kind=kind, noise=lambda u: ratio * noise(u))

    found = mixture_differences(Restricted(2, 1.0), 16, PATHS, walk=late)["x^2"]
    assert not 1.65 < found.order < 2.35


@pytest.mark.parametrize("eta", [0.5, 1.0])
def test_halved_noise_is_standard_and_that_of_both_halves(eta):
    generator = torch.Generator().manual_seed(0)
    fresh = [torch.randn(50_000, 1, generator=generator) for _ in range(4)]
    made = halved(Restricted(2, eta), fresh, 4)
    assert len(made) == 2 and all(abs(float(z.var()) - 1) < 0.02 for z in made)
    assert abs(float((made[0] * made[1]).mean())) < 0.02
    assert float((made[0] * fresh[1]).mean()) > 0.5 > abs(float((made[1] * fresh[1]).mean()))


def test_levels_of_twice_the_steps_hold_those_of_once():
    assert levels(8)[::2] == pytest.approx(levels(4))


def test_the_gaussian_error_of_order_two_falls_fourfold():
    few, many = (gaussian_error(Restricted(2), n) for n in (32, 64))
    assert 1.8 < math.log2(few / many) < 2.1
