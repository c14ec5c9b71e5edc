"""Numbers that a measurement draws: in pieces, for memory's sake, and yet one sequence."""

import pytest
import torch

from proxlab.operators import draws
from proxlab.operators.draws import PIECE, Draws
from tests.images.pictures import image


def at_once(y, like, count):
    """The first `count` draws for each image, whole."""
    generators = [torch.Generator().manual_seed(draws._seed(one)) for one in y]
    drawn = [
        [torch.randn(like.shape[1:], generator=g, dtype=torch.float64) for g in generators]
        for _ in range(count)
    ]
    return [torch.stack(each).to(like) for each in drawn]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(1, 3), (4, 8), (7, 9), (16, 21), (31, 37)])
def test_pieces_are_one_sequence(monkeypatch, shape, dtype):
    monkeypatch.setattr(draws, "PIECE", 64)
    y, like = image(2, 5, 5, dtype=dtype), torch.empty(2, *shape, dtype=dtype)
    mine, whole = Draws(y), at_once(y, like, 3)
    assert all(torch.equal(mine.normal(like), one) for one in whole)


def test_pieces_of_another_size_are_another_sequence(monkeypatch):
    assert PIECE % 16 == 0
    monkeypatch.setattr(draws, "PIECE", 60)
    y, like = image(2, 5, 5), torch.empty(2, 16, 21)
    assert not torch.equal(Draws(y).normal(like), at_once(y, like, 1)[0])
