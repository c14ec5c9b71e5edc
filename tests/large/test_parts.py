"""Parts of large images: the same numbers as of the whole, and fewer copies on the way."""

import pytest
import torch

from proxlab import operators
from proxlab.restoration.data_terms import data_term
from solvers.evidence import curvature
from solvers.large import parts
from solvers.protocols import distance, dot, envelope
from tests.images.pictures import image


@pytest.fixture
def pieces(monkeypatch):
    """A function that makes parts small from then on."""
    return lambda: monkeypatch.setattr(parts, "PIECE", 100)


@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (3, 1, 4, 4), (1, 4, 20, 20), (5, 2, 1, 9)])
def test_parts_make_up_the_whole(shape, pieces):
    x = image(*shape)
    pieces()
    assert torch.equal(parts.assembled(x, lambda part: 2 * parts.cut(x, part)), 2 * x)
    rows = [few for (few,) in parts.by_rows(x)]
    assert torch.equal(torch.cat(rows, 1), x.flatten(1, -2)) and len(rows) > (x.numel() > 100)
    assert all(few.numel() <= max(100, shape[0] * shape[-1]) for few in rows)


def test_what_all_images_share_is_not_cut():
    shared = image(1, 1, 4, 4)
    assert parts.cut(shared, (slice(2, 3), slice(1, 2))) is not None
    assert torch.equal(parts.cut(shared, (slice(2, 3), slice(1, 2))), shared)


def test_sums_in_parts(pieces):
    x, v, gap = image(2, 3, 12, 10), image(2, 3, 12, 10) + 0.1, image(2, 3, 12, 10).flip(3)
    one = torch.ones(2, dtype=torch.float64)
    whole = dot(x, v), distance(x, v), envelope(one, one, x, v, gap, 0.5)
    pieces()
    for found, known in zip(
        (dot(x, v), distance(x, v), envelope(one, one, x, v, gap, 0.5)), whole, strict=True
    ):
        torch.testing.assert_close(found, known, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("batch", [1, 3])
def test_a_blur_in_parts(batch, pieces):
    op = operators.deblur(operators.gaussian_kernel(1.0), noise=0.1)
    x = image(batch, 3, 16, 15)
    y = op.A(x).flip(2)
    f = data_term(y, op)

    def numbers():
        return op.A(x), op.A_adjoint(x), f.value(x), f.grad(x), f.prox(x, 0.02)

    whole = numbers()
    pieces()
    for found, known in zip(numbers(), whole, strict=True):
        torch.testing.assert_close(found, known, rtol=1e-10, atol=1e-10)


def test_curvature_a_few_pixels_at_a_time(monkeypatch):
    point = list(image(4, 1, 9, 9))
    v = [p - 0.1 * 3 * p.flip(2) for p in point]
    whole = curvature(point, v, 0.1)
    monkeypatch.setattr("solvers.evidence.CHUNK", 7)
    assert curvature(point, v, 0.1) == pytest.approx(whole)
