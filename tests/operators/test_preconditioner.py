"""The preconditioner of tomography: exact for convolutions, safe and quick for scans."""

import warnings
from functools import partial

import pytest
import torch
import torch.nn.functional as F

from proxlab.operators import ct, inpaint
from proxlab.operators.contract import Accuracy
from proxlab.operators.data_terms import linear
from proxlab.operators.data_terms.linear import LinearData
from proxlab.operators.noise import Weights
from proxlab.operators.tomography import preconditioner
from proxlab.operators.tomography.preconditioner import Circulant
from proxlab.restoration.data_terms import data_term
from solvers.linear_systems import conjugate_gradient
from tests.images.pictures import image, relative

SIZES = [(9, 12), (8, 7), (1, 6)]
SCANS = {
    "parallel": dict(size=32, angles=24),
    "limited angle": dict(size=32, angles=range(10, 70, 3)),
    "rectangle": dict(size=(24, 40), angles=24, detector_spacing=1.5, axis=(0.7, -2.3)),
    "fan": dict(size=32, angles=32, fan=(80, 120)),
    "lines": dict(size=32, angles=30, model="line", detector_spacing=0.8),
}


def blur(x):
    """A convolution with zeros around the image, whole: A^T A has no mirror but the centre."""
    kernel = torch.tensor([[0.1, 0.5, 0.0], [0.0, 0.6, 0.2], [0.0, 0.3, 0.7]], dtype=x.dtype)
    return F.conv2d(x, kernel[None, None], padding=2), kernel


def normal(x):
    y, kernel = blur(x)
    return F.conv_transpose2d(y, kernel[None, None], padding=2)


def turned_once(near):
    """Its kernel mirrored along one axis: a true one has the same value at -i, -j only."""
    near.spectrum = near.spectrum.flip(0).roll(1, 0)


def four_mirrors(near):
    """Take one quadrant of the kernel for all four."""
    height, width = near.size
    kernel = torch.fft.irfft2(near.spectrum, s=(2 * height, 2 * width))
    kernel[:, width + 1 :] = kernel[:, 1:width].flip(1)
    kernel[height + 1 :] = kernel[1:height].flip(0)
    near.spectrum = torch.fft.rfft2(kernel).real.clamp(min=0)


def gap(size, change=None):
    """Between A^T A and the convolution that it is taken for."""
    near, x = Circulant(normal, image(1, 1, *size)), image(2, 1, *size, seed=1)
    if change is not None:
        change(near)
    double = [2 * n for n in size]
    made = torch.fft.irfft2(torch.fft.rfft2(x, s=double) * near.spectrum, s=double)
    return relative(made[..., : size[0], : size[1]], normal(x))


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_convolution_is_taken_for_itself(size):
    assert gap(size) < 1e-14


@pytest.mark.parametrize("change", [turned_once, four_mirrors])
def test_a_kernel_mirrored_wrongly_is_seen(change):
    assert gap((9, 12), change) > 0.05


def dense(f, size):
    """The matrix of a linear map of images, symmetric if need be."""
    h, w = size
    return f(torch.eye(h * w, dtype=torch.float64).view(h * w, 1, h, w)).flatten(1).T


def conditions(size, s, change=None):
    """Condition numbers of I + s A^T A, before and after."""
    near = Circulant(normal, image(1, 1, *size))
    if change is not None:
        change(near)
    inverse = dense(lambda r: near.solve(torch.tensor(s), r), size)
    matrix = torch.eye(len(inverse)).double() + s * dense(normal, size)
    factor = torch.linalg.cholesky(inverse)
    return torch.linalg.cond(matrix).item(), torch.linalg.cond(factor.T @ matrix @ factor).item()


@pytest.mark.parametrize("s", [0.0, 0.01, 1.0, 100.0])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_it_is_symmetric_positive_definite_and_below_one(size, s):
    near = Circulant(normal, image(1, 1, *size))
    inverse = dense(lambda r: near.solve(torch.tensor(s), r), size)
    assert (inverse - inverse.T).abs().max() < 1e-15
    values = torch.linalg.eigvalsh(inverse)
    least = 1 / (1 + s * near.spectrum.max())
    assert least - 1e-12 < values[0] and values[-1] < 1 + 1e-12


