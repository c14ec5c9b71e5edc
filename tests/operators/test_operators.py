"""Blur and masks against loops and dense matrices; noise; every refusal in a sentence."""

import warnings

import numpy as np
import pytest
import torch
from deepinv.physics import GaussianNoise, PoissonNoise, ZeroNoise

from proxlab.operators import (
    box_mask,
    deblur,
    gaussian_kernel,
    inpaint,
    noise_level,
    random_mask,
)

RAND = np.random.default_rng(0)
KERNEL = RAND.random((5, 3))
KERNEL /= KERNEL.sum()
LINE = np.array([[0.1, 0.2, 0.4, 0.2, 0.1]])
MASK = RAND.random((9, 14)) > 0.5
COLOURED = RAND.random((3, 9, 14)) > 0.5
OPERATORS = {
    "circular": lambda: deblur(KERNEL),
    "valid": lambda: deblur(KERNEL, boundary="valid"),
    "reflect": lambda: deblur(KERNEL, boundary="reflect"),
    "reflect row": lambda: deblur(LINE, boundary="reflect"),
    "reflect column": lambda: deblur(LINE.T.copy(), boundary="reflect"),
    "reflect one": lambda: deblur(np.ones((1, 1)), boundary="reflect"),
    "mask": lambda: inpaint(MASK),
    "mask per channel": lambda: inpaint(COLOURED),
}
PAD = {"circular": "wrap", "reflect": "reflect"}


def image(*shape, seed=0, dtype=torch.float64):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def adjoint_gap(A, A_adjoint, x):
    """|<A x, v> - <x, A^T v>|, relative to |A x| |v|, with a random v."""
    y = A(x)
    v = image(*y.shape, seed=1, dtype=y.dtype) - 0.5
    gap = (y * v).sum(dtype=torch.float64) - (x * A_adjoint(v)).sum(dtype=torch.float64)
    return (gap.abs() / (y.norm() * v.norm())).item()


