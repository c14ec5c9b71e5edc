"""Values that people hand to `restore` by mistake: a right answer, or one sentence of ours."""

import numpy as np
import pytest
import torch

import proxlab
from proxlab import operators
from solvers import Diverged

X = torch.rand(1, 1, 12, 14, generator=torch.Generator().manual_seed(0))
OP = operators.deblur(operators.gaussian_kernel(0.8), noise=0.02)
Y = OP.A(X)
NAN = torch.where(torch.arange(14) == 3, torch.nan, Y)
WRONG_Y = {
    "nan": (NAN, "12 of 168 measurements are NaN"),
    "half": (Y.half(), "float32 or float64 tensor .*float16"),
    "complex": (Y.cfloat(), "complex64"),
    "bytes": ((255 * Y).to(torch.uint8), "uint8"),
    "an empty batch": (Y[:0], "shape .0, 1, 12, 14."),
    "a picture alone": (Y[0, 0], r"\[B, C, H, W\], got shape .12, 14."),
    "a number": (torch.tensor(1.0), "got torch.float32 "),
    "a list": ([1.0], "got list"),
    "strings": (np.array(["a"]), "an array of numbers is needed"),
    "16 bits": (np.ones((1, 1, 12, 14), np.uint16), "uint16"),
    "a mask of its own": (np.ma.array(Y.numpy(), mask=Y.numpy() > 0.5), "a mask of its own"),
    "far too large": (1e200 * Y.double(), "reaches .*e.199, whose square is too large"),
    "too large to square": (1e30 * Y, "reaches .*e.29, whose square is too large"),
}
WRONG_SETTINGS = {
    "steps": (0, -3, 2.5, "3", torch.tensor(3)),
    "tol": (0, float("nan"), "a", None, torch.ones(3)),
    "sigma": (float("nan"), 25, 0, "x", torch.tensor([0.1, 0.2]), 1j, np.ones((1, 1)) / 9),
    "weight": (float("nan"), 0, float("inf"), "1", torch.ones(3)),
    "noise": (float("nan"), "aut", [0.1], torch.ones(2)),
    "init": (NAN, X[..., :5], [1], X.cfloat(), X.int(), X / 0),
    "checks": (None, True),
    "solver": ("adm", 3),
}


@pytest.mark.parametrize("name", WRONG_Y)
def test_a_measurement_that_is_none_is_refused_in_a_sentence(name):
    y, words = WRONG_Y[name]
    with pytest.raises((TypeError, ValueError), match=words):
        proxlab.restore(y, OP, "lpn-gray-small", steps=2)


@pytest.mark.parametrize(
    "name, value", [(name, value) for name, values in WRONG_SETTINGS.items() for value in values]
)
def test_a_setting_that_is_none_is_refused_by_its_name(name, value):
    settings = {"steps": 2} | {name: value}
    with pytest.raises((TypeError, ValueError), match=rf"\b{name}\b") as caught:
        proxlab.restore(Y, OP, "lpn-gray-small", **settings)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 250


KINDS = ["none", "function", "array", "bound-method"]


@pytest.mark.parametrize("op", [None, lambda x: x, np.eye(3), OP.A], ids=KINDS)
def test_what_is_no_operator_is_refused(op):
    with pytest.raises(TypeError, match="needs a deepinv LinearPhysics, got"):
        proxlab.restore(Y, op, "lpn-gray-small", steps=2)


def test_other_layouts_of_the_same_numbers_give_the_same_image():
    wanted = proxlab.restore(Y, OP, "lpn-gray-small", steps=4).image
    y = Y.numpy()
    for same in (
        Y.clone().requires_grad_(),
        Y.flip(2).flip(2).transpose(2, 3).contiguous().transpose(2, 3),
        y.astype(">f4"),
        y[..., ::-1].copy()[..., ::-1],
        np.asfortranarray(y),
    ):
        found = proxlab.restore(same, OP, "lpn-gray-small", steps=4).pixels
        assert torch.allclose(found, wanted, atol=1e-6) and not found.requires_grad
    assert Y.grad is None
    start = X.clone()
    proxlab.restore(Y, OP, "lpn-gray-small", "pgd", init=start, steps=2)
    assert torch.equal(start, X)


@pytest.mark.parametrize("prior", ["lpn-gray-small", "tv", "wavelets", "unet-gray", "crate-gray"])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (3, 2)], ids=str)
def test_the_smallest_images_are_restored(prior, size):
    x = torch.rand(1, 1, *size, generator=torch.Generator().manual_seed(0))
    op = operators.inpaint(torch.ones(size), noise=0.05)
    found = proxlab.restore(x, op, prior, steps=6)
    assert found.image.shape == x.shape and found.image.isfinite().all()
    assert "nan" not in found.doubts[0]


@pytest.mark.parametrize("prior", ["lpn-gray-small", "tv"])
def test_black_is_restored_to_black(prior):
    found = proxlab.restore(0 * Y, OP, prior, steps=30)
    assert found.image.abs().max() < 1e-3 and "nan" not in found.doubts[0]


@pytest.mark.parametrize("scale, way", [(255.0, "reaches 1"), (0.02, "stays below 0.0")])
def test_other_units_than_0_to_1_are_a_doubt(scale, way):
    said = proxlab.restore(scale * Y, OP, "lpn-gray-small", noise=0.02 * scale, steps=3).doubts[0]
    assert f"the first estimate {way}" in said and "made for images in [0, 1]" in said
    assert "[0, 1]" not in proxlab.restore(Y, OP, "lpn-gray-small", steps=3).doubts[0]


def test_an_impossible_noise_level_is_an_error_with_a_remedy():
    with pytest.raises(Diverged, match="sigma"):
        proxlab.restore(Y, OP, "lpn-gray-small", noise=1e-30, steps=3)
