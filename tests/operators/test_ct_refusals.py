"""Bad arguments of the CT operator, each refused before any work in one clear sentence."""

import math

import numpy as np
import pytest
import torch

from proxlab.operators import ct
from proxlab.operators.tomography import projection_matrix
from proxlab.operators.tomography.scan import FanBeam, checked_angles
from tests.images.pictures import image

OP, FAN = ct((8, 6), 5), ct((8, 6), 7, fan=(20, 30))
X, Y = image(1, 1, 8, 6), image(1, 1, 5, OP.scan.detectors)
RADIANS = np.linspace(0, math.pi, 60, endpoint=False)


def one_side():
    """Views of a fan over half a turn."""
    op = ct(8, range(0, 180, 20), fan=(20, 30))
    return op.A_dagger(op.A(image(1, 1, 8, 8)))


IMAGES = [
    (lambda: OP.A(X.mT), "the scan is of [8, 6] pixels, the image has [6, 8]"),
    (lambda: OP(X / (X > 0.1)), "pixels are NaN or infinite"),
    (lambda: OP.A(X[0]), "images are [B, C, H, W], got shape [1, 8, 6]"),
    (lambda: OP.A_adjoint(Y[..., 1:]), "5 views of 10 detectors, the sinogram is [views, detec"),
    (lambda: OP.A_adjoint(Y[..., 1:, :]), "detectors] = [4, 10]"),
    (lambda: OP.A_adjoint(Y.mT), "[10, 5]; transpose it?"),
    (lambda: OP.A_dagger(Y.mT), "[10, 5]; transpose it?"),
    (lambda: OP.A_dagger(Y.mT, least_squares=True), "[10, 5]; transpose it?"),
    (lambda: OP.A_adjoint(Y[0]), "images are [B, C, H, W], got shape [1, 5, 10]"),
    (lambda: OP.A_dagger(Y, window="hamming"), "'ramp', 'shepp-logan' or 'hann', got 'hamming'"),
    (lambda: FAN.A_dagger(FAN.A(X), matched=True), "matched back-projection is for parallel"),
    (one_side, "of a fan beam needs even views over 360 degrees"),
]
ANGLES = [
    (lambda: ct(8, RADIANS), "60 angles from 0 to 3.09 seem to be in radians"),
    (lambda: ct(8, 2 * RADIANS - math.pi), "seem to be in radians; they are wanted in degrees"),
    (lambda: ct(8, [0, 30, 30, 60]), "the view at 30 degrees is there twice"),
    (
        lambda: ct(8, np.linspace(0, 180, 9)),
        "at 180 degrees is there twice (views repeat after 180)",
    ),
    (lambda: ct(8, np.linspace(0, 360, 9), fan=(20, 30)), "at 360 degrees is there twice"),
    (lambda: ct(8, [0, math.nan, 60, math.inf]), "2 of 4 angles are NaN or infinite"),
    (lambda: ct(8, []), "angles are a list of degrees, got an array of shape (0,)"),
    (lambda: ct(8, [[0, 1]]), "angles are a list of degrees, got an array of shape (1, 2)"),
    (lambda: ct(8, 0), "a scan has at least one view, got angles=0"),
    (lambda: ct(8, True), "a scan has at least one view, got angles=True"),
]
GEOMETRY = [
    (lambda: ct(0, 4), "height of a scan is a whole number from 1 on, got 0"),
    (lambda: ct((8, -1), 4), "width of a scan is a whole number from 1 on, got -1"),
    (lambda: ct(True, 4), "height of a scan is a whole number from 1 on, got True"),
    (lambda: ct((8, 6.0), 4), "width of a scan is a whole number from 1 on, got 6.0"),
    (lambda: ct(8, 4, detectors=0), "detectors of a scan is a whole number from 1 on, got 0"),
    (lambda: ct(8, 4, detectors=True), "detectors of a scan is a whole number from 1 on, got True"),
    (lambda: ct(8, 4, detector_spacing=0), "detector_spacing is a length, positive"),
    (lambda: ct(8, 4, detectors=9, pixel_spacing=math.nan), "pixel_spacing is a length, positive"),
    (lambda: ct(8, 4, detectors=9, pixel_spacing=-1.0), "positive and finite, got -1.0"),
    (lambda: ct(8, 4, detectors=9, pixel_spacing="1"), "positive and finite, got 1"),
    (lambda: ct(8, 4, detector_spacing=math.nan), "positive and finite, got nan"),
    (lambda: ct(8, 4, pixel_spacing=math.inf), "pixel_spacing is a length, positive"),
    (lambda: ct(8, 4, detector_spacing=True), "positive and finite, got True"),
    (lambda: ct(8, 4, fan=(100,)), "fan is the source's distance from the axis and from the"),
    (lambda: ct(8, 4, fan=(0, 5)), "source_to_axis of a fan beam is a length"),
    (lambda: ct(8, 4, fan=(50, math.inf)), "source_to_detector of a fan beam is a length"),
    (lambda: ct(8, 4, fan=(5.5, 9)), "the source, 5.5 from the axis, would pass through the image"),
    (lambda: ct(8, 4, fan=(8, 9), axis=(3.0, 0.0)), "which reaches to 8.06"),
    (lambda: ct(8, 4, axis=(0.0, math.nan)), "axis is the place of the axis of rotation, (x, y)"),
    (lambda: ct(8, 4, axis=(0.0,)), "axis is the place of the axis of rotation, (x, y)"),
    (lambda: ct(8, 4, noise=-1), "noise is a standard deviation of the sinogram, >= 0, got -1"),
    (lambda: ct(8, 4, noise=math.nan), "noise is a standard deviation of the sinogram"),
    (lambda: ct(8, 4, model="ray"), "model is 'strip' or 'line', got 'ray'"),
]
NO_SENTENCE = [
    (lambda: ct(8.0, 4), "whole number"),
    (lambda: ct((8,), 4), "whole number|size"),
    (lambda: ct(8, 4, axis=("left", 0)), "axis is the place of the axis of rotation"),
]
ALL = IMAGES + ANGLES + GEOMETRY


