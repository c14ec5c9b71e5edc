"""TV has one minimum: where it is minimised the step is chosen to get there."""

import pytest
import torch
from skimage.data import camera

import solvers
from proxlab import operators
from proxlab.jobs import restore
from proxlab.priors.classical import TV
from proxlab.priors.wavelets import Wavelets
from proxlab.restoration import default_sigma, restoring


def test_total_variation_comes_to_rest_at_its_minimum_and_not_before():
    x = torch.from_numpy(camera()[100:148, 200:248]).float()[None, None] / 255
    mask = operators.random_mask((48, 48), 0.5, torch.Generator().manual_seed(0))
    op = operators.inpaint(mask, noise=0.01)
    y = op(x, generator=torch.Generator().manual_seed(1))

    def objective(**options):
        found = restore(y, op, TV(max_steps=15), **options)
        return found, float(found.trace.objective[int(found.steps[0]) - 1, 0])

    found, reached = objective()
    _, least = objective(steps=3000, tol=1e-7)
    assert found.stopped == ["tolerance"] and found.steps[0] < 400
    assert reached < 1.005 * least
    small, early = objective(sigma=found.sigma / restoring.STRIDE)
    assert small.stopped == ["tolerance"] and early > 1.01 * least  # what the stride is for


def test_the_longer_step_is_for_those_alone_who_lose_nothing_by_it():
    steep = torch.tensor([1e4])
    assert default_sigma(steep, TV(), solvers.drs) == pytest.approx(0.0792)
    for algorithm in (solvers.fista, solvers.hqs):  # whose steps are bounded, or mean something
        assert default_sigma(steep, TV(), algorithm) == pytest.approx(0.0099)
    assert default_sigma(steep, Wavelets(), solvers.drs) == pytest.approx(0.0099)  # certified
