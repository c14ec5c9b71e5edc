"""The laboratory of posteriors: exact draws are judged exact, and ours are near them."""

import pytest
import torch

from examples.posteriors import laboratory
from examples.posteriors.rivals import DAPS, DiffPIR, PiGDM, PnPDM


@pytest.fixture(scope="module")
def small():
    return laboratory.cell(16, "mask", 0.2, seed=3)._replace(n=400)


def exact(c, evaluations, generator):
    return c.prior.posterior(c.A, c.y, c.noise).draw(c.n, generator)


def test_exact_draws_are_judged_exact_and_others_are_not(small):
    generator = torch.Generator().manual_seed(1)
    drawn = exact(small, 5, generator)
    distance, held = laboratory.judged(small, drawn)
    assert distance < 0.12 and abs(held - 0.8) < 0.02
    narrow = drawn.mean(0) + 0.6 * (drawn - drawn.mean(0))
    assert laboratory.judged(small, narrow)[1] < 0.7  # spread that was lost
    assert laboratory.judged(small, drawn + 0.5)[0] > 3 * distance
    distances, share, mean = laboratory.figures(exact, [small], 5)
    assert distances < 0.15 and share == 1 and abs(mean - 0.8) < 0.03


@pytest.mark.parametrize("kind", ["wiener", "jacobian"])
def test_ours_is_calibrated_where_half_of_the_coordinates_are_seen(small, kind):
    distance, _, held = laboratory.figures(laboratory.annealed(kind), [small], 8)
    assert distance < 0.6 and abs(held - 0.8) < 0.1


@pytest.mark.parametrize("rival", [PiGDM(), DAPS(), DiffPIR(), PnPDM()])
def test_rivals_fit_what_was_measured(small, rival):
    """Better than draws of the prior, and at the measurement to its noise."""
    generator = torch.Generator().manual_seed(0)
    drawn = rival(small, 10, generator)
    assert drawn.shape == (400, 16)
    misfit = (small.y - drawn @ small.A.T).square().mean().sqrt()
    assert misfit < 2 * small.noise
    prior = small.prior.draw(400, generator)
    assert laboratory.judged(small, drawn)[0] < laboratory.judged(small, prior)[0]


def test_cells_differ_by_their_seed_and_are_the_same_again():
    one, again, other = (laboratory.cell(16, "random", 0.05, seed) for seed in (1, 1, 2))
    assert torch.equal(one.y, again.y) and not torch.allclose(one.y, other.y)
    assert len(laboratory.cells([1, 2])) == 36