@pytest.mark.parametrize("call, message", ALL, ids=[message for _, message in ALL])
def test_bad_input_is_refused_in_a_sentence(call, message):
    with pytest.raises(ValueError) as told:
        call()
    said = str(told.value)
    assert message in said and "\n" not in said and len(said) < 200


@pytest.mark.parametrize("call, message", NO_SENTENCE, ids=[message for _, message in NO_SENTENCE])
def test_bad_sizes_and_axes_are_refused_in_a_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("apart", [0, 1e-8, 1e-7])
def test_views_that_are_one_are_not_taken_for_two(apart):
    with pytest.raises(ValueError, match="there twice"):
        ct(8, [0, 10, 10 + apart, 45, 80, 90, 100, 135, 170])


GOOD = [
    dict(angles=np.linspace(0, 6.2, 7)),  # few enough to be degrees
    dict(angles=[-5, -2, 0, 1, 2, 3, 4, 9]),
    dict(angles=np.arange(0, 360, 30)),  # both sides of a parallel scan
    dict(angles=[90]),
    dict(angles=np.linspace(0, 180, 9)[:-1], detectors=np.int64(9)),
    dict(angles=range(0, 200, 20), fan=(20, 30)),
    dict(angles=4, fan=FanBeam(5.7, 9)),
    dict(angles=4, pixel_spacing=np.float32(0.5), detector_spacing=2),
]


@pytest.mark.parametrize("wanted", GOOD, ids=str)
def test_what_is_next_to_a_refusal_is_taken(wanted):
    op = ct(8, **wanted)
    assert op.A(image(1, 1, 8, 8)).shape == (1, 1, len(op.scan.angles), op.scan.detectors)


@pytest.mark.parametrize(
    "wanted",
    [
        dict(size=8, angles=4, axis=[0.5, 0.0]),
        dict(size=8, angles=4, axis=np.zeros(2)),
        dict(size=np.int64(8), angles=4),
        dict(size=8, angles=np.int64(4)),
    ],
    ids=str,
)
def test_numpy_numbers_and_lists_are_taken(wanted):
    op = ct(**wanted)
    assert op.A(image(1, 1, 8, 8)).shape[2] == 4


def test_a_view_repeated_after_more_than_a_turn_is_refused_for_a_fan():
    with pytest.raises(ValueError, match="twice"):
        checked_angles(range(0, 400, 10), FanBeam(20, 30).turn)


@pytest.mark.parametrize("fan", [None, (80, 120)])
@pytest.mark.parametrize("model", ["strip", "line"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_too_little_memory_is_told_before_any_is_used(fan, model, dtype, monkeypatch):
    op, x = ct((64, 48), 50, fan=fan, model=model), image(1, 1, 64, 48, dtype=dtype)
    needed = []
    monkeypatch.setattr(projection_matrix, "_free_memory", lambda device: 1e5)
    monkeypatch.setattr(projection_matrix, "_stored", lambda *a: needed.append(a))
    with pytest.raises(MemoryError, match="64 x 48 pixels, 50 views.*0.0 GB are free; take fewer"):
        op.A(x)
    assert not needed
    monkeypatch.undo()
    size = op.matrix(x).bytes
    for free, enough in [(size / 4, False), (4 * size, True)]:
        monkeypatch.setattr(projection_matrix, "_free_memory", lambda device, free=free: free)
        other = ct((64, 48), 50, fan=fan, model=model, axis=(0.1, 0.0))
        if enough:
            other.A(x)
        else:
            with pytest.raises(MemoryError):
                other.A(x)


def test_more_entries_than_32_bits_count_are_refused_however_much_memory_is_free(monkeypatch):
    monkeypatch.setattr(projection_matrix, "_free_memory", lambda device: math.inf)
    op = ct((2048, 2048), 250, axis=(0.5, 0.0))
    with pytest.raises(MemoryError, match=r"has 2.4e\+09 entries, .*32-bit indices count 2.1e9;"):
        op.A(torch.zeros(1, 1, 2048, 2048))


def test_free_memory_is_what_the_system_tells():
    with open("/proc/meminfo") as told:
        lines = dict(line.split(":") for line in told)
    told = int(lines["MemAvailable"].split()[0]) * 1024
    assert projection_matrix._free_memory(torch.device("cpu")) == pytest.approx(told, rel=0.2)
