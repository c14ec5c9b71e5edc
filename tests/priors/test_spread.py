"""Jacobians of priors and the spread of denoised images: known answers, and what is refused."""

import math

import deepinv
import pytest
import torch
from torch import Tensor, nn

import proxlab
from proxlab.priors.adopted import adopted
from proxlab.priors.contract import Capabilities, HasSpread
from proxlab.priors.jacobians import probes
from proxlab.priors.jacobians.autograd import AutogradJacobian
from proxlab.priors.jacobians.spread import jacobian, spread
from tests.images.pictures import image

MATRIX = torch.randn(48, 48, generator=torch.Generator().manual_seed(0)).double()


class Linear:
    """prox(v) = M v: any matrix for a Jacobian."""

    name, sigma_range, capabilities = "linear", (0.0, 1.0), Capabilities()

    def __init__(self, matrix: Tensor):
        self.matrix = matrix

    def prox(self, v: Tensor, sigma: float | Tensor) -> Tensor:
        return (v.flatten(1) @ self.matrix.T).view_as(v)


def distant(n: int) -> Tensor:
    """A matrix of 8 x 6 pixels that mixes a pixel with those nearer than n alone."""
    place = torch.stack(torch.meshgrid(torch.arange(8), torch.arange(6), indexing="ij"), -1)
    place = place.view(-1, 2).double()
    away = (place[:, None] - place[None]).abs().amax(-1)
    return torch.where(away < n, 0.3 / (1 + away), 0.0)


def test_a_matrix_that_is_not_symmetric_is_made_so():
    v = torch.rand(2, 1, 8, 6).double()
    found = jacobian(Linear(MATRIX), v, 0.1)
    u = torch.rand(2, 1, 8, 6).double()
    right = u.flatten(1) @ (MATRIX + MATRIX.T) / 2
    assert not found.symmetric
    torch.testing.assert_close(found(u).flatten(1), right)
    claimed = AutogradJacobian(Linear(MATRIX).prox, v, 0.1, "linear", symmetric=True)
    assert (claimed(u).flatten(1) - right).norm() > 1  # J^T u, which nobody made symmetric


@pytest.mark.parametrize("probes, exact", [(50, True), (49, False), (8, False)])
def test_probes_farther_apart_than_a_prox_mixes_are_exact(probes, exact):
    m = distant(5)
    found = jacobian(Linear(m), torch.rand(2, 1, 8, 6).double(), 0.1).diagonal(probes)
    away = (found.value.flatten(1) - m.diagonal()).abs().max()
    assert (away < 1e-12) == exact
    assert (found.error.max() < 1e-12) == exact


def mistakes_in_units_of_the_error() -> float:
    """Root mean square over many seeds of the error of an estimate, over what it says of it."""
    jac = AutogradJacobian(Linear(distant(8)).prox, torch.zeros(1, 1, 8, 6).double(), 0.1, "near")
    squares, said = [], []
    for seed in range(60):
        found = jac.diagonal(18, seed)
        squares.append((found.value.flatten() - distant(8).diagonal()).square())
        said.append(found.error.square())
    return float(torch.stack(squares).mean() / torch.stack(said).mean()) ** 0.5


def test_the_standard_error_is_the_error():
    assert 0.9 < mistakes_in_units_of_the_error() < 1.1


def test_a_standard_error_too_small_is_caught(monkeypatch):
    right = AutogradJacobian.diagonal

    def wrong(*a):
        found = right(*a)
        return found._replace(error=found.error / 2)

    monkeypatch.setattr(AutogradJacobian, "diagonal", wrong)
    assert mistakes_in_units_of_the_error() > 1.5


def test_one_probe_knows_no_error_and_colours_are_probed_apart():
    v = torch.rand(1, 3, 4, 4).double()
    assert jacobian(Linear(MATRIX), v, 0.1).diagonal(1).error.isinf().all()
    mixed = torch.kron(torch.ones(3, 3), torch.eye(16)).double()  # each pixel with its colours
    assert jacobian(Linear(mixed), v, 0.1).diagonal(6).error.max() < 1e-12
    assert jacobian(Linear(mixed), v, 0.1).diagonal(5).error.max() > 0.1


def gaussian_gap(factor: float) -> float:
    """Distance of the spread from the deviation of a posterior known in closed form."""
    t = torch.tensor([0.05, 0.2, 1.0, 0.4]).repeat(12).double()  # the prior's deviations
    shrink = torch.diag(factor * t**2 / (t**2 + 0.1**2))
    s = spread(Linear(shrink), torch.rand(2, 1, 8, 6).double(), 0.1)
    return float((s.flatten(1) - (1 / (1 / t**2 + 1 / 0.1**2)).sqrt()).abs().max())


def test_of_a_gaussian_it_is_the_posterior_deviation():
    assert gaussian_gap(1.0) < 1e-12
    assert gaussian_gap(1.1) > 1e-3


def test_a_learned_network_is_exact_and_equals_its_dense_jacobian():
    prior, v = proxlab.load("lpn-gray-small").double(), image(1, 1, 7, 6).double()
    slow = torch.func.jacrev(lambda x: prior.prox(x, 0.1))(v).reshape(42, 42)
    found = prior.jacobian(v, 0.1)
    assert found.symmetric and float(found.diagonal().error.max()) == 0
    u = torch.rand_like(v)
    torch.testing.assert_close(found(u).flatten(), slow @ u.flatten())
    right = 0.1 * slow.diagonal().sqrt()
    torch.testing.assert_close(prior.spread(v, 0.1).flatten(), right)
    assert (prior.spread(v, 0.05).flatten() - right).abs().max() > 1e-2


