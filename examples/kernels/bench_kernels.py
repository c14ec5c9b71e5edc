"""Kernels and waits an iteration, of every prior, solver and sampler: what a GPU has to be told.

    OMP_NUM_THREADS=1 python -m examples.kernels.bench_kernels [--size 64] [--where]

They are counted on a stand-in for a GPU (`counting`), for no GPU is needed to count: the difference
between runs of 50 and of 30 steps, over 20. Priors run in ADMM, deblurring with circular borders,
with the witness that `proxlab.restore` gives a run, and without coming to rest; solvers run with
`lpn-gray`. Convex priors, whose prox is a loop of its own, run as `proxlab.restore` runs them, in
`pdhg` or, where the data term has no closed form, in `condat_vu`. Samplers are counted beyond the
network, which is replaced by the identity. `--where` lists the places that most come from.
"""

import argparse
import copy
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

import proxlab
import solvers
from examples.kernels.counting import Counts
from examples.kernels.stand_in import Accelerator
from proxlab.restoration.fixed_level import RELAXATION, AtStep
from solvers.conditions import PROVED
from solvers.witness import Witness

PRIORS = (
    "lpn-gray",
    "lpn-gray-wide",
    "lpn-color",
    "crate-gray",
    "unet-gray-wide",
    "gs-unet",
    "dncnn-gray",
)
SOLVERS = {"admm": solvers.admm, "drs": solvers.drs, "hqs": solvers.hqs, "pgd": solvers.pgd}
SOLVERS |= {"fista": solvers.fista}
RELAXED = (solvers.admm, solvers.drs)
NOISE, SIGMA = 0.03, 0.028  # tau L below 1
FEW, MANY = 30, 50
"""Steps of the two runs."""


class Cost(NamedTuple):
    """Counts an iteration."""

    kernels: float
    waits: float
    places: Counter
    """(operation, place) -> kernels an iteration."""


Job = Callable[[torch.device, int, Counts], object]
"""A run of so many steps on a device; it clears the counts where its steps begin."""


def cost(job: Job, few_steps: int = FEW, many_steps: int = MANY) -> Cost:
    """Kernels and waits an iteration of a job, by the difference of two runs."""
    found = []
    for steps in (few_steps, many_steps):
        counts = Counts()
        with torch.no_grad(), Accelerator(counts) as device:
            job(device, steps, counts)
        found.append(counts)
    few, many = found
    many.kernels.subtract(few.kernels)
    many.waits.subtract(few.waits)
    each = 1 / (many_steps - few_steps)
    places = Counter({place: n * each for place, n in many.kernels.items() if n})
    return Cost(sum(places.values()), many.waits.total() * each, places)


def restoring(prior, solver: Callable = solvers.admm, size: int = 64) -> Job:
    """Deblurring an image of size x size, as `proxlab.restore` does once its descent is over."""

    def job(device: torch.device, steps: int, counts: Counts) -> None:
        f, x = _problem(prior, size, device)
        options = {"relaxation": RELAXATION} if solver in RELAXED else {}
        witness = Witness(lipschitz=f.lipschitz())
        there = copy.deepcopy(prior)  # as nobody has used it yet: it keeps constants
        g = AtStep(there.to(device) if isinstance(there, torch.nn.Module) else there)
        run = solver(f, g, x, tau=SIGMA**2, **options)
        counts.clear()
        solvers.run(run, max_steps=steps, tol=1e-30, witness=witness)

    return job


def convex(prior, solver: Callable, size: int = 64) -> Job:
    """Deblurring by a convex prior g(K x), certified by its duality gap."""

    def job(device: torch.device, steps: int, counts: Counts) -> None:
        f, x = _problem(prior, size, device)
        options = {"lipschitz": f.lipschitz()} if solver is solvers.condat_vu else {}
        g = prior.composite()
        g.project(g.forward(x))  # makes what the process keeps: the first run is not to pay alone
        run = solver(f, g, x, **options)
        counts.clear()
        solvers.run(run, max_steps=steps, tol=1e-30)

    return job


def sampling(walk: Callable[[Tensor, int], Iterable], size: int = 64) -> Job:
    """A sampler beyond its network: `walk` makes its states from a first image and a step count."""

    def job(device: torch.device, steps: int, counts: Counts) -> None:
        x = torch.rand(2, 1, size, size).to(device)
        counts.clear()
        for _ in walk(x, steps):
            pass

    return job


def _same(x: Tensor, *_) -> Tensor:
    """The network of a sampler, of which nothing is counted."""
    return x


def _posterior(covariance) -> Callable[[Tensor, int], Iterable]:
    def walk(x: Tensor, steps: int) -> Iterable:
        levels = [0.7 * 0.98**k for k in range(steps)]
        return solvers.posterior(_same, solvers.Unobserved(), x, levels, covariance=covariance)

    return walk


def _proxdm(kind) -> Callable[[Tensor, int], Iterable]:
    return lambda x, steps: solvers.proxdm(_same, x, solvers.uniform_grid(steps), kind=kind)


SAMPLERS = {
    "proxdm, restricted": _proxdm(solvers.Restricted()),
    "proxdm, hybrid": _proxdm("hybrid"),
    "proxdm, flow": _proxdm("flow"),
    "score, sde": lambda x, n: solvers.score(_same, x, solvers.uniform_grid(n), kind="sde"),
    "posterior": _posterior(solvers.ScalarCovariance(lambda sigma: 0.5 * sigma**2)),
}


def _problem(prior, size: int, device: torch.device):
    """A data term on the device, and its measurement."""
    generator = torch.Generator().manual_seed(0)
    channels = 3 if getattr(prior, "channels", 1) == 3 else 1
    x = torch.rand(1, channels, size, size, generator=generator)
    op = proxlab.operators.deblur(proxlab.operators.gaussian_kernel(1.6), noise=NOISE)
    y = op(x, generator=generator).to(device)
    return proxlab.data_terms.data_term(y, op.to(device)), y


def jobs(size: int) -> dict[str, Job]:
    """Every row of the table."""
    found = {f"admm, {name}": restoring(proxlab.load(name), size=size) for name in PRIORS}
    lpn, tv = proxlab.load("lpn-gray"), proxlab.load("tv")
    others = {name: s for name, s in SOLVERS.items() if name != "admm" and s in PROVED}
    found |= {f"{name}, lpn-gray": restoring(lpn, s, size) for name, s in others.items()}
    found |= {"pdhg, tv": convex(tv, solvers.pdhg, size)}
    found |= {"pdhg, wavelets": convex(proxlab.load("wavelets"), solvers.pdhg, size)}
    found |= {"condat_vu, tv": convex(tv, solvers.condat_vu, size)}
    return found | {name: sampling(walk, size) for name, walk in SAMPLERS.items()}


def main(argv: Sequence[str] | None = None) -> dict[str, Cost]:
    """Print the table; return its rows by name."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=64, help="height and width of the image")
    parser.add_argument("--rows", default="", help="only rows whose name contains this")
    parser.add_argument("--where", action="store_true", help="list the places too")
    args = parser.parse_args(argv)
    print("| run | kernels an iteration | waits an iteration |\n| --- | --- | --- |")
    found = {}
    for name, job in jobs(args.size).items():
        if args.rows not in name:
            continue
        found[name] = cost(job)
        print(f"| {name} | {found[name].kernels:.1f} | {found[name].waits:.2f} |", flush=True)
        if args.where:
            for (operation, place), n in found[name].places.most_common(30):
                print(f"    {n:6.1f}  {operation:30s} {place}")
    return found


if __name__ == "__main__":
    main()
