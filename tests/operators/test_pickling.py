"""Operators and their data terms go to other processes, forked and spawned, and stay what they are.

After wyhuai/DDNM #20, huggingface/diffusers #4639, metatrain #1229.
"""

import copy
import pickle

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from proxlab.operators import (
    CameraNoise,
    PhotonCounts,
    box_mask,
    ct,
    deblur,
    gaussian_kernel,
    inpaint,
)
from proxlab.operators.contract import Accuracy
from proxlab.operators.noise import measurement_weights
from tests.images.pictures import image

KERNEL = gaussian_kernel(0.3)
MASK = box_mask((8, 9), (2, 3, 4, 2))
OPERATORS = {
    "circular": lambda: deblur(KERNEL, 0.1),
    "valid": lambda: deblur(KERNEL, 0.1, "valid"),
    "reflect": lambda: deblur(KERNEL, 0.1, "reflect"),
    "mask": lambda: inpaint(MASK, 0.1),
    "camera": lambda: deblur(KERNEL, CameraNoise(0.1, 0.01)),
    "camera, mask": lambda: inpaint(MASK, CameraNoise(0.1)),
    "mask of channels": lambda: inpaint(torch.stack([MASK, ~MASK, MASK]), 0.1),
    "parallel": lambda: ct((8, 9), 5, 0.1),
    "lines": lambda: ct(8, 8, 0.1, detector_spacing=0.7, model="line"),
    "off axis": lambda: ct((8, 9), (0, 20, 77), 0.1, axis=(0.5, -1.0), pixel_spacing=2.0),
    "fan": lambda: ct(8, 8, 0.1, fan=(20, 31)),
    "photons": lambda: ct(8, 6, PhotonCounts(1e4, 0.2)),
}
SQUARE = {"lines", "fan", "photons"}
everyone = pytest.mark.parametrize("name", OPERATORS)
copies = pytest.mark.parametrize(
    "copied", [lambda op: pickle.loads(pickle.dumps(op)), copy.deepcopy], ids=["pickle", "deepcopy"]
)


def answers(op, x):
    """All that an operator does with images x, noise included."""
    y = op(x, generator=torch.Generator().manual_seed(0))
    f = op.data_term(op.usable(y), measurement_weights(y, op), Accuracy(1e-3))
    products = op.A(x), op.A_adjoint(y), op.A_dagger(y), op.first_estimate(y)
    return [y, *products, *said(f, x), f]


def said(f, x):
    second = f.select(torch.tensor([1]))
    return [f.value(x), f.grad(x), f.prox(x, 0.01), f.lipschitz(), second.value(x[1:])]


def same(a, b):
    return all(torch.equal(p, q) for p, q in zip(a, b, strict=True))


@everyone
@copies
def test_copies_answer_bit_for_bit(name, copied):
    op, x = OPERATORS[name](), image(2, 3, *((8, 8) if name in SQUARE else (8, 9)))
    fresh = copied(op)
    *before, f = answers(op, x)
    for twin in (fresh, copied(op)):  # the second one after use, with whatever it may keep
        *after, _ = answers(twin, x)
        assert same(before, after)
    assert same(said(copied(f), x), said(copied(f), x))


def test_a_pickle_leaves_the_matrix_at_home():
    op = ct(24, 24)
    small = len(pickle.dumps(op))
    op.A(torch.rand(1, 1, 24, 24))
    assert len(pickle.dumps(op)) == small < 20_000


class Measured(Dataset):
    """Measurements of one image by every operator, made by a worker."""

    def __init__(self, operators):
        self.operators = operators

    def __len__(self):
        return len(self.operators)

    def __getitem__(self, index):
        op = self.operators[index]
        return op.A(picture(op))[0]


def picture(op):
    scan = getattr(op, "scan", None)
    return image(1, 3, 8, 9 if scan is None else scan.width)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_a_data_loader_measure_the_same(method):
    operators = [make() for make in OPERATORS.values()]
    expected = [op.A(picture(op))[0] for op in operators]
    loader = DataLoader(
        Measured(operators), batch_size=None, num_workers=1, multiprocessing_context=method
    )
    assert same(list(loader), expected)
