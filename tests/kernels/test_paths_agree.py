"""The way that priors take on a GPU leads where that on a CPU does, on a stand-in for a GPU."""

import copy
import pickle
from contextlib import nullcontext
from unittest.mock import patch

import pytest
import torch
from torch import Tensor

import solvers
from examples.kernels import stand_in
from examples.kernels.stand_in import Accelerator
from proxlab.priors.crate import at_once as crate_at_once
from proxlab.priors.crate import denoiser
from proxlab.priors.crate.denoiser import CrateConfig, CrateDenoiser
from proxlab.priors.lpn import at_once, windows
from proxlab.priors.lpn.network import LPN
from tests.priors.lpn.potentials import SIZES, images, potential

pytestmark = pytest.mark.skipif(not stand_in.AVAILABLE, reason="needs torch 2.10")

LEVELS = torch.tensor([0.1, 0.03], dtype=torch.float64)
KINDS = [{"context": c} for c in (1, 3, 5, 7)] + [{"channels": 3, "kept": 70}]


def lpn(**kind) -> LPN:
    return LPN(potential(**kind).requires_grad_(False))


def crate(**more) -> CrateDenoiser:
    model = CrateDenoiser(CrateConfig(width=16, heads=2, layers=2, **more)).double()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.05 * torch.randn(p.shape, generator=torch.Generator().manual_seed(1)))
    return model.requires_grad_(False)


def largest_difference(ours, other) -> float:
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(ours, other, strict=True))


def both_ways(model, ask, v: Tensor) -> float:
    """The relative difference of the answers on the device and on the CPU, in pieces there."""
    with torch.no_grad(), patch.object(denoiser, "AT_ONCE", 0):
        here = ask(model, v, LEVELS)
        with Accelerator() as device:
            there = ask(copy.deepcopy(model).to(device), v.to(device), LEVELS)
            there = [x.cpu() for x in there]
    return largest_difference(there, here)


def prox_and_value(prior, v, s):
    return prior.prox(v, s), *prior.prox_and_value(v, s)


def part(prior, v, s):
    return prior.prox_and_part(v, s, (slice(2, 5), slice(None)))


def product(prior, v, s):
    return [prior.jacobian(v, s)(v.flip(-1))]


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_mixture_potentials(kind, size):
    v = images(2, kind.get("channels", 1), *size) / 10
    assert both_ways(lpn(**kind), prox_and_value, v) < 1e-12


@pytest.mark.parametrize("ask", [part, product])
def test_parts_and_jacobians(ask):
    assert both_ways(lpn(), ask, images(2, 1, 23, 30) / 10) < 1e-12


@pytest.mark.parametrize("kept", [2**22, 0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("size", [(16, 16), (23, 30), (9, 14)], ids=str)
def test_crate(size, smoothing, kept, monkeypatch):
    monkeypatch.setattr(crate_at_once, "MOST_BIASES", kept)
    v = images(2, 1, *size) / 10
    assert both_ways(crate(smoothing=smoothing), lambda m, v, s: [m.prox(v, s)], v) < 1e-10


def test_a_wrong_share_and_a_wrong_key_are_caught(monkeypatch):
    v = images(2, 1, 23, 30) / 10
    monkeypatch.setattr(
        at_once, "shares", lambda q, side: torch.ones_like(windows.F.pad(q, [side // 2] * 4))
    )
    assert both_ways(lpn(), prox_and_value, v) > 1e-6
    right = crate_at_once._seen
    monkeypatch.setattr(crate_at_once, "_seen", lambda *a: right(*a) + 1)
    assert both_ways(crate(), lambda m, v, s: [m.prox(v, s)], v) > 1e-6


@pytest.mark.parametrize("make", [lpn, crate])
@pytest.mark.parametrize("where", [Accelerator, lambda: nullcontext("cpu")], ids=["gpu", "cpu"])
def test_constants_follow_the_weights(make, where):
    v = images(2, 1, 16, 16) / 10
    with torch.no_grad(), where() as device:
        model = make().to(device)
        first = model.prox(v.to(device), LEVELS).cpu()
        weights = next(model.parameters())
        (weights if where is Accelerator else weights.data).mul_(0.5)
        again = model.prox(v.to(device), LEVELS).cpu()
        fresh = copy.deepcopy(model).prox(v.to(device), LEVELS).cpu()
    assert (again - first).abs().max() > 1e-6
    assert torch.equal(again, fresh)
    assert len(pickle.dumps(make())) < 10 * sum(8 * p.numel() for p in make().parameters())


def test_constants_made_in_inference_mode_stay_there():
    v, model = images(1, 1, 16, 16) / 10, lpn()
    with torch.inference_mode():
        first = model.prox(v, 0.1)
    again = model.prox(v.clone().requires_grad_(), 0.1)
    again.sum().backward()
    assert torch.allclose(first, again.detach(), rtol=1e-12)


def test_a_device_without_float64():
    v, prior = images(2, 1, 16, 16).float() / 10, lpn().float()
    with torch.no_grad():
        here = prior.prox_and_value(v, 0.1)
        with Accelerator(doubles=False) as device:
            there = copy.deepcopy(prior).to(device).prox_and_value(v.to(device), 0.1)
            there = [x.cpu() for x in there]
    assert largest_difference(there, here) < 1e-5


def test_a_run_on_a_device_without_float64():
    class Near:
        def __init__(self, y):
            self.y = y

        def value(self, x):
            return (x - self.y).square().flatten(1).sum(1) / 2

        def prox(self, v, tau):
            return (v + tau * self.y) / (1 + tau)

    class Soft:
        def value(self, x):
            return x.abs().flatten(1).sum(1)

        def prox(self, v, tau):
            return v.sign() * (v.abs() - tau).relu()

    y = images(2, 1, 8, 8).float()
    with Accelerator(doubles=False) as device:
        f = Near(y.to(device))
        steps = solvers.admm(f, Soft(), f.y, tau=0.9)
        found = solvers.run(steps, max_steps=99, tol=1e-5, witness=solvers.witness.Witness())
        x = found.x.cpu()
    assert found.stopped == ["tolerance"] * 2
    assert (x - y.sign() * (y.abs() - 1).relu()).abs().max() < 1e-3
