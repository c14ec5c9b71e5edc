"""The descent of levels before a run: which levels, how many steps, and where it leads."""

import pytest
import torch
from torch import Tensor

from proxlab.operators import inpaint
from proxlab.restoration.fixed_level import DESCENT
from tests.restoration.closed_forms import CHECKERED, NOISE, Silent, measured, restored

OP = inpaint(CHECKERED[0, 0], NOISE)
Y = measured(2)
CURVE = 0.5
HIGHEST = 49 / 255
"""Where descents begin in the plug-and-play literature."""


def slope(x: Tensor, y: Tensor = Y) -> Tensor:
    """Gradient of f."""
    return CHECKERED * (CHECKERED * x - y) / NOISE**2


class Noting(Silent):
    """A prior that writes down the levels it is asked for."""

    def __init__(self, *args):
        super().__init__(*args)
        object.__setattr__(self, "levels", [])

    def prox(self, v, sigma):
        self.levels.append(sigma)
        return super().prox(v, sigma)


def test_the_levels_come_down_in_equal_ratios_and_stay():
    prior, s = Noting(CURVE), 0.05
    result = restored(prior, OP, Y, solver="pgd", sigma=s, tol=1e-8)
    measuring, *down = prior.levels[:DESCENT]
    stay = prior.levels[DESCENT:]
    assert [measuring, *stay] == pytest.approx([s] * (int(result.steps.max()) - DESCENT + 1))
    ratio = (s / HIGHEST) ** (1 / (DESCENT - 1))
    assert down == pytest.approx([HIGHEST * ratio**k for k in range(DESCENT - 1)])


@pytest.mark.parametrize("sigma", [0.05, 0.099])
def test_the_run_begins_where_the_descent_led(sigma):
    """A step of proximal gradient descent, 23 of half-quadratic splitting, and then one more."""
    prior, x = Silent(CURVE), OP.first_estimate(Y)
    x = prior.prox(x - sigma**2 * slope(x), sigma)
    for k in range(DESCENT - 1):
        s = (HIGHEST * (sigma / HIGHEST) ** (k / (DESCENT - 1)) / NOISE) ** 2
        x = prior.prox(x + CHECKERED * s / (1 + s) * (Y - x), sigma)
    led = x
    x = prior.prox(x - sigma**2 * slope(x), sigma)
    result = restored(prior, OP, Y, solver="pgd", steps=DESCENT + 1, sigma=sigma, tol=1e-12)
    assert torch.allclose(result.image, x, atol=1e-12) and (x - led).norm() > 1e-4


def test_a_descent_begins_no_higher_than_the_prior_knows_and_no_lower_than_it_ends():
    narrow = Noting(CURVE, "narrow", (0.01, 0.12))
    restored(narrow, OP, Y, solver="pgd", sigma=0.05)
    assert narrow.levels[1] == pytest.approx(0.12) and max(narrow.levels) < 0.1201
    high = Noting(CURVE)
    restored(high, OP, Y, solver="hqs", sigma=0.4)
    assert high.levels[:DESCENT] == pytest.approx([0.4] * DESCENT)


@pytest.mark.parametrize("steps", [1, 2, 3, 24, 25, 26])
def test_no_more_steps_are_taken_than_were_asked_for(steps):
    prior = Noting(CURVE)
    result = restored(prior, OP, Y, solver="pgd", steps=steps, tol=1e-14)
    assert result.steps.tolist() == [steps] * 2 and result.descent == min(24, steps - 1)
    assert len(result.trace.residual) == steps
    # the step that measures is one of the descent, or comes before a run without one
    assert len(prior.levels) == (steps if steps > 1 else 2)


@pytest.mark.parametrize("tau_L, moves", [(0.9, True), (1.0, True), (1.1, False)])
def test_the_step_that_measures_is_taken_where_it_is_safe(tau_L, moves):
    """With two steps the descent is that step alone, and the second starts from where it leads."""
    sigma = tau_L**0.5 * NOISE * (1 - 1e-12)
    prior, plain, tau = Silent(CURVE), OP.first_estimate(Y), sigma**2
    result = restored(prior, OP, Y, solver="pgd", steps=2, sigma=sigma)
    once = prior.prox(plain - tau * slope(plain), sigma) if moves else plain
    assert torch.allclose(result.image, prior.prox(once - tau * slope(once), sigma), atol=1e-12)
