"""The root of a covariance by one product: closed forms, moments, and how far it errs."""

import pytest
import torch
from torch import Tensor

from solvers import JacobianCovariance
from solvers.posteriors.roots import root_by_one, root_times

f64 = torch.float64
PIXELS, MOST = 4000, 0.04


def spectrum(kind: str) -> Tensor:
    """Eigenvalues of a large matrix, which may as well be diagonal for white z."""
    places = (torch.arange(PIXELS, dtype=f64) + 0.5) / PIXELS
    if kind == "uniform":
        return MOST * places
    if kind == "few":
        return MOST * (places > 0.9).to(f64)
    return MOST * places**8  # most of them next to nothing, as of photographs


def white(seed: int = 0, images: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(images, PIXELS, generator=generator, dtype=f64)


def error(root: Tensor, eigenvalues: Tensor, z: Tensor) -> float:
    """Distance from the exact root, over its size."""
    exact = eigenvalues.sqrt() * z
    return float((root - exact).norm() / exact.norm())


@pytest.mark.parametrize("kind, most", [("uniform", 0.13), ("few", 1e-3), ("skew", 0.32)])
def test_it_errs_no_more_than_two_products_by_lanczos(kind, most):
    eigenvalues, z = spectrum(kind), white()
    found, product = root_by_one(lambda u: eigenvalues * u, z, MOST)
    torch.testing.assert_close(product, eigenvalues * z)
    by_two, _, _ = root_times(lambda u: eigenvalues * u, z, 2)
    assert error(found, eigenvalues, z) < most
    assert error(found, eigenvalues, z) < 1.02 * error(by_two, eigenvalues, z) + 1e-6


def test_of_beta_distributed_eigenvalues_the_third_moment_is_exact():
    """Of a uniform one, the root is that of two products by Lanczos, to the chance of z."""
    eigenvalues, z = spectrum("uniform"), white(images=1)
    one, _ = root_by_one(lambda u: eigenvalues * u, z, MOST)
    two, _, _ = root_times(lambda u: eigenvalues * u, z, 2)
    assert (one - two).norm() / two.norm() < 0.02
    wrong, _ = root_by_one(lambda u: eigenvalues * u, z, 3 * MOST)  # planted: another bound
    assert (wrong - two).norm() / two.norm() > 0.02


@pytest.mark.parametrize("kind", ["uniform", "few", "skew"])
def test_its_variance_is_that_of_the_covariance(kind):
    eigenvalues, z = spectrum(kind), white(seed=1)
    found, product = root_by_one(lambda u: eigenvalues * u, z, MOST)
    kept = found.square().sum() / (z * product).sum()
    assert abs(float(kept) - 1) < 1e-9  # (z, M z) at this z
    assert abs(float((2**0.5 * found).square().sum() / (z * product).sum()) - 1) > 0.5  # planted


@pytest.mark.parametrize("value", [0.0, MOST, 3 * MOST])
def test_of_one_eigenvalue_it_is_exact(value):
    z = white()[:, :5]
    found, _ = root_by_one(lambda u: value * u, z, MOST)
    torch.testing.assert_close(found, value**0.5 * z)


def test_without_noise_there_is_none_and_images_do_not_mix():
    eigenvalues, z = spectrum("skew"), white(images=3)
    z[1] = 0
    found, _ = root_by_one(lambda u: eigenvalues * u, z, MOST)
    assert not found[1].any() and found.isfinite().all()
    alone, _ = root_by_one(lambda u: eigenvalues * u, z[2:], MOST)
    torch.testing.assert_close(found[2:], alone)


def test_a_covariance_of_one_product_asks_for_one():
    asked = []

    def linearize(x: Tensor, sigma: float):
        return x, lambda u: asked.append(1) or u / 4

    _, matrix = JacobianCovariance(1, linearize).around(lambda x, s: x, white(), 2.0)
    noise, product = matrix.root(white(seed=3))
    torch.testing.assert_close(noise, white(seed=3))
    torch.testing.assert_close(product, white(seed=3))
    assert len(asked) == 1
