"""Kernels and waits for a GPU, counted on a stand-in: nobody adds three hundred unseen."""

import copy

import pytest
import torch

import proxlab
import solvers
from examples.kernels import bench_kernels as bench
from examples.kernels import stand_in
from examples.kernels.counting import Counts
from examples.kernels.stand_in import Accelerator

pytestmark = pytest.mark.skipif(not stand_in.AVAILABLE, reason="needs torch 2.10")

SIZE, FEW, MANY = 32, 10, 30
KERNELS = {"lpn-gray": 93, "lpn-color": 95, "crate-gray": 122, "unet-gray-wide": 63}
"""Kernels an ADMM iteration, the data term and all checks among them; one more is too many."""
WAITS = 0.2
BEYOND = 12
"""Kernels of a sampler's step beyond its network."""


def cost(job: bench.Job) -> bench.Cost:
    return bench.cost(job, FEW, MANY)


@pytest.fixture(params=KERNELS)
def prior(request):
    return proxlab.load(request.param)


def within(name: str, found: bench.Cost) -> bool:
    return found.kernels <= KERNELS[name] and 0 <= found.waits <= WAITS


def test_an_iteration_has_few_kernels_and_waits(prior):
    found = cost(bench.restoring(prior, size=SIZE))
    assert within(prior.name, found), found


class Planted:
    """A prior with something more in its prox."""

    def __init__(self, prior, more):
        self.prior, self.more = prior, more
        self.name, self.channels = prior.name, prior.channels

    def prox(self, v, sigma):
        return self.more(self.prior.to(v.device).prox(v, sigma))


@pytest.mark.parametrize("more", [lambda x: x + 0, lambda x: x * float(x.amax() > -9)])
def test_that_check_catches_a_planted_kernel_and_a_planted_wait(more):
    unet = proxlab.load("unet-gray-wide")
    assert within(unet.name, cost(bench.restoring(Planted(unet, lambda x: x), size=SIZE)))
    assert not within(unet.name, cost(bench.restoring(Planted(unet, more), size=SIZE)))


@pytest.mark.parametrize("name", bench.SAMPLERS)
def test_samplers_have_few_kernels_beyond_the_network(name):
    found = cost(bench.sampling(bench.SAMPLERS[name], 8))
    assert 0 < found.kernels <= BEYOND and found.waits == 0


def test_the_command_prints_its_table(capsys):
    found = bench.main(["--size", "8", "--rows", "proxdm"])
    assert len(found) == 3
    kernels = found["proxdm, flow"].kernels
    assert f"| proxdm, flow | {kernels:.1f} | 0.00 |" in capsys.readouterr().out


def test_waits_are_counted_one_by_one():
    def counted(work) -> int:
        with Accelerator(counts := Counts()) as device:
            x = torch.arange(6.0).to(device)
            counts.clear()
            work(x)
        return counts.waits.total()

    assert counted(lambda x: (x + 1).view(2, 3)[0]) == 0
    assert counted(lambda x: x.sum().item()) == 1
    assert counted(lambda x: bool(x[0] > 1)) == 1
    assert counted(lambda x: x.cpu()) == 1
    assert counted(lambda x: x.tolist()) == 1
    assert counted(lambda x: x[x > 2]) == 1
    assert counted(lambda x: x.nonzero()) == 1
    assert counted(lambda x: torch.equal(x, x)) == 1
    assert counted(lambda x: torch.tensor([1.0, 2.0], device=x.device)) == 1
    assert counted(lambda x: torch.ones(6).to(x.device, non_blocking=True)) == 0


def test_the_device_refuses_what_a_device_refuses():
    with Accelerator(doubles=False) as device:
        x = torch.ones(2).to(device)
        with pytest.raises(RuntimeError, match="mixes"):
            x + torch.ones(2)
        with pytest.raises(TypeError, match="float64"):
            x.double()


def test_the_device_is_gone_after_use():
    with Accelerator() as device:
        torch.ones(2).to(device)
        with torch.random.fork_rng():
            pass
    with torch.random.fork_rng():  # asks every device that torch knows
        torch.manual_seed(0)
    assert torch.get_device_module(stand_in.NAME).device_count() == 0


def restored(x: torch.Tensor, prior, tol: float) -> solvers.Result:
    """A run of two images, of which one comes to rest long before the other."""
    op = proxlab.operators.inpaint(torch.ones(x.shape[-2:]), noise=0.05).to(x.device)
    f = proxlab.data_terms.data_term(x, op)
    g = bench.AtStep(prior)
    witness = solvers.witness.Witness(lipschitz=400.0, rest=0.05)
    tols = torch.tensor([100 * tol, tol], dtype=torch.float64)
    steps = solvers.admm(f, g, x, tau=0.04**2)
    return solvers.run(steps, max_steps=37, tol=tols, witness=witness)


@pytest.mark.parametrize("tol", [1e-4, 1e-12])
def test_a_run_on_the_device_is_that_on_the_cpu(tol):
    prior = proxlab.load("lpn-gray-small").double()
    x = torch.rand(2, 1, 20, 24, generator=torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        here = restored(x, prior, tol)
        with Accelerator() as device:
            there = restored(x.to(device), copy.deepcopy(prior).to(device), tol)
            image = there.x.cpu()
    assert there.steps.tolist() == here.steps.tolist() and there.stopped == here.stopped
    assert len({*here.steps.tolist()}) == 2 or tol < 1e-9
    torch.testing.assert_close(image, here.x, rtol=0, atol=1e-9)
    for ours, other in zip(there.trace, here.trace, strict=True):
        if ours is not None:
            torch.testing.assert_close(ours, other, rtol=1e-6, atol=1e-9, equal_nan=True)
