"""An operator shared by threads, asked twice, after NaN and other sizes: one answer each."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from proxlab.operators import deblur
from proxlab.operators.contract import Accuracy
from proxlab.operators.noise import measurement_weights
from tests.images.pictures import image
from tests.operators.test_pickling import KERNEL, OPERATORS, SQUARE, answers, same


@pytest.mark.parametrize("name", OPERATORS)
def test_one_answer_whoever_asks_and_when(name):
    op, size = OPERATORS[name](), (8, 8) if name in SQUARE else (8, 9)
    images = [image(2, 3, *size, seed=k) for k in range(2)]
    images.append(images[0].float())
    alone = [answers(op, x)[:-1] for x in images]
    op.A_adjoint(op.A(torch.full_like(images[0], torch.nan)))
    with ThreadPoolExecutor(3) as threads:
        shared = list(threads.map(lambda x: answers(op, x)[:-1], images * 2))
    assert all(same(a, b) for a, b in zip(shared, alone * 2, strict=True))


def test_sizes_in_turn_and_at_once():
    op = deblur(KERNEL)
    images = [image(1, 1, 8, 9), image(1, 1, 12, 7), image(1, 1, 8, 9, dtype=torch.float32)]
    alone = [op.A(x) for x in images]
    with ThreadPoolExecutor(3) as threads:
        assert same(list(threads.map(op.A, images * 20)), alone * 20)


@pytest.mark.parametrize("name", ["circular", "valid", "mask", "parallel"])
def test_nan_in_one_image_is_nan_there_and_nowhere_else(name):
    op, x = OPERATORS[name](), image(2, 3, 8, 9)
    y = op.A(x)
    f = op.data_term(y, measurement_weights(y, op), Accuracy(1e-6))
    before = f.prox(x, 0.01)
    bad = x.clone()
    bad[0, 0, 3, 4] = torch.inf
    z = f.prox(bad, 0.01)
    assert not z[0].isfinite().all() and torch.equal(z[1], f.prox(x, 0.01)[1])
    assert (f.prox(x, 0.01) - before).norm() < 1e-5 * before.norm()
    y = y.clone()
    y[0, 0, 3, 3] = torch.nan
    broken = op.data_term(y, measurement_weights(y, op), Accuracy(1e-6)).prox(x, 0.01)
    assert broken[0].isnan().any() and torch.equal(broken[1], before[1])
