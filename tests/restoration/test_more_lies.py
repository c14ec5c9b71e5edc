"""Certificates that somebody wants to be wrong: lies of our own invention, and what became of each.

Of a prior, refused: (1) 2 % of the image moved by a pixel, values kept; (2) honest for 30 calls,
then half the level; (3) noise of 1e-4; (4) a right prox, then clipped; (5) the prox of another
level with the value of the one asked for; (6) values off by 10 % of their differences, (7) at
random by 1 % of their spread, (8) all of them 1e20; (9) the input unchanged with a made-up value;
(10) answers in bfloat16, whose rounding excuses anything; (11) a patch where it pushes away;
(12) half of the image turned into its neighbour; (13) a Gaussian filter, then a median; (14) a
first answer that is huge, so that any gradient after it looks small; (15) a claim to be convex, for
a longer step; (16) fista without convexity; (17) a level so high that nothing is proved.
Of a prior, harmless: (18) one buffer for all answers, or its input overwritten.

Of data terms, operators and total variation: `test_more_lies_of_data`.

True, so certified, though they look like lies: answers replayed from some call on are those of an
R with a kink there, or of the indicator of a point; 0.9 x + 0.1 of its neighbour, flips that are
not turned back, and 2 % moved by a pixel without values are no proxes, and yet those few answers
are the proxes of some R, which is all that is said. Values off by 1 % fit another R in places.
"""

import pytest
import torch
import torch.nn.functional as F

from proxlab.operators import deblur, gaussian_kernel
from proxlab.priors.contract import Capabilities
from tests.restoration.liars import (
    CLEAN,
    Liar,
    Silent,
    answered,
    generator,
    honest,
    problem,
    restored,
    rolled,
    shifted,
    valued,
)

BLUR, BLURRED = problem()


def pushed(v, x):
    out = x.clone()
    out[..., 10:20, 10:20] = (2 * v - x)[..., 10:20, 10:20]
    return out


def from_call(count, change):
    return lambda ask, v, s, k: ask(v, s) if k < count else change(ask, v, s)


def with_noise(v, x):
    seed = int(v.double().sum() * 1e6) % 2**31
    return x + 1e-4 * torch.randn(x.shape, generator=generator(seed))


def at_random(ask, v, s, k):
    x, r = ask(v, s)
    return x, r + 0.01 * SPREAD * torch.randn(len(r), generator=generator(k)).double()


SPREAD = 0.2
"""About that of R over the fixed level of the honest run here."""
WITH_VALUES = {
    "moved": (answered(lambda v, x: shifted(x)), "do not belong"),
    "half the level later": (from_call(30, lambda ask, v, s: ask(v, s / 2)), "those of no prox"),
    "noise": (answered(with_noise), "those of no prox"),
    "clipped": (answered(lambda v, x: x.clamp(0.3, 0.6)), "do not belong"),
    "another level": (lambda ask, v, s, k: (ask(v, 1.5 * s)[0], ask(v, s)[1]), "do not belong"),
    "a tenth more": (valued(lambda x, r: 1.1 * r), "do not belong"),
    "a tenth less": (valued(lambda x, r: 0.9 * r), "do not belong"),
    "at random": (at_random, "do not belong"),
    "huge": (valued(lambda x, r: 0 * r + 1e20), "do not belong"),
    "unchanged": (lambda ask, v, s, k: (v, ask(v, s)[1]), "do not belong"),
    "pushed away": (answered(pushed), "do not belong"),
    "honest": (answered(lambda v, x: x), ""),
}


@pytest.mark.parametrize("name", WITH_VALUES)
def test_priors_with_values(name):
    lie, why = WITH_VALUES[name]
    result = restored(Liar("lpn-gray", lie), steps=45)
    assert result.certified == [name == "honest"]
    assert why in result.doubts[0]


def median(x):
    patches = F.unfold(F.pad(x, (1, 1, 1, 1), mode="reflect"), 3)
    return patches.view(len(x), 9, *x.shape[-2:]).median(1, keepdim=True).values


def smooth(x):
    return deblur(gaussian_kernel(0.5), 0.0).A(x)


WITHOUT = {
    "rolled": lambda ask, v, s, k: (rolled(v), None),
    "median": lambda ask, v, s, k: (median(smooth(v)), None),
    "noise": answered(with_noise),
}


@pytest.mark.parametrize("name", WITHOUT)
def test_priors_without_values(name):
    result = restored(Silent("unet-gray", WITHOUT[name]), steps=80)
    assert result.certified == [False] and "those of no prox" in result.doubts[0]


def replayed():
    kept = []

    def lie(ask, v, s, k):
        kept[:] = kept if k > 32 else [ask(v, s)]
        return kept[0]

    return lie


def flipped(ask, v, s, k):
    """The mean of four flips, of which the last is turned back half."""
    turned = [ask(v, s)[0], *(ask(v.flip(d), s)[0].flip(d) for d in (-1, -2))]
    return (sum(turned) + ask(v.flip(-1, -2), s)[0].flip(-1)) / 4, None


TRUE = {
    "replayed": lambda: replayed(),
    "neighbour": lambda: answered(lambda v, x: 0.9 * x + 0.1 * x.roll(1, -1)),
    "flips": lambda: flipped,
    "moved": lambda: answered(lambda v, x: shifted(x)),
}


@pytest.mark.parametrize("name", TRUE)
def test_what_holds_of_some_r_is_certified_and_says_no_more(name):
    result = restored(Silent("unet-gray", TRUE[name]()))
    assert result.certified == [True] and result.evidence[0].margin >= 0


def in_one_buffer(change):
    kept = {}

    def lie(ask, v, s, k):
        x = kept.setdefault(v.shape, torch.empty_like(v)).copy_(change(ask(v, s)[0]))
        v.zero_()
        return x, None

    return lie


@pytest.mark.parametrize("solver", ["pgd", "admm"])
def test_a_prior_may_overwrite_its_input_and_its_last_answer(solver):
    usual = restored(honest("unet-gray"), solver=solver)
    result = restored(Silent("unet-gray", in_one_buffer(lambda x: x)), solver=solver)
    assert result.certified == [True] and torch.equal(result.image, usual.image)
    noise = in_one_buffer(lambda x: with_noise(x, x))
    false = restored(Silent("unet-gray", noise), solver=solver, steps=60)
    assert false.certified == [False] and "those of no prox" in false.doubts[0]


def test_answers_in_another_dtype_are_refused():
    false = Silent("unet-gray", answered(lambda v, x: x.bfloat16()))
    with pytest.raises(ValueError, match="a prior keeps shape and dtype"):
        restored(false, "inpaint")


def test_a_huge_first_answer_buys_no_rest():
    noise = torch.rand(CLEAN.shape, generator=generator(3))

    def first(ask, v, s, k):
        return ask(v, s)[0] * (1e6 if k == 1 else 1), None

    small = restored(Silent("unet-gray", first), sigma=1 / 255, init=noise)
    assert small.certified == [False] and "residual" in small.doubts[0]


def test_a_claim_to_be_convex_buys_no_longer_step():
    claims = Capabilities(exact=True, convex=True, default_weight=0.35)
    false = Liar("lpn-gray", answered(lambda v, x: x), claims)
    for kind, solver, sigma in (("deblur", "admm", 0.015), ("inpaint", "fista", None)):
        result = restored(false, kind, solver, sigma=sigma, steps=70)
        assert result.certified == [False] and "proved for" in result.doubts[0]
        assert result.stopped == ["tolerance"]  # nothing but the step is against it
