"""What people bring becomes a prior that keeps the contract, or is refused in a sentence."""

import copy
import re

import deepinv
import pytest
import torch
from torch import Tensor, nn

import proxlab
from proxlab.priors.adopted import adopted
from proxlab.priors.contract import Capabilities, HasInverse, HasLevelValue, HasParts
from proxlab.priors.denoiser_prior import DenoiserPrior
from solvers.protocols import HasProxAndValue, Selectable
from tests.images.pictures import image
from tests.priors.contract import faults

V = image(2, 1, 9, 6)
LEVELS = torch.tensor([0.1, 0.3], dtype=torch.float64)


def divisor(v: Tensor, sigma: float | Tensor) -> Tensor:
    return 1 + torch.as_tensor(sigma, dtype=v.dtype).view(-1, 1, 1, 1) ** 2


class Levelled(nn.Module):
    """Needs its level, without dimensions, as many scripts write it."""

    def forward(self, v, sigma):
        assert sigma.ndim == 0
        return v / (1 + sigma**2)


class Blind(nn.Module):
    def forward(self, v):
        return 0.9 * v


class Optional(nn.Module):
    def forward(self, x, noise_level=None):
        return x if noise_level is None else x / (1 + noise_level**2)


class Flagged(nn.Module):
    def forward(self, x, flag=True):
        return 0.9 * x if flag is True else x / 0


class Crowded(nn.Module):
    def forward(self, x, sigma, mask):
        return x


class Named(nn.Module):
    def forward(self, x, *, sigma):
        return x


class Starred(nn.Module):
    def forward(self, *inputs):
        return inputs[0]


class Shrinks:
    """An object with a prox and nothing more."""

    def prox(self, v, sigma):
        return v / divisor(v, sigma)


class Claims(Shrinks):
    exact, convex, default_weight = True, True, 2

    def prox_and_value(self, v, sigma):
        x = self.prox(v, sigma)
        return x, self.value(x, sigma)

    def value(self, x, sigma):
        squares = x.square().sum((1, 2, 3), dtype=torch.float64)
        return torch.as_tensor(sigma, dtype=torch.float64) ** 2 * squares / 2

    def inverse(self, x, sigma, tol=1e-6):
        return x * divisor(x, sigma)


class Said(Claims):
    """Says it all in the words of the contract, but for a name and its levels."""

    capabilities = Capabilities(exact=True, convex=True, alpha=0.5, parts=True, default_weight=3.0)

    def prox_and_part(self, v, sigma, part):
        x = self.prox(v, sigma)
        return x, self.value(x[(..., *part)], sigma)


class Remembers(Shrinks):
    """Starts from its last answer, place by place."""

    name, sigma_range = "memory", (0.05, 0.4)

    def __init__(self, last=None):
        self.last = last

    def prox(self, v, sigma):
        self.last = super().prox(v, sigma)
        return self.last

    def select(self, index):
        return Remembers(self.last[index])


BROUGHT = {
    "denoiser of deepinv": (lambda: deepinv.models.MedianFilter(), None),
    "(v, sigma)": (Levelled, lambda s: 1 / (1 + s**2)),
    "(v)": (Blind, lambda s: 0.9),
    "(x, noise_level=None)": (Optional, lambda s: 1 / (1 + s**2)),
    "(x, flag=True)": (Flagged, lambda s: 0.9),
    "prox alone": (Shrinks, lambda s: 1 / (1 + s**2)),
    "prox and claims": (Claims, lambda s: 1 / (1 + s**2)),
    "prox and capabilities": (Said, lambda s: 1 / (1 + s**2)),
    "prox and memory": (Remembers, lambda s: 1 / (1 + s**2)),
    "plug and play of deepinv": (lambda: deepinv.optim.PnP(adopted(Blind())), lambda s: 0.9),
}


@pytest.mark.parametrize("make, factor", BROUGHT.values(), ids=BROUGHT)
def test_what_is_brought_keeps_the_contract(make, factor):
    prior = adopted(make())
    assert faults(lambda: adopted(make()), V) == []
    together = prior.prox(V, LEVELS)
    for i, level in enumerate(LEVELS):
        alone = adopted(make()).prox(V[i : i + 1], float(level))
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-12, atol=0)
        if factor is not None:
            torch.testing.assert_close(alone, V[i : i + 1] * factor(float(level)))


