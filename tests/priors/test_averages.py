"""Averages of priors: one prox again, its value, names, and what runs where a run refuses one."""

from typing import Any

import pytest
import torch
from skimage.data import camera

import proxlab
from proxlab.priors.averages import average
from proxlab.priors.averages.chosen import ChosenPrior
from proxlab.priors.contract import Capabilities, lacking
from proxlab.restoration.repeating import is_refused
from proxlab.restoration.restoring import restore_once
from solvers.protocols import HasProxAndValue
from tests.priors.contract import faults

SIGMA = 0.1
ROWS, COLUMNS = slice(96, 128), slice(200, 232)


def exact() -> Any:
    return double("lpn-gray-small").requires_grad_(False)


def double(name: str) -> Any:
    prior: Any = proxlab.load(name)
    return prior.double()


def both(weights=(0.3, 0.7)):
    return proxlab.AveragePrior(weights, [exact(), proxlab.load("tv")])


@pytest.fixture
def clean():
    x = torch.from_numpy(camera()[ROWS, COLUMNS]).double()[None, None] / 255
    return torch.cat([0.4 + x / 2, x.flip(3) / 2])


@pytest.fixture
def v(clean):
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    return clean + SIGMA * noise.to(clean)


class Falling:
    """An answer that falls where its input rises, as no prox does; dark images have `exact`'s.

    Half of it and half of `exact` falls still, a quarter and three quarters rise.
    """

    name, sigma_range, capabilities = "falling", (0.0, 1.0), Capabilities()

    def prox(self, v, sigma):
        bright = v.mean((1, 2, 3), keepdim=True) > 0.35
        x = exact().to(v.dtype).prox(v, sigma)
        return torch.where(bright, 1.5 - 2 * x, x)


def test_it_keeps_the_contract(v):
    average = lambda: proxlab.AveragePrior([0.5, 0.5], [exact(), exact()])  # noqa: E731
    assert faults(average, v[..., :6, :6]) == [] and lacking(average()) == ""


def falls(prior, v):
    """Whether leaving the prox makes its objective larger, as far as other answers tell."""
    p, r = prior.prox_and_value(v, SIGMA)
    here = r + (p - v).square().sum((1, 2, 3)) / 2
    rivals = [prior.prox_and_value(w, SIGMA) for w in (0 * v, v.roll(3, 3), v + 0.02, 0.99 * v)]
    return all((s + (q - v).square().sum((1, 2, 3)) / 2 > here).all() for q, s in rivals)


def test_its_value_is_that_of_its_prox_and_one_without_the_distances_is_caught(v, monkeypatch):
    op = proxlab.operators.denoise(SIGMA)
    unlike = proxlab.AveragePrior([0.5, 0.5], [exact(), proxlab.load("none")])  # far apart
    assert falls(unlike, v)
    assert proxlab.restore(v, op, unlike).certified == [True, True]
    plain = lambda prior, x, answers, values, part: sum(  # noqa: E731
        w * r for w, r in zip(prior.weights, values, strict=True)
    )
    monkeypatch.setattr(average, "_value", plain)
    assert not all(proxlab.restore(v, op, unlike).certified)


def test_parts_of_an_image_add_up(v):
    assert not both().capabilities.parts  # for total variation has none
    prior = proxlab.AveragePrior([0.4, 0.6], [exact(), double("gs-unet")])
    x, r = prior.prox_and_value(v, SIGMA)
    halves = [prior.prox_and_part(v, SIGMA, (slice(0, 32), half)) for half in HALVES]
    assert (halves[0][0] - x).abs().max() < 1e-12
    torch.testing.assert_close(halves[0][1] + halves[1][1], r)
    own = proxlab.load("gs-unet").capabilities.reach or 0
    reach, alignment = prior.capabilities.reach, prior.capabilities.alignment
    assert reach and reach % alignment == 0 and reach >= own


