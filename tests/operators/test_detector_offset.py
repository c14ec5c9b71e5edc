"""A detector whose middle is not where the axis is seen: sign, units, both beams, FBP, files.

After tomopy #409 and #247, astra #345, CIL #1922.
"""

import json

import numpy as np
import pytest
import torch

from proxlab.operators import ct
from proxlab.operators.contract import Accuracy
from proxlab.operators.noise import measurement_weights
from proxlab.operators.tomography import symmetry
from proxlab.operators.tomography.phantoms import blobs, disks, pixels, sinogram
from proxlab.operators.tomography.sinograms import read_sinogram, write_sinogram
from tests.images.pictures import image, relative
from tests.operators.test_ct_operator import adjoint_gap

BEAMS = {"parallel": None, "fan": (60.0, 90.0)}
everywhere = pytest.mark.parametrize("beam", BEAMS)
OFFSET, D = 1.3, 36


def scanner(beam, size=16, angles=12, **more):
    return ct(size, angles, fan=BEAMS[beam], **{"detectors": D} | more)


@pytest.mark.parametrize("spacing", [1.0, 0.5])
def test_one_pixel_off_the_axis_by_hand(spacing):
    """At 0 degrees a pixel at x = 2 casts its shadow at u = 1.5 ... 2.5, whatever the detector."""
    x = torch.zeros(1, 1, 9, 9)
    x[..., 4, 6] = 1
    for offset in (0.5, 2.5, -1.5):
        op = ct(9, [0.0], detectors=20, detector_spacing=spacing, detector_offset=offset)
        seen = [(i - 10) * spacing + offset for i in op.A(x)[0, 0, 0].nonzero()[:, 0].tolist()]
        assert min(seen) == 1.5 and max(seen) + spacing == 2.5
        centre = (20 - 1) / 2 - offset / spacing  # where tomopy has the axis
        assert op.scan.edges()[0] + (centre + 0.5) * spacing == pytest.approx(0)


@everywhere
def test_a_ten_times_finer_sinogram(beam):
    x, found = image(1, 1, 16, 16), {}
    fine = ct(16, 12, fan=BEAMS[beam], detectors=(D + 4) * 10, detector_spacing=0.1).A(x)
    start = round(10 * (2 + OFFSET))
    expected = fine[..., start : start + 10 * D].unflatten(-1, (D, 10)).mean(-1)
    for offset in (OFFSET, OFFSET + 0.1, -OFFSET, 0.0):
        found[offset] = relative(scanner(beam, detector_offset=offset).A(x), expected)
    assert found.pop(OFFSET) < {"parallel": 1e-14, "fan": 2e-3}[beam]
    assert min(found.values()) > 0.01


@everywhere
@pytest.mark.parametrize("model", ["strip", "line"])
def test_adjoint_and_turned_views(beam, model):
    """The plan of turns and mirrors holds, for the detector's coordinate is that of the partner."""
    op = scanner(beam, model=model, detector_offset=OFFSET)
    x, y = image(2, 2, 16, 16) - 0.5, image(2, 2, 12, D, seed=1) - 0.5
    assert adjoint_gap(op, x, y) < 1e-14
    assert len(symmetry.plan(op.scan).stored) < 12
    views = [
        scanner(beam, model=model, angles=[angle], detector_offset=OFFSET).A(x)
        for angle in op.scan.angles
    ]
    assert relative(op.A(x), torch.cat(views, 2)) < 1e-13


def test_those_views_tell_a_mirrored_detector(monkeypatch):
    right = symmetry.plan
    wrong = lambda scan: right(scan)._replace(turn=3 - right(scan).turn)  # noqa: E731
    x = image(1, 1, 16, 16)
    good = scanner("parallel", angles=8, detector_offset=1.1).A(x)
    monkeypatch.setattr("proxlab.operators.tomography.projection_matrix.plan", wrong)
    assert relative(scanner("parallel", angles=8, detector_offset=1.1 + 1e-9).A(x), good) > 0.1


