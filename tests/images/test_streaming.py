"""Images that stay on disk: trained on to the bit as from memory, held out ones never read."""

import json
import threading
import time
import warnings
from dataclasses import replace

import pytest
import torch
from PIL import Image
from skimage.data import astronaut

from proxlab import checkpoints
from proxlab.commands.main import main
from proxlab.images import stored
from proxlab.images.decoder_failures import decoding
from proxlab.images.folders import hold_out, load_color, load_gray
from proxlab.images.stored import RecentImages, StoredImages, open_color, open_gray
from proxlab.priors.crate.denoiser import CrateConfig
from proxlab.priors.lpn.mixture_config import MixtureConfig
from proxlab.training.config import Run, TrainConfig
from proxlab.training.draws import draws
from proxlab.training.loop import Task, train
from proxlab.training.losses import balanced_squared_error
from proxlab.training.patches import NoisyPatches, Patches
from proxlab.training.recipes import photographs
from proxlab.training.recipes.completion import crate_completion
from proxlab.training.recipes.denoising import untrained_lpn
from tests.images.shard_files import write_shards

CONFIG = TrainConfig(steps=3, batch=2, patch=16, checkpoint_every=1)
SMALL = MixtureConfig(4, 2, context=1)
COUNT = 23


@pytest.fixture(scope="module")
def album(tmp_path_factory):
    """A folder of 23 colour photographs, PNG, JPEG and TIFF, upright and not, and its shards."""
    root = tmp_path_factory.mktemp("album")
    folder = root / "photos"
    folder.mkdir()
    turned = Image.Exif()
    turned[0x0112] = 6
    for i in range(COUNT):
        image = Image.fromarray(astronaut()[4 * i : 4 * i + 36, 200 + i : 240 + 2 * i])
        kind = ("png", "jpg", "tif")[i % 3]
        image.save(folder / f"{i:06d}.{kind}", **({"exif": turned} if i in (4, 6) else {}))
    return folder, write_shards(folder, root / "shards")


@pytest.fixture
def streamed(monkeypatch):
    """No folder fits into memory, and hardly an image into the cache."""
    monkeypatch.setattr(stored, "IN_MEMORY", 4000)


@pytest.fixture
def read(monkeypatch):
    """The names of what is decoded, in order."""
    names, lock, original = [], threading.Lock(), stored.read_levels

    def spy(path, gray):
        with lock:
            names.append(path.name)
        return original(path, gray)

    monkeypatch.setattr(stored, "read_levels", spy)
    return names


def trained(data, out, recipe=photographs.lpn_gray, **options):
    return recipe(data, out, config=CONFIG, start=SMALL, run=Run(**options))


def weights(path):
    return checkpoints.load(path).state_dict()


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("name, kind", [("lpn_gray", 0), ("lpn_gray", 1), ("lpn_color", 1)])
def test_streamed_training_is_that_from_memory_to_the_bit(name, kind, album, tmp_path, request):
    recipe = getattr(photographs, name)
    memory = trained(album[0], tmp_path / "a", recipe)
    request.getfixturevalue("streamed")
    assert isinstance(recipe.prepare.load(album[kind]), StoredImages)
    assert same(weights(memory), weights(trained(album[kind], tmp_path / "b", recipe)))
    first, second = (
        json.loads((tmp_path / x / memory.name).with_suffix(".json").read_text()) for x in "ab"
    )
    assert first["held_out_psnr"] == second["held_out_psnr"]
    assert first["data"] == "21 images of photos"
    assert second["data"] == f"21 images of {album[kind].name}"


def test_completion_too(album, tmp_path, request):
    small = CrateConfig(width=16, layers=1, heads=2)
    config = replace(CONFIG, steps=2, patch=32)
    a = crate_completion(album[0], tmp_path / "a", config=config, start=small)
    request.getfixturevalue("streamed")
    b = crate_completion(album[1], tmp_path / "b", config=config, start=small)
    assert same(weights(a), weights(b))


def test_streamed_and_resumed_is_uninterrupted_to_the_bit(album, tmp_path, streamed):
    whole = trained(album[1], tmp_path / "a")
    pieces, path = 1, trained(album[1], tmp_path / "b", pause=0)
    while path is None:
        path = trained(album[1], tmp_path / "b", pause=0, resume=True)
        pieces += 1
    assert pieces == 3 and same(weights(whole), weights(path))


def test_held_out_images_are_not_read_to_train_on(album, tmp_path, streamed, read):
    kept = {"000000.png", "000020.tif"}
    images, held_out = hold_out(open_gray(album[1]))
    assert len(images) == 21 and len(held_out) == 2 and not read
    Patches(images, 16).draw(200, torch.Generator().manual_seed(0))
    assert len(set(read)) == 21 and not kept & set(read)
    read.clear()
    assert trained(album[1], tmp_path / "a", pause=0) is None
    assert read and not kept & set(read)
    read.clear()
    assert list(held_out) and set(read) == kept