def test_it_is_about_the_inverse():
    before, after = conditions((9, 12), 10.0)
    assert after < 3 and before > 25  # measured 2.6 and 28
    assert conditions((9, 12), 10.0, turned_once)[1] > before
    size, s = (9, 12), 1e-6
    near, r = Circulant(normal, image(1, 1, *size)), image(2, 1, *size, seed=1)
    linear = (r - near.solve(torch.tensor(s, dtype=torch.float64), r)) / s
    assert relative(linear, normal(r)) < 1e-4  # to first order it is the inverse


def prox(name, change=None, plain=False, tau=1e-4, tol=1e-8, dtype=torch.float64):
    """(I + s A^T A)^-1 (v + s A^T y), and how many steps it took."""
    op = ct(**SCANS[name])
    shape = 2, 1, op.scan.height, op.scan.width
    x, v = image(*shape).to(dtype), image(*shape, seed=1).to(dtype)
    f = data_term(op.A(x), op, noise=torch.tensor([0.1, 0.3]), tol=tol)
    assert isinstance(f, LinearData) and isinstance(f.preconditioner, Circulant)
    if change is not None:
        change(f.preconditioner)
    if plain:
        f.preconditioner = None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return f.prox(v, tau), f.inner_steps


@pytest.mark.parametrize("name", SCANS)
def test_the_prox_of_a_scan_is_the_same_in_fewer_steps(name):
    (quick, few), (slow, many) = prox(name), prox(name, plain=True)
    assert relative(quick, slow) < 1e-7 and few < 0.7 * many  # measured 0.5 to 0.61
    single, steps = prox(name, tol=1e-5, dtype=torch.float32)
    assert relative(single.double(), slow) < 1e-4 and steps < many


def test_a_wrong_kernel_costs_steps_but_no_accuracy():
    (right, few), (slow, many) = prox("limited angle"), prox("limited angle", plain=True)
    wrong, more = prox("limited angle", turned_once)
    assert relative(wrong, slow) < 1e-7 and relative(right, slow) < 1e-7
    assert more > 2 * few and more > many  # measured 9, 16 without any, 25


def krylov(matrix, near, b, steps):
    """Nearest to the solution, in the norm of the matrix, of all x in K(near matrix, near b)."""
    basis = [near @ b]
    for _ in range(steps - 1):
        basis.append(near @ (matrix @ basis[-1]))
    v = torch.linalg.qr(torch.stack(basis, 1))[0]
    return v @ torch.linalg.solve(v.T @ matrix @ v, v.T @ b)


@pytest.mark.parametrize("steps", [2, 4, 6])
def test_preconditioned_steps_are_the_best_of_their_krylov_space(steps):
    root, other, b = image(12, 12) - 0.5, image(12, 12, seed=1) - 0.5, image(2, 12, seed=2)
    eye = torch.eye(12, dtype=torch.float64)
    matrix, near = root @ root.T + eye / 10, other @ other.T + eye
    limits = dict(scale=b.norm(dim=1), tol=1e-12)
    left = lambda x: b - x @ matrix  # noqa: E731
    solve = partial(conjugate_gradient, lambda x: x @ matrix, left, 0 * b, **limits)
    got = solve(max_steps=steps, precondition=lambda r: r @ near).x
    for k in range(2):
        assert relative(got[k : k + 1], krylov(matrix, near, b[k], steps)[None]) < 1e-10
        assert relative(got[k : k + 1], krylov(matrix, eye, b[k], steps)[None]) > 1e-2
    exact = solve(max_steps=99, precondition=lambda r: torch.linalg.solve(matrix, r.T).T)
    assert exact.steps.tolist() == [1, 1] and exact.residual.max() < 1e-12


