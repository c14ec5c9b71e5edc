"""A convex sum has one minimum: where it is minimised the step is chosen to get there."""

import copy

import pytest
import torch
from skimage.data import camera

import solvers
from proxlab import operators, restoration
from proxlab.classical import TV
from proxlab.restoration import default_sigma, restore
from proxlab.wavelets import Wavelets


@pytest.mark.parametrize("prior", [TV(max_steps=15), Wavelets(weight=2.0)], ids=["tv", "wavelets"])
def test_a_convex_prior_comes_to_rest_at_its_minimum_and_not_before(prior):
    x = torch.from_numpy(camera()[100:148, 200:248]).float()[None, None] / 255
    op = operators.inpaint(
        operators.random_mask((48, 48), 0.5, torch.Generator().manual_seed(0)), noise=0.01
    )
    y = op(x, generator=torch.Generator().manual_seed(1))

    def objective(**options):
        found = restore(y, op, copy.deepcopy(prior), **options)
        return found, float(found.trace.objective[int(found.steps[0]) - 1, 0])

    found, reached = objective()
    _, least = objective(steps=3000, tol=1e-7)
    assert found.stopped == ["tolerance"] and found.steps[0] < 400
    assert reached < 1.005 * least
    small, early = objective(sigma=found.sigma / restoration.STRIDE)
    assert small.stopped == ["tolerance"] and early > 1.01 * least  # what the stride is for
    for algorithm in (solvers.fista, solvers.hqs):  # whose steps are bounded, or mean something
        assert default_sigma(torch.tensor([1e4]), prior, algorithm) == pytest.approx(0.0099)
    assert default_sigma(torch.tensor([1e4]), prior, solvers.drs) == pytest.approx(0.0792)
