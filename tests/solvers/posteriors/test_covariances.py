"""Covariances of clean images: the Wiener one is exact for stationary images, scaled rightly."""

import pytest
import torch

from solvers import SpectralCovariance
from solvers.posteriors.covariances import Applied, ScaledIdentity, Stationary
from solvers.posteriors.guided import Whole

f64 = torch.float64


def spectrum(height: int, width: int) -> torch.Tensor:
    """An even power spectrum, whole, [H, W]."""
    rows, columns = torch.fft.fftfreq(height)[:, None], torch.fft.fftfreq(width)
    return 1 / (0.02 + rows.double() ** 2 + 2 * columns.double() ** 2)


def matrix(apply, height: int, width: int) -> torch.Tensor:
    """The map as a matrix, from its products with all pixels."""
    n = height * width
    pixels = torch.eye(n, dtype=f64).view(n, 1, height, width)
    return apply(pixels).flatten(1)


@pytest.mark.parametrize("size", [(4, 6), (5, 3), (3, 4)])
@pytest.mark.parametrize("sigma", [0.5, 4.0])
def test_it_is_the_posterior_covariance_of_a_stationary_gaussian(size, sigma):
    half = spectrum(*size)[:, : size[1] // 2 + 1]
    S = matrix(Stationary(half).product, *size)
    truth = sigma**2 * torch.linalg.solve(S + sigma**2 * torch.eye(len(S), dtype=f64), S)
    x = torch.zeros(1, 1, *size, dtype=f64)
    _, found = SpectralCovariance(half).around(lambda x, sigma: x, x, sigma)
    torch.testing.assert_close(matrix(found.product, *size), truth)
    root = matrix(lambda z: found.root(z).noise, *size)
    torch.testing.assert_close(root @ root, truth)
    _, wrong = SpectralCovariance(2 * half).around(lambda x, sigma: x, x, sigma)
    assert (matrix(wrong.product, *size) - truth).abs().max() > 1e-3


@pytest.mark.parametrize("size", [(4, 6), (5, 3), (3, 4)])
def test_its_scale_is_the_mean_variance_of_a_pixel(size):
    """Over all frequencies, of which the half spectrum has some once and others for two."""
    half = spectrum(*size)[:, : size[1] // 2 + 1]
    x = torch.zeros(1, 1, *size, dtype=f64)
    _, found = SpectralCovariance(half, lambda sigma: 0.03).around(lambda x, sigma: x, x, 1.0)
    variances = matrix(found.product, *size).diagonal()
    torch.testing.assert_close(variances, torch.full_like(variances, 0.03))


def test_a_spectrum_of_another_size_is_refused():
    x = torch.zeros(1, 1, 4, 4)
    with pytest.raises(ValueError, match="got \\[4, 4\\]; make it for this size"):
        SpectralCovariance(torch.ones(4, 4)).around(lambda x, sigma: x, x, 1.0)


def test_a_root_knows_the_product_that_it_took():
    generator = torch.Generator().manual_seed(0)
    half = torch.randn(3, 12, 12, generator=generator, dtype=f64)
    table = half @ half.mT
    z = torch.randn(3, 1, 3, 4, generator=generator, dtype=f64)
    truth = (table @ z.flatten(1)[..., None]).view_as(z)
    whole = Whole(torch.zeros_like(z), table)
    for products in (1, 2, 5):
        torch.testing.assert_close(Applied(whole.product, products).root(z).product, truth)
    torch.testing.assert_close(whole.root(z).product, truth)
    even = Stationary(spectrum(3, 4)[:, :3])
    for known in (even, ScaledIdentity(0.3)):
        found = known.root(z)
        torch.testing.assert_close(found.product, known.product(z))
        torch.testing.assert_close(known.root(found.noise).noise, found.product)
