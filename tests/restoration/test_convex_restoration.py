"""TV and wavelets have one minimum: pdhg gets there and proves it, other solvers get near."""

import pytest
import torch
from skimage.data import camera

from proxlab import operators
from proxlab.jobs import restore
from proxlab.priors.classical import TV
from proxlab.priors.wavelets import Wavelets

CLEAN = torch.from_numpy(camera()[100:132, 200:232]).float()[None, None] / 255
MASK = operators.random_mask((32, 32), 0.5, torch.Generator().manual_seed(0))
OP = operators.inpaint(MASK, noise=0.01)
Y = OP(CLEAN, generator=torch.Generator().manual_seed(1))


def restored(prior=None, solver=None, **options):
    """The result, and its objective at the end."""
    found = restore(Y, OP, TV() if prior is None else prior, solver, **options)
    assert found.trace.objective is not None
    return found, float(found.trace.objective[int(found.steps[0]) - 1, 0])


@pytest.mark.parametrize("prior", [TV(), Wavelets()], ids=["tv", "wavelets"])
def test_convex_priors_are_solved_by_pdhg_and_certified_by_their_gap(prior):
    found, reached = restored(prior)
    assert found.solver == "pdhg" and found.descent == 0
    assert found.certified == [True] and found.doubts == [""] and found.stopped == ["tolerance"]
    gap = found.evidence[0].gap
    assert gap is not None and gap < 1e-4 and "duality gap" in str(found.evidence[0])
    assert found.evidence[0].margin is None and found.evidence[0].evaluations == 0
    early, far = restored(prior, steps=12)
    assert far > reached * (1 + 1e-3) and early.certified == [False]
    early_gap = early.evidence[0].gap
    assert early_gap is not None and early_gap > 1e-3
    assert far - reached <= early_gap * far  # what a gap promises
    assert not far - reached <= gap * far  # planted: the gap of another image
    assert "duality gap" in early.doubts[0]


def test_the_gap_bounds_what_is_left_to_gain():
    found, reached = restored()
    _, least = restored(tol=1e-5)
    gap = found.evidence[0].gap
    assert gap is not None and -1e-5 * least <= reached - least <= gap * reached


def test_a_loose_gap_certifies_nothing():
    found, _ = restored(tol=0.1)
    assert found.stopped == ["tolerance"] and found.certified == [False]
    assert "tol = 0.1 is above 0.01" in found.doubts[0]


def test_total_variation_by_its_prox_comes_near_the_same_minimum():
    _, least = restored()
    found, reached = restored(solver="admm", steps=60)
    assert abs(reached - least) < 5e-3 * least and found.evidence[0].margin is not None
