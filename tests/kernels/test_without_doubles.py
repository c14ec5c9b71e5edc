"""Nothing makes a float64 number on a device that has none, as Apple's GPUs have none.

A stand-in device refuses them. What is restored there is what is restored on the CPU, to float32.
"""

import copy
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest
import torch
from torch import Tensor, nn

import proxlab
import solvers
from examples.kernels import stand_in
from examples.kernels.stand_in import Accelerator
from proxlab.checkpoints import load_diffusion
from proxlab.images.metrics import psnr, ssim
from proxlab.operators.tomography.footprints import strips
from proxlab.operators.tomography.projection_matrix import projection_matrix
from proxlab.operators.tomography.scan import Scan

pytestmark = pytest.mark.skipif(not stand_in.AVAILABLE, reason="needs torch 2.10")

SIDE = 20
USES = {"digit-classifier", "proxdm", "score"}
"""Kinds of models that are no priors."""
PRIORS = [name for name, card in proxlab.models().items() if card["kind"] not in USES]
PRIORS += ["tv", "wavelets", "none"]
KERNEL = proxlab.operators.gaussian_kernel(1.0)
OPERATORS = {
    "deblur": lambda: proxlab.operators.deblur(KERNEL, noise=0.05),
    "valid": lambda: proxlab.operators.deblur(KERNEL, noise=0.05, boundary="valid"),
    "reflect": lambda: proxlab.operators.deblur(KERNEL, noise=0.05, boundary="reflect"),
    "inpaint": lambda: proxlab.operators.inpaint(
        proxlab.operators.random_mask((SIDE, SIDE), 0.4), noise=0.05
    ),
}
EACH = {"sigma": [0.05, 0.06], "noise": [0.05, 0.07], "weight": [1.0, 2.0], "tol": [1e-3, 1e-4]}


def measured(prior, op) -> Tensor:
    """Two images, measured."""
    channels = 3 if getattr(prior, "channels", 1) == 3 else 1
    line = torch.linspace(0.2, 0.8, SIDE)
    x = (line[:, None] * line).expand(2, channels, SIDE, SIDE) + (line > 0.5) / 5
    return op(x, generator=torch.Generator().manual_seed(0))


def moved(prior, device: torch.device):
    there = copy.deepcopy(prior)
    return there.to(device) if isinstance(there, nn.Module) else there


def both(prior, operator: str, solver: str | None = None, **more) -> tuple[Tensor, Tensor]:
    """What `restore` makes on the CPU and on the device; `more` are moved to it."""
    prior, op = proxlab.load(prior) if isinstance(prior, str) else prior, OPERATORS[operator]()
    y = measured(prior, op)
    here = proxlab.restore(y, op, moved(prior, y.device), solver, **{"steps": 5} | more)
    with Accelerator(doubles=False) as device:
        there = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in more.items()}
        found = proxlab.restore(
            y.to(device), op.to(device), moved(prior, device), solver, **{"steps": 5} | there
        )
        assert found.image.device.type == stand_in.NAME
        return here.image, found.image.cpu()


def agree(here: Tensor, there: Tensor) -> bool:
    return there.dtype == torch.float32 and float((there - here).abs().max()) < 1e-3


def both_agree(*args, **more) -> bool:
    return agree(*both(*args, **more))


def posteriors_agree(name: str) -> bool:
    # noise at which every draw is found: where one stops short, rounding decides what it is
    mask = proxlab.operators.random_mask((SIDE, SIDE), 0.4)
    prior, op = proxlab.load(name), proxlab.operators.inpaint(mask, noise=0.1)
    y = measured(prior, op)
    here = proxlab.posterior(y, op, prior, 3, steps=3)
    assert not any("conjugate gradients" in doubt for doubt in here.doubts)
    with Accelerator(doubles=False) as device:
        there = proxlab.posterior(y.to(device), op.to(device), moved(prior, device), 3, steps=3)
        quality = proxlab.posterior_quality(there.samples, y.to(device)).spread_over_error
    exact = proxlab.posterior_quality(here.samples, y).spread_over_error
    return agree(here.samples, there.samples.cpu()) and quality == pytest.approx(exact, rel=1e-2)


