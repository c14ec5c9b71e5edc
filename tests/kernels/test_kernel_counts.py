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
from solvers.duality import restarts

pytestmark = pytest.mark.skipif(not stand_in.AVAILABLE, reason="needs torch 2.10")

SIZE, FEW, MANY = 32, 10, 30
KERNELS = {"lpn-gray": 94, "lpn-color": 96, "crate-gray": 123, "unet-gray-wide": 64}
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


CONVEX = {
    ("tv", solvers.pdhg): 56,
    ("wavelets", solvers.pdhg): 215,
    ("tv", solvers.condat_vu): 58,
}
"""Kernels an iteration of convex priors, looks at their gap among them."""


@pytest.mark.parametrize("name, solver", CONVEX)
def test_convex_priors_are_waited_for_once_in_ten_steps(name, solver):
    found = cost(bench.convex(proxlab.load(name), solver, SIZE))
    assert found.kernels <= CONVEX[name, solver] and 0 < found.waits <= WAITS / 2 + 1e-9, found


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


def by_duality(x: torch.Tensor, prior, solver) -> solvers.Result:
    """A run of two images, restarted from its means, of which one is done before the other."""
    mask = torch.arange(20 * 24).view(20, 24) % 3 > 0
    op = proxlab.operators.inpaint(mask, noise=0.05).to(x.device)
    f = proxlab.data_terms.data_term(x, op)
    options = {"lipschitz": f.lipschitz()} if solver is solvers.condat_vu else {}
    tols = torch.tensor([1e-2, 1e-4], dtype=torch.float64)
    return solvers.run(solver(f, prior.composite(), x, **options), max_steps=300, tol=tols)


def both(run, x: torch.Tensor, prior, *more) -> tuple[solvers.Result, solvers.Result]:
    """The run on the CPU and that on the device, whose image is fetched."""
    with torch.no_grad():
        here = run(x, prior, *more)
        with Accelerator() as device:
            there = copy.deepcopy(prior)
            there = there.to(device) if isinstance(there, torch.nn.Module) else there
            found = run(x.to(device), there, *more)
            return here, found._replace(x=found.x.cpu())


def same(here: solvers.Result, there: solvers.Result) -> bool:
    """Whether two runs took the same steps to the same image, with the same trace."""
    if there.steps.tolist() != here.steps.tolist() or there.stopped != here.stopped:
        return False
    traces = zip([there.x, *there.trace], [here.x, *here.trace], strict=True)
    return all(
        b is None or torch.allclose(a, b, rtol=1e-6, atol=1e-9, equal_nan=True) for a, b in traces
    )


@pytest.mark.parametrize("name, solver", CONVEX)
def test_restarts_on_the_device_are_those_on_the_cpu(name, solver, monkeypatch):
    x = torch.rand(2, 1, 20, 24, generator=torch.Generator().manual_seed(0)).double()
    here, there = both(by_duality, x, proxlab.load(name), solver)
    assert len({*here.steps.tolist()}) == 2
    assert same(here, there)
    monkeypatch.setattr(restarts, "known_none", lambda mask: mask.device.type != "cpu")
    assert not same(*both(by_duality, x, proxlab.load(name), solver))


@pytest.mark.parametrize("tol", [1e-4, 1e-12])
def test_a_run_on_the_device_is_that_on_the_cpu(tol):
    prior = proxlab.load("lpn-gray-small").double()
    x = torch.rand(2, 1, 20, 24, generator=torch.Generator().manual_seed(0)).double()
    here, there = both(restored, x, prior, tol)
    assert len({*here.steps.tolist()}) == 2 or tol < 1e-9
    assert same(here, there)
