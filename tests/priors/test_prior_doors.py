"""What stands before a prior: a right answer or one sentence of ours, never another library's."""

import numpy as np
import pytest
import torch

import proxlab
from proxlab.priors.dncnn import DnCNNConfig, DnCNNDenoiser
from proxlab.priors.lpn.icnn import ImageICNN, ImageICNNConfig
from proxlab.priors.lpn.network import LPN

V = torch.rand(2, 1, 9, 10, generator=torch.Generator().manual_seed(0))
PRIORS = {
    "tv": proxlab.load("tv"),
    "wavelets": proxlab.load("wavelets"),
    "none": proxlab.load("none"),
    "lpn-gray": proxlab.load("lpn-gray"),
    "icnn": LPN(ImageICNN(ImageICNNConfig(36, (2, 1))), (0.01, 0.5)).requires_grad_(False),
    "dncnn": DnCNNDenoiser(DnCNNConfig(depth=3, width=4)).requires_grad_(False),
    "unet-gray": proxlab.load("unet-gray"),
    "crate-completion": proxlab.load("crate-completion"),
    "tiles": proxlab.Tiled("lpn-gray", 16),
}
IMAGES = {
    "numpy": V.numpy(),
    "list": V.tolist(),
    "None": None,
    "path": "a.png",
    "half": V.half(),
    "bfloat16": V.bfloat16(),
    "bytes": (255 * V).byte(),
    "bool": V > 0.5,
    "complex": V + 0j,
    "meta": V.to("meta"),
    "sparse": V.to_sparse(),
    "no image": V[:0],
    "no row": V[:, :, :0],
    "0-d": torch.tensor(0.5),
    "2-d": V[0, 0],
    "5-d": V[None],
}
LEVELS = {
    "text": "0.1",
    "None": None,
    "dict": {},
    "complex": 0.1 + 0j,
    "complex tensor": torch.tensor([0.1 + 0j, 0.1]),
    "bool": True,
    "nan": float("nan"),
    "one nan": torch.tensor([0.1, torch.nan]),
    "infinite": float("inf"),
    "three": torch.full((3,), 0.1),
    "none": torch.zeros(0),
    "map": torch.full((2, 1, 9, 10), 0.1),
    "meta": torch.tensor(0.1, device="meta"),
    "10^400": 10**400,
}
everyone = pytest.mark.parametrize("name", PRIORS)


def doors(prior):
    """Its public methods of an image and a level."""
    found = (getattr(prior, name, None) for name in ("prox", "prox_and_value", "value", "inverse"))
    return [door for door in found if door is not None]


def refused(door, *arguments):
    with pytest.raises((ValueError, TypeError)) as told:
        door(*arguments)
    frame = told.traceback[-1]
    said = str(told.value)
    assert "proxlab/priors/" in str(frame.path) and "raise" in str(frame.statement), said
    assert "\n" not in said and 20 < len(said) < 250


@everyone
def test_what_is_no_image_or_no_level_is_refused_in_a_sentence(name):
    for door in doors(PRIORS[name]):
        for image in IMAGES.values():
            refused(door, image, 0.1)
        for level in LEVELS.values():
            refused(door, V, level)


def test_that_sweep_sees_a_foreign_message():
    with pytest.raises(AssertionError):
        refused(lambda v, sigma: int("a foreign message of some length"), V, 0.1)
    with pytest.raises(pytest.fail.Exception):
        refused(lambda v, sigma: v, V, 0.1)


@everyone
def test_other_forms_of_the_same_images_and_levels_have_the_same_answer(name):
    prior, level = PRIORS[name], np.array([0.1, 0.1])
    x = prior.prox(V, 0.1)
    for v, sigma in (
        (V.mT.contiguous().mT, 0.1),
        (V.repeat_interleave(2, 3)[..., ::2], 0.1),
        (V.clone().requires_grad_(), 0.1),
        (V, level),
        (V, level.tolist()),
        (V, np.float32(0.1)),
        (V, torch.tensor([[0.1], [0.1]], dtype=torch.float64, requires_grad=True)),
    ):
        assert (prior.prox(v, sigma).detach() - x).abs().max() < 1e-5
    for size in ((1, 1), (1, 7), (7, 1), (2, 2), (3, 5)):
        tiny = V[:, :, : size[0], : size[1]]
        assert prior.prox(tiny, 0.1).isfinite().all() and prior.prox(tiny, 0.1).shape == tiny.shape


def test_a_float_keeps_its_digits():
    v = V.double()
    assert torch.equal(PRIORS["tv"].prox(v, 0.1), PRIORS["tv"].prox(v, np.float64(0.1)))
    assert torch.equal(PRIORS["wavelets"].value(v, 0.1), PRIORS["wavelets"].value(v, [0.1, 0.1]))


@everyone
@pytest.mark.parametrize("strange", [float("nan"), float("inf")])
def test_nan_gives_nan_to_its_own_image(name, strange):
    bad = V.clone()
    bad[0, 0, 3, 4] = strange
    x = PRIORS[name].prox(bad, 0.1)
    assert not x[0].isfinite().all()
    assert (x[1] - PRIORS[name].prox(V, 0.1)[1]).abs().max() < 1e-5
    if name == "tv":  # whose pixels depend on all others
        assert x[0].isnan().all()


@pytest.mark.parametrize("name", ["lpn-gray", "icnn"])
def test_a_prox_is_not_inverted_at_nan(name):
    for door in (PRIORS[name].inverse, PRIORS[name].value):
        with pytest.raises(ValueError, match="image 1 holds NaN or infinity"):
            door(torch.cat([V[:1], V[1:] * torch.nan]), 0.1)


def test_gradients_pass_right_or_are_refused():
    v = V.double().requires_grad_()
    for said, x in (
        ("prox of total variation is not differentiated", PRIORS["tv"].prox(v, 0.1)),
        ("inverse of a prox is not diff", PRIORS["lpn-gray"].inverse(v[:, :, :4, :4], 0.1, 1e-3)),
    ):
        assert x.requires_grad
        with pytest.raises(ValueError, match=said):
            x.sum().backward()
    with torch.no_grad():
        assert not PRIORS["tv"].prox(v, 0.1).requires_grad
    assert torch.autograd.gradcheck(lambda x: PRIORS["tv"].value(x, 0.1), v)
    flat = torch.ones(1, 1, 4, 4).double().requires_grad_()
    PRIORS["tv"].value(flat, 0.1).sum().backward()
    assert flat.grad is not None and torch.equal(flat.grad, torch.zeros_like(flat))
