"""The main job on a CUDA device gives what it gives on the CPU: `pytest -m gpu`."""

import json

import pytest
import torch
from skimage.data import camera

from proxlab import operators
from proxlab.checkpoints import load
from proxlab.jobs import restore
from proxlab.priors.crate.denoiser import CrateConfig, CrateDenoiser
from proxlab.priors.dncnn import DnCNNConfig
from proxlab.priors.gradient_step import GradientStep
from proxlab.priors.lpn.mixture_config import MixtureConfig
from proxlab.sampling import sample
from proxlab.training.config import Run, TrainConfig
from proxlab.training.recipes import gradient_steps, photographs
from proxlab.training.recipes.completion import crate_completion
from tests.tiny_diffusion import tiny_score

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]

SMALL = CrateConfig(width=32, heads=2, layers=2)
CLEAN = torch.from_numpy(camera()).float()[None, None, 96:160, 200:264] / 255


def operator(name: str, noise: float = 0.02):
    if name == "inpaint":
        generator = torch.Generator().manual_seed(0)
        return operators.inpaint(operators.random_mask((64, 64), 0.5, generator), noise=noise)
    return operators.deblur(operators.gaussian_kernel(1.2), noise=noise, boundary=name)


def test_the_prox_and_its_value():
    prior, v = load("lpn-gray"), CLEAN
    x, value = prior.prox_and_value(v, 0.1)
    x_gpu, value_gpu = prior.to("cuda").prox_and_value(v.cuda(), 0.1)
    assert (x_gpu.cpu() - x).abs().max() < 1e-5
    assert abs(float(value_gpu) / float(value) - 1) < 1e-4


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_crate(smoothing):
    config = CrateConfig(width=32, heads=2, layers=2, smoothing=smoothing)
    model = GradientStep(config) if smoothing else CrateDenoiser(config)
    model = model.requires_grad_(False).eval()
    with torch.no_grad():
        here = model.prox(CLEAN, 0.1)
        there = model.to("cuda").prox(CLEAN.cuda(), 0.1)
    assert here.std() > 0.01 and (there.cpu() - here).abs().max() < 1e-4


@pytest.mark.parametrize("problem", ["circular", "reflect", "valid", "inpaint"])
@pytest.mark.parametrize("solver", ["admm", "hqs"])
def test_restorations(problem, solver):
    op = operator(problem)
    y = op(CLEAN, generator=torch.Generator().manual_seed(1))
    y = torch.cat([y, y.flip(2)]) if problem == "circular" else y  # images that stop one by one
    here = restore(y, op, load("lpn-gray"), solver)
    there = restore(y.cuda(), op.to("cuda"), load("lpn-gray").to("cuda"), solver)
    assert there.image.is_cuda
    assert (there.image.cpu() - here.image).norm() < 1e-2 * here.image.norm()
    assert there.certified == here.certified and here.certified[0]


@pytest.mark.parametrize("fan", [None, (200.0, 300.0)])
def test_tomography(fan):
    op = operators.ct(64, 24, noise=0.5, fan=fan)
    y = op(CLEAN, generator=torch.Generator().manual_seed(1))
    there = op.to("cuda")
    assert (there.A(CLEAN.cuda()).cpu() - op.A(CLEAN)).norm() < 1e-5 * y.norm()
    back = op.A_adjoint(y)
    assert (there.A_adjoint(y.cuda()).cpu() - back).norm() < 1e-5 * back.norm()
    here = restore(y, op, load("lpn-ct"), "hqs", steps=40).image
    found = restore(y.cuda(), there, load("lpn-ct").to("cuda"), "hqs", steps=40).image
    assert found.is_cuda and (found.cpu() - here).norm() < 1e-2 * here.norm()


@pytest.mark.parametrize(
    "recipe, start",
    [
        (photographs.lpn_gray, MixtureConfig(4, 2, context=1)),
        (photographs.crate_gray, SMALL),
        (photographs.dncnn_gray, DnCNNConfig(depth=3, width=8)),
        (crate_completion, SMALL),
    ],
)
def test_training_is_the_same_training(recipe, start, photos, tmp_path):
    config = TrainConfig(steps=3, batch=2, patch=16)
    made = []
    for device in ("cpu", "cuda"):
        out = tmp_path / device
        made.append(recipe(photos, out, config=config, start=start, run=Run(device=device)))
    cards = [json.loads(path.with_suffix(".json").read_text()) for path in made]
    assert cards[0]["device"] == "cpu" and cards[1]["device"] == torch.cuda.get_device_name()
    here, there = (load(path).state_dict() for path in made)
    for name, weights in here.items():  # Adam's first steps are as long for any gradient
        assert (there[name] - weights).abs().mean() < 1e-3 + 1e-2 * weights.abs().mean()


def test_a_gradient_step_trains(photos, tmp_path):
    config = TrainConfig(steps=3, batch=2, patch=16)
    run = Run(device="cuda")
    start = photographs.crate_gray(photos, tmp_path / "start", config=config, start=SMALL, run=run)
    step = gradient_steps.crate_gray_step
    path = step(photos, tmp_path / "step", config=config, start=start, run=run)
    assert 0 < load(path).length <= 1


@pytest.mark.parametrize("kind", ["hybrid", "sde"])
def test_samples_do_not_depend_on_the_device(kind):
    for n in (3, 9):  # in one batch and in several
        on_cpu = sample(tiny_score(), n, steps=10, kind=kind, batch=4)
        on_gpu = sample(tiny_score().to("cuda"), n, steps=10, kind=kind, batch=4)
        assert on_gpu.device.type == "cuda"
        assert (on_gpu.cpu() - on_cpu).abs().max() < 1e-3