def test_claims_are_taken_over_and_nothing_is_made_up():
    assert adopted(Shrinks()).capabilities == Capabilities()
    told = adopted(Claims())
    assert told.capabilities == Capabilities(exact=True, convex=True, default_weight=2.0)
    assert told.name == "Claims" and told.sigma_range == (0.0, 1.0)
    assert adopted(Said()).capabilities is Said.capabilities
    assert adopted(Remembers()).name == "memory" and adopted(Remembers()).sigma_range == (0.05, 0.4)
    kept = HasProxAndValue, HasLevelValue, HasInverse, HasParts, Selectable
    for thing in (Shrinks(), Claims(), Said(), Remembers()):
        assert [isinstance(adopted(thing), k) for k in kept] == [isinstance(thing, k) for k in kept]
    for network in (Levelled(), deepinv.models.MedianFilter()):
        prior = adopted(network)
        assert isinstance(prior, DenoiserPrior) and prior.name == type(network).__name__
        assert prior.capabilities == Capabilities()


def test_a_prior_stays_what_it_is():
    prior = proxlab.load("wavelets")
    assert adopted(prior) is prior


def test_memory_follows_the_images_and_a_copy_has_its_own():
    prior = adopted(Remembers())
    prior.prox(V, LEVELS)
    twin, second = copy.deepcopy(prior), prior.select(torch.tensor([1]))
    assert second._thing.last.shape[0] == 1
    twin.prox(0 * V, LEVELS)
    assert twin.select(torch.tensor([1]))._thing.last.abs().max() == 0
    assert prior.select(torch.tensor([1]))._thing.last.abs().max() > 0


@pytest.mark.parametrize(
    "thing, said",
    [
        (Levelled, "Levelled is no prior: it has no name, .*no prox"),
        (Claims, "Claims is no prior: it has no name, no sigma_range, no capabilities"),
        (7, "int is no prior: it has no name, no sigma_range, no capabilities, no prox"),
        ("lpn-gray", "str is no prior"),
        (lambda v, sigma: v, "function is no prior"),
        (
            Crowded(),
            r"called as net\(v, sigma\) or net\(v\), but Crowded.forward takes x, sigma, m",
        ),
        (Named(), "but Named.forward takes x, sigma; wrap it in a module whose forward does"),
        (Starred(), "but Starred.forward takes inputs; wrap it"),
        (
            deepinv.optim.TVPrior(),
            r"but TVPrior.prox takes \(x: .*\*args, gamma.*; wrap it in a class",
        ),
        (type("One", (), {"prox": lambda self, v: v})(), r"One.prox takes \(v\)"),
        (type("Said", (Claims,), {"capabilities": "many"})(), "Said is no prior: it has no name"),
    ],
)
def test_what_can_be_no_prior_is_refused_in_a_sentence(thing, said):
    with pytest.raises(TypeError, match=said) as caught:
        adopted(thing)
    assert re.fullmatch(r"[^\n]+[^.\n]", str(caught.value))


def test_a_level_or_an_image_that_it_does_not_know_never_reaches_the_object():
    prior = adopted(Claims())
    for call in (prior.prox, prior.prox_and_value):
        with pytest.raises(ValueError, match=r"Claims knows noise levels .*divide by 255"):
            call(V, 25.0)
        with pytest.raises(ValueError, match="float images"):
            call(V[0], 0.1)


class Numbered:
    """A prior as a script writes it: its level is one number."""

    def prox(self, v, sigma):
        return v / (1.0 + float(sigma) ** 2)

    def prox_and_value(self, v, sigma):
        return self.prox(v, sigma), torch.full((len(v),), 2 * float(sigma))


def test_images_of_different_levels_are_asked_about_one_by_one():
    prior = adopted(Numbered())
    assert torch.equal(prior.prox(V, LEVELS), V / divisor(V, LEVELS))
    assert isinstance(prior, HasProxAndValue)
    x, r = prior.prox_and_value(V, LEVELS)
    assert torch.equal(x, V / divisor(V, LEVELS)) and r is not None
    assert r.tolist() == pytest.approx([0.2, 0.6])
    with pytest.raises((TypeError, ValueError, RuntimeError)):
        Numbered().prox(V, LEVELS)  # planted: what was handed on before
