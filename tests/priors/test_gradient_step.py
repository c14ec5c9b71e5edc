"""A denoiser as a gradient step: its value is that of a function, and solvers report it."""

import copy

import pytest
import torch
from skimage.data import camera

import proxlab
from proxlab import checkpoints
from proxlab.priors.crate.denoiser import CrateConfig
from proxlab.priors.gradient_step import GradientStep, curvature
from proxlab.priors.unet import UNetConfig
from proxlab.training.recipes.gradient_steps import shorten
from solvers.spectrum import jacobian_spectrum

SIGMA = 0.1
SMALL = CrateConfig(width=32, heads=2, layers=1, smoothing=0.1)


@pytest.fixture(scope="module")
def model():
    """A float64 network so near to its start that its Lipschitz constant is small."""
    model = GradientStep(SMALL, length=0.8).double().eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in model.parameters():
            p += 0.02 * torch.randn(p.shape, generator=generator)
    return model.requires_grad_(False)


@pytest.fixture
def v():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(2, 1, 16, 20, generator=generator, dtype=torch.float64)


def energy(model, v):
    """g, from the network alone."""
    return (v - model.network.prox(v, SIGMA)).square().sum((1, 2, 3)) / 2


def test_is_a_step_down_the_gradient_of_its_potential(model, v):
    z = v.clone().requires_grad_()
    (slope,) = torch.autograd.grad(energy(model, z).sum(), z)
    assert torch.allclose(model.prox(v, SIGMA), v - 0.8 * slope, atol=1e-12)
    move = torch.randn(v.shape, generator=torch.Generator().manual_seed(1), dtype=v.dtype)
    rise = (energy(model, v + 1e-5 * move) - energy(model, v - 1e-5 * move)) / 2e-5
    along = ((v - model.prox(v, SIGMA)) / 0.8 * move).sum((1, 2, 3))
    assert torch.allclose(rise, along, rtol=1e-6)


def lowest(model, v, step=1e-4):
    with torch.no_grad():
        return jacobian_spectrum(lambda x: model.prox(x, SIGMA), v, step=step, steps=12)


def test_is_a_prox_where_its_jacobian_has_no_negative_eigenvalue(model, v):
    found = lowest(model, v)
    assert (found.lowest > 0).all() and (found.asymmetry < 1e-5).all()


def test_a_network_with_kinks_is_refused_because_its_slope_jumps(model, v):
    with pytest.raises(ValueError, match="give the configuration a smoothing"):
        GradientStep(CrateConfig())
    kinked = copy.deepcopy(model)
    for layer in kinked.network.encoder:
        layer.coding.smoothing = 0.0
    # a difference sees a kink that lies within its step: at 1e-4 by luck, at 1e-3 from any start
    assert (lowest(kinked, v, 1e-3).asymmetry > 1e-2).any()
    assert (lowest(model, v, 1e-3).asymmetry < 1e-5).all()


def test_curvature_is_that_of_the_dense_hessian(model):
    generator = torch.Generator().manual_seed(2)
    v = torch.rand(1, 1, 8, 8, generator=generator, dtype=torch.float64)
    hessian = torch.autograd.functional.hessian(lambda x: energy(model, x).sum(), v)
    values = torch.linalg.eigvalsh(hessian.view(64, 64))
    found = curvature(model, v, SIGMA)
    assert found.highest.item() == pytest.approx(float(values[-1]), rel=1e-3)
    assert found.lowest.item() == pytest.approx(float(values[0]), rel=1e-3)
    assert found.lipschitz.item() == pytest.approx(float(values.abs().max()), rel=1e-3)


def test_a_step_is_shortened_where_the_curvature_asks_for_it(model):
    steep, image = copy.deepcopy(model).float(), torch.full((70, 80), 100, dtype=torch.uint8)
    with torch.no_grad():
        steep.network.head.weight *= 30
    said = shorten(steep, [image])["largest_curvature"]
    assert steep.length == pytest.approx(0.97 / max(said.values()), rel=1e-3) and steep.length < 0.5
    calm = copy.deepcopy(model)
    with torch.no_grad():
        calm.network.head.weight *= 0.3
    shorten(calm, [image])
    assert calm.length == 1


def test_the_shipped_step_is_a_prox_on_a_photograph_that_its_length_was_not_chosen_by():
    shipped = checkpoints.load("crate-gray-step")
    clean = torch.from_numpy(camera()[100:164, 200:264]).float()[None, None] / 255
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    highest = curvature(shipped, clean + 50 / 255 * noise, 50 / 255).highest.item()
    assert shipped.length < 1 and 0.9 < shipped.length * highest < 1
    wilder = copy.deepcopy(shipped)
    with torch.no_grad():
        wilder.network.head.weight *= 1.2
    assert wilder.length * curvature(wilder, clean + 50 / 255 * noise, 50 / 255).highest > 1


