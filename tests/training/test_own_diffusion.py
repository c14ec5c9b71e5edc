"""A diffusion of one's own folder: `proxlab train proxdm`, then `sample` and `posterior`."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import astronaut

import proxlab
from proxlab import checkpoints
from proxlab.commands.main import main
from proxlab.diffusion.network import DiffusionNet
from proxlab.training.diffusion_training import DiffusionTraining, of_size, size_words
from proxlab.training.recipes.diffusion import proxdm, proxdm_color


@pytest.mark.parametrize(
    "side, multipliers, batch",
    [
        (8, (1,), 128),
        (16, (1,), 128),
        (28, (1, 2), 128),
        (32, (1, 2), 128),
        (64, (1, 2, 2), 32),
        (96, (1, 2, 2), 14),
        (128, (1, 2, 2, 2), 8),
        (256, (1, 2, 2, 2, 2), 4),
    ],
)
def test_the_network_grows_with_the_side(side, multipliers, batch):
    network, training = of_size(side, True)
    assert (network.side, network.channels, network.multipliers) == (side, 3, multipliers)
    assert training.batch == batch
    coarsest = side // 2 // 2 ** (len(multipliers) - 1)
    assert coarsest < 16 and size_words(network) == f" --size {side} --color"
    assert of_size(side, False)[0].channels == 1


def test_at_32_in_colour_it_is_that_of_proxdm_color():
    assert of_size(32, True)[0] == proxdm_color.start
    assert proxdm.start == of_size(32, False)[0] and isinstance(proxdm.config, DiffusionTraining)


@pytest.mark.parametrize(
    "side, sentence",
    [
        (7, "sides of 8 to 256 pixels, got 7"),
        (512, "sides of 8 to 256 pixels, got 512; reduce larger images"),
        (9, "9 pixels is not divided by 2, as 1 scales need; take 8 or 10"),
        (30, "30 pixels is not divided by 4, as 2 scales need; take 28 or 32"),
        (100, "100 pixels is not divided by 8, as 3 scales need; take 96 or 104"),
    ],
)
def test_other_sides_are_refused_with_a_remedy(side, sentence):
    with pytest.raises(ValueError, match=sentence):
        of_size(side, False)


@pytest.mark.parametrize("side", range(8, 257))
def test_what_is_not_refused_can_be_built(side, monkeypatch):
    monkeypatch.setattr(DiffusionNet, "__init__", lambda self, config: None)
    try:
        network, _ = of_size(side, False)
    except ValueError as error:
        near = [int(word) for word in str(error).rpartition("take ")[2].split(" or ")]
        assert all(of_size(n, False)[0].side == n for n in near if 8 <= n <= 256)
    else:
        assert network.shape == (1, side, side)


@pytest.fixture
def classes(tmp_path):
    """Crops of a photograph in class folders."""
    for i in range(4):
        place = tmp_path / "pictures" / "ab"[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        crop = astronaut()[60 * i : 60 * i + 20, 200:226]
        Image.fromarray(crop).save(place / f"{i}.png")
    return tmp_path / "pictures"


@pytest.mark.parametrize("color", [False, True])
def test_it_trains_samples_and_stands_behind_a_measurement(color, classes, tmp_path, capsys):
    option = " --color" if color else ""
    words = f"train proxdm --data {classes} --size 8{option} --steps 4 --batch 2"
    words += f" --device cpu --out {tmp_path / 'run'}"
    assert main(words.split()) == 0
    said = capsys.readouterr()
    assert said.out == f"{tmp_path / 'run/proxdm.safetensors'}\n"
    assert "held out to judge by: a/0.png (1 of 4 images)" in said.err.replace("\\", "/")
    made, channels = tmp_path / "run/proxdm.safetensors", 3 if color else 1
    card = json.loads(made.with_suffix(".json").read_text())
    length = f"proxlab train proxdm --steps 4 --batch 2 --size 8{option} --data "
    assert card["command"].startswith(length)
    assert card["data"] == "crops of 8 x 8 pixels of 3 images of pictures"
    assert card["held_out_noise_error"].keys() == {"squared", "absolute"}
    assert checkpoints.load_diffusion(made).shape == (channels, 8, 8)
    sheet = tmp_path / "s.npy"
    words = f"sample {made} --n 2 --steps 2 --out {sheet} --device cpu --quiet"
    assert main(words.split()) == 0
    assert np.load(sheet).shape == (2, channels, 8, 8)
    photo = tmp_path / "photo.png"
    Image.fromarray(astronaut()[100:108, 200:208]).convert("RGB" if color else "L").save(photo)
    words = f"posterior {photo} inpaint --missing 0.5 --noise 0.1 --simulate --prior {made}"
    words += f" --samples 3 --steps 2 --out {tmp_path / 'behind'} --device cpu --quiet"
    assert main(words.split()) == 0, capsys.readouterr().err
    assert np.load(tmp_path / "behind/samples.npy").shape == (3, channels, 8, 8)
    restored = proxlab.restore(
        torch.rand(1, channels, 8, 8),
        proxlab.operators.inpaint(torch.ones(8, 8), 0.1),
        made,
        steps=2,
    )
    assert restored.image.shape == (1, channels, 8, 8)


def test_size_is_for_images_of_any_size(capsys):
    for options in ("--size 64", "--color"):
        assert main(f"train lpn-gray {options}".split()) == 1
        said = capsys.readouterr().err
        assert "--size and --color are for proxdm, not for lpn-gray; leave them out" in said
