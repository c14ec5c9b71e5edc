"""The CT operator: adjoint, derivatives, batches, dtypes, ASTRA's opinion, one matrix a scan."""

import copy
import gc
import weakref

import numpy as np
import pytest
import torch

from proxlab.operators import ct
from proxlab.operators.tomography import projection_matrix
from tests.images.pictures import image, relative

SCANS = {
    "parallel": dict(size=(9, 7), angles=(3, 41.5, 90, 158), axis=(0.6, -0.4)),
    "parallel, quarter": dict(size=8, angles=12, detector_spacing=0.6),
    "parallel, both sides": dict(size=8, angles=range(0, 360, 20), detector_spacing=2.5),
    "parallel, narrow": dict(size=(7, 9), angles=5, detectors=4),
    "fan": dict(size=(9, 7), angles=(0, 47, 133.5, 250), axis=(0.6, -0.4), fan=(20, 31)),
    "fan, quarter": dict(size=8, angles=16, fan=(12, 15), pixel_spacing=0.7),
}
everywhere = pytest.mark.parametrize("name", SCANS)
models = pytest.mark.parametrize("model", ["strip", "line"])


def operator(name, model="strip", **more):
    return ct(**SCANS[name], model=model, **more)


def both(name, model="strip", n=2, channels=3, dtype=torch.float64):
    """The operator, an image and a sinogram."""
    op = operator(name, model)
    scan = op.scan
    x = image(n, channels, scan.height, scan.width, dtype=dtype)
    return op, x, image(n, channels, len(scan.angles), scan.detectors, seed=1, dtype=dtype)


def adjoint_gap(op, x, y):
    """|<A x, y> - <x, A^T y>| / (|A x| |y|), sums in float64."""
    there, back = op.A(x).double(), op.A_adjoint(y).double()
    gap = (there * y.double()).sum() - (x.double() * back).sum()
    return abs(gap.item()) / (there.norm() * y.double().norm()).item()


@everywhere
@models
def test_adjoint(name, model):
    for dtype, bound in [(torch.float32, 1e-6), (torch.float64, 1e-14)]:
        op, x, y = both(name, model, dtype=dtype)
        x, y = x - 0.5, y - 0.5  # of either sign, so that nothing hides behind the means
        assert adjoint_gap(op, x, y) < bound
        right = op.A_adjoint
        op.A_adjoint = lambda y, right=right: right(y.roll(1, -1))
        assert adjoint_gap(op, x, y) > 1e-4


@everywhere
@models
def test_the_adjoint_is_the_transposed_matrix(name, model):
    op, x, y = both(name, model, n=1, channels=1)
    a = op.A(torch.eye(x.numel()).double().view(-1, 1, *x.shape[2:])).flatten(1).T
    b = op.A_adjoint(torch.eye(y.numel()).double().view(-1, 1, *y.shape[2:])).flatten(1)
    assert (a - b).abs().max() < 1e-14 and a.min() >= 0 and a.max() > 0.3


@pytest.mark.parametrize("fan", [None, (12, 15)])
def test_derivatives(fan):
    op = ct(4, 4, fan=fan, detectors=5)
    x, y = image(1, 1, 4, 4).requires_grad_(), image(1, 1, 4, 5).requires_grad_()
    for f, z in [(op.A, x), (op.A_adjoint, y)]:
        assert torch.autograd.gradcheck(f, z)
        assert torch.autograd.gradgradcheck(lambda z, f=f: f(z**2).sin(), z)


@pytest.mark.parametrize("broken", ["backproject", "project"])
def test_a_wrong_derivative_is_seen(broken, monkeypatch):
    right = getattr(projection_matrix.ProjectionMatrix, broken)
    wrong = lambda self, z: right(self, z).roll(1, -1)  # noqa: E731
    monkeypatch.setattr(projection_matrix.ProjectionMatrix, broken, wrong)
    op, x, y = both("parallel", n=1, channels=1)
    for f, z in [(op.A, x), (op.A_adjoint, y)]:
        assert not torch.autograd.gradcheck(f, z.requires_grad_(), raise_exception=False)


@everywhere
def test_images_and_channels_are_by_themselves(name):
    op, x, y = both(name, n=5, channels=3)  # 15 in all, multiplied 8 or 2 at a time
    for f, z in [(op.A, x), (op.A_adjoint, y)]:
        whole = f(z)
        assert whole.shape[:2] == (5, 3)
        for b, c in [(0, 0), (1, 2), (2, 1), (3, 0), (4, 2)]:
            alone = f(z[b : b + 1, c : c + 1])[0, 0]
            assert relative(whole[b, c], alone) < 1e-14
            assert relative(whole[b, c], whole[b - 1, c]) > 0.01
    strided = x.transpose(2, 3).contiguous().transpose(2, 3)
    assert torch.equal(op.A(strided), op.A(x))


