"""Masks, filled pixels, noise and kept spectra against the same thing written out by hand."""

import math

import numpy as np
import pytest
import torch
from deepinv.physics import ZeroNoise

from proxlab.operators import (
    Noise,
    PhotonCounts,
    box_mask,
    deblur,
    gaussian_kernel,
    inpaint,
    random_mask,
)
from proxlab.operators.contract import Accuracy
from proxlab.operators.data_terms.linear import LinearData
from proxlab.operators.inpainting import boxes_mask, fill_missing
from proxlab.operators.kernels import checked_kernel
from proxlab.operators.noise import Weights, measurement_weights
from tests.images.pictures import image, relative

KERNEL = image(3, 5, seed=9)
KERNEL /= KERNEL.sum()


def slowly_filled(y: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """Each missing pixel by the narrowest Gaussian of 1, 2, 4, ... that sees a tenth of one."""
    out, (height, width) = y.clone(), y.shape[-2:]
    for b, c, i, j in np.ndindex(*y.shape):
        if seen[b, c, i, j]:
            continue
        out[b, c, i, j] = y[b][seen[b].bool()].mean()
        sigma = 1.0
        places = seen[b, c].nonzero().tolist()
        while places and sigma < 2 * (height + width):
            w = [math.exp(-((p - i) ** 2 + (q - j) ** 2) / (2 * sigma**2)) for p, q in places]
            if sum(w) >= 0.1:
                values = y[b, c][seen[b, c].bool()].tolist()
                out[b, c, i, j] = sum(a * v for a, v in zip(w, values, strict=True)) / sum(w)
                break
            sigma *= 2
    return out


@pytest.mark.parametrize("share", [0.5, 0.1, 0.03])
def test_a_missing_pixel_is_the_mean_of_seen_ones_as_near_as_there_are(share):
    y = image(2, 2, 6, 7)
    seen = (image(2, 2, 6, 7, seed=2) < share).double()
    seen[..., 0, 0], seen[1, 1] = 1, 0  # a channel of which nothing is seen
    y = torch.where(seen > 0, y, torch.nan)
    expected = slowly_filled(torch.where(seen > 0, y, 0.0), seen)
    filled = fill_missing(y, seen)
    torch.testing.assert_close(filled, expected, rtol=1e-9, atol=1e-12)
    op, given = inpaint(seen[0, 0]), y[:1].nan_to_num()
    same = seen[:1, :1].expand(1, 2, -1, -1)  # one mask for both channels
    assert torch.equal(op.first_estimate(given), fill_missing(given, same))
    assert torch.equal(filled[seen > 0], y[seen > 0])
    assert (fill_missing(y[:1], 0 * seen[:1]) == 0).all()  # of which nothing is seen


@pytest.mark.parametrize("height, width, side", [(9, 9, 3), (10, 9, 2), (13, 7, 2), (5, 11, 1)])
def test_boxes_lie_in_the_middle_of_squares_of_three_sides(height, width, side):
    mask = boxes_mask((height, width), side)
    for i, j in np.ndindex(height, width):
        inside = i % (3 * side) // side == j % (3 * side) // side == 1
        # one that has nothing beyond it is left out
        whole = i - i % side + side < height and j - j % side + side < width
        assert bool(mask[i, j]) == (not (inside and whole))
    assert torch.equal(boxes_mask((2, height, width), side), mask.expand(2, -1, -1))
    for wrong in (0, min(height, width) // 3 + 1):
        with pytest.raises(ValueError, match="three times as large"):
            boxes_mask((height, width), wrong)


def test_boxes_at_the_very_edges_and_masks_of_every_share():
    corner = box_mask((4, 5), (0, 0, 1, 2))
    assert (~corner).nonzero().tolist() == [[0, 0], [0, 1]]
    assert (~box_mask((4, 5), (3, 3, 1, 2))).nonzero().tolist() == [[3, 3], [3, 4]]
    assert (~box_mask((4, 5), (0, 0, 4, 4))).sum() == 16  # all but a column
    for box in [(-1, 0, 1, 1), (0, -1, 1, 1), (0, 0, 0, 1), (0, 0, 1, 0), (0, 4, 1, 2)]:
        with pytest.raises(ValueError, match="is not inside 4 x 5"):
            box_mask((4, 5), box)
    for missing, holes in [(0.0, 0), (0.3, 6), (0.93, 19), (0.974, 19)]:
        assert (
            (~random_mask((4, 5), missing)).sum() == (~random_mask((20, 1), missing)).sum() == holes
        )
    for shape, missing, said in [((4, 5), 0.976, "none of 20"), ((10**5, 10001), 0.5, "at most")]:
        with pytest.raises(ValueError, match=said):
            random_mask(shape, missing)


def test_noise_of_each_image_has_its_own_level():
    x, levels = image(3, 2, 4, 5), torch.tensor([0.0, 0.1, 10.0])
    n = torch.randn(x.shape, generator=torch.Generator().manual_seed(4), dtype=x.dtype)
    drawn = Noise(0.5)(x, sigma=levels, generator=torch.Generator().manual_seed(4))
    torch.testing.assert_close(drawn, x + levels.double().view(3, 1, 1, 1) * n)
    one = Noise(0.5)(x[0, 0], generator=torch.Generator().manual_seed(4))  # without a batch
    m = torch.randn(4, 5, generator=torch.Generator().manual_seed(4), dtype=x.dtype)
    torch.testing.assert_close(one, x[0, 0] + 0.5 * m)
    own = Noise(0.5)
    own.rng = torch.Generator()
    first, again, other = (own(x, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize("counts", [0.0, 0.5, 7.0, 200.0, 250.0])
def test_precision_of_a_count_is_that_between_half_a_photon_and_all_of_them(counts):
    model = PhotonCounts(200.0, 0.6)
    y = torch.tensor([[[[-math.log(max(counts, 1e-9) / 200) / 0.6]]]], dtype=torch.float64)
    assert model.precision(y).item() == pytest.approx(0.36 * min(max(counts, 0.5), 200.0))
    op = inpaint(torch.ones(2, 3), noise=0.1)
    op.noise_model = model
    y = 3 * image(2, 1, 2, 3)
    w, W = measurement_weights(y, op, strength=2.0)
    assert W is not None and W.flatten(1).mean(1).tolist() == pytest.approx([1, 1])
    torch.testing.assert_close(w.view(2, 1, 1, 1) * W, 2 * model.precision(y))


def test_whose_noise_counts():
    y, op = image(2, 1, 4, 5), inpaint(torch.ones(4, 5), noise=0.1)
    assert measurement_weights(y, op).image.tolist() == pytest.approx([100] * 2)
    assert measurement_weights(y, op, 0.5, 3.0).image.tolist() == pytest.approx([12] * 2)
    op.noise_model = ZeroNoise()
    assert measurement_weights(y, op, assumed=0.5).image.tolist() == pytest.approx([4] * 2)
    for model, has in [(ZeroNoise(), "0.0"), (Noise(0.0), "0.0")]:
        op.noise_model = model
        with pytest.raises(ValueError, match=f"it has {has}"):
            measurement_weights(y, op)


def test_a_spectrum_is_kept_until_the_kernel_is_another():
    op, x = deblur(KERNEL), image(1, 1, 7, 8)
    kept = op.spectrum(x)
    assert op.spectrum(2 * x) is kept and op.spectrum(x[..., 1:]) is not kept
    first = op.A(x)
    op.kernel = KERNEL.flip(0)  # another tensor, of the same version
    torch.testing.assert_close(op.A(x), deblur(KERNEL.flip(0)).A(x))
    assert relative(op.A(x), first) > 1e-3
    op.kernel = KERNEL.clone()
    torch.testing.assert_close(op.A(x), first)


@pytest.mark.parametrize("off, said", [(0.0009, None), (-0.0009, None), (0.0011, "sums to")])
def test_a_kernel_is_used_as_given_if_its_sum_is_near_one(off, said):
    kernel = KERNEL * (1 + off)
    if said is None:
        assert torch.equal(checked_kernel(kernel, False), kernel)
        assert checked_kernel(kernel, False) is not kernel
    else:
        with pytest.raises(ValueError, match=said):
            checked_kernel(kernel, False)
    assert checked_kernel(kernel, True).sum().item() == pytest.approx(1, abs=1e-14)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_a_kernel_can_be_divided_by_more_than_a_thousandth_of_its_size(scale):
    enough, little = (scale * torch.tensor([[1.0, 2 * s - 1, 0.0]]) for s in (0.0011, 0.0009))
    assert checked_kernel(enough, True).sum().item() == pytest.approx(1)
    with pytest.raises(ValueError, match="nothing can be divided by"):
        checked_kernel(little, True)


def test_a_gaussian_is_cut_at_four_sigma_and_has_a_hundred_at_most():
    for sigma, side in [(0.2, 3), (0.25, 3), (1.0, 9), (1.01, 11)]:
        kernel = gaussian_kernel(sigma)
        middle = side // 2
        assert kernel.shape == (side, side)
        fall = kernel[middle, 0] / kernel[middle, middle]
        assert fall.item() == pytest.approx(math.exp(-(middle**2) / (2 * sigma**2)))
    assert gaussian_kernel(100).shape == (801, 801)
    for sigma in (100.5, 0.0, math.nan):
        with pytest.raises(ValueError, match="0 < sigma <= 100"):
            gaussian_kernel(sigma)


def test_a_mask_may_come_with_the_call():
    """As deepinv has it: parameters that are told replace those that the physics holds."""
    x, other = image(1, 1, 4, 5), (image(1, 1, 4, 5, seed=1) > 0.5).float()
    for ask in ("A", "A_adjoint", "A_adjoint_A", "A_A_adjoint", "A_dagger"):
        op = inpaint(torch.ones(4, 5))
        assert torch.equal(getattr(op, ask)(x, mask=other), other * x)
    kernel = image(1, 1, 3, 3, seed=2)
    for boundary in ("valid", "reflect"):
        op, told = deblur(KERNEL, 0.1, boundary), deblur(kernel[0, 0], 0.1, boundary, True)
        there = op.A(x, filter=kernel / kernel.sum())
        torch.testing.assert_close(there, told.A(x))
        op = deblur(KERNEL, 0.1, boundary)
        torch.testing.assert_close(
            op.A_adjoint(there, filter=kernel / kernel.sum()), told.A_adjoint(there)
        )


@pytest.mark.parametrize("boundary", ["valid", "reflect", "circular"])
def test_a_first_estimate_of_a_blur_is_its_measurement(boundary):
    op, y = deblur(KERNEL, 0.1, boundary), image(2, 1, 6, 7)
    found = op.first_estimate(y)
    if boundary == "valid":  # its edges repeated outwards, one row and two columns on each side
        assert found.shape == (2, 1, 8, 11) and torch.equal(found[..., 1:-1, 2:-2], y)
        assert torch.equal(found[..., 0, 2:-2], y[..., 0, :])
        assert torch.equal(found[..., 1:-1, -1], y[..., -1])
    else:
        assert torch.equal(found, y) and found is not y


def test_what_missed_its_tolerance_is_told_with_the_residual_of_the_worst_image():
    op, y = deblur(KERNEL, 0.1, "reflect"), image(3, 1, 6, 7)
    W = 0.2 + image(3, 1, 6, 7, seed=6)
    weights = Weights(torch.tensor([1e-3, 1e4, 100.0], dtype=torch.float64), W)
    f = LinearData(y, op, weights, Accuracy(1e-4, 4))
    v = image(3, 1, 6, 7, seed=1)
    with pytest.warns(UserWarning, match="because of max_steps"):
        x = f.prox(v, 1.0)
    s = weights.image.view(3, 1, 1, 1)
    left = (v - x + s * op.A_adjoint(W * (y - op.A(x)))).flatten(1).norm(dim=1)
    left /= (v + s * op.A_adjoint(W * y)).flatten(1).norm(dim=1)
    (missed,) = f.stopped_short
    assert missed.images == tuple((left > 1e-4).nonzero().flatten().tolist()) == (1, 2)
    assert missed.residual == pytest.approx(float(left.max())) and f.inner_steps == 4