def test_no_rival_beats_the_prox_where_it_is_one(model, v):
    p, r = model.prox_and_value(v, SIGMA)
    least = {1: torch.inf, -1: torch.inf}
    pull = 0.1 * (p - v)  # a value of the wrong sign gives way along it, or against it
    for rival in (v.roll(3, 3), 0 * v, 0.5 * v, v + 0.05, v + pull, v - pull):
        q, s = model.prox_and_value(rival, SIGMA)
        for sign in least:
            here = sign * r + (p - v).square().sum((1, 2, 3)) / 2
            there = sign * s + (q - v).square().sum((1, 2, 3)) / 2
            least[sign] = min(least[sign], (there - here).min().item())
    assert least[1] > 0 > least[-1]


def test_value_of_an_output_is_that_which_came_with_it(model, v):
    x, r = model.prox_and_value(v, SIGMA)
    assert torch.allclose(model.value(x, SIGMA, tol=1e-9), r, rtol=1e-6)
    assert torch.allclose(model.inverse(x, SIGMA, tol=1e-9), v, atol=1e-6)


def test_restoring_reports_an_objective_but_vouches_for_nothing(model, v):
    op = proxlab.operators.deblur(proxlab.operators.gaussian_kernel(1.0), noise=0.05)
    y = op(v, generator=torch.Generator().manual_seed(0))
    result = proxlab.restore(y, op, model, steps=30)
    assert result.trace.objective is not None and not any(result.certified)
    assert not model.capabilities.exact  # nor is that asked: what counts is what the run shows
    assert result.evidence[0].margin is not None and result.evidence[0].value_margin is not None
    assert result.doubts[0].count("above tol 1.0e-04") == 1


def test_can_be_trained_and_saved(model, v, tmp_path):
    fresh = GradientStep(SMALL)
    (fresh(v.float(), SIGMA) - 0.5).square().mean().backward()
    assert all(p.grad is not None for p in fresh.network.encoder.parameters())
    path = checkpoints.save(tmp_path / "step", model.float(), {})
    assert torch.equal(checkpoints.load(path).prox(v.float(), SIGMA), model.prox(v.float(), SIGMA))
    model.double()


def test_keeps_no_graph_unless_something_is_to_be_differentiated(model, v):
    assert not model.prox(v, SIGMA).requires_grad and not v.requires_grad
    assert model.prox(v.clone().requires_grad_(), SIGMA).requires_grad
    assert GradientStep(SMALL).prox(v.float(), SIGMA).requires_grad


@pytest.mark.parametrize("length", [0, 1.5])
def test_a_length_that_is_none_is_refused(length):
    with pytest.raises(ValueError, match="at most 1"):
        GradientStep(SMALL, length=length)


UNET = UNetConfig(widths=(4, 4, 4, 4), smoothing=0.05)


@pytest.fixture(scope="module")
def unet_step():
    return GradientStep(UNET).double().eval().requires_grad_(False)


@pytest.mark.parametrize("size", [(32, 40), (33, 47)])
def test_a_unet_is_a_step_down_the_gradient_of_its_potential_at_any_size(unet_step, size):
    generator = torch.Generator().manual_seed(0)
    v = torch.rand(2, 1, *size, generator=generator, dtype=torch.float64)

    def potential(x):
        return unet_step.network.squared_noise(x, SIGMA).sum((1, 2, 3)) / 2

    move = torch.randn(v.shape, generator=generator, dtype=torch.float64)
    rise = (potential(v + 1e-5 * move) - potential(v - 1e-5 * move)) / 2e-5
    along = ((v - unet_step.prox(v, SIGMA)) * move).sum((1, 2, 3))
    assert torch.allclose(rise, along, rtol=1e-6)
    x, r = unet_step.prox_and_value(v, SIGMA)
    assert torch.allclose(r, potential(v) - (x - v).square().sum((1, 2, 3)) / 2, rtol=1e-10)
    assert (lowest(unet_step, v).asymmetry < 1e-5).all()
    # planted: the edge repeated in place of mirrored with each copy's share is no such gradient
    wrong = v - unet_step.network.prox(v, SIGMA)
    assert not torch.allclose(rise, (wrong * move).sum((1, 2, 3)), rtol=1e-2)


def test_the_energy_of_an_image_is_that_of_its_mirrored_extension():
    network = GradientStep(UNET).double().network

    class Identity(torch.nn.Module):
        def forward(self, x, sigma):
            return x

    network.network = Identity()
    v = torch.rand(1, 1, 33, 47, dtype=torch.float64)
    assert torch.allclose(network.squared_noise(v, SIGMA), v.square(), rtol=1e-12)


def test_a_unet_step_is_saved_and_found_as_its_own_kind(unet_step, tmp_path):
    path = checkpoints.save(tmp_path / "step", GradientStep(UNET), {})
    made = checkpoints.load(path)
    assert isinstance(made, GradientStep) and made.config == UNET
    v = torch.rand(1, 1, 32, 32)
    assert torch.allclose(made.prox(v, SIGMA), unet_step.float().prox(v, SIGMA), atol=1e-5)
    unet_step.double()
