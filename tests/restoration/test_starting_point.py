"""First estimates: of the image's size, faithful to what was seen, each image by itself."""

import pytest
import torch
from deepinv import physics as dp
from skimage.data import camera

import proxlab
from proxlab.images.metrics import psnr
from proxlab.operators import box_mask, deblur, gaussian_kernel, inpaint, random_mask
from proxlab.operators.first_estimates import best_multiple
from proxlab.restoration import restoring
from proxlab.restoration.data_terms import start
from tests.images.pictures import image, relative

KERNEL = image(3, 5, seed=9)
KERNEL /= KERNEL.sum()


def test_starts():
    x = image(2, 3, 12, 10, dtype=torch.float32)
    for boundary, same in [("circular", True), ("reflect", True), ("valid", False)]:
        op = deblur(KERNEL, boundary=boundary)
        got = start(op.A(x), op)
        assert got.shape == x.shape and torch.equal(got, op.A(x)) == same
    assert torch.equal(start(op.A(x), op)[..., 1:-1, 2:-2], op.A(x))
    few = random_mask((12, 10), 0.9, torch.Generator().manual_seed(0))
    for mask in (few, box_mask((12, 10), (0, 0, 12, 9))):
        op = inpaint(mask)
        got = start(torch.where(mask, x, torch.nan), op)
        assert torch.equal(got[..., mask], x[..., mask]) and got.isfinite().all()
        assert relative(start(op.A(0 * x + 0.7), op), 0 * x + 0.7) < 1e-5
        assert torch.equal(start(op.A(x[:1]), op), got[:1])
    ramp = torch.linspace(0, 1, 40).expand(1, 1, 40, 40)
    op = inpaint(random_mask((40, 40), 0.5, torch.Generator().manual_seed(0)))
    assert relative(start(op.A(ramp), op), ramp) < 0.06 and relative(op.A(ramp), ramp) > 0.5
    op = dp.BlurFFT((3, 12, 10), filter=KERNEL.float()[None, None])
    assert relative(start(op.A(x), op), op.A_adjoint(op.A(x))) < 0.03
    assert torch.equal(start(0 * x, op), 0 * x)


def test_a_measurement_smaller_than_the_kernel_is_refused():
    with pytest.raises(ValueError, match="larger than the"):
        start(image(3, 2, 2, 2), deblur(gaussian_kernel(1)))


def test_a_foreign_operator_ends_where_ours_does(monkeypatch):
    """Every second column, written as a plain LinearPhysics, and as inpainting."""
    x = torch.from_numpy(camera()).float()[None, None, 400:448, 400:448] / 255

    def adjoint(y):
        z = y.new_zeros(*y.shape[:-1], 48)
        z[..., ::2] = y
        return z

    op = dp.LinearPhysics(A=lambda x: x[..., ::2], A_adjoint=adjoint)
    mask = adjoint(torch.ones(48, 24))
    noise = torch.randn(1, 1, 48, 24, generator=torch.Generator().manual_seed(0))
    y, prior = op.A(x) + 0.01 * noise, proxlab.load("lpn-gray")
    ours = proxlab.restore(adjoint(y), inpaint(mask, 0.01), prior, steps=60).image
    theirs = proxlab.restore(y, op, prior, steps=60, noise=0.01).image
    assert float(psnr(theirs, x)) > float(psnr(ours, x)) - 0.1
    monkeypatch.setattr(restoring, "start", lambda y, op: best_multiple(y, op, op.A_adjoint(y)))
    black = proxlab.restore(y, op, prior, steps=60, noise=0.01).image
    assert float(psnr(black, x)) < float(psnr(ours, x)) - 5  # as it was