@everywhere
def test_closed_forms(beam):
    op = scanner(beam, size=24, angles=7, detectors=50, detector_offset=-2.7)
    for shapes, bound in ((disks(10), 0.07), (blobs(10), 0.07)):
        x, y = pixels(shapes, op.scan), sinogram(shapes, op.scan)
        assert relative(op.A(x), y) < bound
        assert relative(scanner(beam, size=24, angles=7, detectors=50).A(x), y) > 0.3


@everywhere
def test_without_one_nothing_changes(beam):
    op = scanner(beam, detector_spacing=0.7)
    edges = (np.arange(D + 1) - D / 2) * 0.7
    assert op.scan.detector_offset == 0.0 and np.array_equal(op.scan.edges(), edges)


@everywhere
@pytest.mark.parametrize("how", [{}, {"least_squares": True}, {"matched": True}])
def test_inverses_are_as_good_as_without(beam, how):
    if how.get("matched") and beam == "fan":
        pytest.skip("matched back-projection is for parallel beams")
    errors = []
    for offset, told in ((0.0, 0.0), (4.3, 4.3), (4.3, 0.0)):
        op = scanner(beam, size=24, angles=60, detectors=60, detector_offset=offset)
        x = pixels(blobs(10), op.scan)
        y = sinogram(blobs(10), op.scan)
        solver = scanner(beam, size=24, angles=60, detectors=60, detector_offset=told)
        errors.append(relative(solver.A_dagger(y, **how), x))
    assert errors[1] < 1.15 * errors[0] and errors[2] > 4 * errors[0]


def test_enough_detectors_see_the_whole_image_on_both_sides():
    for beam in BEAMS:
        op = ct(16, 12, fan=BEAMS[beam], detector_offset=-3.4)
        more = ct(16, 12, fan=BEAMS[beam], detectors=op.scan.detectors + 20, detector_offset=-3.4)
        x = torch.ones(1, 1, 16, 16).double()
        assert op.A(x).sum() == pytest.approx(more.A(x).sum().item())


def test_the_data_term_is_solved_and_the_first_estimate_is_in_place():
    op = scanner("parallel", size=24, angles=40, detectors=48, detector_offset=OFFSET, noise=0.1)
    x = pixels(blobs(10), op.scan)
    y = op.A(x)
    centred = scanner("parallel", size=24, angles=40, detectors=48)
    far = relative(centred.first_estimate(centred.A(x)), x)
    assert relative(op.first_estimate(y), x) < 1.1 * far
    assert relative(centred.first_estimate(y), x) > 1.5 * far
    f = op.data_term(y, measurement_weights(y, op), Accuracy(1e-8))
    v = image(1, 1, 24, 24)
    z = f.prox(v, 1e-3)
    assert relative(v - z, 1e-3 * f.grad(z)) < 1e-5 and f.preconditioner is not None


def test_files_keep_it_and_older_files_mean_none(tmp_path):
    scan = scanner("fan", detector_offset=OFFSET).scan
    y = torch.zeros(1, 1, 12, D)
    write_sinogram(tmp_path / "y.npy", y, scan)
    assert read_sinogram(tmp_path / "y.npy")[1] == scan
    card = json.loads((tmp_path / "y.json").read_text())
    assert card.pop("detector_offset") == OFFSET
    (tmp_path / "y.json").write_text(json.dumps(card))
    assert read_sinogram(tmp_path / "y.npy")[1] == scanner("fan").scan


@pytest.mark.parametrize(
    "offset", [float("nan"), float("inf"), "1", None, 1e9, [0.0, 1.0], 1j, True]
)
def test_what_is_no_way_is_refused_in_a_sentence(offset):
    with pytest.raises(ValueError, match="detector_offset is the way from") as told:
        ct(8, 5, detector_offset=offset)
    assert "\n" not in str(told.value) and len(str(told.value)) < 200
