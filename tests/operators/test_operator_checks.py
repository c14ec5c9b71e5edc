"""Four products tell an operator that breaks a theorem's premises; none of them is set off by
rounding."""

import pytest
import torch
from deepinv import physics as dp

from proxlab import operators
from proxlab.operators.checks import TOLERANCE, check_operator
from tests.images.pictures import image

KERNEL = torch.tensor([[0.1, 0.3, 0.0], [0.0, 0.4, 0.2], [0.0, 0.0, 0.0]])
SIDE = 16


def smooth(x):
    """A blur that wraps around, its kernel of no symmetry."""
    parts = ((KERNEL[i, j], (i, j)) for i in range(3) for j in range(3))
    return sum((weight * x.roll(shift, (2, 3)) for weight, shift in parts), 0 * x)


def smooth_adjoint(y):
    parts = ((KERNEL[i, j], (-i, -j)) for i in range(3) for j in range(3))
    return sum((weight * y.roll(shift, (2, 3)) for weight, shift in parts), 0 * y)


def linear(A, A_adjoint=lambda y: y, **more):
    return dp.LinearPhysics(A=A, A_adjoint=A_adjoint, **more)


def with_adjoint(A_adjoint):
    return linear(smooth, A_adjoint)


def ask(op, batch: int = 2, dtype=torch.float32, channels: int = 1, side: int = SIDE):
    x = smooth(smooth(image(batch, channels, side, side, dtype=dtype)))
    with torch.no_grad():
        return check_operator(op, op.A(x), x)


def scaled_adjoint(c):
    return with_adjoint(lambda y: c * smooth_adjoint(y))


def patch(y):
    """y shifted by a pixel in 2 % of the image."""
    y = y.clone()
    y[..., :2, :3] = y[..., :2, 1:4]
    return y


FIXED = torch.randn(SIDE, SIDE, generator=torch.Generator().manual_seed(5))
HALF = (torch.arange(SIDE) % 2 == 0).float()


def right_on_the_range(y):
    """A^T for what A can produce, with something else added for what it cannot."""
    return HALF.to(y) * y + FIXED.to(y) * ((1 - HALF.to(y)) * y).roll(1, 3)


WRONG_ADJOINTS = {
    **{f"{c} A^T": scaled_adjoint(c) for c in (0.2, 0.5, 0.99, 1.01, 1.5, -1.0)},
    "flipped kernel": with_adjoint(smooth),
    "none": with_adjoint(lambda y: y),
    "zero": with_adjoint(lambda y: 0 * y),
    "shifted": with_adjoint(lambda y: smooth_adjoint(y).roll(1, 3)),
    "shifted on 2 %": with_adjoint(lambda y: patch(smooth_adjoint(y))),
    "off by 1 % on half": with_adjoint(lambda y: smooth_adjoint(y) * (1 + 0.01 * HALF.to(y))),
    "right on the range of A": linear(lambda x: HALF.to(x) * x, right_on_the_range),
    "batch in another order": with_adjoint(lambda y: smooth_adjoint(y).flip(0)),
    "not linear itself": with_adjoint(lambda y: smooth_adjoint(y).clamp(0, 1)),
    "an offset": with_adjoint(lambda y: smooth_adjoint(y) + 0.01),
    "the pseudo-inverse": linear(lambda x: x * 2, lambda y: y / 2),
    "NaN": with_adjoint(lambda y: smooth_adjoint(y) + torch.nan),
    "transposed image": with_adjoint(lambda y: smooth_adjoint(y).mT),
    "one pixel": with_adjoint(lambda y: smooth_adjoint(y).index_fill(3, torch.tensor([3]), 0)),
    "of a projector, unmatched": linear(
        operators.ct(SIDE, 12).A, lambda y: operators.ct(SIDE, 12, model="line").A_adjoint(y)
    ),
    "of other angles": linear(
        operators.ct(SIDE, 12).A,
        operators.ct(SIDE, [i * 15.0 + 1 for i in range(12)], detectors=23).A_adjoint,
    ),
}


class Counting(dp.LinearPhysics):
    """Another answer at each call."""

    calls = 0

    def A(self, x, **kwargs):
        self.calls += 1
        return x * (1 + self.calls % 7)

    def A_adjoint(self, y, **kwargs):
        return y