def slow_blur(x, kernel, boundary):
    """The definition in loops: (A x)[i] = sum_j kernel[j] x[i - j + centre]."""
    (h, w), x = kernel.shape, x.numpy()
    edges = ((0, 0), (0, 0), (h // 2, h // 2), (w // 2, w // 2))
    big = x if boundary == "valid" else np.pad(x, edges, mode=PAD[boundary])
    out = np.zeros((*x.shape[:2], big.shape[2] - h + 1, big.shape[3] - w + 1))
    for i in range(out.shape[2]):
        for j in range(out.shape[3]):
            window = big[:, :, i : i + h, j : j + w]
            out[:, :, i, j] = (window * kernel[::-1, ::-1]).sum((2, 3))
    return torch.from_numpy(out)


def relative(a, b):
    return ((a - b).norm() / b.norm()).item()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("channels", [1, 3])
def test_adjoint(name, channels, dtype):
    channels = 3 if name == "mask per channel" else channels
    op, x = OPERATORS[name](), image(2, channels, 9, 14, dtype=dtype)
    assert op.A(x).dtype == op.A_adjoint(op.A(x)).dtype == dtype
    assert adjoint_gap(op.A, op.A_adjoint, x) < (1e-6 if dtype == torch.float32 else 1e-14)
    assert relative(op.A_adjoint_A(x), op.A_adjoint(op.A(x))) < 1e-5


@pytest.mark.parametrize("size", [(5, 3), (7, 3), (9, 9), (6, 13)])
@pytest.mark.parametrize("name", ["circular", "valid", "reflect"])
def test_adjoint_of_odd_sizes(name, size):
    op = OPERATORS[name]()
    assert adjoint_gap(op.A, op.A_adjoint, image(1, 1, *size)) < 1e-14


@pytest.mark.parametrize("boundary", ["circular", "reflect"])
def test_the_adjoint_check_catches_the_flipped_kernel(boundary):
    op = deblur(KERNEL, boundary=boundary)
    assert adjoint_gap(op.A, op.A, image(2, 3, 9, 14)) > 1e-4


@pytest.mark.parametrize("boundary", ["circular", "valid", "reflect"])
@pytest.mark.parametrize("size", [(6, 7), (9, 14), (5, 3)])
@pytest.mark.parametrize("kernel", [KERNEL, LINE[:, 1:4] / 0.8], ids=["5x3", "1x3"])
def test_blur_is_the_sum_of_its_definition(kernel, size, boundary):
    x = image(2, 3, *size)
    y = deblur(kernel, boundary=boundary).A(x)
    assert relative(y, slow_blur(x, kernel, boundary)) < 1e-14
    flipped = deblur(kernel[::-1, ::-1].copy(), boundary=boundary).A(x)
    if kernel is KERNEL:  # the row is symmetric
        assert relative(flipped, slow_blur(x, kernel, boundary)) > 1e-3
    moved = y.roll(1, 3)
    assert min(size) < 6 or relative(moved, slow_blur(x, kernel, boundary)) > 1e-3


def test_a_point_turns_into_the_kernel():
    x = torch.zeros(1, 1, 11, 12)
    x[0, 0, 5, 6] = 1
    for boundary in ("circular", "reflect"):
        patch = deblur(KERNEL, boundary=boundary).A(x)[0, 0, 3:8, 5:8]
        assert relative(patch.double(), torch.from_numpy(KERNEL)) < 1e-6


def test_boundaries_agree_inside():
    x = image(1, 2, 16, 15)
    valid = deblur(KERNEL, boundary="valid").A(x)
    for boundary in ("circular", "reflect"):
        assert relative(deblur(KERNEL, boundary=boundary).A(x)[..., 2:-2, 1:-1], valid) < 1e-14


def test_circular_is_its_dense_matrix():
    h, w, x = 6, 7, image(1, 1, 6, 7)
    dense = torch.zeros(h, w, h, w, dtype=torch.float64)
    for i, j, a, b in np.ndindex(h, w, *KERNEL.shape):
        dense[i, j, (i - a + 2) % h, (j - b + 1) % w] += KERNEL[a, b]
    dense, op = dense.reshape(h * w, h * w), deblur(KERNEL)
    assert relative(op.A(x).flatten(), dense @ x.flatten()) < 1e-14
    assert relative(op.A_adjoint(x).flatten(), dense.T @ x.flatten()) < 1e-14
    assert relative(op.A_dagger(x).flatten(), torch.linalg.pinv(dense) @ x.flatten()) < 1e-9


@pytest.mark.parametrize("name", ["circular", "mask", "mask per channel"])
def test_prox_l2_solves_its_equation(name):
    op, z = OPERATORS[name](), image(2, 3, 9, 14)
    y, each = op.A(image(2, 3, 9, 14, seed=3)), torch.tensor([0.3, 500.0])
    both = [op.prox_l2(z, y, g) for g in (each, each.view(2, 1, 1, 1))]
    single = [op.prox_l2(z[b : b + 1], y[b : b + 1], each[b].item()) for b in range(2)]
    assert torch.equal(both[0], both[1])
    assert relative(both[0], torch.cat(single)) < 1e-7
    x, gamma = both[0], each.double().view(2, 1, 1, 1)
    assert (x - z + gamma * op.A_adjoint(op.A(x) - y)).norm() < 1e-11 * (gamma * y).norm()
    assert (x - z + 2 * gamma * op.A_adjoint(op.A(x) - y)).norm() > 1e-4  # a forgotten factor
    assert relative(op.prox_l2(None, y, 2.0), op.prox_l2(0 * z, y, 2.0)) < 1e-14
    with pytest.raises(ValueError, match=r"gamma is a float, \[B\]"):
        op.prox_l2(z, y, torch.ones(3))


def test_the_kept_spectrum_follows_size_dtype_and_kernel():
    op = deblur(KERNEL)
    with torch.inference_mode():
        op.A(image(1, 1, 9, 9))
    for size, dtype in [((9, 9), torch.float64), ((9, 8), torch.float64), ((9, 8), torch.float32)]:
        x = image(1, 1, *size, dtype=dtype).requires_grad_()
        assert relative(op.A(x).detach().double(), slow_blur(x.detach(), KERNEL, "circular")) < 1e-6
        op.A(x).sum().backward()
    op.kernel.mul_(2)
    assert relative(op.A(x).double(), 2 * slow_blur(x.detach(), KERNEL, "circular")) < 1e-6


@pytest.mark.parametrize("name", OPERATORS)
def test_noise_is_reproducible_of_the_right_size_and_only_on_what_is_seen(name):
    op = OPERATORS[name]()
    op.noise_model = type(op.noise_model)(0.1)
    x = image(60, 3, 9, 14)
    draws = [op(x, generator=torch.Generator().manual_seed(5)) for _ in range(2)]
    noise = draws[0] - op.A(x)
    seen = op.A(torch.ones_like(x)) > 0.5
    assert torch.equal(draws[0], draws[1])
    assert abs(noise[seen].std() - 0.1) < 0.003 and abs(noise[seen].mean()) < 0.003
    assert (noise[~seen] == 0).all()
    torch.manual_seed(1)
    first = op(x)
    torch.manual_seed(1)
    assert torch.equal(first, op(x)) and not torch.equal(first, op(x))
    with pytest.raises(TypeError, match="generator is a torch.Generator, got int"):
        op(x, generator=3)


def test_no_noise_is_none_at_all_and_levels_can_be_read():
    x = image(2, 1, 9, 14)
    for make in (deblur(KERNEL), inpaint(MASK)):
        assert torch.equal(make(x), make.A(x)) and noise_level(make) == 0.0
    op = deblur(KERNEL, noise=0.03)
    assert noise_level(op) == 0.03
    for model, level in [(ZeroNoise(), 0.0), (PoissonNoise(), None), (GaussianNoise(0.25), 0.25)]:
        op.noise_model = model
        assert noise_level(op) == level
    op.noise_model = GaussianNoise(torch.tensor([0.25, 0.5]))
    assert noise_level(op).tolist() == [0.25, 0.5]


def test_kernels_and_masks_made_here():
    kernel = gaussian_kernel(1.3)
    assert kernel.shape == (13, 13) and abs(kernel.sum() - 1) < 1e-15
    i = torch.arange(-6.0, 7).double()
    assert abs((kernel.sum(0) * i**2).sum().sqrt() - 1.3) < 2e-3
    assert relative(deblur(3 * kernel, normalize=True).kernel, kernel) < 1e-15
    mask = random_mask((20, 30), 0.25, torch.Generator().manual_seed(0))
    assert mask.shape == (20, 30) and (~mask).sum() == 150
    assert torch.equal(mask, random_mask((20, 30), 0.25, torch.Generator().manual_seed(0)))
    box = box_mask((3, 8, 9), (2, 3, 4, 5))
    assert not box[:, 2:6, 3:8].any() and (~box).sum() == 3 * 20
    x = image(1, 1, 9, 14)
    for kind in (bool, np.uint8, np.float32):
        assert torch.equal(inpaint(MASK.astype(kind)).A(x), inpaint(MASK).A(x))


X, BIG = image(1, 1, 9, 14), np.full((11, 3), 1 / 33)
BAD = [
    (lambda: deblur(KERNEL[None]), ValueError, r"kernel is \[h, w\], got shape \[1, 5, 3\]"),
    (lambda: deblur([[1.0]]), TypeError, "numpy array or tensor, got list"),
    (lambda: deblur(KERNEL * np.nan), ValueError, "15 entries that are NaN"),
    (lambda: deblur(KERNEL * 0), ValueError, "all entries of the 5 x 3 kernel are zero"),
    (lambda: deblur(KERNEL * 0.93), ValueError, "sums to 0.93; pass normalize=True"),
    (lambda: deblur(KERNEL - KERNEL.mean(), normalize=True), ValueError, "nothing can be divided"),
    (lambda: deblur(np.ones((2, 3)) / 6), ValueError, "no centre, got 2 x 3; pad it with a zero"),
    (lambda: deblur(BIG).A(X), ValueError, "11 x 3, larger than the image, 9 x 14"),
    (lambda: deblur(BIG, boundary="reflect").A(X), ValueError, "11 x 3, larger than the image"),
    (lambda: deblur(BIG, boundary="valid")(X), ValueError, "11 x 3, larger than the image"),
    (lambda: deblur(KERNEL, noise=-0.1), ValueError, "0 <= noise <= 1, got -0.1"),
    (lambda: deblur(KERNEL, noise=25), ValueError, "got 25; divide by 255"),
    (lambda: inpaint(MASK, noise=float("nan")), ValueError, "noise is a standard deviation"),
    (lambda: deblur(KERNEL, boundary="circlar"), ValueError, "'reflect', got 'circlar'"),
    (lambda: inpaint(MASK * 0.5), ValueError, "0 .missing. and 1 .seen. only, got 0.5"),
    (lambda: inpaint(MASK * np.nan), ValueError, "only, got nan"),
    (lambda: inpaint(MASK[0]), ValueError, r"\[C, H, W\], got shape \[14\]"),
    (lambda: inpaint(MASK * 0), ValueError, "no seen pixel"),
    (lambda: inpaint(MASK).A(X[..., 1:]), ValueError, r"\[1, 9, 14\], the image has \[1, 9, 13\]"),
    (lambda: inpaint(MASK[:1]).A(X), ValueError, r"\[1, 1, 14\], the image has \[1, 9, 14\]"),
    (lambda: inpaint(COLOURED)(X), ValueError, r"\[3, 9, 14\], the image has \[1, 9, 14\]"),
    (lambda: deblur(KERNEL).A(X[0]), ValueError, r"\[B, C, H, W\], got shape \[1, 9, 14\]"),
    (lambda: inpaint(MASK).A(X.to(torch.uint8)), TypeError, "got torch.uint8"),
    (lambda: deblur(KERNEL)(X.numpy()), TypeError, "torch tensor, got ndarray"),
    (lambda: deblur(KERNEL)(X / (X > 0.01)), ValueError, "of 126 pixels are NaN or infinite"),
    (lambda: gaussian_kernel(0), ValueError, "0 < sigma <= 100, got 0"),
    (lambda: random_mask((4, 4), 1.0), ValueError, "0 <= missing < 1, got 1.0"),
    (lambda: random_mask((4, 4), 0.99), ValueError, "none of 16 pixels seen"),
    (lambda: box_mask((4, 4), (2, 0, 3, 1)), ValueError, "not inside 4 x 4"),
    (lambda: box_mask((4, 4), (0, 0, 4, 4)), ValueError, "covers the whole image"),
]


@pytest.mark.parametrize("call, error, message", BAD, ids=[message for _, _, message in BAD])
def test_bad_input_is_refused_in_a_sentence(call, error, message):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(error, match=message):
            call()