HALVES = slice(0, 16), slice(16, 32)


def test_its_jacobian_is_the_average(v):
    prior: Any
    parts = [exact(), double("gs-unet")]
    prior, u = proxlab.AveragePrior([0.25, 0.75], parts), torch.ones_like(v)
    products = [part.jacobian(v, SIGMA)(u) for part in parts]
    torch.testing.assert_close(prior.jacobian(v, SIGMA)(u), 0.25 * products[0] + 0.75 * products[1])
    unet = proxlab.AveragePrior([0.5, 0.5], [exact(), double("unet-gray-small")])
    assert not isinstance(unet, HasProxAndValue) and unet.prox(v, SIGMA).shape == v.shape


@pytest.mark.parametrize(
    "weights, says",
    [([0.5], "a weight for each"), ([0.5, 0.6], "sum to 1"), ([1.5, -0.5], "positive")],
)
def test_weights_that_are_none_are_refused(weights, says):
    with pytest.raises(ValueError, match=says):
        both(weights)


@pytest.mark.parametrize("name", ["2*tv+none", "0.5*tv+none", "tv+", "x*tv+0.5*none", "+tv"])
def test_names_that_are_no_average_are_refused(name):
    with pytest.raises(ValueError, match="an average is typed as"):
        proxlab.load(name)


def test_a_file_may_have_a_plus_in_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a+b.safetensors").write_bytes(b"")
    with pytest.raises(ValueError) as error:
        proxlab.load("a+b.safetensors")
    assert "average" not in str(error.value)


def test_safer_is_halved_and_ends_exact():
    prior: Any
    prior, every, names = proxlab.load("0.5*gs-unet+0.5*lpn-gray-small"), torch.tensor([True]), []
    while prior is not None:
        names.append(prior.name)
        prior = prior.safer(every) if isinstance(prior, proxlab.AveragePrior) else None
    assert names == [
        "0.5*gs-unet+0.5*lpn-gray-small",
        "0.25*gs-unet+0.75*lpn-gray-small",
        "lpn-gray-small",
    ]
    unsure = proxlab.AveragePrior([0.5, 0.5], [double("gs-unet"), double("unet-gray-small")])
    assert unsure.safer(every) is None


def test_an_image_that_refuses_its_prior_is_restored_with_a_safer_one(clean):
    mask = proxlab.operators.random_mask((32, 32), 0.5)
    op = proxlab.operators.inpaint(mask, noise=0.05)
    y = op(clean, generator=torch.Generator().manual_seed(0))
    prior = proxlab.AveragePrior([0.5, 0.5], [exact(), Falling()])
    once = restore_once(y, op, prior)
    assert [is_refused(e) for e in once.evidence] == [True, False]
    result = proxlab.restore(y, op, prior)
    assert [is_refused(e) for e in result.evidence] == [False, False]
    assert result.refused == ("0.5*lpn-gray-small+0.5*falling",)
    assert "was refused" in repr(result) and "0.75*lpn-gray-small+0.25*falling" in result.prior
    assert torch.equal(result.image[1], once.image[1])
    assert not torch.equal(result.image[0], once.image[0])
    alone = proxlab.restore(y[:1], op, prior)
    assert torch.allclose(result.image[0], alone.image[0])


def test_a_choice_is_of_its_own_batch(v):
    prior = ChosenPrior([exact(), proxlab.load("none")], torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="is for 2 images"):
        prior.prox(v[:1], SIGMA)
    x, r = prior.prox_and_value(v, torch.tensor([0.1, 0.05], dtype=torch.float64))
    assert r is not None
    one, s = exact().prox_and_value(v[:1], 0.1)
    assert torch.equal(x[:1], one) and r[0] == s[0]
    swapped = prior.select(torch.tensor([1, 0]))
    assert torch.equal(swapped.prox(v.flip(0), SIGMA)[1], exact().prox(v[:1], SIGMA)[0])
