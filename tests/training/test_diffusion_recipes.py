"""Recipes of diffusion models: the same loop, resumable to the bit; data from where it is said."""

import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from proxlab import checkpoints
from proxlab.diffusion.sources import Whole
from proxlab.images.data_sets import load_cifar10
from proxlab.training.config import Run
from proxlab.training.recipes.diffusion import (
    Data,
    DiffusionTraining,
    noise_error,
    proxdm_cifar10,
    proxdm_color,
    proxdm_mnist,
    proximal_stages,
    score_mnist,
    score_stages,
)
from solvers import step_sizes
from tests.tiny_diffusion import TINY

CONFIG = DiffusionTraining(steps=10, batch=4, candidates=(5, 10), checkpoint_every=3)
IMAGES = torch.randint(
    256, (40, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)


def tiny(recipe):
    """On random images of 8 x 8, and a network of that size."""
    data = Data(Whole(IMAGES[1::2]), Whole(IMAGES[::2]), "20 images of noise")
    prepare = replace(recipe.prepare, load=lambda place, side, run: data)
    return replace(recipe, prepare=prepare, start=TINY, config=CONFIG)


@pytest.mark.parametrize("recipe", [tiny(proxdm_mnist), tiny(score_mnist)], ids=lambda r: r.name)
def test_resumed_equals_uninterrupted_to_the_bit(tmp_path, recipe):
    whole = checkpoints.load_diffusion(recipe(out=tmp_path / "a"))
    path, pieces = recipe(out=tmp_path / "b", run=Run(pause=0)), 1
    while path is None:
        run = Run(pause=0, resume=True)
        path, pieces = recipe(out=tmp_path / "b", run=run), pieces + 1
    assert pieces == 10
    resumed = checkpoints.load_diffusion(path)
    assert whole.config == resumed.config == TINY
    for name, weights in whole.state_dict().items():
        assert torch.equal(weights, resumed.state_dict()[name])
    card = json.loads(path.with_suffix(".json").read_text())
    batch = recipe.config.batch
    assert card["command"] == f"proxlab train {recipe.name} --steps 10 --batch {batch}"
    assert card["device"] == "cpu"
    assert card["held_out_noise_error"].keys() == {"squared", "absolute"}
    with pytest.raises(ValueError, match="exists; choose another folder, or resume"):
        recipe(out=tmp_path / "a")


def test_training_lowers_the_error_it_minimises(tmp_path):
    recipe = tiny(score_mnist)
    config = replace(CONFIG, steps=60, batch=16)
    aim = recipe.prepare.aim
    model = aim.build(TINY, config)
    pairs = aim.pairs(Whole(IMAGES[1::2]), model, config)
    drawn = pairs(200, torch.Generator().manual_seed(5))
    before = noise_error(model, drawn)["squared"]
    after = noise_error(checkpoints.load_diffusion(recipe(out=tmp_path, config=config)), drawn)
    assert after["squared"] < 0.97 * before


def test_a_prox_learns_the_steps_that_its_own_few_step_grids_ask_for():
    """The grids are those of the model with the start law of these images, told by `fit`."""
    recipe = tiny(proxdm_mnist)
    config = replace(CONFIG, few=(3,))
    model = recipe.prepare.aim.build(TINY, config)
    model.start.fit(IMAGES)
    pairs = recipe.prepare.aim.pairs(Whole(IMAGES), model, config)
    _, _, condition = pairs(400, torch.Generator().manual_seed(0))
    asked = {(round(t, 6), round(lam, 6)) for t, lam in condition.tolist()}
    steps = step_sizes(model.few_steps(3), "restricted", model.schedule)
    assert asked >= {(round(t, 6), round(lam, 6)) for t, lam in steps}
    without = recipe.prepare.aim.pairs(Whole(IMAGES), model, replace(config, few=()))
    assert len(set(without(400, torch.Generator().manual_seed(0))[2][:, 0].tolist())) == 10


def test_both_models_take_equal_steps_at_equal_rates():
    """Equal training is what makes the comparison of samplers one of samplers."""
    prox, score = proximal_stages(DiffusionTraining()), score_stages(DiffusionTraining())
    assert [(s.steps, s.learning_rate) for s in prox] == [(s.steps, s.learning_rate) for s in score]
    assert sum(s.steps for s in prox) == DiffusionTraining().steps
    assert [s.loss.zeta for s in prox[1:]] == [0.25, 0.125]
    assert proxdm_mnist.start == score_mnist.start
    assert proxdm_mnist.config == score_mnist.config


def zipped(path, count, side=32, suffix=".png"):
    with zipfile.ZipFile(path, "w") as archive:
        for i in reversed(range(count)):
            file = io.BytesIO()
            Image.fromarray(np.full((side, side, 3), i, np.uint8)).save(file, "png")
            archive.writestr(f"train/{'ab'[i % 2]}/{i:04d}{suffix}", file.getvalue())
    return path


def test_cifar_in_one_zip(tmp_path, monkeypatch):
    path = zipped(tmp_path / "cifar10_train.zip", 40)
    monkeypatch.setenv("PROXLAB_DATA", str(tmp_path))
    order = [*range(0, 40, 2), *range(1, 40, 2)]  # by class folder, then by name
    train, held_out = load_cifar10("train"), load_cifar10("held-out", path)
    assert train.shape == (38, 3, 32, 32) and train.dtype == torch.uint8
    assert train[:, 0, 0, 0].tolist() == [k for i, k in enumerate(order) if i % 20]
    assert held_out[:, 2, 5, 5].tolist() == order[::20]
    with pytest.raises(FileNotFoundError, match="cifar10_test.zip is missing.*Krizhevsky"):
        load_cifar10("test")
    (tmp_path / "no.zip").write_text("no zip")
    for bad, message in (
        (tmp_path / "no.zip", "no.zip is not a zip of CIFAR-10"),
        (zipped(tmp_path / "e.zip", 2, suffix=".txt"), "e.zip holds no .jpg"),
        (zipped(tmp_path / "s.zip", 2, side=31), "31 x 31 pixels, expected 32 x 32"),
    ):
        with pytest.raises(ValueError, match=message):
            load_cifar10("test", bad)


def test_the_cifar_recipe_trains_on_a_cpu(tmp_path):
    """Its own network, which is to fit a file of 16 MiB, for two pairs and five steps."""
    path = zipped(tmp_path / "c.zip", 22)
    config = replace(proxdm_cifar10.config, steps=5, batch=2)
    made = proxdm_cifar10(path, tmp_path / "run", config=config)
    assert made.stat().st_size < 16 * 2**20
    assert checkpoints.load_diffusion(made).shape == (3, 32, 32)


def test_a_folder_of_photographs_is_cut_and_trained_on(tmp_path):
    seeded = torch.Generator().manual_seed(0)
    for k in range(21):
        levels = torch.randint(256, (34, 40, 3), dtype=torch.uint8, generator=seeded)
        Image.fromarray(levels.numpy()).save(tmp_path / f"{k:02d}.png")
    config = replace(proxdm_color.config, steps=4, batch=2)
    made = proxdm_color(tmp_path, tmp_path / "run", config=config)
    model = checkpoints.load_diffusion(made)
    assert model.shape == (3, 32, 32) and model.start.known
    card = json.loads(made.with_suffix(".json").read_text())
    assert card["data"].startswith("crops of 32 x 32 pixels of 19 images of ")
    Image.fromarray(np.zeros((31, 40, 3), np.uint8)).save(tmp_path / "x.png")
    with pytest.raises(ValueError, match="images at least as large, got one of 31 x 40; enlarge"):
        proxdm_color(tmp_path, tmp_path / "again", config=config)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"steps": 3}, "at least 4 steps, got 3"),
        ({"batch": 0}, "batch is at least 1, got 0"),
        ({"few": (3, 0)}, r"few are numbers of steps, at least 1, got \(3, 0\)"),
        ({"candidates": (0, 5)}, r"candidates are numbers of steps, at least 1, got \(0, 5\)"),
    ],
)
def test_nonsense_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        DiffusionTraining(**change)