def per_image_mean(x):
    return x.mean((1, 2, 3), keepdim=True)


ON = torch.zeros(SIDE, SIDE)
ON[3, 4] = 1
NOT_LINEAR = {
    "tanh": torch.tanh,
    "absolute value": torch.abs,
    "clamp(2 x)": lambda x: (2 * x).clamp(0, 1),
    "clips above 1": lambda x: x.clamp(max=1),
    "rounds to 8 bits": lambda x: (255 * x).round() / 255,
    "normalises": lambda x: x / x.flatten(1).norm(dim=1).view(-1, 1, 1, 1),
    "over its own deviation": lambda x: (
        (x - per_image_mean(x)) / x.flatten(1).std(1).view(-1, 1, 1, 1)
    ),
    "square in one pixel": lambda x: torch.where(ON > 0, x * x, x),
    "gamma": lambda x: x.sign() * x.abs() ** (1 / 2.2),
    "median": lambda x: torch.stack([x, x.roll(1, 2), x.roll(1, 3)]).median(0).values,
    "sorts": lambda x: x.sort(3).values,
    "half precision": lambda x: x.to(torch.bfloat16).to(x),
    "photons": lambda x: (-x).exp(),
}
MIXES = {
    "less the mean of the batch": lambda x: x - x.mean(0, keepdim=True),
    "rolls the batch": lambda x: x.roll(1, 0),
    "a little of the next": lambda x: x + 1e-3 * x.roll(1, 0),
    "swaps the first and third": lambda x: x[[2, 1, 0, *range(3, len(x))]],
    "cumulative": lambda x: x.cumsum(0),
}
MIXED_BACK = {
    "less the mean of the batch": MIXES["less the mean of the batch"],
    "rolls the batch": lambda y: y.roll(-1, 0),
    "a little of the next": lambda y: y + 1e-3 * y.roll(-1, 0),
    "swaps the first and third": MIXES["swaps the first and third"],
    "cumulative": lambda y: y.flip(0).cumsum(0).flip(0),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", WRONG_ADJOINTS)
def test_a_wrong_adjoint_is_seen(name, dtype):
    found = ask(WRONG_ADJOINTS[name], dtype=dtype)
    assert "A_adjoint is not the adjoint of A" in found.adjoint_wrong
    assert found.adjoint_error > 10 * TOLERANCE and found.doubts == ()


@pytest.mark.parametrize("name", NOT_LINEAR)
def test_what_is_not_linear_is_seen(name):
    found = ask(linear(NOT_LINEAR[name]))
    assert len(found.doubts) == 1 and "A is not linear: A (u + v) differs" in found.doubts[0]
    assert found.linearity_error > 5 * TOLERANCE and found.adjoint_wrong == ""


@pytest.mark.parametrize("name", MIXES)
@pytest.mark.parametrize("batch", [3, 5])
def test_an_operator_that_mixes_images_is_seen(name, batch):
    op = linear(MIXES[name], MIXED_BACK[name])
    found = ask(op, batch)
    assert len(found.doubts) == 1 and "A mixes the images of a batch" in found.doubts[0]
    assert found.adjoint_wrong == ""  # it is the adjoint, of the batch
    assert found.independence_error > 5 * TOLERANCE
    wrong = ask(linear(MIXES[name], lambda y: 0.5 * MIXED_BACK[name](y)), batch)
    assert "not the adjoint" in wrong.adjoint_wrong
    assert "swaps" in name or "mixes" in wrong.doubts[0]  # both even: only the adjoint would tell


@pytest.mark.parametrize(
    "A, said",
    [
        (lambda x: 0 * x, "A sees nothing"),
        (lambda x: x * (torch.arange(len(x)) > 0).view(-1, 1, 1, 1), "A sees nothing"),
        (torch.sqrt, "NaN or infinite values"),
        (lambda x: x + 1 / x.flatten(1).sum(1).mul(0).view(-1, 1, 1, 1), "NaN or infinite values"),
        (lambda x: smooth(x) + 0.1, "affine, not linear: A.0. is"),
        (lambda x: x + 0.01 * torch.randn_like(x), "the same images differently"),
    ],
)
def test_what_else_is_wrong_is_named(A, said):
    with torch.random.fork_rng():
        found = ask(linear(A, smooth_adjoint if "affine" in said else lambda y: y))
    (doubt,) = found.doubts
    assert said.replace(".", "") in doubt.replace("(", "").replace(")", "").replace(".", "")
    assert found.adjoint_wrong == ""


def test_an_operator_that_counts_is_seen():
    assert "the same images differently" in ask(Counting()).doubts[0]


RIGHT = {
    "circular": lambda: operators.deblur(KERNEL, normalize=True),
    "valid": lambda: operators.deblur(KERNEL, boundary="valid"),
    "reflect": lambda: operators.deblur(KERNEL, boundary="reflect"),
    "mask": lambda: operators.inpaint(image(SIDE, SIDE) > 0.5),
    "ct": lambda: operators.ct(SIDE, 12),
    "ct line": lambda: operators.ct(SIDE, 12, model="line"),
    "ct fan": lambda: operators.ct(SIDE, 12, fan=(40, 80)),
    "photons": lambda: operators.ct(SIDE, 12, operators.PhotonCounts(1e4, 0.04)),
    "identity": lambda: linear(lambda x: x),
    "a huge scale": lambda: linear(lambda x: 1e12 * x, lambda y: 1e12 * y),
    "a tiny scale": lambda: linear(lambda x: 1e-12 * x, lambda y: 1e-12 * y),
    "one pixel": lambda: linear(lambda x: ON.to(x) * x, lambda y: ON.to(y) * y),
    "differences": lambda: linear(lambda x: x.roll(1, 3) - x, lambda y: y.roll(-1, 3) - y),
}


def deepinv_operators(batch: int, channels: int, dtype: torch.dtype):
    """deepinv's, of one parameter for all images and of one for each."""
    kernel, size = KERNEL[None, None].to(dtype), (channels, SIDE, SIDE)
    each = torch.cat([(1 + b) * kernel for b in range(batch)])
    mask = (image(batch, *size) > 0.5).to(dtype)
    for padding in ("valid", "circular", "reflect", "replicate", "constant"):
        yield dp.Blur(filter=kernel, padding=padding)
    yield dp.Blur(filter=each, padding="valid")
    yield dp.BlurFFT(size, filter=each)
    yield dp.Inpainting(size, mask=mask)
    yield dp.Denoising()
    if channels == 3:
        yield dp.Decolorize()
        yield dp.Demosaicing(img_size=size)
    for kind in (None, "bicubic", "gaussian"):
        yield dp.Downsampling(size, filter=kind, factor=2, padding="circular")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_raises_no_doubt(name, batch, dtype):
    found = ask(RIGHT[name](), batch, dtype)
    assert found.doubts == () and found.adjoint_wrong == "" and found.seen > 0
    errors = found.adjoint_error, found.linearity_error, found.independence_error
    assert max(errors) < (TOLERANCE / 10 if dtype == torch.float32 else 1e-11)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("batch, channels", [(1, 1), (2, 3), (5, 1)])
def test_deepinv_s_raise_no_doubt(batch, channels, dtype):
    for op in deepinv_operators(batch, channels, dtype):
        # to another dtype BlurFFT would lose the imaginary part of its spectrum
        found = ask(op if type(op) is dp.BlurFFT else op.to(dtype), batch, dtype, channels)
        assert found.doubts == () and found.adjoint_wrong == "", op


def test_the_numbers_are_those_of_their_definitions_whatever_the_units():
    x = smooth(image(2, 1, SIDE, SIDE))  # it decides what is drawn
    found = check_operator(with_adjoint(lambda y: 0.9 * smooth_adjoint(y)), x, x)
    other = linear(lambda x: 1e3 * smooth(x), lambda y: 0.9e3 * smooth_adjoint(y))
    assert 0.05 < found.adjoint_error < 0.5 and found.linearity_error < 1e-14
    assert check_operator(other, x, x).adjoint_error == pytest.approx(found.adjoint_error)
    assert ask(linear(lambda x: 3 * x, lambda y: 3 * y)).seen == pytest.approx(3)