def test_what_fits_is_in_memory_and_the_command_says_what_does_not(
    album, tmp_path, capsys, monkeypatch
):
    colour, gray = load_color(album[0]), load_gray(album[0])
    for place in album:
        for found, right in ((open_color(place), colour), (open_gray(place), gray)):
            assert isinstance(found, list)
            assert all(torch.equal(a, b) for a, b in zip(found, right, strict=True))
    monkeypatch.setattr(stored, "IN_MEMORY", sum(x.nbytes for x in gray) - 1)
    found = open_gray(album[0])
    assert isinstance(found, StoredImages) and isinstance(found[2:9:3], StoredImages)
    assert torch.equal(found[2:9:3][1], gray[5]) and torch.equal(found[-1], gray[-1])
    words = f"train lpn-gray-small --device cpu --steps 1 --data {album[0]} --out"
    assert main([*words.split(), str(tmp_path / "a")]) == 1
    said = f"23 images are {sum(x.nbytes for x in gray) / 2**30:.3g} GiB decoded: they are read"
    assert said in capsys.readouterr().err
    assert main([*words.split(), str(tmp_path / "b"), "--quiet"]) == 1
    assert capsys.readouterr().err.startswith("proxlab: patches of 64 pixels need images at least")


@pytest.mark.parametrize("most", [0, 1500, 4000, 10**6])
def test_the_cache_keeps_to_its_bound(most, album, read):
    images = StoredImages(sorted(album[0].iterdir()), True, most)
    order = torch.randint(COUNT, (100,), generator=torch.Generator().manual_seed(0)).tolist()
    for i in order:
        assert torch.equal(images[i], images[i : i + 1][0])
        held = sum(x.nbytes for x in images.cache._images.values())
        assert held == images.cache.held <= most
    assert len(read) == (200 if most == 0 else len(set(order)) if most == 10**6 else len(read))
    assert images.cache.held > most / 2 or most == 10**6 or most == 0


def test_the_cache_drops_what_was_not_used_for_longest():
    cache = RecentImages(10)
    a, b, c = (torch.full((4,), i, dtype=torch.uint8) for i in range(3))
    cache.put("a", a)
    cache.put("b", b)
    assert cache.get("a") is a
    cache.put("c", c)
    cache.put("large", torch.zeros(11, dtype=torch.uint8))
    assert cache.get("b") is None and cache.get("large") is None
    assert cache.get("a") is a and cache.get("c") is c and cache.held == 8
    with pytest.raises(ValueError, match="at least 0 bytes, got -1"):
        RecentImages(-1)


def test_what_is_drawn_ahead_is_what_is_drawn_in_turn(album):
    images = StoredImages(sorted(album[0].iterdir()), True, 2000)
    patches = Patches(images, 16)

    def pairs(count, generator):
        time.sleep(0.002 * int(torch.randint(3, (), generator=generator)))
        return patches.draw(count, generator), None, None

    turns = [(step, drawn[0]) for step, drawn in draws(pairs, 3, 1, range(12))]
    for ahead, first in ((1, 0), (4, 0), (30, 0), (2, 7)):
        found = list(draws(pairs, 3, 1, range(first, 12), ahead))
        assert [step for step, _ in found] == list(range(first, 12))
        for (_, x), (_, drawn) in zip(turns[first:], found, strict=True):
            assert torch.equal(x, drawn[0])


def test_training_on_what_is_drawn_ahead_ends_the_same(album, tmp_path):
    images = StoredImages(sorted(album[0].iterdir()), True, 2000)
    pairs = NoisyPatches(Patches(images, 16), CONFIG.sigma_range).draw
    ends = []
    for ahead in (0, 3):
        model, groups = untrained_lpn(SMALL, CONFIG)
        task = Task(model, groups, pairs, balanced_squared_error, ahead=ahead)
        out, finished = tmp_path / str(ahead), False
        while not finished:
            finished = train(task, CONFIG, out, Run(pause=0, resume=True)).finished
        ends.append(model.state_dict())
    assert same(*ends)


@pytest.mark.parametrize("ahead", [0, 3])
def test_a_draw_that_fails_is_told_at_its_step(ahead):
    def pairs(count, generator):
        if generator.initial_seed() >= 5:
            raise ValueError("damaged")
        return (generator.initial_seed(),) * 3

    steps, seen = draws(pairs, 1, 0, range(9), ahead), []
    with pytest.raises(ValueError, match="damaged"):
        for step, drawn in steps:
            seen.append((step, drawn[0]))
    assert seen == [(k, k) for k in range(5)]
    assert not [t for t in threading.enumerate() if t.name.startswith("draw")]


def test_decoding_in_threads_leaves_the_filters_of_warnings():
    """One of two decodings ends within the other, the other after it."""
    inside, both, left = threading.Event(), threading.Event(), threading.Event()

    def first():
        with decoding("a"):
            inside.set()
            both.wait(9)
        left.set()

    def second():
        inside.wait(9)
        with decoding("b"):
            both.set()
            left.wait(9)

    with warnings.catch_warnings():
        before = list(warnings.filters)
        threads = [threading.Thread(target=work) for work in (first, second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert warnings.filters == before
