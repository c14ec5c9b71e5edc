"""Super-resolution against loops and dense solves; where pixels lie; every refusal a sentence."""

import copy
import pickle

import numpy as np
import pytest
import torch
from deepinv import physics as dp

from proxlab.operators import SubsampledBlur, deblur, gaussian_kernel, superres
from proxlab.operators.contract import Accuracy, Operator
from proxlab.operators.cubic import cubic
from proxlab.operators.data_term_checks import check_data_term
from proxlab.operators.data_terms.linear import LinearData
from proxlab.operators.data_terms.mirrored import MirroredData
from proxlab.operators.data_terms.subsampled import SubsampledData
from proxlab.operators.foreign import as_operator
from proxlab.operators.noise import Weights, measurement_weights
from tests.images.pictures import image, relative

RAND = np.random.default_rng(0)


def kernel(h, w):
    k = RAND.random((h, w))
    return k / k.sum()


EVEN, ODD = kernel(4, 2), kernel(3, 5)
THIN = np.outer([0.1, 0.2, 0.4, 0.2, 0.1], [0.3, 0.4, 0.3])
FLAT = np.outer([0.1, 0.4, 0.4, 0.1], [0.5, 0.5])
CASES = {
    "mean of 2": (lambda: superres(2), 2, np.full((2, 2), 1 / 4), 0.5),
    "mean of 3": (lambda: superres(3), 3, np.full((3, 3), 1 / 9), 1),
    "even, 2": (lambda: superres(2, EVEN), 2, EVEN, 0.5),
    "even, 4": (lambda: superres(4, EVEN), 4, EVEN, 1.5),
    "odd, 3": (lambda: superres(3, ODD), 3, ODD, 1),
    "odd, 2, first pixel": (lambda: superres(2, ODD, offset=0), 2, ODD, 0),
    "odd, 4, third pixel": (lambda: superres(4, ODD, offset=2), 4, ODD, 2),
    "even, 3, between": (lambda: superres(3, EVEN, offset=0.5), 3, EVEN, 0.5),
    "mirrored, 3": (lambda: superres(3, THIN, boundary="reflect"), 3, THIN, 1),
    "mirrored, 2": (lambda: superres(2, FLAT, boundary="reflect"), 2, FLAT, 0.5),
}
everyone = pytest.mark.parametrize("name", CASES)
SIZES = {2: (6, 10), 3: (6, 9), 4: (8, 8)}


def at(i, n, mirrors):
    """The pixel that lies at i, beyond the edges too."""
    i = int(i) % (2 * n if mirrors else n)
    return 2 * n - 1 - i if i >= n else i


