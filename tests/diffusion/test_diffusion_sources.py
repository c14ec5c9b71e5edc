"""Images that a diffusion is trained on: drawn as they are, crops mirrored but never turned."""

import pytest
import torch

from proxlab.diffusion.sources import Crops, Whole


def ramp(height=40, width=50):
    """An image whose every crop tells its place: rows in red, columns in green."""
    rows = torch.arange(height)[:, None].expand(height, width)
    columns = torch.arange(width)[None].expand(height, width)
    return torch.stack([rows, columns, torch.zeros_like(rows)]).byte()


def test_whole_images_are_drawn_as_they_are():
    images = torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1).expand(6, 1, 2, 2) * 51
    source = Whole(images)
    drawn = source.draw(200, torch.Generator().manual_seed(0))
    assert set(drawn.unique().tolist()) == set((images / 127.5 - 1).unique().tolist())
    assert torch.equal(source.levels(4), images[:4]) and len(source) == 6


def test_crops_lie_inside_and_are_mirrored_but_never_turned():
    source = Crops([ramp()], 32)
    drawn = ((source.draw(300, torch.Generator().manual_seed(0)) + 1) * 127.5).round()
    top, left = drawn[:, 0, 0, 0], drawn[:, 1, 0].amin(1)
    assert top.unique().tolist() == list(range(9)) and left.unique().tolist() == list(range(19))
    assert (drawn[:, 0].diff(dim=1) == 1).all()  # rows are still rows, upright
    steps = drawn[:, 1].diff(dim=2)
    mirrored = (steps == -1).flatten(1).all(1)
    assert (mirrored | (steps == 1).flatten(1).all(1)).all()
    assert 0.4 < mirrored.float().mean() < 0.6
    again = source.draw(300, torch.Generator().manual_seed(0))
    assert torch.equal(((again + 1) * 127.5).round(), drawn)


def test_levels_are_crops_and_always_the_same():
    source = Crops([ramp(), ramp(33, 60)], 32)
    levels = source.levels(150)
    assert levels.dtype == torch.uint8 and levels.shape == (150, 3, 32, 32)
    assert len(source.levels(1000)) == 200  # a hundred of each image
    assert torch.equal(levels, source.levels(150)) and int(levels[:, 0].max()) == 39


def test_what_cannot_be_cut_is_refused():
    with pytest.raises(ValueError, match="got none"):
        Crops([], 32)
    with pytest.raises(ValueError, match="got one of 31 x 50; enlarge it or leave it out"):
        Crops([ramp(), ramp(31)], 32)


def test_gray_crops_have_a_channel():
    images = [torch.arange(20 * 30, dtype=torch.float32).view(20, 30) / 600]
    drawn = Crops(images, 8).draw(3, torch.Generator().manual_seed(0))
    assert drawn.shape == (3, 1, 8, 8)
    assert torch.equal(drawn, Crops([images[0][None]], 8).draw(3, torch.Generator().manual_seed(0)))