def test_beyond_the_limit_it_is_not_used(monkeypatch):
    def never(near):
        near.solve = None

    op = ct(**SCANS["parallel"])
    near = Circulant(op.A_adjoint_A, image(1, 1, 32, 32))
    highest = preconditioner.PRECONDITIONED_UP_TO / near.spectrum.max()
    assert near.helps(0.99 * highest) and not near.helps(1.01 * highest)
    two = torch.stack([0.1 * highest, 1.01 * highest]).view(2, 1, 1, 1)
    assert near.helps(two).flatten().tolist() == [True, False]
    s = highest.item() * 0.1**2  # tau, w = 1 / noise^2 of the first image, a ninth of the other's
    assert relative(prox("parallel", never, tau=9.5 * s, tol=1e-3)[0], image(2, 1, 32, 32)) < 1
    with pytest.raises(TypeError):
        prox("parallel", never, tau=0.99 * s, tol=1e-3)


def test_one_that_was_slow_is_not_used_again(monkeypatch):
    op = ct(**SCANS["parallel"])
    f = data_term(op(image(1, 1, 32, 32)), op, noise=0.1, tol=1e-9)
    v, used = image(1, 1, 32, 32, seed=1), []
    solve = f.preconditioner.solve
    monkeypatch.setattr(f.preconditioner, "solve", lambda s, r: used.append(1) or solve(s, r))
    f.prox(v, 1e-4)
    first = len(used)
    f.prox(2 * v, 1e-4)
    assert 0 < first < len(used)
    used.clear()
    monkeypatch.setattr(linear, "PRECONDITIONER_PATIENCE", 0)
    f.prox(v, 1e-4)
    first = len(used)
    f.prox(2 * v, 1e-4)
    assert len(used) == first > 0


def test_whether_it_is_used_does_not_depend_on_neighbours():
    op = ct(**SCANS["parallel"])
    y, v = op(image(2, 1, 32, 32)), image(2, 1, 32, 32, seed=1)
    both = data_term(y, op, noise=0.1, tol=1e-4)
    limit = preconditioner.PRECONDITIONED_UP_TO / float(both.preconditioner.spectrum.max()) * 0.1**2
    tau = torch.tensor([0.9 * limit, 1.1 * limit], dtype=torch.float64)
    together = both.prox(v, tau)
    alone = data_term(y[:1], op, noise=0.1, tol=1e-4).prox(v[:1], tau[:1])
    assert relative(together[:1], alone) < 1e-10


def test_a_preconditioner_that_does_not_fit_is_left_out_for_its_image():
    class Poor:
        """Right for the first image, and far from it for the second."""

        asked = 0

        def helps(self, s):
            return s > 0.5

        def solve(self, s, r):
            self.asked += 1
            far = torch.logspace(0, 4, r[0].numel(), dtype=r.dtype).view(1, *r.shape[1:])
            return torch.cat([r[:1] / (1 + s[:1]), r[1:] / far])

    op, y, poor = inpaint(torch.ones(8, 9), 0.1), image(2, 1, 8, 9), Poor()
    weights = Weights(torch.ones(2, dtype=torch.float64), None)
    f = LinearData(y, op, weights, Accuracy(1e-12, 500), poor)
    v = image(2, 1, 8, 9, seed=1)
    exact = (v + y) / 2
    assert relative(f.prox(v, 1.0), exact) < 1e-10
    assert f._slow.tolist() == [False, True] and poor.asked > 60
    plain = LinearData(y, op, weights, Accuracy(1e-12, 500))
    plain.prox(v, 1.0)
    assert plain.inner_steps < 3 and not plain._slow.any()  # it needs none
    before, asked = f.inner_steps, poor.asked
    assert relative(f.prox(3 * v, 1.0), (3 * v + y) / 2) < 1e-10
    assert f.inner_steps - before < 4 and poor.asked - asked < 4
    asked = poor.asked
    f.prox(v, 0.4)  # it says itself that it does not help there
    assert poor.asked == asked