def test_the_estimate_comes_near_what_is_exact():
    prior, v = proxlab.load("lpn-gray-small").double(), image(1, 1, 16, 16).double()
    exact = prior.spread(v, 0.1)
    near = spread(Asked(prior), v, 0.1)
    assert (near - exact).norm() / exact.norm() < 0.05


class Asked:
    """A prior of which nothing but the prox is known."""

    def __init__(self, prior):
        self.name, self.sigma_range = prior.name, prior.sigma_range
        self.capabilities, self.prox = Capabilities(), prior.prox


ALL = ["none", "lpn-color", "unet-gray-small", "gs-unet", "crate-gray", "dncnn-gray"]


@pytest.mark.parametrize("name", ALL)
def test_every_kind_has_one_and_no_image_sees_its_batch(name):
    prior, v = proxlab.load(name), image(2, 3, 6, 5).float()
    levels = torch.tensor([0.1, 0.05])
    assert isinstance(prior, HasSpread)
    s = prior.spread(v, levels, probes=6)
    assert s.shape == v.shape and bool((s > 0).all()) and not s.requires_grad
    torch.testing.assert_close(s[1:], prior.spread(v[1:], 0.05, probes=6), rtol=1e-4, atol=1e-6)
    assert torch.equal(s, prior.spread(v, levels, probes=6))


def test_seeds_differ_where_there_are_probes():
    prior, v = proxlab.load("unet-gray-small"), image(1, 1, 9, 10).float()
    assert not torch.equal(prior.spread(v, 0.1, 4), prior.spread(v, 0.1, 4, seed=1))


def test_a_gradient_step_is_symmetric_by_construction():
    prior, v = proxlab.load("gs-unet").double(), image(1, 1, 8, 8).double()
    found, u = prior.jacobian(v, 0.1), torch.randn(2, 1, 1, 8, 8).double()
    a, b = (u[0] * found(u[1])).sum(), (u[1] * found(u[0])).sum()
    assert found.symmetric and abs(a - b) < 1e-9 * abs(a)


def test_what_people_bring_has_one_too():
    v = torch.rand(2, 1, 8, 8)
    half = adopted(type("Half", (), {"prox": lambda self, v, sigma: v / 4})())
    torch.testing.assert_close(half.spread(v, 0.1), torch.full_like(v, 0.05))
    assert adopted(nn.Conv2d(1, 1, 3, padding=1)).spread(v, 0.1, 4).shape == v.shape
    assert proxlab.DenoiserPrior(deepinv.models.MedianFilter()).spread(v, 0.1).shape == v.shape


class Deaf(deepinv.models.Denoiser):
    def forward(self, x, sigma):
        return x.detach() * 0.5


@pytest.mark.parametrize(
    "ask, said",
    [
        (lambda v: proxlab.load("lpn-gray-small").spread(v, 0.1, 0), "probes .* from 1 on, got 0"),
        (lambda v: proxlab.load("unet-gray-small").spread(v, 0.1, -3), "got -3"),
        (lambda v: proxlab.load("unet-gray-small").spread(v, 0.1, 2.5), "got 2.5"),
        (lambda v: proxlab.load("none").spread(v, 0.1, True), "got bool"),
        (lambda v: proxlab.load("none").spread(v, 0.1, seed=-1), "seed .* from 0 on"),
        (lambda v: proxlab.load("none").spread(v, 0.0), "sigma > 0, got sigma = 0"),
        (lambda v: proxlab.load("lpn-gray-small").spread(v, -0.1), "noise levels from"),
        (lambda v: proxlab.load("lpn-gray-small").spread(v, math.nan), "noise levels from"),
        (lambda v: proxlab.load("tv").spread(v, 0.1), "tv has no spread: its prox is a most"),
        (lambda v: proxlab.load("wavelets").spread(v, 0.1), "wavelets has no spread"),
        (lambda v: proxlab.DenoiserPrior(Deaf()).spread(v, 0.1), "no gradient passes .* Deaf"),
        (lambda v: proxlab.load("lpn-gray-small").jacobian(v, 0.1)(v[..., 1:]), "takes those, got"),
    ],
)
def test_nonsense_is_refused_in_a_sentence(ask, said):
    with pytest.raises(ValueError, match=said) as caught:
        ask(torch.rand(1, 1, 8, 8))
    assert "\n" not in str(caught.value)


def test_no_gradient_is_lost_in_silence():
    v = torch.rand(1, 1, 8, 8, requires_grad=True)
    with pytest.raises(ValueError, match="not differentiated by the images"):
        proxlab.load("lpn-gray-small").spread(v, 0.1).sum().backward()


def test_signs_are_on_one_grid_at_a_time():
    v = torch.zeros(1, 1, 7, 5)
    first, second = (list(z) for z in probes._signs(v, 19, torch.Generator().manual_seed(0)))
    assert len(first) == len(second) == 9
    assert torch.equal(sum(z.abs() for z in first), torch.ones_like(v))


def test_one_probe_tells_no_error_and_is_refused():
    v = torch.rand(1, 1, 8, 8)
    with pytest.raises(ValueError, match="at least 2 probes, got 1; take 72"):
        proxlab.load("unet-gray-small").spread(v, 0.1, probes=1)
    assert (proxlab.load("lpn-gray-small").spread(v, 0.1, probes=1) > 0).all()  # exact
