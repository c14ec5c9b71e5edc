"""Images in colour: a prior that mixes channels, its data, its recipe; gray ones are as before."""

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import astronaut, camera
from torch import nn

from proxlab import recipes, restore_command
from proxlab.checkpoints import load
from proxlab.cli import main
from proxlab.convex import MixturePotential
from proxlab.data import Patches, load_color, load_gray
from proxlab.lpn import LPN
from proxlab.metrics import denoising_psnr
from proxlab.mixture_config import MixtureConfig
from proxlab.train import TrainConfig, _pairs

SIGMA = 0.1
GRAY = [
    torch.randint(256, (30, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(i))
    for i in range(3)
]
PAIRS = ["a183c0a2295af6e9", "a8861600fbef10c2", "067602422eea8c58"]
COLOR = [torch.stack([x, x.flip(0), 255 - x]) for x in GRAY]


class Opponent(nn.Module):
    """psi(v) = sum_c psi_gray((Q v)_c): convex, and the channels mixed by an orthonormal Q."""

    channels = 3

    def __init__(self, gray: MixturePotential, q: torch.Tensor):
        super().__init__()
        self.gray, self.config = gray, gray.config
        self.register_buffer("q", q.double())

    def _mixed(self, v, sigma):
        planes = torch.einsum("ij,bjhw->bihw", self.q.to(v), v)
        return planes.reshape(-1, 1, *v.shape[2:]), sigma.repeat_interleave(3)

    def _back(self, planes):
        return torch.einsum("ji,bjhw->bihw", self.q.to(planes), planes)

    def gradient(self, v, sigma):
        return self._back(self.gray.gradient(*self._mixed(v, sigma)).view_as(v))

    def gradient_and_gap(self, v, sigma):
        grad, gap = self.gray.gradient_and_gap(*self._mixed(v, sigma))
        return self._back(grad.view_as(v)), gap.view(-1, 3).sum(1)


def mixing():
    """A rotation that is no permutation of channels, so that mixing is seen."""
    return torch.linalg.qr(torch.tensor([[1.0, 1, 1], [1, -1, 0], [1, 1, -2]]).double().T)[0].T


def colour_prior(q=None):
    gray = MixturePotential(MixtureConfig(4, 2, context=1))
    return LPN(Opponent(gray, mixing() if q is None else q), name="toy").requires_grad_(False)


@pytest.fixture
def v():
    x = torch.from_numpy(astronaut()).permute(2, 0, 1)[None, :, 20:32, 200:213].double() / 255
    noise = torch.randn(2, *x.shape[1:], generator=torch.Generator().manual_seed(0))
    return x + SIGMA * noise.to(x)


def gap(a, b):
    return float((a - b).norm() / b.norm())


def gray_road(prior, v, sigma):
    """Prox and R of the toy by the gray prior alone, on hand-mixed channels."""
    gray, q = LPN(prior.potential.gray), mixing().to(v)
    x, r = gray.prox_and_value(torch.einsum("ij,bjhw->bihw", q, v), sigma)
    return torch.einsum("ji,bjhw->bihw", q, x), r


def test_a_colour_prior_is_the_gray_one_on_mixed_channels(v):
    prior, sigma = colour_prior(), torch.tensor([SIGMA, 0.05])
    (x, r), (by_hand, value) = prior.prox_and_value(v, sigma), gray_road(prior, v, sigma)
    assert gap(x, by_hand) < 1e-12 and gap(r, value) < 1e-12 and r.shape == (2,)
    assert gap(prior.prox(v, sigma), by_hand) < 1e-12
    assert gap(prior.inverse(x, sigma, tol=1e-4), v) < 0.1
    assert gap(prior.value(x, sigma, tol=1e-4), r) < 1e-4
    assert gap(prior.prox(v, sigma), LPN(prior.potential.gray).prox(v, sigma)) > 1e-3


def test_no_rival_beats_the_colour_prox(v):
    prior = colour_prior()
    p, r = prior.prox_and_value(v, SIGMA)
    here = r + (p - v).square().sum((1, 2, 3)) / 2
    for rival in (0 * v, v.roll(1, 1), v.roll(5, 3), 2 * v, v + 0.02):
        q, s = prior.prox_and_value(rival, SIGMA)
        assert (s + (q - v).square().sum((1, 2, 3)) / 2 > here).all()


def test_those_comparisons_catch_a_mixing_that_is_no_rotation(v):
    prior = colour_prior(1.1 * mixing())
    assert gap(prior.prox(v, SIGMA), gray_road(prior, v, SIGMA)[0]) > 1e-3
    channelwise = colour_prior(torch.eye(3))
    assert gap(channelwise.prox(v, SIGMA), gray_road(channelwise, v, SIGMA)[0]) > 1e-3


@pytest.mark.parametrize("call", ["prox", "prox_and_value", "value", "inverse"])
@pytest.mark.parametrize("channels", [1, 2, 4, 6])
def test_a_colour_prior_refuses_other_images(call, channels):
    with pytest.raises(ValueError, match=rf"toy knows colour .*got \[2, {channels}, 9.*lpn-gray"):
        getattr(colour_prior(), call)(torch.rand(2, channels, 9, 8), SIGMA)


def test_a_potential_that_says_nothing_is_gray(v):
    prior = LPN(MixturePotential(MixtureConfig(4, 2, context=1))).requires_grad_(False)
    assert prior.channels == 1 and colour_prior().channels == 3
    one_by_one = torch.cat([prior.prox(v[:, c : c + 1], SIGMA) for c in range(3)], 1)
    assert gap(prior.prox(v, SIGMA), one_by_one) < 1e-12


def digest(x):
    return hashlib.sha256(x.numpy().tobytes()).hexdigest()[:16]


def test_gray_patches_are_those_of_earlier_runs():
    """The digests are of the code before it knew colour: a resumed run sees the same pairs."""
    drawn = Patches(GRAY, 16).draw(8, torch.Generator().manual_seed(5))
    assert drawn.shape == (8, 1, 16, 16) and digest(drawn) == "0d88830f0c0c76a8"
    pairs = _pairs(Patches(GRAY, 16), TrainConfig(batch=4, patch=16), step=7)
    assert [digest(x) for x in pairs] == PAIRS


def test_colour_patches_are_gray_ones_channel_by_channel():
    def drawn(images):
        return Patches(images, 16).draw(12, torch.Generator().manual_seed(5))

    colour = drawn(COLOR)
    assert colour.shape == (12, 3, 16, 16)
    for c in range(3):
        assert torch.equal(colour[:, c : c + 1], drawn([x[c] for x in COLOR]))
    assert not torch.equal(colour[:, :1], drawn([x[1] for x in COLOR]))


@pytest.mark.parametrize(
    "images, message",
    [
        ([GRAY[0], COLOR[0]], r"all \[3, H, W\], got \[30, 40\] and \[3, 30, 40\]; convert"),
        ([COLOR[0][:2]], r"got \[2, 30, 40\]"),
        ([COLOR[0].permute(1, 2, 0)], r"at least as large, got \(30, 40, 3\)"),
        ([], "got none"),
    ],
)
def test_patches_refuse_other_images(images, message):
    with pytest.raises(ValueError, match=message):
        Patches(images, 16)


@pytest.fixture
def photos(tmp_path):
    """A folder of three colour photographs."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(3):
        Image.fromarray(astronaut()[40 * i : 40 * i + 36, 200:240]).save(folder / f"{i}.png")
    return folder


def test_folders_load_in_colour_or_gray(photos):
    colour, gray = load_color(photos), load_gray(photos)
    assert [x.shape for x in colour] == [(3, 36, 40)] * 3 and colour[0].dtype == torch.uint8
    assert torch.equal(colour[1], torch.from_numpy(astronaut()[40:76, 200:240]).permute(2, 0, 1))
    assert [x.shape for x in gray] == [(36, 40)] * 3
    luma = torch.einsum(
        "chw,c->hw", colour[0].double(), torch.tensor([0.299, 0.587, 0.114]).double()
    )
    assert (gray[0].double() - luma).abs().max() <= 0.501
    Image.fromarray(camera()[:36, :40]).save(photos / "gray.png")
    with pytest.raises(ValueError, match=r"gray\.png is gray; remove it, or use a gray model"):
        load_color(photos)


def test_psnr_of_colour_images_counts_all_channels():
    class Nothing(nn.Linear):
        def forward(self, x, sigma):
            return x

    colour = [(torch.from_numpy(astronaut()).permute(2, 0, 1)[:, :64, :64])]
    figures = denoising_psnr(Nothing(1, 1), colour)
    assert figures == pytest.approx(
        {str(s): -20 * np.log10(s / 255) for s in (5, 15, 25, 50)}, abs=0.1
    )


@pytest.mark.parametrize("recipe", ["lpn-gray", "lpn-color"])
def test_the_command_knows_the_recipes(recipe, photos, tmp_path, capsys):
    words = f"train {recipe} --quiet --device cpu --data {photos} --out {tmp_path / 'run'}"
    assert main([*words.split(), "--steps", "1"]) == 1
    shape = r"\(3, 36, 40\)" if recipe == "lpn-color" else r"\(36, 40\)"
    assert re.search(f"patches of 64 pixels .* got {shape}", capsys.readouterr().err)


def test_recipes_differ_in_their_data_alone(photos, tmp_path):
    config = TrainConfig(steps=1, batch=2, patch=16)
    small = MixtureConfig(4, 2, context=1)
    made = {
        recipe: recipe(photos, tmp_path / name, config=config, architecture=small)
        for name, recipe in (("a", recipes.lpn_gray), ("b", recipes.lpn_color))
    }
    names = [path.stem for path in made.values()]
    assert names == ["lpn-gray", "lpn-color"]
    for path in made.values():
        card = path.with_suffix(".json").read_text()
        assert f"proxlab train {path.stem} --steps 1" in card and "2 images of photos" in card
        assert load(path).name == path.stem
    again = recipes.lpn_color(photos, tmp_path / "c", config=config, architecture=small)
    assert again.read_bytes() == made[recipes.lpn_color].read_bytes()
    assert again.read_bytes() != made[recipes.lpn_gray].read_bytes()
    with pytest.raises(ValueError, match="lpn-color.safetensors exists; choose another"):
        recipes.lpn_color(photos, tmp_path / "c", config=config)


RESTORE = [
    "deblur --blur-sigma 1 --noise 0.05",
    "deblur --blur-sigma 1 --noise 0.05 --boundary valid",
    "inpaint --missing 0.5 --noise 0.05",
    "inpaint --box 4,5,6,7 --noise 0.05",
    "inpaint --mask mask.npy --noise 0.05",
]


@pytest.fixture
def toy(photos, monkeypatch):
    """The command, its prior replaced by one that mixes channels, among photographs."""
    monkeypatch.chdir(photos)
    monkeypatch.setattr(restore_command, "load", lambda name: colour_prior())
    np.save("mask.npy", (np.indices((36, 40)).sum(0) % 3 > 0).astype(np.uint8))
    Image.fromarray(camera()[:36, :40]).save("gray.png")


@pytest.mark.parametrize("words", RESTORE)
def test_the_command_restores_a_colour_photograph(toy, words, capsys):
    words = f"restore 0.png {words} --simulate --steps 30 --device cpu --out new.png"
    assert main(words.split()) == 0
    with Image.open("new.png") as image:
        assert image.mode == "RGB" and image.size == (40, 36)
    before, after = re.search(r"PSNR (?:(\S+) -> )?(\S+) dB", capsys.readouterr().out).groups()
    assert float(after) > float(before or 20)


@pytest.mark.parametrize("words", RESTORE)
def test_a_gray_file_for_a_colour_prior_is_one_sentence(toy, words, capsys):
    assert main(f"restore gray.png {words} --simulate --device cpu --out new.png".split()) == 1
    said = capsys.readouterr().err
    assert re.fullmatch(r"proxlab: toy knows colour images .*; use a gray model .*\n", said)
    assert not Path("new.png").exists()