@everywhere
def test_single_precision_is_double_rounded(name):
    op, x, y = both(name)
    for f, z in [(op.A, x), (op.A_adjoint, y)]:
        got = f(z.float())
        assert got.dtype == torch.float32 and f(z).dtype == torch.float64
        assert 1e-9 < relative(got.double(), f(z.float().double())) < 3e-7


@pytest.mark.parametrize("name", [name for name in SCANS if "narrow" not in name])
def test_the_whole_image_is_seen_from_every_side(name):
    op = operator(name)
    count = op.scan.detectors
    ones = torch.ones(1, 1, op.scan.height, op.scan.width, dtype=torch.float64)
    wide, narrow = (operator(name, detectors=count + more).A(ones) for more in (20, -4))
    assert wide[..., :10].max() == 0 == wide[..., -10:].max()
    assert relative(wide[..., 10:-10], op.A(ones)) < 1e-14
    assert narrow.sum() < 0.9999 * wide.sum()


def test_noise_is_in_the_units_of_the_sinogram():
    op = operator("parallel", noise=3.0)
    x = image(400, 1, 9, 7)
    assert (op(x) - op.A(x)).std().item() == pytest.approx(3, rel=0.02)


def test_operators_of_a_scan_share_one_matrix_as_long_as_one_lives():
    x = image(1, 1, 9, 7)
    first, second = operator("parallel"), operator("parallel", noise=0.1)
    other, lines = ct((9, 7), (3, 41.5, 90)), operator("parallel", "line")
    held = first.matrix(x)
    assert second.matrix(x) is held and copy.deepcopy(first).matrix(x) is held
    assert first.matrix(x.float()) is not held
    assert other.matrix(x) is not held and lines.matrix(x) is not held
    watched = weakref.ref(held)
    del held, first
    gc.collect()
    assert watched() is not None and operator("parallel").matrix(x) is watched()
    del second
    gc.collect()
    assert watched() is None


def test_a_matrix_counts_its_bytes():
    op, x, _y = both("parallel, quarter")
    held = op.matrix(x)
    parts = [p for m in (held.there, held.back) for p in (m.values(), m.col_indices())]
    assert held.bytes == sum(p.numel() * p.element_size() for p in parts)
    assert held.bytes == pytest.approx(1.5 * op.matrix(x.float()).bytes)


@everywhere
def test_expected_entries_are_about_right(name):
    op, x, _ = both(name)
    held = op.matrix(x)
    guess = projection_matrix.expected_entries(op.scan, len(held.plan.stored), op.model)
    assert 0.6 < guess / held.entries < 2.5


def astra_matrix(op, kind):
    """ASTRA's matrix of a scan about the image's middle, [V D, H W]."""
    astra = pytest.importorskip("astra", reason="ASTRA is not installed, an optional oracle")
    scan = op.scan
    h, w = (n * scan.pixel_spacing / 2 for n in (scan.height, scan.width))
    volume = astra.create_vol_geom(scan.height, scan.width, -w, w, -h, h)
    views = scan.detector_spacing, scan.detectors, np.radians(scan.angles)
    beam = scan.beam
    if kind.endswith("fanflat"):
        source, rest = beam.source_to_axis, beam.source_to_detector - beam.source_to_axis
        geometry = astra.create_proj_geom("fanflat", *views, source, rest)
    else:
        geometry = astra.create_proj_geom("parallel", *views)
    projector = astra.create_projector(kind, geometry, volume)
    made = astra.matrix.get(astra.projector.matrix(projector)).toarray()
    astra.clear()
    return torch.from_numpy(made)


@pytest.mark.parametrize(
    "kind, name, model",
    [
        ("strip", "parallel, quarter", "strip"),
        ("linear", "parallel, quarter", "line"),
        ("strip_fanflat", "fan, quarter", "strip"),
    ],
)
def test_astra_agrees(kind, name, model):
    op, x, _ = both(name, model, n=1, channels=1)
    ours = op.A(torch.eye(x.numel()).double().view(-1, 1, *x.shape[2:])).flatten(1).T
    gap = relative(ours[None], astra_matrix(op, kind).double()[None])
    assert gap < (0.03 if "fan" in kind else 1e-5)  # measured 0.018 and 9e-7, theirs in float32
