"""The classifier answers image by image, learns, resumes, and reads real digits."""

import json
import os

import pytest
import torch
from torch import nn

from proxlab import checkpoints
from proxlab.diffusion.digit_classifier import (
    NAME,
    DigitClassifier,
    DigitClassifierConfig,
)
from proxlab.images.data_sets import Digits, load_digits
from proxlab.training.config import Run
from proxlab.training.recipes import digits
from proxlab.training.recipes.digits import (
    DigitClassifierTraining,
    MovedDigits,
    accuracy,
    digit_classifier,
)

SMALL = DigitClassifierConfig(widths=(8, 8, 8), features=16)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def toy_digits(count, seed=0):
    """Noise, with a bright square whose place is the label."""
    labels = torch.randint(10, (count,), generator=seeded(seed))
    images = torch.randint(60, (count, 1, 28, 28), dtype=torch.uint8, generator=seeded(seed))
    for image, label in zip(images, labels, strict=True):
        row, column = 4 + 12 * (label // 5), 3 + 5 * (label % 5)
        image[:, row : row + 5, column : column + 3] = 250
    return Digits(images, labels)


def influence(model):
    """How much the images beside it change the features of an image, relative."""
    x = torch.rand(4, 1, 28, 28, generator=seeded())
    alone = model.features(x[:1]).detach()
    beside = model.features(torch.cat([x[:1], torch.zeros_like(x), 1 - x]))[:1].detach()
    return float((alone - beside).norm() / alone.norm())


def test_no_image_changes_the_answer_to_another():
    assert influence(DigitClassifier(SMALL).train()) < 1e-5


def test_that_check_catches_batch_statistics():
    model = DigitClassifier(SMALL)
    model.body[1] = nn.BatchNorm2d(8)
    assert influence(model.train()) > 1e-2


def test_features_are_what_the_logits_are_linear_in():
    model, x = DigitClassifier(SMALL), torch.rand(3, 1, 28, 28, generator=seeded())
    features = model.features(x)
    assert features.shape == (3, 16)
    torch.testing.assert_close(model(x), features @ model.head.weight.T + model.head.bias)
    assert torch.equal(model(x), model(x, torch.empty(3, 0)))
    assert sum(p.numel() for p in DigitClassifier(DigitClassifierConfig()).parameters()) > 100_000


@pytest.mark.parametrize(
    "x, message",
    [
        (torch.zeros(1, 28, 28), r"float images \[B, 1, 28, 28\] in \[0, 1\], got torch.float32"),
        (torch.zeros(2, 3, 28, 28), r"of shape \[2, 3, 28, 28\]"),
        (torch.zeros(0, 1, 28, 28), r"of shape \[0, 1, 28, 28\]"),
        (torch.zeros(2, 1, 28, 28, dtype=torch.uint8), "got torch.uint8"),
        (torch.full((2, 1, 28, 28), 255.0), "from 255 to 255; divide by 255, or clamp"),
        (torch.full((2, 1, 28, 28), -1.0), "from -1 to -1"),
        (torch.full((2, 1, 28, 28), torch.nan), "values from nan"),
    ],
)
def test_other_images_are_refused(x, message):
    with pytest.raises(ValueError, match=message):
        DigitClassifier(SMALL)(x)


@pytest.mark.parametrize("wrong", [{"widths": (8, 16)}, {"widths": (8, 12, 16)}, {"features": 0}])
def test_other_sizes_are_refused(wrong):
    with pytest.raises(ValueError, match="multiples of 8|features is at least 1"):
        DigitClassifierConfig(**wrong)


def centroids(config, row, column, count=400):
    """(row, column) of where a spot comes to lie, from the centre of the image, [count, 2]."""
    spot = torch.zeros(1, 1, 28, 28, dtype=torch.uint8)
    spot[..., row - 1 : row + 2, column - 1 : column + 2] = 255
    _, images, _ = MovedDigits(Digits(spot, torch.tensor([3])), config).draw(count, seeded())
    mass, places = images[:, 0], torch.arange(28) - 13.5
    rows, columns = (mass.sum(2) * places).sum(1), (mass.sum(1) * places).sum(1)
    return torch.stack([rows, columns], 1) / mass.sum((1, 2))[:, None]


def test_digits_are_moved_by_at_most_two_pixels():
    moved = centroids(DigitClassifierTraining(turn=0, stretch=0), 14, 14) - 0.5
    assert 1.9 < moved.abs().max() < 2.05 and moved.mean(0).norm() < 0.3
    further = centroids(DigitClassifierTraining(turn=0, stretch=0, shift=4), 14, 14) - 0.5
    assert further.abs().max() > 3


def test_digits_are_turned_and_stretched_within_bounds():
    config = DigitClassifierTraining(shift=0)
    moved = centroids(config, 14, 22)
    angles = torch.atan2(moved[:, 0] - 0, moved[:, 1]).rad2deg() - 3.4
    assert 9 < angles.abs().max() < 11
    ratio = moved.norm(dim=1) / 8.515
    assert 0.9 < ratio.min() < 0.93 and 1.08 < ratio.max() < 1.12


def test_digits_keep_their_labels_and_the_generator_decides():
    digits = toy_digits(20)
    still = MovedDigits(digits, DigitClassifierTraining(shift=0, turn=0, stretch=0))
    labels, images, condition = still.draw(64, seeded(5))
    assert condition.shape == (64, 0) and images.shape == (64, 1, 28, 28)
    for label, image in zip(labels, images, strict=True):
        match = (digits.images / 255 - image).abs().amax((1, 2, 3)) < 1e-5
        assert match.any() and (digits.labels[match] == label).all()
    moving = MovedDigits(digits, DigitClassifierTraining())
    assert torch.equal(moving.draw(8, seeded(1))[1], moving.draw(8, seeded(1))[1])
    assert not torch.equal(moving.draw(8, seeded(1))[1], moving.draw(8, seeded(2))[1])


@pytest.fixture
def parts(monkeypatch):
    """Toy digits in place of MNIST; the parts of it that were asked for, in order."""
    asked = []

    def load(part, root=None):
        asked.append(part)
        return toy_digits(300, seed=len(part))

    monkeypatch.setattr(digits, "load_digits", load)
    return asked


def trained(out, steps, **options):
    config = DigitClassifierTraining(steps=steps, batch=32, learning_rate=1e-2, ema=0.9)
    return digit_classifier(out=out, config=config, start=SMALL, run=Run(**options))


def test_it_learns_and_looks_at_test_digits_once_at_the_end(tmp_path, parts):
    path = trained(tmp_path / "run", 80)
    card = json.loads(path.with_suffix(".json").read_text())
    assert parts == ["train", "held-out", "test"]
    assert card["held_out_accuracy"] > 0.95 and card["test_accuracy"] > 0.95
    assert card["command"] == f"proxlab train {NAME} --steps 80 --batch 32" and card["steps"] == 80
    assert accuracy(DigitClassifier(SMALL), toy_digits(300)) < 0.5
    assert accuracy(checkpoints.load_classifier(path), toy_digits(300)) > 0.95
    with pytest.raises(ValueError, match="digit-classifier.safetensors exists; choose another"):
        trained(tmp_path / "run", 80)


def test_resumed_equals_uninterrupted_to_the_bit(tmp_path, parts):
    whole = trained(tmp_path / "a", 3).read_bytes()
    parts.clear()
    for pieces in range(3):
        path = trained(tmp_path / "b", 3, pause=0, resume=pieces > 0)
        assert (path is None) == (pieces < 2) == ("test" not in parts)
    assert path.read_bytes() == whole != trained(tmp_path / "c", 4).read_bytes()


@pytest.mark.skipif(NAME not in checkpoints.models(), reason="the classifier is not shipped")
@pytest.mark.skipif("PROXLAB_DATA" not in os.environ, reason="PROXLAB_DATA has MNIST")
def test_the_shipped_classifier_reads_99_of_100_digits():
    images, labels = load_digits("test")
    digits = Digits(images[::5], labels[::5])
    assert accuracy(checkpoints.load_classifier(NAME), digits) >= 0.99
    assert (
        accuracy(checkpoints.load_classifier(NAME), Digits(images[::5].flip(3), labels[::5])) < 0.9
    )
