"""Copies of a large image that a restoration holds: of 12 megapixels in colour each is 137 MiB."""

import pytest
import torch
import torch.nn.functional as F

import proxlab
from examples.benchmarks.large.live_memory import LiveMemory
from proxlab.jobs import fitted
from proxlab.priors.contract import Capabilities
from proxlab.priors.tiles import within_memory
from proxlab.priors.tiles.tiled_prior import TiledPrior
from proxlab.restoration import restore
from proxlab.restoration.fixed_level import AtStep, Fitted, as_it_is
from proxlab.restoration.settings import Settings
from solvers.book import Book
from solvers.witness import Witness
from tests.images.pictures import image

SIDE = 256
MOST = 15.0
"""Copies at a time, y itself among them."""
EVERYWHERE = slice(None), slice(None)


class Smooth:
    """x = K v with a small symmetric kernel, the prox of R(x) = <x, K^-1 x - x> / 2."""

    name, sigma_range = "smooth", (0.001, 1.0)
    capabilities = Capabilities(exact=True, reach=1, parts=True, memory=24)
    line = torch.tensor([0.25, 0.5, 0.25])
    kernel = 0.3 * torch.outer(line, line)
    kernel[1, 1] += 0.7

    def prox(self, v, sigma):
        return F.conv2d(v.reshape(-1, 1, *v.shape[2:]), self.kernel[None, None], padding=1).view_as(
            v
        )

    def prox_and_value(self, v, sigma):
        return self.prox_and_part(v, sigma, EVERYWHERE)

    def prox_and_part(self, v, sigma, part):
        x = self.prox(v, sigma)
        here = (..., *part)
        return x, (x[here] * (v[here] - x[here])).sum((1, 2, 3), dtype=torch.float64) / 2


@pytest.fixture
def large(monkeypatch):
    """An image that counts as large: beside it tiles, and what is done in pieces, are small."""
    monkeypatch.setattr(within_memory, "BUDGET", 24 * 3 * 100 * 100)
    monkeypatch.setattr(within_memory, "LEAST_SIDE", 8)
    monkeypatch.setattr("solvers.large.parts.PIECE", 2**12)
    monkeypatch.setattr("solvers.witness.MOST_BYTES", 0)
    monkeypatch.setattr("solvers.evidence.CHUNK", 2**12)
    monkeypatch.setattr("proxlab.operators.draws.PIECE", 2**12)
    op = proxlab.operators.deblur(proxlab.operators.gaussian_kernel(1.6), noise=0.01)
    x = F.interpolate(image(1, 3, 32, 32, dtype=torch.float32), (SIDE, SIDE), mode="bilinear")
    return op(x, generator=torch.Generator().manual_seed(0)), op


def copies(large, fit) -> float:
    """Copies of the image that live at most, and the restoration."""
    y, op = large
    with torch.no_grad(), LiveMemory() as memory:
        result = restore(y, op, Smooth(), Settings(steps=40), fit=fit)
    assert result.certified == [True] and result.evidence[0].looked_at >= 3
    return memory.peak / y.nbytes


def test_a_restoration_holds_few_copies(large):
    assert copies(large, fitted) < MOST


@pytest.mark.parametrize("held", ["a step", "the evidence"])
def test_one_copy_more_is_seen(large, held, monkeypatch):
    """Planted mistakes: a driver that keeps the step before, a copy with each evaluation kept."""
    if held == "a step":
        monkeypatch.setattr(Book, "let_go", lambda book: None)
    else:
        see = Witness.see

        def copied(witness, k, state, images, ending):
            state = state._replace(x=state.x.clone())
            see(witness, k, state, images, ending)

        monkeypatch.setattr(Witness, "see", copied)
    assert copies(large, fitted) > MOST


def test_a_prior_that_is_lent_copies_makes_more(large):
    """The planted mistake: what `Fitted.apart` saves is seen."""

    def lent(prior, images):
        return fitted(prior, images)._replace(apart=False)

    def kept(prior, images):
        made = fitted(prior, images).prior
        assert isinstance(made, TiledPrior)
        made.kept = [images.clone() for _ in range(4)]
        return Fitted(made, apart=True)

    assert copies(large, kept) > copies(large, fitted) + 3
    assert copies(large, lent) >= copies(large, fitted)


class Vandal:
    """A prior that writes over what it is asked about, and later over its answers."""

    name, sigma_range, capabilities = "vandal", (0.001, 1.0), Capabilities()

    def __init__(self):
        self.answer = None

    def prox(self, v, sigma):
        if self.answer is not None:
            self.answer.fill_(7.0)
        self.answer = v / 2
        v.zero_()
        return self.answer


def test_only_a_prior_known_to_keep_apart_is_handed_what_evidence_keeps():
    v = image(1, 1, 4, 4)
    for made, spared in ((as_it_is(Vandal(), v), True), (Fitted(Vandal(), apart=True), False)):
        g, asked = AtStep(made.prior, apart=made.apart), v.clone()
        x = g.prox(asked, 0.01)
        answer = x.clone()
        g.prox(v.clone(), 0.01)
        assert torch.equal(asked, v) == torch.equal(x, answer) == spared
