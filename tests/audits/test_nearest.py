"""Distances to the two nearest distinct training images, against a loop; doubles; order; chunks."""

import pytest
import torch

from proxlab.audits import nearest
from proxlab.audits.nearest import distance_ratio

G = torch.Generator().manual_seed(0)
TRAIN = torch.rand(200, 1, 5, 4, generator=G)
IMAGES = torch.cat([torch.rand(30, 1, 5, 4, generator=G), TRAIN[:5] + 1e-4])


def by_loop(images, train):
    found = []
    for x in images.double():
        each = sorted((float((x - t).norm()), i) for i, t in enumerate(train.double()))
        found.append((each[0][0] / each[1][0], each[0][1]))
    return found


def agrees(found, right):
    same = [int(i) for i in found.index] == [i for _, i in right]
    return same and torch.allclose(found.ratio, torch.tensor([r for r, _ in right]).double())


def test_it_is_what_a_loop_finds_in_any_chunks_and_order(monkeypatch):
    right = by_loop(IMAGES, TRAIN)
    assert agrees(distance_ratio(IMAGES, TRAIN), right)
    monkeypatch.setattr(nearest, "CHUNK", 7)
    assert agrees(distance_ratio(IMAGES, TRAIN), right)
    assert agrees(distance_ratio(IMAGES, list(TRAIN)), right)
    shuffled = torch.randperm(200, generator=G)
    found = distance_ratio(IMAGES, TRAIN[shuffled])
    assert torch.equal(shuffled[found.index], torch.tensor([i for _, i in right]))


def test_the_third_nearest_is_not_the_second(monkeypatch):
    """A planted mistake: the loop with the third nearest would not agree."""
    right = by_loop(IMAGES, TRAIN)
    wrong = []
    for x in IMAGES.double():
        each = sorted(float((x - t).norm()) for t in TRAIN.double())
        wrong.append((each[0] / each[2], 0))
    found = distance_ratio(IMAGES, TRAIN).ratio
    assert (found - torch.tensor([r for r, _ in wrong]).double()).abs().max() > 0.01
    assert torch.allclose(found, torch.tensor([r for r, _ in right]).double())


def test_an_image_that_occurs_twice_counts_once():
    doubled = torch.cat([TRAIN, TRAIN[:50]])
    assert torch.equal(distance_ratio(IMAGES, doubled).ratio, distance_ratio(IMAGES, TRAIN).ratio)
    assert float(distance_ratio(TRAIN[:3], doubled).ratio.max()) == 0


def test_a_shift_of_all_and_bytes_change_nothing():
    far = distance_ratio(IMAGES.double() + 100, TRAIN.double() + 100)
    near = distance_ratio(IMAGES, TRAIN)
    assert torch.equal(far.index, near.index) and torch.allclose(far.ratio, near.ratio, atol=1e-6)
    levels = (255 * TRAIN).round().to(torch.uint8)
    same = distance_ratio(IMAGES, levels)
    assert torch.allclose(same.ratio, distance_ratio(IMAGES, levels / 255.0).ratio, atol=1e-5)


@pytest.mark.parametrize(
    "train, says",
    [
        (TRAIN[:1], "two distinct training images, got 1"),
        (TRAIN[[0, 0, 0]], "two distinct training images, got 1"),
        (torch.rand(9, 1, 4, 4), "training images .1, 4, 4."),
    ],
)
def test_training_images_that_cannot_be_are_refused(train, says):
    with pytest.raises(ValueError, match=says):
        distance_ratio(IMAGES, train)
