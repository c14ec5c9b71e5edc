"""What stands before an operator: a right answer or one sentence of ours, no other library's."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

import proxlab
from proxlab.operators import (
    CameraNoise,
    FanBeam,
    Noise,
    PhotonCounts,
    box_mask,
    boxes_mask,
    ct,
    deblur,
    gaussian_kernel,
    inpaint,
    random_mask,
)
from proxlab.operators.contract import Accuracy
from proxlab.operators.noise import measurement_weights
from tests.images.pictures import image
from tests.operators.test_pickling import OPERATORS, SQUARE

K = torch.ones(3, 3) / 9
NAN, INF = float("nan"), float("inf")
ARRAYS = {
    "objects": np.array([[1, "a"], [2, None]], dtype=object),
    "text": np.array([["a"]]),
    "dates": np.zeros((3, 3), "datetime64[s]"),
    "records": np.zeros(3, [("a", "f4")]),
    "masked": np.ma.masked_array(np.ones((3, 3)) / 9, np.eye(3)),
    "complex": K + 0j,
    "nan": K * NAN,
    "infinite": K * INF,
    "sparse": K.to_sparse(),
    "meta": K.to("meta"),
    "list": [[1.0]],
    "None": None,
    "4-d": K[None, None],
    "empty": K[:0],
}
NUMBERS = [NAN, INF, -1, 10**400, -(10**400), 10**5000, 1j, True, "1", None, {}, [1.0]]
NUMBERS += [torch.tensor([0.1, 0.2, 0.3]), torch.tensor(0.1, requires_grad=True), np.array([0.1])]
SHAPES = [
    5,
    None,
    "ab",
    (3.0, 3.0),
    (NAN, 3),
    (-1, 3),
    (0, 3),
    (10**7, 10**7),
    (2**62, 2),
    (True, 3),
]
ANGLES = [*NUMBERS[:5], 1j, True, "1", None, {}, 10**9, [], [0, NAN], ["a"], [[0, 1]], {0, 1}]
ANGLES += [[10**400], np.array(["1", "2"]), np.array(3.5), [0, 1j]]
DOORS: dict[str, tuple[Callable, list]] = {
    "kernel": (deblur, list(ARRAYS.values())),
    "kernel to divide": (lambda k: deblur(k, normalize=True), list(ARRAYS.values())),
    "noise of a blur": (lambda s: deblur(K, s), NUMBERS),
    "boundary": (lambda b: deblur(K, 0.1, b), [None, "round", 1, K]),
    "normalize": (lambda n: deblur(K, 0.1, "valid", n), ["no", None, torch.tensor([1, 2])]),
    "sigma of a kernel": (gaussian_kernel, NUMBERS),
    "mask": (inpaint, list(ARRAYS.values())),
    "noise of a mask": (lambda s: inpaint(torch.ones(3, 3), s), NUMBERS),
    "shape of a random mask": (lambda s: random_mask(s, 0.5), SHAPES),
    "share of a random mask": (lambda m: random_mask((4, 4), m), NUMBERS),
    "generator": (lambda g: random_mask((4, 4), 0.5, g), [3, np.random.default_rng(0)]),
    "shape of a box mask": (lambda s: box_mask(s, (0, 0, 1, 1)), SHAPES),
    "box": (
        lambda b: box_mask((5, 5), b),
        [None, 4, (1, 2, 3), (1.0, 1, 2, 2), "abcd", {1, 2, 3, 0}],
    ),
    "boxes": (lambda s: boxes_mask((12, 12), s), [*NUMBERS, 2.5]),
    "photons": (  # a vector is one number a ray
        lambda n: PhotonCounts(n, 0.1),
        [x for x in NUMBERS if not (isinstance(x, torch.Tensor) and x.ndim)],
    ),
    "gain": (CameraNoise, NUMBERS),
    "read noise": (lambda r: CameraNoise(1.0, r), NUMBERS),
    "background": (lambda b: CameraNoise(1.0, 0.0, b), NUMBERS),
    "attenuation": (lambda k: PhotonCounts(1e4, k), NUMBERS),
    "Noise": (Noise, NUMBERS),
    "size": (
        lambda s: ct(s, 3),
        [NAN, 0, -1, 10**400, 10**7, 1j, True, "1", None, {}, (2, 2.0), (1, 2, 3)],
    ),
    "angles": (lambda a: ct(2, a), ANGLES),
    "noise of a scan": (lambda s: ct(2, 3, s), NUMBERS),
    "detectors": (lambda d: ct(2, 3, 0, d), [x for x in NUMBERS if x is not None] + [10**12, 2.5]),
    "detector spacing": (lambda d: ct(2, 3, 0, None, d), [*NUMBERS, 5e-324, 1e-20]),
    "pixel spacing": (lambda d: ct(2, 3, 0, None, 1.0, d), [*NUMBERS, 1e300]),
    "fan": (
        lambda f: ct(4, 3, fan=f),
        [1, "ab", (1, 2, 3), (NAN, 30), (20, INF), (-20, 30), (10**400, 1), {20.0, 30.0}],
    ),
    "FanBeam": (lambda d: FanBeam(d, 30.0), NUMBERS),
    "axis": (
        lambda a: ct(4, 3, axis=a),
        [*NUMBERS, (NAN, 0), (0, NAN), (10**400, 0), ("1", "2"), np.array(0.1)],
    ),
    "model": (lambda m: ct(4, 3, model=m), [None, "ray", 1, K]),
}


def refused(door, *arguments):
    with pytest.raises((ValueError, TypeError)) as told:
        door(*arguments)
    frame, said = told.traceback[-1], str(told.value)
    assert "/proxlab/operators/" in str(frame.path) and "raise" in str(frame.statement), said
    assert "\n" not in said and 15 < len(said) < 250


@pytest.mark.parametrize("name", DOORS)
def test_what_cannot_be_is_refused_in_a_sentence(name):
    door, values = DOORS[name]
    for value in values:
        refused(door, value)


@pytest.mark.parametrize(
    "kernel",
    [
        (np.ones((3, 3)) / 9)[::-1],
        np.ones((3, 3), ">f4") / 9,
        np.ones((3, 3), np.longdouble) / 9,
        np.broadcast_to(1 / 9, (3, 3)),
        K.double().T,
    ],
)
def test_arrays_of_other_makes_are_the_same_kernel(kernel):
    assert (deblur(kernel).kernel - K).abs().max() < 1e-7


def test_numbers_of_other_makes_are_the_same_numbers():
    for noise in (0.5, np.float32(0.5), np.array(0.5), torch.tensor(0.5)):
        assert float(deblur(K, noise).noise_model.sigma) == 0.5
    assert random_mask(torch.tensor([3, 4]), 0.5).shape == random_mask(np.array([3, 4]), 0.5).shape


IMAGES = [
    "numpy",
    "list",
    None,
    "a.png",
    "half",
    "bytes",
    "complex",
    "sparse",
    "meta",
    "empty",
    "flat",
]


def spoilt(x, how):
    made = {
        "numpy": x.numpy,
        "list": x.tolist,
        "half": x.half,
        "bytes": lambda: (255 * x).byte(),
        "complex": lambda: x + 0j,
        "sparse": x.to_sparse,
        "meta": lambda: x.to("meta"),
        "empty": lambda: x[:0],
        "flat": lambda: x[0, 0],
    }
    return made[how]() if how in made else how


@pytest.mark.parametrize("name", OPERATORS)
def test_images_and_measurements_that_cannot_be_are_refused(name):
    op, x = OPERATORS[name](), image(2, 3, *((8, 8) if name in SQUARE else (8, 9)))
    y = op.A(x)
    f = op.data_term(y, measurement_weights(y, op), Accuracy(1e-3))
    of_y = [op.A_adjoint, op.A_dagger, op.usable, op.first_estimate]
    if name != "photons":  # which says that it knows its noise
        of_y.append(lambda z: proxlab.estimate_noise(z, op))
    for how in IMAGES:
        for door in (op, op.A, f.value, f.grad, lambda z: f.prox(z, 0.01)):
            refused(door, spoilt(x, how))
        for door in of_y:
            refused(door, spoilt(y, how))
    if name != "photons":
        refused(lambda z: proxlab.estimate_noise(z, op), torch.full_like(y, NAN))
