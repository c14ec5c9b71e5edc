"""What recipes train on: photographs and patches, gray as before and in colour; what they leave."""

import hashlib
import re
from importlib import import_module
from pathlib import Path
from pkgutil import resolve_name

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import astronaut, camera
from torch import nn

from proxlab.checkpoints import load
from proxlab.commands.main import main
from proxlab.images.folders import load_color, load_ct, load_gray
from proxlab.images.metrics import denoising_psnr
from proxlab.priors.lpn.mixture_config import MixtureConfig
from proxlab.training import recipes
from proxlab.training.config import TrainConfig
from proxlab.training.patches import NoisyPatches, Patches
from proxlab.training.recipe import Recipe
from proxlab.training.recipes import photographs
from proxlab.training.recipes.names import RECIPES

GRAY = [
    torch.randint(256, (30, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(i))
    for i in range(3)
]
PAIRS = ["a183c0a2295af6e9", "a8861600fbef10c2", "067602422eea8c58"]
COLOR = [torch.stack([x, x.flip(0), 255 - x]) for x in GRAY]


def digest(x):
    return hashlib.sha256(x.numpy().tobytes()).hexdigest()[:16]


def test_gray_patches_are_those_of_earlier_runs():
    """The digests are of the code before it knew colour: a resumed run sees the same pairs."""
    drawn = Patches(GRAY, 16).draw(8, torch.Generator().manual_seed(5))
    assert drawn.shape == (8, 1, 16, 16) and digest(drawn) == "0d88830f0c0c76a8"
    generator = torch.Generator().manual_seed(7)
    pairs = NoisyPatches(Patches(GRAY, 16), TrainConfig().sigma_range).draw(4, generator)
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


@pytest.fixture
def slices(tmp_path):
    """A folder of two CT slices of 36 x 40 pixels, Hounsfield units + 1024."""
    folder = tmp_path / "slices"
    folder.mkdir()
    for i, x in enumerate(GRAY[:2]):
        levels = np.pad(x.numpy().astype(np.uint16) * 16, ((0, 6), (0, 0)))
        Image.fromarray(levels).save(folder / f"{i}.png")
    return folder


def test_slices_load_on_the_hounsfield_scale(slices):
    found = load_ct(slices)
    assert [x.shape for x in found] == [(36, 40)] * 2
    right = torch.nn.functional.pad(GRAY[1].double() * 16 / 4095, (0, 0, 0, 6))
    torch.testing.assert_close(found[1].double(), right, atol=1e-6, rtol=0)
    drawn = Patches(found, 16).draw(4, torch.Generator().manual_seed(0))
    assert found[0].max() * 0.5 < drawn.max() <= found[0].max().maximum(found[1].max())


@pytest.mark.parametrize(
    "levels, message",
    [
        (np.full((36, 40), 4096, np.uint16), "values up to 4096, Hounsfield units . 1024 end at"),
        (np.zeros((36, 40), np.uint8), r"8 bits and 1 channel\(s\); a CT slice is DICOM, or"),
    ],
)
def test_what_is_no_slice_is_refused(levels, message, slices):
    Image.fromarray(levels).save(slices / "odd.png")
    with pytest.raises(ValueError, match=message):
        load_ct(slices)


OF_PHOTOGRAPHS = [
    name
    for name, place in RECIPES.items()
    if not place.startswith(("diffusion:", "digits:")) and name != "crate-gray-step"
]


@pytest.mark.parametrize("recipe", OF_PHOTOGRAPHS)
def test_the_command_knows_the_recipes(recipe, photos, slices, tmp_path, capsys):
    data = slices if "-ct" in recipe else photos
    words = f"train {recipe} --quiet --device cpu --data {data} --out {tmp_path / 'run'}"
    assert main([*words.split(), "--steps", "6"]) == 1
    shape = r"\(3, 36, 40\)" if "-color" in recipe else r"\(36, 40\)"
    assert re.search(rf"patches of \d+ pixels .* got {shape}", capsys.readouterr().err)


def test_recipes_differ_in_their_data_alone(photos, tmp_path):
    config = TrainConfig(steps=1, batch=2, patch=16)
    small = MixtureConfig(4, 2, context=1)
    made = {
        recipe: recipe(photos, tmp_path / name, config=config, start=small)
        for name, recipe in (("a", photographs.lpn_gray), ("b", photographs.lpn_color))
    }
    names = [path.stem for path in made.values()]
    assert names == ["lpn-gray", "lpn-color"]
    for path in made.values():
        card = path.with_suffix(".json").read_text()
        assert f"proxlab train {path.stem} --steps 1" in card and "2 images of photos" in card
        assert load(path).name == path.stem
    again = photographs.lpn_color(photos, tmp_path / "c", config=config, start=small)
    assert again.read_bytes() == made[photographs.lpn_color].read_bytes()
    assert again.read_bytes() != made[photographs.lpn_gray].read_bytes()
    with pytest.raises(ValueError, match="lpn-color.safetensors exists; choose another"):
        photographs.lpn_color(photos, tmp_path / "c", config=config)


def test_every_recipe_is_found_and_is_called_what_the_command_calls_it():
    rooms = {place.split(":")[0] for place in RECIPES.values()}
    files = {path.stem for path in Path(recipes.__file__).parent.glob("*.py")}
    assert rooms == files - {"__init__", "names", "denoising"}
    made = {}
    for room in rooms:
        for attribute, value in vars(import_module(f"{recipes.__name__}.{room}")).items():
            if isinstance(value, Recipe):
                made[value.name] = f"{room}:{attribute}"
    assert made == RECIPES


def test_some_recipes_train_a_model_further():
    found = {name: resolve_name(f"{recipes.__name__}.{place}") for name, place in RECIPES.items()}
    assert {name: recipe.start for name, recipe in found.items() if recipe.goes_on} == {
        "lpn-gray-pm": "lpn-gray",
        "crate-gray-step": "crate-gray",
        "gs-unet": "unet-gray",
        "gs-unet-wide": "unet-gray-wide",
        "gs-unet-wide-flat": "gs-unet-wide",
        "gs-unet-color": "unet-color",
        "gs-unet-ct": "unet-ct",
        "lpn-ct-zoom": "lpn-gray",
        "lpn-ct-zoom-large": "lpn-gray-large",
    }


@pytest.mark.parametrize("rival", ["gray", "gray-small", "gray-large", "color"])
def test_rivals_have_the_size_of_what_they_stand_beside(rival):
    sizes = []
    for kind in ("lpn", "unet"):
        recipe = getattr(photographs, f"{kind}-{rival}".replace("-", "_"))
        model, _ = recipe.prepare.build(recipe.start, TrainConfig())
        sizes.append(sum(p.numel() for p in model.parameters()))
    assert abs(sizes[1] / sizes[0] - 1) < 0.02


def test_so_have_those_beside_crate():
    sizes = []
    for recipe in (photographs.crate_gray, photographs.unet_gray_wide, photographs.dncnn_gray):
        model, _ = recipe.prepare.build(recipe.start, TrainConfig())
        sizes.append(sum(p.numel() for p in model.parameters()))
    assert max(sizes) < 1.02 * min(sizes) and max(sizes) <= 1.5e6