def start_device():
    torch.set_num_threads(1)
    with Accelerator():
        """Autograd counts it."""


@pytest.fixture(scope="module")
def elsewhere():
    """A process in which autograd knows the device, whatever tests ran in this one before."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn, initializer=start_device) as pool:
        yield lambda found, *args: pool.submit(found, *args).result()


@pytest.mark.parametrize("name", PRIORS)
def test_every_prior_restores_there(name, elsewhere):
    assert elsewhere(both_agree, name, "deblur")


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("name", ["lpn-gray-small", "tv"])
def test_every_operator_is_measured_and_inverted_there(name, operator):
    assert agree(*both(name, operator))


@pytest.mark.parametrize("name", ["lpn-gray-small", "gs-unet", "crate-gray", "wavelets"])
@pytest.mark.parametrize("solver", ["admm", "drs", "hqs", "pgd", "fista"])
def test_every_solver_runs_there(name, solver, elsewhere):
    assert elsewhere(both_agree, name, "deblur", solver)


def test_the_prox_of_total_variation_is_an_iteration_there():
    assert agree(*both(proxlab.classical.TV(accuracy=1e-3), "inpaint", "admm"))


def test_numbers_for_each_image_may_lie_there():
    each = {name: torch.tensor(numbers) for name, numbers in EACH.items()}
    assert agree(*both("lpn-gray-small", "deblur", "admm", steps=30, **each))
    assert agree(*both("lpn-gray-small", "inpaint", noise="auto"))


@pytest.mark.parametrize("name", ["float_for_sums", "doubles"])
def test_a_float64_that_is_planted_is_found(name, monkeypatch):
    planted = {"float_for_sums": lambda x: torch.float64, "doubles": Tensor.double}
    module = solvers.duality.restarts if name == "float_for_sums" else solvers.evidence
    monkeypatch.setattr(module, name, planted[name])
    with pytest.raises(TypeError, match="no torch.float64"):
        both("tv" if name == "float_for_sums" else "lpn-gray-small", "deblur")


def test_a_fetch_into_float64_is_found():
    with Accelerator(doubles=False) as device:
        x = torch.ones(2).to(device)
        assert x.cpu().double().tolist() == [1, 1]
        with pytest.raises(TypeError, match="writes no torch.float64"):
            x.to("cpu", torch.float64)
        with pytest.raises(TypeError, match="writes no torch.float64"):
            torch.zeros(2, dtype=torch.float64).copy_(x)


@pytest.mark.parametrize("kind", ["restricted", "hybrid", "flow", "sde", "ode"])
def test_samples_are_drawn_there(kind):
    model = load_diffusion("score-mnist" if kind in ("sde", "ode") else "proxdm-mnist")
    here = proxlab.sample(model, 2, steps=3, kind=kind)
    with Accelerator(doubles=False) as device:
        there = proxlab.sample(moved(model, device), 2, steps=3, kind=kind).cpu()
    assert agree(here, there)


@pytest.mark.parametrize("name", ["lpn-gray-small", "unet-gray-small", "gs-unet"])
def test_posteriors_are_drawn_and_judged_there(name, elsewhere):
    assert elsewhere(posteriors_agree, name)


def test_metrics_are_computed_there():
    x = torch.rand(2, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    with Accelerator(doubles=False) as device:
        there = [judge(x.to(device), x.sqrt().to(device)) for judge in (psnr, ssim)]
    here = [judge(x, x.sqrt()) for judge in (psnr, ssim)]
    torch.testing.assert_close(there, here, rtol=1e-6, atol=0)


def test_ct_says_that_it_is_not_for_an_apple_gpu():
    scan = Scan(8, 8, angles=(0.0, 90.0), detectors=12)
    with pytest.raises(ValueError, match="sparse matrices.*use the CPU"):
        projection_matrix(scan, strips, torch.float32, torch.device("mps"))