def by_hand(x, factor, k, offset, mirrors=False):
    """The definition in loops: y[i] = sum_j k[j] x[factor i + offset + centre - j]."""
    (h, w), (height, width) = k.shape, x.shape[2:]
    y = torch.zeros(*x.shape[:2], height // factor, width // factor, dtype=x.dtype)
    for i, j, a, b in np.ndindex(*y.shape[2:], h, w):
        row, column = factor * i + offset + (h - 1) / 2 - a, factor * j + offset + (w - 1) / 2 - b
        assert row == int(row) and column == int(column)
        y[..., i, j] += k[a, b] * x[..., at(row, height, mirrors), at(column, width, mirrors)]
    return y


def dense(op, size):
    n = size[0] * size[1]
    return op.A(torch.eye(n, dtype=torch.float64).view(n, 1, *size)).flatten(1).T


@everyone
@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_the_sum_of_its_definition(name, channels):
    make, factor, k, offset = CASES[name]
    op, x = make(), image(2, channels, *SIZES[factor])
    mirrors = name.startswith("mirrored")
    assert relative(op.A(x), by_hand(x, factor, k, offset, mirrors)) < 1e-14
    assert mirrors == (relative(op.A(x), by_hand(x, factor, k, offset)) > 1e-3)
    assert op.A(x.float()).dtype == torch.float32


@everyone
def test_a_shifted_a_flipped_and_another_kernel_are_caught(name):
    make, factor, k, offset = CASES[name]
    x = image(1, 1, *SIZES[factor])
    y = make().A(x)
    for wrong in (x.roll(1, 2), x.roll(-1, 3)):
        assert relative(by_hand(wrong, factor, k, offset), y) > 1e-2
    if not name.startswith(("mean", "mirrored")):
        assert relative(by_hand(x, factor, k[::-1, ::-1], offset), y) > 1e-2


@everyone
def test_products_and_inverses_are_those_of_the_dense_matrix(name):
    make, factor, _, _ = CASES[name]
    size, op = SIZES[factor], make()
    A, x = dense(op, size), image(1, 1, *SIZES[factor])
    y = image(1, 1, size[0] // factor, size[1] // factor, seed=1)
    assert relative(op.A_adjoint(y).flatten(1), (A.T @ y.flatten())[None]) < 1e-13
    assert relative(op.A_A_adjoint(y).flatten(1), (A @ A.T @ y.flatten())[None]) < 1e-13
    assert relative(op.A_dagger(y).flatten(1), (torch.linalg.pinv(A) @ y.flatten())[None]) < 1e-8
    for gamma in (0.3, 1e4):
        left = torch.eye(x.numel()).double() + gamma * A.T @ A
        right = x.flatten() + gamma * A.T @ y.flatten()
        solved = torch.linalg.solve(left, right)[None]
        assert relative(op.prox_l2(x, y, gamma).flatten(1), solved) < 1e-9
        assert relative(op.prox_l2(x, y, 2 * gamma).flatten(1), solved) > 1e-6


@everyone
def test_the_data_term_is_the_dense_one(name):
    make, factor, _, _ = CASES[name]
    size, op = SIZES[factor], make()
    A, x = dense(op, size), image(2, 1, *SIZES[factor])
    y = image(2, 1, size[0] // factor, size[1] // factor, seed=1)
    f = op.data_term(y, Weights(torch.tensor([4.0, 900.0]).double(), None), Accuracy())
    assert isinstance(f, MirroredData if name.startswith("mirrored") else SubsampledData)
    assert f.tol == 0 and isinstance(op, Operator)
    assert check_data_term(f, op, y, x) == ""
    tau = torch.tensor([0.1, 0.7]).double()
    z = f.prox(x, tau)
    for b, w in enumerate((4.0, 900.0)):
        v, r = x[b].flatten(), A @ x[b].flatten() - y[b].flatten()
        assert float(f.value(x)[b]) == pytest.approx(w * float(r @ r) / 2)
        torch.testing.assert_close(f.grad(x)[b].flatten(), w * A.T @ r)
        s = w * float(tau[b])
        left = torch.eye(len(v)).double() + s * A.T @ A
        right = v + s * A.T @ y[b].flatten()
        torch.testing.assert_close(z[b].flatten(), torch.linalg.solve(left, right))
        torch.testing.assert_close(
            f.select(torch.tensor([b])).prox(x[b : b + 1], tau[b]), z[b][None]
        )
    norm = torch.linalg.matrix_norm(A, 2) ** 2
    bound = torch.tensor([4.0, 900.0]).double() * norm
    torch.testing.assert_close(f.lipschitz(), bound, rtol=1e-6, atol=0)
    assert (z - f.prox(x.roll(1, 3), tau)).norm() > 1e-2


def test_weights_of_single_pixels_are_conjugate_gradients():
    op, x = superres(2, EVEN), image(1, 1, 6, 10)
    y = op.A(x)
    f = op.data_term(y, Weights(torch.ones(1).double(), 0.5 + y), Accuracy(1e-8))
    assert isinstance(f, LinearData) and f.non_negative
    assert check_data_term(f, op, y, x, 0.5 + y) == ""


def test_a_blur_of_which_pixels_are_kept():
    x = image(1, 2, 12, 8)
    assert relative(superres(2, ODD, offset=0).A(x), deblur(ODD).A(x)[..., ::2, ::2]) < 1e-14


def wave(height, width, phase=0.0):
    """A smooth image of a circle, moved down and right by so many pixels."""
    rows, columns = torch.meshgrid(
        (torch.arange(height) - phase).double() / height,
        (torch.arange(width) - phase).double() / width,
        indexing="ij",
    )
    return (0.5 + (2 * np.pi * rows).sin() / 5 + (2 * np.pi * columns).cos() / 7)[None, None]


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("offset", [None, 0])
def test_image_and_first_estimate_lie_on_each_other_and_half_a_pixel_fails(factor, offset):
    size = 24 * factor, 30 * factor
    k = gaussian_kernel(0.8, even=factor % 2 == 0 and offset is None)
    op = superres(factor, k, offset=offset)

    def error(phase):
        found = op.first_estimate(op.A(wave(*size)))
        return (found - wave(*size, phase))[..., 9:-9, 9:-9].abs().max().item()

    assert 5 * error(0) < min(error(0.5), error(-0.5))


@pytest.mark.parametrize("factor", [2, 3])
def test_cubic_interpolation_keeps_pixels_and_parabolas(factor):
    x = torch.arange(9.0).double()[None, None, None] ** 2 / 64
    for offset in (0, (factor - 1) / 2, factor - 1):
        places = (torch.arange(9 * factor).double() - offset) / factor
        found = cubic(x, 3, factor, offset)[..., 2 * factor : -2 * factor]
        right = places**2 / 64
        assert (found - right[2 * factor : -2 * factor]).abs().max() < 1e-12
        if offset == round(offset):
            assert torch.equal(cubic(x, 3, factor, offset)[..., int(offset) :: factor], x)


def test_the_kept_spectra_follow_size_dtype_and_kernel():
    op = superres(2, EVEN)
    assert isinstance(op, SubsampledBlur)
    with torch.inference_mode():
        op.A(image(1, 1, 6, 10))
    for x in (image(1, 1, 6, 10), image(1, 1, 8, 4), image(1, 1, 8, 4).float()):
        assert relative(op.A(x).double(), by_hand(x.double(), 2, EVEN, 0.5)) < 1e-6
    x = image(1, 1, 6, 10).requires_grad_()
    op.A(x).sum().backward()
    op.kernel.mul_(2)
    assert relative(op.A(x), by_hand(x, 2, 2 * EVEN, 0.5)) < 1e-14


@pytest.mark.parametrize("filter", ["gaussian", "bicubic", None])
@pytest.mark.parametrize("factor", [2, 3])
def test_the_closed_form_is_lent_to_deepinv(filter, factor):
    x = image(2, 1, 18, 24)
    op = dp.Downsampling((1, 18, 24), filter=filter, factor=factor).double()
    y = op.A(x) + 0.1
    f = as_operator(op).data_term(y, measurement_weights(y, op, 0.1), Accuracy(1e-10))
    assert isinstance(f, SubsampledData) and check_data_term(f, op, y, x) == ""
    slow = LinearData(y, op, measurement_weights(y, op, 0.1), Accuracy(1e-10))
    assert relative(f.prox(x, 0.3), slow.prox(x, 0.3)) < 1e-8
    assert f.lipschitz().tolist() == pytest.approx(slow.lipschitz().tolist(), rel=0.06)


class Turned(dp.Downsampling):
    """A subclass that is no blur any more."""

    def A(self, x, **kwargs):
        return super().A(x.flip(3), **kwargs)

    def A_adjoint(self, y, **kwargs):
        return super().A_adjoint(y, **kwargs).flip(3)


@pytest.mark.parametrize(
    "op, size",
    [
        (Turned((1, 36, 36), filter="gaussian"), (36, 36)),
        (dp.Downsampling((1, 35, 36), filter="gaussian"), (35, 36)),
        (dp.Downsampling((1, 36, 36), filter="gaussian", padding="reflect"), (36, 36)),
    ],
    ids=["subclass", "half a block", "mirrored"],
)
def test_it_is_lent_to_nothing_else(op, size):
    op, x = op.double(), image(1, 1, *size)
    y = op.A(x)
    f = as_operator(op).data_term(y, measurement_weights(y, op, 0.1), Accuracy(1e-6))
    assert isinstance(f, LinearData) and check_data_term(f, op, y, x) == ""


REFUSED = [
    (lambda: superres(1), r"from 2 to 16, got 1$"),
    (lambda: superres(2.5), r"whole number from 2 to 16, got 2\.5"),
    (lambda: superres(True), "got True"),
    (lambda: superres(2, ODD), r"3 x 5 has its centre between .*even=True\).*offset=0"),
    (lambda: superres(3, EVEN), r"4 x 2 .*block of 3 x 3; make its sides odd.*even=False\)"),
    (lambda: superres(2, kernel(3, 4)), "3 x 4 has its centre between"),
    (lambda: superres(2, EVEN, offset=0), r"between pixels on offset 0; make its sides odd"),
    (lambda: superres(4, EVEN, offset=0.25), r"0, 0\.5, 1 \.\.\. 3, got 0\.25"),
    (lambda: superres(2, ODD, offset=2), r"row and column of a block, 0, 0\.5, 1 .*, got 2"),
    (lambda: superres(2, EVEN, boundary="valid"), "boundary is 'circular' or 'reflect', got 'v"),
    (lambda: superres(2, EVEN, boundary="reflect"), r"its own mirror image.*average the 4 x 2"),
    (lambda: superres(3, THIN, 0.0, 0, "reflect"), r"on the middle of a block"),
    (lambda: superres(2, offset=0), r"mean of a block has its centre at 0\.5; leave offset out"),
    (lambda: superres(2, 2 * EVEN), "sums to 2; pass normalize"),
    (lambda: superres(2, EVEN, noise=25), r"0 <= noise <= 1, got 25; divide"),
    (lambda: superres(2).A(image(1, 1, 6, 9)), r"6 x 9 pixels are no blocks of 2 x 2.*to 6 x 8"),
    (lambda: superres(4).A(image(1, 1, 3, 9)), "smaller than a block"),
    (lambda: superres(2, EVEN).A(image(1, 1, 2, 8)), "the kernel is 4 x 2, larger"),
    (lambda: superres(2, EVEN).usable(image(1, 1, 1, 8)), "the kernel is 4 x 2, larger"),
    (lambda: superres(2)(torch.full((1, 1, 4, 4), torch.nan)), "NaN or infinite"),
]


@pytest.mark.parametrize("call, sentence", REFUSED, ids=[s for _, s in REFUSED])
def test_what_cannot_be_is_refused_in_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


def test_an_even_gaussian_is_centred_between_pixels():
    k = gaussian_kernel(1.3, even=True)
    assert (
        k.shape == (12, 12) and torch.equal(k, k.flip(0, 1)) and float(k.sum()) == pytest.approx(1)
    )
    assert float(k[5, 5] / k[5, 6]) == pytest.approx(1)
    with pytest.raises(TypeError, match="even is True or False, got 1"):
        gaussian_kernel(1.0, even=1)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["even, 4", "mirrored, 2"])
def test_copies_answer_the_same_and_a_nan_stays_in_its_image(name):
    op, x = CASES[name][0](), image(2, 1, 8, 12)
    y = op.A(x)
    f = op.data_term(y, Weights(torch.ones(2).double(), None), Accuracy())
    for twin in (pickle.loads(pickle.dumps(op)), copy.deepcopy(op)):
        g = twin.data_term(y, Weights(torch.ones(2).double(), None), Accuracy())
        assert torch.equal(twin.A(x), y) and torch.equal(g.prox(x, 0.3), f.prox(x, 0.3))
    bad = x.clone()
    bad[0, 0, 3, 4] = torch.nan
    assert f.prox(bad, 0.3)[0].isnan().any()
    assert torch.equal(f.prox(bad, 0.3)[1], f.prox(x, 0.3)[1])
