"""Every prior that is shipped, and every class of one, keeps the contract; liars are caught."""

import copy
from dataclasses import replace

import deepinv
import pytest
import torch
from torch import Tensor, nn

import proxlab
from proxlab.checkpoints import KINDS, models
from proxlab.priors.adopted import adopted
from proxlab.priors.arguments import check_images, noise_levels
from proxlab.priors.classical import CLASSICAL
from proxlab.priors.contract import Capabilities, HasParts, lacking
from proxlab.priors.crate.completion import Completion
from proxlab.priors.crate.denoiser import CrateConfig, CrateDenoiser
from proxlab.priors.dncnn import DnCNNConfig, DnCNNDenoiser
from proxlab.priors.gradient_step import GradientStep
from proxlab.priors.lpn.icnn import ImageICNN, ImageICNNConfig, VectorICNN, VectorICNNConfig
from proxlab.priors.lpn.log_density import LogDensityConfig, LogDensityPotential
from proxlab.priors.lpn.network import LPN
from proxlab.priors.total_variation import TV
from proxlab.priors.unet import UNetConfig, UNetDenoiser
from proxlab.tiled import Tiled
from tests.images.pictures import image
from tests.priors.contract import faults
from tests.priors.lpn.potentials import potential

CRATE = CrateConfig(patch=4, stride=2, width=16, heads=2, layers=1, side=2)
SHIPPED = [name for name, card in models().items() if KINDS[card["kind"]].use == "prior"]
BUILT = {
    "mixture": lambda: LPN(potential()),
    "icnn": lambda: LPN(ImageICNN(ImageICNNConfig(width=36, strides=(2, 1), alpha=0.01))),
    "vectors": lambda: LPN(VectorICNN(VectorICNNConfig(54, 216))),
    "log-density": lambda: LPN(LogDensityPotential(LogDensityConfig(9, 6, 3, 2))),
    "crate": lambda: CrateDenoiser(CRATE),
    "gradient step": lambda: GradientStep(replace(CRATE, smoothing=0.1), length=0.5),
    "gradient step of a U-Net": lambda: GradientStep(
        UNetConfig(widths=(4, 4, 4, 4), smoothing=0.01), length=0.5
    ),
    "completion": lambda: Completion(CRATE),
    "dncnn": lambda: DnCNNDenoiser(DnCNNConfig(depth=3, width=4)),
    "unet": lambda: UNetDenoiser(UNetConfig(widths=(4, 4, 4, 4))),
    "iteration of deepinv": lambda: adopted(deepinv.models.MedianFilter()),
    "network of deepinv": lambda: adopted(deepinv.models.DnCNN(1, 1, 3, nf=4, pretrained=None)),
    "network": lambda: adopted(nn.Conv2d(1, 1, 3, padding=1)),
    "warm tv": lambda: TV().for_run(),
    "tiled": lambda: Tiled(LPN(potential()), 4),
    "tiled beyond its reach": lambda: Tiled("tv", 4, reach=2),
}


def seeded(make):
    def made():
        torch.manual_seed(0)
        return make()

    return made


@pytest.mark.parametrize("name", [*CLASSICAL, *SHIPPED])
def test_every_shipped_prior_keeps_the_contract(name):
    prior = proxlab.load(name)
    v = image(2, 3, 5, 4) if "-color" in name else image(2, 1, 9, 6)
    assert prior.name == name
    assert faults(lambda: copy.deepcopy(prior), v) == []


@pytest.mark.parametrize("make", BUILT.values(), ids=BUILT)
def test_every_class_of_prior_keeps_the_contract(make):
    assert faults(seeded(make), image(2, 1, 9, 6)) == []


def test_no_kind_of_model_is_left_out():
    priors = [make() for make in BUILT.values()]
    seen = {type(p.potential if isinstance(p, LPN) else p) for p in priors}
    assert {kind.network for kind in KINDS.values() if kind.use == "prior"} <= seen


@pytest.mark.parametrize("name, exact", [("lpn-gray", True), ("tv", False), ("none", True)])
def test_what_is_known_of_some(name, exact):
    claims = proxlab.load(name).capabilities
    assert (claims.exact, claims.convex) == (exact, name != "lpn-gray")
    assert (claims.reach is None) == (name == "tv") and claims.parts == (name != "tv")


