"""Batches: an image comes out as it does alone, whatever its neighbours are or come to."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from skimage.data import camera

import proxlab
from proxlab import operators
from solvers import Diverged

SIDE = 24
PHOTO = torch.from_numpy(camera()[90 : 90 + SIDE, 200 : 200 + SIDE]).float()[None, None] / 255
OPERATORS = {
    "deblur": lambda: operators.deblur(operators.gaussian_kernel(1.0), noise=0.02),
    "valid": lambda: operators.deblur(operators.gaussian_kernel(1.0), 0.02, "valid"),
    "inpaint": lambda: operators.inpaint(PHOTO[0, 0] > 0.3, noise=0.02),
    "ct": lambda: operators.ct(SIDE, 20, noise=0.2),
}
PLACE = 1
"""The photograph's place in the batch."""


def neighbours(op, seed=0):
    """Measurements: at rest at once, the photograph, a constant, 1e8 times an image, dark."""
    photo = op(PHOTO, generator=torch.Generator().manual_seed(seed))
    others = [0 * PHOTO, PHOTO, 0 * PHOTO + 0.5, 1e8 * PHOTO.flip(3), 1e-3 * PHOTO]
    y = torch.cat([op.A(x) for x in others])
    y[PLACE] = photo[0]
    return y


def off(found, wanted):
    return float((found - wanted).norm() / wanted.norm())


@pytest.mark.filterwarnings("ignore:the prox of the data term stopped short")
@pytest.mark.parametrize(
    "name, prior, solver",
    [
        ("deblur", "lpn-gray-small", "pgd"),
        ("valid", "lpn-gray-small", "pgd"),
        ("inpaint", "lpn-gray-small", "admm"),
        ("ct", "lpn-gray-small", "admm"),
        ("inpaint", "tv", None),
        ("ct", "tv", None),
    ],
)
def test_the_neighbours_of_an_image_change_nothing(name, prior, solver):
    op = OPERATORS[name]()
    y = neighbours(op)
    noise = torch.tensor([0.02, 0.03, 0.01, 0.05, 0.4]) * (10 if name == "ct" else 1)
    settings = {"solver": solver, "steps": 40, "tol": 1e-3}
    together = proxlab.restore(y, op, prior, noise=noise, **settings)
    for b, (other, s) in enumerate(zip(y.split(1), noise, strict=True)):
        alone = proxlab.restore(other, op, prior, noise=float(s), **settings)
        assert off(together.image[b : b + 1], alone.image) < 1e-5 or b == 0
        assert together.certified[b] == alone.certified[0]
        if b == PLACE:
            assert together.stopped[b] == alone.stopped[0]
            assert together.doubts[b] == alone.doubts[0]
            assert together.sigma[b] == pytest.approx(float(alone.sigma), rel=1e-6)
    # planted: what the test can see
    one = slice(PLACE, PLACE + 1)
    wrong = proxlab.restore(y[one], op, prior, noise=1.02 * float(noise[PLACE]), **settings)
    assert off(together.image[one], wrong.image) > 1e-5


def test_an_image_that_diverges_is_told_and_the_others_are_returned():
    op = OPERATORS["deblur"]()
    y = neighbours(op)[[1, 4, 1]]
    level = float(proxlab.restore(y[:1], op, "lpn-gray-small", "pgd", steps=2).sigma)
    sigma = torch.tensor([level, 15 * level, level])
    run = {"solver": "pgd", "steps": 80, "init": torch.full_like(y, 0.5)}
    found = proxlab.restore(y, op, "lpn-gray-small", sigma=sigma, weight=1.0, **run)
    assert found.stopped[1] == "diverged" and found.image[1].isnan().all()
    assert not found.certified[1] and "at step" in found.doubts[1]
    run["init"] = run["init"][:1]
    alone = proxlab.restore(y[:1], op, "lpn-gray-small", sigma=level, weight=1.0, **run)
    assert off(found.image[:1], alone.image) < 1e-5 and off(found.image[2:], alone.image) < 1e-5
    assert found.doubts[0] == alone.doubts[0] and found.steps[0] == alone.steps[0]
    with pytest.raises(Diverged, match="in image 0 of the batch"):
        proxlab.restore(y[1:2], op, "lpn-gray-small", sigma=float(sigma[1]), weight=1.0, **run)


def test_threads_and_repetition_change_nothing():
    op, prior = OPERATORS["inpaint"](), proxlab.load("lpn-gray-small")
    y, before = op.A(PHOTO), torch.get_num_threads()

    def run(n=1):
        torch.set_num_threads(n)
        return proxlab.restore(y, op, prior, steps=8)

    try:
        first, again, two = run(), run(), run(2)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(first.image, again.image) and first.doubts == again.doubts
    assert torch.equal(first.trace.residual, again.trace.residual)
    assert off(two.image, first.image) < 1e-5 and two.certified == first.certified


@pytest.mark.filterwarnings("ignore:the prox of the data term stopped short")
def test_threads_that_share_prior_and_operator_get_what_each_gets_alone():
    op, prior = OPERATORS["ct"](), proxlab.load("lpn-gray-small")
    images = [PHOTO, PHOTO.flip(2), PHOTO.roll(5, 3), 0.3 * PHOTO]
    measured = [op.A(x) for x in images]
    wanted = [proxlab.restore(y, op, prior, steps=40) for y in measured]
    shared = OPERATORS["ct"]()
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(proxlab.restore, y, shared, prior, steps=40) for y in 2 * measured]
        found = [job.result() for job in jobs]
    for one, other in zip(found, 2 * wanted, strict=True):
        assert off(one.image, other.image) < 1e-6 and one.doubts == other.doubts
