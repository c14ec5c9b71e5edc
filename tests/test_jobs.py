"""The door for scripts: names, arrays, networks and denoisers lead to the same restoration."""

import numpy as np
import pytest
import torch
from deepinv.models import DnCNN, MedianFilter

import proxlab
from proxlab import restoration
from proxlab.named_priors import as_prior

SIGMA = 0.05


class Shrinking(torch.nn.Module):
    """A network of noise level and image."""

    def forward(self, v, sigma):
        return v / (1 + sigma**2)


class Ridge:
    """The same as a prior that says nothing of itself."""

    def prox(self, v, sigma):
        return v / (1 + torch.as_tensor(sigma, dtype=v.dtype).view(-1, 1, 1, 1) ** 2)


@pytest.fixture
def problem():
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(2, 1, 24, 24, generator=generator)
    op = proxlab.operators.deblur(proxlab.operators.gaussian_kernel(1.0), noise=0.02)
    return op(x, generator=generator), op


def run(problem, prior, **words):
    y, op = problem
    return proxlab.restore(y, op, prior, sigma=SIGMA, steps=12, **words).image


def test_a_name_an_object_and_the_room_behind_it_agree(problem):
    y, op = problem
    by_name = run(problem, "lpn-gray-small")
    assert torch.equal(by_name, run(problem, proxlab.load("lpn-gray-small")))
    settings = restoration.Settings(sigma=SIGMA, steps=12)
    behind = restoration.restore(y, op, proxlab.load("lpn-gray-small"), settings)
    assert torch.equal(by_name, behind.image)
    assert not torch.allclose(by_name, run(problem, "tv"), atol=1e-3)


def test_an_array_is_a_measurement_and_comes_back_as_one(problem):
    y, op = problem
    assert np.array_equal(run(problem, "tv").numpy(), run((y.numpy(), op), "tv"))


class Unchanged:
    """A prox that changes nothing, without a claim to be convex, so that a descent precedes it."""

    def prox(self, v, sigma):
        return v


def test_a_network_is_a_prior_with_sigma_or_without(problem):
    assert torch.allclose(run(problem, Shrinking()), run(problem, Ridge()), atol=1e-6)
    constant = torch.nn.Conv2d(1, 1, 3, padding=1, bias=False)
    torch.nn.init.dirac_(constant.weight)
    assert torch.allclose(run(problem, constant), run(problem, Unchanged()), atol=1e-6)
    assert as_prior(Shrinking()).capabilities == proxlab.DenoiserPrior(MedianFilter(3)).capabilities


def test_a_denoiser_of_deepinv_is_a_prior(problem):
    network = DnCNN(1, 1, depth=3, nf=4, pretrained=None)
    for denoiser in (MedianFilter(3), network):
        worn = proxlab.DenoiserPrior(denoiser)
        assert torch.equal(run(problem, denoiser, tol=1e-9), run(problem, worn, tol=1e-9))


def test_tiles_take_what_restore_takes(problem):
    whole = run(problem, "lpn-gray-small")
    assert torch.allclose(run(problem, proxlab.Tiled("lpn-gray-small", 12)), whole, atol=1e-5)
    tiled = proxlab.Tiled(Shrinking(), 12, reach=0)
    assert torch.allclose(run(problem, tiled), run(problem, Shrinking()), atol=1e-6)


@pytest.mark.parametrize(
    "thing, error, sentence",
    [
        ("lpn-blue", ValueError, "no prior is called 'lpn-blue'"),
        (7, TypeError, "int is no prior: it has no name, no sigma_range, no capabilities, no prox"),
        (Shrinking, TypeError, "Shrinking is no prior"),
    ],
)
def test_what_is_no_prior_is_refused_in_a_sentence(problem, thing, error, sentence):
    with pytest.raises(error, match=sentence):
        run(problem, thing)