class Ridge:
    """R = sigma^2 |x|^2 / 2, exact and convex; the prior that the liars below are made of."""

    name, sigma_range = "ridge", (0.0, 1.0)
    capabilities = Capabilities(exact=True, convex=True, alpha=0.5, reach=0)

    def level(self, v: Tensor, sigma: float | Tensor) -> Tensor:
        check_images(v)
        return noise_levels(self.name, v, sigma, self.sigma_range, v.dtype).view(-1, 1, 1, 1)

    def prox(self, v: Tensor, sigma: float | Tensor) -> Tensor:
        return v / (1 + self.level(v, sigma) ** 2)

    def prox_and_value(self, v: Tensor, sigma: float | Tensor) -> tuple[Tensor, Tensor]:
        x = self.prox(v, sigma)
        return x, self.value(x, sigma)

    def value(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        s = torch.as_tensor(sigma, dtype=torch.float64)
        return s**2 * x.double().square().sum((1, 2, 3)) / 2


class Mixed(Ridge):
    def prox(self, v, sigma):
        return super().prox(v, sigma) + 1e-3 * v.mean()


class Deaf(Ridge):
    def prox(self, v, sigma):
        return v / 1.01


class Written(Ridge):
    def prox(self, v, sigma):
        return v.div_(1 + self.level(v, sigma) ** 2)


class Cropped(Ridge):
    def prox(self, v, sigma):
        return super().prox(v, sigma)[..., 1:]


class Shifted(Ridge):
    def prox(self, v, sigma):
        return super().prox(v, sigma).roll(1, 3)


class Sharpened(Ridge):
    def prox(self, v, sigma):
        return v * (1 + self.level(v, sigma) ** 2)


class Sure(Ridge):
    capabilities = replace(Ridge.capabilities, alpha=0.995)


class Halved(Ridge):
    def value(self, x, sigma):
        return super().value(x, sigma) / 2


class Concave(Ridge):
    def value(self, x, sigma):
        return -super().value(x, sigma)


class Parted(Ridge):
    capabilities = replace(Ridge.capabilities, parts=True)


class Twice(Parted):
    def prox_and_part(self, v, sigma, part):
        return self.prox_and_value(v, sigma)


class Modest(Ridge):
    def prox_and_part(self, v, sigma, part):
        return self.prox_and_value(v, sigma)


class Percent(Ridge):
    sigma_range = (0.0, 50.0)


class Stiff(Ridge):
    capabilities = replace(Ridge.capabilities, fixed_size=True)


@pytest.mark.parametrize(
    "liar, said",
    [
        (Mixed, "image 0 of a batch is another"),
        (Deaf, "it takes nan for a level"),
        (Written, "the prox changes what it is given"),
        (Cropped, "the prox of torch.float64"),
        (Shifted, "its Jacobian is not symmetric"),
        (Sharpened, "it claims to be convex, and an eigenvalue of its prox is 1.01"),
        (Sure, "it claims alpha = 0.995, and an eigenvalue is 0.99"),
        (Halved, "a rival beats its prox"),
        (Concave, "its value is not convex"),
        (Parted, "it claims parts, and has no prox_and_part"),
        (Twice, "its parts do not add up"),
        (Modest, "it has values part by part and does not say so"),
        (Percent, "levels are in image units"),
        (Stiff, "fixed_size is True"),
    ],
)
def test_liars_are_caught(liar, said):
    assert faults(Ridge, image(2, 1, 9, 6)) == []
    assert any(said in fault for fault in faults(liar, image(2, 1, 9, 6)))


@pytest.mark.parametrize(
    "wrong, said",
    [
        ({"alpha": 1.5}, "0 to 1, got 1.5"),
        ({"alpha": -0.1}, "got -0.1"),
        ({"alpha": float("nan")}, "got nan"),
        ({"default_weight": 0.0}, "positive and finite, got 0.0"),
        ({"default_weight": float("inf")}, "got inf"),
        ({"alignment": 0}, "at least 1 pixel .* got 0"),
        ({"reach": -2}, "got 1 and -2"),
        ({"reach": 20, "alignment": 8}, "a multiple of the alignment, got 20 and 8"),
    ],
)
def test_capabilities_refuse_nonsense(wrong, said):
    with pytest.raises(ValueError, match=said):
        Capabilities(**wrong)


def test_what_an_object_lacks_is_said_in_a_sentence():
    assert lacking(Ridge()) == ""
    four = "has no name, no sigma_range, no capabilities, no prox; a prior has a name"
    assert lacking(nn.ReLU()).startswith(f"ReLU is no prior: it {four}")
    assert "Ridge is no prior: it is a class; make an object of it" in lacking(Ridge)
    unbound = type("Unbound", (Ridge,), {"prox": 3})()
    assert "its prox is int, not a method" in lacking(unbound)
    worded = type("Worded", (Ridge,), {"capabilities": {"exact": True}})()
    assert "its capabilities are dict, not Capabilities" in lacking(worded)
    silent = LPN(nn.Identity())  # a potential that says nothing of itself
    assert "capabilities, prox raises AttributeError where it is read" in lacking(silent)
    assert not isinstance(Ridge(), HasParts) and isinstance(proxlab.load("none"), HasParts)
