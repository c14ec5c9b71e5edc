"""Tiles chosen by themselves: where a prior would take too much memory, and only there."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from deepinv.models import MedianFilter

import proxlab
from examples.benchmarks.large.live_memory import LiveMemory
from proxlab.priors.classical import TV, Identity, Wavelets
from proxlab.priors.crate.completion import Completion
from proxlab.priors.crate.denoiser import CrateConfig, CrateDenoiser
from proxlab.priors.dncnn import DnCNNConfig, DnCNNDenoiser
from proxlab.priors.gradient_step import GradientStep
from proxlab.priors.lpn.icnn import ImageICNN, ImageICNNConfig
from proxlab.priors.lpn.network import LPN
from proxlab.priors.tiles import within_memory as choice
from proxlab.priors.tiles.tiled_prior import TiledPrior
from proxlab.priors.tiles.within_memory import BUDGET, LEAST_SIDE, need, within_memory
from proxlab.priors.unet import UNetConfig, UNetDenoiser
from tests.images.pictures import image

CPU = torch.device("cpu")
SMALL = CrateConfig(patch=8, stride=4, width=32, heads=2, layers=2)
FAMILIES = {
    "dncnn": lambda: DnCNNDenoiser(DnCNNConfig(depth=4, width=16)),
    "dncnn, colour": lambda: DnCNNDenoiser(DnCNNConfig(channels=3, depth=4, width=16)),
    "unet": lambda: UNetDenoiser(UNetConfig()),
    "gradient step of a unet": lambda: GradientStep(UNetConfig(smoothing=0.01)),
    "crate": lambda: CrateDenoiser(SMALL),
    "completion": lambda: Completion(SMALL),
    "gradient step of crate": lambda: GradientStep(replace(SMALL, smoothing=0.1)),
    "lpn": lambda: proxlab.load("lpn-gray-small"),
    "lpn, colour": lambda: proxlab.load("lpn-color"),
    "none": Identity,
}


def held(prior, side: int) -> int:
    """Bytes that a prox of one image holds at most, the image itself included."""
    v = image(1, getattr(prior, "channels", 1), side, side, dtype=torch.float32)
    with torch.no_grad(), LiveMemory() as memory:
        prior.prox(v, 0.1)
    return memory.peak + v.nbytes


@pytest.mark.parametrize("name", FAMILIES)
def test_the_memory_that_a_prior_says_is_what_it_takes(name, monkeypatch):
    monkeypatch.setattr("proxlab.priors.crate.denoiser.AT_ONCE", 0)  # as of large images
    prior = FAMILIES[name]()
    # what does not grow is no part of it, as the pieces of an lpn, which have to be full ones
    few, many = (160, 320) if "net" in name else (224, 672)
    channels = getattr(prior, "channels", 1)
    each = (held(prior, many) - held(prior, few)) / (channels * (many**2 - few**2))
    assert 0.5 < prior.capabilities.memory / each < 2


def test_that_check_sees_a_network_four_times_as_wide():
    prior = DnCNNDenoiser(DnCNNConfig(depth=4, width=64))
    each = held(prior, 160) / 160**2
    assert each > 2 * DnCNNDenoiser(DnCNNConfig(depth=4, width=16)).capabilities.memory


@pytest.mark.parametrize("name", ["lpn-color", "unet-gray-wide", "crate-gray", "gs-unet-wide"])
@pytest.mark.parametrize("batch", [1, 3])
def test_tiles_are_the_largest_within_the_budget_that_save_time(name, batch):
    prior = proxlab.load(name)
    claims, shape = prior.capabilities, torch.Size((batch, 3, 3000, 4000))
    found = need(prior, shape, CPU)
    assert found.whole == claims.memory * shape.numel() > BUDGET
    assert found.side % claims.alignment == 0

    def taken(side: int) -> int:
        return claims.memory * 3 * batch * (side + 2 * claims.reach) ** 2

    assert taken(found.side) <= BUDGET or found.side <= LEAST_SIDE
    larger = found.side + 2 * claims.alignment
    # nor are they larger where a twelfth is computed twice
    assert taken(larger) > BUDGET or (1 + 2 * claims.reach / larger) ** 2 < 1 + choice.TWICE


def test_what_fits_stays_whole():
    prior = proxlab.load("lpn-gray")
    assert within_memory(prior, torch.Size((1, 1, 512, 512)), CPU) is prior
    assert isinstance(within_memory(prior, torch.Size((1, 1, 9000, 9000)), CPU), TiledPrior)
    step = proxlab.load("crate-gray-step")  # no tile of its is smaller than such an image
    assert within_memory(step, torch.Size((1, 1, 1000, 1000)), CPU) is step


def named(prior, **words):
    prior.capabilities = replace(prior.capabilities, **words)
    return prior


class Kept(Identity):
    """A prior that keeps something of each image."""

    def select(self, index):
        return self


@pytest.mark.parametrize(
    "prior",
    [
        TV(),
        Wavelets(),
        LPN(ImageICNN(ImageICNNConfig(width=36))),  # its value is not known part by part
        Kept(),
        named(DnCNNDenoiser(DnCNNConfig(depth=4, width=6)), fixed_size=True),
        proxlab.Tiled("lpn-gray", 64),
        proxlab.DenoiserPrior(MedianFilter(3)),
    ],
    ids=lambda prior: prior.name,
)
def test_a_prior_that_tiles_would_take_something_from_is_not_cut(prior):
    assert within_memory(prior, torch.Size((1, 1, 20_000, 20_000)), CPU) is prior


def test_a_gpu_is_asked_for_its_free_memory(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2**34, 2**37))
    prior, shape = proxlab.load("lpn-gray"), torch.Size((1, 1, 2000, 2000))
    there = need(prior, shape, torch.device("cuda"))
    assert there.whole == prior.capabilities.memory_elsewhere * 4_000_000 > 2**32
    assert need(prior, shape, CPU).side is None and there.side > 1000


@pytest.fixture
def scarce(monkeypatch):
    """Memory for tiles of 16 pixels alone."""
    monkeypatch.setattr(choice, "BUDGET", 1)
    monkeypatch.setattr(choice, "LEAST_SIDE", 16)


def restored(prior):
    op = proxlab.operators.deblur(proxlab.operators.gaussian_kernel(1.0), noise=0.02)
    x = F.interpolate(image(2, 1, 8, 7, dtype=torch.float32), (64, 56), mode="bicubic")
    y = op(x, generator=torch.Generator().manual_seed(0))
    return proxlab.restore(y, op, prior)


def test_a_restoration_in_tiles_is_that_of_the_whole_image(scarce, monkeypatch):
    tiled = restored("lpn-gray-small")
    monkeypatch.setattr(choice, "BUDGET", BUDGET)
    whole = restored("lpn-gray-small")
    assert (tiled.image - whole.image).abs().max() < 1e-4
    assert not torch.equal(tiled.image, whole.image)  # it was another computation
    assert tiled.certified == whole.certified == [True, True]
    told = (tiled.trace.objective, whole.trace.objective)
    torch.testing.assert_close(*told, rtol=1e-4, atol=0, equal_nan=True)
    for one, other in zip(tiled.evidence, whole.evidence, strict=True):
        assert one.looked_at == other.looked_at
        assert one.value_margin == pytest.approx(other.value_margin, abs=1e-2)


class Vandal(Identity):
    """A prior that writes over what it was asked about, and later over its answers."""

    def __init__(self):
        self.answers = []

    def prox(self, v, sigma):
        for old in self.answers:
            old.fill_(7.0)
        x = v / 2
        v.zero_()
        self.answers = [x]
        return x


def test_no_tile_writes_over_the_image_nor_over_the_answer(scarce):
    v = image(1, 1, 40, 72, dtype=torch.float32)
    kept, tiled = v.clone(), within_memory(named(Vandal(), parts=True), v.shape, CPU)
    assert isinstance(tiled, TiledPrior)
    assert torch.equal(tiled.prox(v, 0.1), kept / 2) and torch.equal(v, kept)
    Vandal().prox(v, 0.1)
    assert not torch.equal(v, kept)
