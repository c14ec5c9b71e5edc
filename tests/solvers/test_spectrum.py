"""Lanczos against dense eigenvalues, image by image; it must see that a function is no prox."""

import pytest
import torch

import proxlab
from solvers.spectrum import _extremes, jacobian_spectrum, krylov, scattered

SIGMA = 0.1
PRIOR = proxlab.load("lpn-gray")


def images(batch: int = 2, side: int = 8) -> torch.Tensor:
    rng = torch.Generator().manual_seed(0)
    return 0.3 * torch.rand(batch, 1, side, side, generator=rng, dtype=torch.float64)


def prox(v):
    with torch.no_grad():
        return PRIOR.prox(v, SIGMA)


def dense(f, v: torch.Tensor) -> torch.Tensor:
    """The Jacobian of f at one image [1, h, w], a column a pixel."""
    n = v.numel()
    moves = 1e-5 * torch.eye(n, dtype=torch.float64).view(n, *v.shape)
    return ((f(v + moves) - f(v - moves)) / 2e-5).flatten(1).T


def test_extremes_of_a_learned_prox_against_the_dense_jacobian():
    v = images()
    found = jacobian_spectrum(prox, v, 1e-3 * SIGMA, steps=50)
    for b in range(2):
        exact = torch.linalg.eigvalsh(dense(prox, v[b]))
        assert found.highest[b].item() == pytest.approx(exact[-1].item(), abs=1e-4)
        assert found.lowest[b].item() == pytest.approx(exact[0].item(), abs=1e-3)
    assert (found.error < 1e-3).all() and (found.asymmetry < 1e-4).all()
    early = jacobian_spectrum(prox, v, 1e-3 * SIGMA, steps=8)
    assert (early.highest <= found.highest + 1e-6).all()
    assert (found.highest - early.highest <= early.error + 1e-3).all()


def test_a_batch_is_its_images_alone():
    v = images()
    both = jacobian_spectrum(prox, v, 1e-3 * SIGMA, steps=10)
    for b in range(2):
        alone = jacobian_spectrum(prox, v[b : b + 1], 1e-3 * SIGMA, steps=10)
        assert both.highest[b].item() == pytest.approx(alone.highest.item(), abs=1e-6)


def linear(matrix: torch.Tensor):
    return lambda v: (v.flatten(1) @ matrix.T).view_as(v)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_krylov_space_is_orthonormal_and_holds_the_map(dtype):
    rng = torch.Generator().manual_seed(1)
    A = torch.rand(16, 16, generator=rng, dtype=torch.float64)  # not symmetric, so Arnoldi
    start = images(2, 4).to(dtype)
    basis, table = krylov(linear(A.to(dtype)), start, 6)
    Q = torch.stack(basis, 1).flatten(2).double()  # [B, 7, 16]
    near = 1e-12 if dtype == torch.float64 else 1e-5
    assert (Q @ Q.mT - torch.eye(7)).abs().max() < near
    assert (Q @ A @ Q[:, :6].mT - table).abs().max() < near * 10
    assert (table.tril(-2) == 0).all() and (Q[:, 0] @ start[0].flatten().double())[0] > 0
    assert (Q @ A.T @ Q[:, :6].mT - table).abs().max() > 0.1  # planted: the other way round


def test_a_complete_krylov_space_goes_on_with_zeros():
    found = krylov(lambda v: 0 * v, images().float(), 3)
    assert all((q == 0).all() for q in found.basis[1:]) and (found.table == 0).all()


def test_the_fixed_start_is_each_image_s_own_and_of_every_frequency():
    u = scattered(torch.zeros(3, 1, 32, 32, dtype=torch.float64))
    assert torch.equal(u[0], u[2]) and torch.equal(u, scattered(u))
    assert 0.4 < u.mean() < 0.6 and u.min() < -0.4 and u.max() > 1.4
    power = torch.fft.rfft2(u[0, 0]).abs().square() / 32**2
    assert (power > 1e-4 * power[1:, 1:].mean()).all()


def test_a_space_that_is_exhausted_early():
    eigenvalues = torch.tensor([0.2, 1.5] * 8, dtype=torch.float64)
    found = jacobian_spectrum(linear(eigenvalues.diag()), images(2, 4), 1e-3, steps=9)
    assert found.lowest.tolist() == pytest.approx([0.2] * 2, abs=1e-8)
    assert found.highest.tolist() == pytest.approx([1.5] * 2, abs=1e-8)
    assert (found.error < 1e-8).all()


def test_what_is_no_prox_is_seen():
    v = images(1)
    shifted = jacobian_spectrum(lambda x: 0.9 * x + 0.1 * x.roll(1, -1), v, 1e-3, steps=10)
    assert shifted.asymmetry > 0.02
    negative = torch.linspace(-0.3, 1, 64, dtype=torch.float64).diag()
    found = jacobian_spectrum(linear(negative), v, 1e-3, steps=30)
    assert found.lowest < -0.25 and found.asymmetry < 1e-6


def test_a_forgotten_coefficient_would_be_caught():
    """Planted: a Lanczos that loses its off-diagonal."""
    three = torch.tensor([[1.0, 0.5, 0.0], [0.5, 1.0, 0.5], [0.0, 0.5, 1.0], [0.0, 0.0, 0.1]])
    right = _extremes(three.double()[None])
    assert right.highest.item() == pytest.approx(1 + 0.5**0.5) and right.asymmetry == 0
    assert right.error.item() == pytest.approx(0.05)
    planted = _extremes(three.double().tril()[None])
    assert abs(planted.highest - right.highest) > 0.1 and planted.asymmetry > 0.1


@pytest.mark.parametrize("step, steps", [(0.0, 3), (1e-3, 0)])
def test_nonsense_is_refused(step, steps):
    with pytest.raises(ValueError, match="step > 0 and steps >= 1"):
        jacobian_spectrum(prox, images(), step, steps)


def test_an_image_that_is_no_number_has_a_spectrum_of_none_and_its_neighbours_theirs():
    v = torch.rand(3, 1, 5, 5, dtype=torch.float64)
    v[1, 0, 2, 2] = torch.inf
    found = jacobian_spectrum(lambda v: v / 2, v, 1e-3, 3)
    assert found.highest.isnan().tolist() == [False, True, False]
    assert found.highest[[0, 2]].tolist() == pytest.approx([0.5, 0.5])
    with pytest.raises(ValueError, match="images with pixels, got shape"):
        jacobian_spectrum(lambda v: v / 2, v[..., :0], 1e-3)
