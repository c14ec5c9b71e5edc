"""What is trained on and what is held out: apart by photograph, said, and whatever the folders."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from skimage.data import astronaut

from proxlab.images import stored
from proxlab.images.folders import hold_out, hold_out_part
from proxlab.images.stored import find_photographs, find_tree, open_gray, open_tree
from proxlab.training import split
from proxlab.training.config import Run
from proxlab.training.split import MIDDLE, MOST_FIGURED, middles, open_split


def save(path, level, height=20, width=24):
    """An image of one level, by which it is known again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), (level,) * 3).save(path)


def levels(images):
    return [int(x.flatten()[0]) for x in images]


def check_apart(folder):
    """AssertionError unless no level that is trained on is held out, and all are one or other."""
    found = open_split(open_gray, folder, 8, Run())
    trained, held_out = levels(found.images), levels(found.held_out)
    assert trained and held_out and not set(trained) & set(held_out)
    assert sorted(trained + held_out) == sorted(levels(open_gray(folder)))
    return found


@pytest.mark.parametrize("count, held_out", [(2, 1), (3, 1), (20, 1), (21, 2), (45, 3)])
def test_photographs_are_trained_on_or_held_out(count, held_out, tmp_path):
    for i in range(count):
        save(tmp_path / f"{i:02d}.png", i)
    found = check_apart(tmp_path)
    assert len(found.held_out) == held_out
    assert found.in_words == f"{count - held_out} images of {tmp_path.name}"
    names = ", ".join(f"{20 * i:02d}.png" for i in range(held_out))
    assert found.held_out_in_words == f"{names} ({held_out} of {count} images)"


@pytest.mark.parametrize(
    "mistake",
    [
        lambda images, every=20: (images, images[::every]),  # all are trained on
        lambda images, every=20: (images[1:], images[:2]),
        lambda images, every=20: (images[:-1], images[:1]),
    ],
)
def test_that_check_catches_an_overlap(mistake, tmp_path, monkeypatch):
    for i in range(3):
        save(tmp_path / f"{i}.png", i)
    monkeypatch.setattr(split, "hold_out", mistake)
    with pytest.raises(AssertionError):
        check_apart(tmp_path)


def test_many_held_out_images_are_counted_and_not_named(tmp_path):
    for i in range(101):
        save(tmp_path / f"{i:03d}.png", i)
    found = open_split(open_gray, tmp_path, 8, Run())
    assert found.held_out_in_words == "6 of 101 images"


def numbered(height, width):
    return torch.arange(height * width).view(height, width)


@pytest.mark.parametrize("shape", [(16, 100), (100, 16), (8, 16), (3, 20, 90)])
def test_of_a_single_image_a_part_is_held_out(shape):
    image = numbered(*shape[-2:]).expand(shape)
    kept, end = hold_out_part(image, 8)
    both = {*kept.flatten().tolist()} & {*end.flatten().tolist()}
    assert not both and kept.numel() + end.numel() == image.numel()
    assert min(*kept.shape[-2:], *end.shape[-2:]) >= 8


@pytest.mark.parametrize("shape", [(15, 15), (7, 100), (8, 15)])
def test_a_single_image_that_is_too_small_is_refused(shape):
    with pytest.raises(ValueError, match=r"a single image of \d+ x \d+ pixels is too small"):
        hold_out_part(numbered(*shape), 8)


def test_the_part_is_said(tmp_path):
    save(tmp_path / "one.png", 5, 20, 60)
    found = open_split(open_gray, tmp_path, 8, Run())
    assert found.held_out_in_words == "a part of one.png, 20 x 12 pixels at its end"
    assert found.in_words == f"the rest of the 1 image of {tmp_path.name}"
    assert [x.shape for x in (*found.images, *found.held_out)] == [(20, 48), (20, 12)]


def tree(root, names):
    """Folders of images, each of a level of its own, in the order of `names`."""
    for level, name in enumerate(names):
        save(root / name, level)
    return root


CLASSES = ["cat/a.png", "cat/b.png", "dog/a.png", "dog/deep/er/c.png", "top.png"]


def check_classes_are_ignored(root):
    """AssertionError unless all images of all folders are found, whatever the folders are."""
    assert sorted(levels(open_tree(gray=True)(tree(root / "a", CLASSES)))) == [0, 1, 2, 3, 4]
    renamed = [name.replace("cat", "0").replace("dog", "1") for name in CLASSES]
    found = open_tree(gray=True)(tree(root / "b", renamed))
    assert levels(found) == levels(open_tree(gray=True)(root / "a"))


def test_class_folders_are_ignored(tmp_path):
    check_classes_are_ignored(tmp_path)
    (tmp_path / "a/.hidden").mkdir()
    save(tmp_path / "a/.hidden/x.png", 9)
    assert 9 not in levels(open_tree(gray=True)(tmp_path / "a"))
    found = open_split(open_tree(gray=True), tmp_path / "a", 8, Run(), find_tree)
    assert found.held_out_in_words == f"{Path('cat/a.png')} (1 of 5 images)"
    with pytest.raises(ValueError, match="gray"):
        Image.new("L", (20, 20)).save(tmp_path / "a/gray.png")
        open_tree(gray=False)(tmp_path / "a")


@pytest.mark.parametrize(
    "mistake",
    [
        lambda place: find_photographs(place / "cat"),  # one class of them
        lambda place: find_photographs(place),  # none of them
        lambda place: sorted(find_tree(place), key=lambda p: (p.parent.name == "dog", p)),
    ],
)
def test_that_check_catches_class_folders_that_are_used(mistake, tmp_path, monkeypatch):
    monkeypatch.setattr(stored, "find_tree", mistake)
    with pytest.raises((AssertionError, ValueError)):
        check_classes_are_ignored(tmp_path)


def test_a_folder_without_an_image_anywhere_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="and its subfolders hold no image; looked for"):
        open_tree(gray=True)(tmp_path)
    with pytest.raises(ValueError, match="does not exist"):
        open_tree(gray=True)(tmp_path / "nowhere")


def test_figures_are_of_middles_that_end_in_a_minute():
    large = torch.from_numpy(astronaut()).permute(2, 0, 1).repeat(1, 2, 2)
    (middle,) = middles([large])
    assert torch.equal(middle, large[:, 256:768, 256:768]) and middle.shape[-1] == MIDDLE
    small = torch.zeros(40, 700)
    assert middles([small])[0].shape == (40, MIDDLE)
    assert middles([small[:, :300]])[0].shape == (40, 300)
    many = middles([torch.full((4, 4), i) for i in range(1200)])
    assert len(many) == MOST_FIGURED and levels(many)[:3] == [0, 24, 48]
    assert len(hold_out(list(range(1200)))[1]) == 60
