"""Total variation, solved with its gap, against the loop it replaces, in one run.

    PROXLAB_DATA=... python examples/benchmarks/bench_total_variation.py [--slices 1] [--weight 2]

The four problems of `proxlab demo`: steps and seconds until the gap is below 1e-4 of the objective,
PSNR, and how far the old way ends above the new minimum: ADMM on deepinv's TVDenoiser, 15 inner
steps a call, kept from call to call. Then slices of ct/test, 512 x 512, 60 views, a fixed number of
steps of `condat_vu` against half-quadratic splitting on the same denoiser with the settings that
were the best for it on held-out training slices. Nothing here is tuned on the test slices.
"""

import argparse
import time
from collections.abc import Sequence

import torch
from deepinv.models import TVDenoiser
from torch import Tensor

from proxlab import operators
from proxlab.commands.demo_scenes import scenes
from proxlab.images.data_sets import find_data
from proxlab.images.folders import load_ct
from proxlab.images.metrics import psnr
from proxlab.operators.contract import QuadraticDataTerm
from proxlab.priors.total_variation import TV, TV_WEIGHT
from proxlab.restoration.data_terms import data_term, start
from solvers import State, admm, hqs, run
from solvers.primal_dual import condat_vu, pdhg
from solvers.schedules import geometric

GOAL, SIGMA = 1e-4, 8 / 255
WEIGHT_CT = 2.0
"""Of the prior on the slices; of 0.7, 1, 1.4, 2, 2.5, 3, 4 the best on a held-out training slice,
where the old way's best is 1."""
STEPS_CT = 120


class Old:
    """deepinv's denoiser as the g of a solver, warm from call to call."""

    def __init__(self):
        self.denoiser = TVDenoiser(n_it_max=15, crit=1e-5)

    def prox(self, v: Tensor, tau: float | Tensor) -> Tensor:
        return self.denoiser(v, tau * TV_WEIGHT)


def new(f: QuadraticDataTerm, x: Tensor, steps: int, goal: float) -> tuple[State, dict]:
    """State, steps and seconds of the primal-dual way, to the goal or to the last step."""
    g, begun = TV().composite(), time.perf_counter()
    way = pdhg(f, g, x) if f.tol == 0 else condat_vu(f, g, x, lipschitz=f.lipschitz())
    k, state, gap = 0, None, float("inf")
    with torch.no_grad():
        while k < steps and gap > goal:
            state, k = next(way), k + 1
            assert state.gap is not None and state.objective is not None
            gap = float(state.gap / state.objective)
    way.close()
    seconds = time.perf_counter() - begun
    assert state is not None
    return state, {"steps": k, "seconds": seconds, "gap": gap}


def old(f: QuadraticDataTerm, x: Tensor, steps: int, splitting: str) -> tuple[Tensor, float]:
    """Image and seconds of the way that it replaces."""
    begun = time.perf_counter()
    with torch.no_grad():
        down = geometric(49 / 255, SIGMA, min(25, steps))[:-1]
        levels = [s**2 for s in down] + [SIGMA**2]
        if splitting == "hqs":
            way = hqs(f, Old(), x, tau=levels)
        else:
            tau = 8.0**2 / float(f.lipschitz())
            way = admm(f, Old(), x, tau=tau, relaxation=1.7)
        image = run(way, max_steps=steps, tol=1e-4).x
    return image, time.perf_counter() - begun


def demo(side: int, steps: int) -> list[dict]:
    """Rows of the demo's four problems."""
    rows, g = [], TV().composite()
    print(f"{'problem':14s}{'gap':>9s}{'steps':>7s}{'s':>7s}{'PSNR':>7s}", end="")
    print(f"{'old: s':>9s}{'PSNR':>7s}{'above':>9s}")
    for scene in scenes(side):
        y = scene.op(scene.truth, generator=torch.Generator().manual_seed(1))
        f = data_term(y, scene.op, strength=1 / TV.capabilities.default_weight)
        x = start(y, scene.op)
        f.grad(x)  # a scan's matrix is built off the clock
        state, row = new(f, x, steps, GOAL)
        row |= {"problem": scene.name}
        image, seconds = old(f, x, 200, "admm")
        assert state.objective is not None
        above = float((f.value(image) + g.value(image) - state.objective) / state.objective)
        row |= {"psnr": float(psnr(state.x, scene.truth)), "old_seconds": seconds}
        row |= {"old_psnr": float(psnr(image, scene.truth)), "old_above": above}
        rows.append(row)
        print(f"{scene.name:14s}{row['gap']:9.1e}{row['steps']:7d}{row['seconds']:7.1f}", end="")
        print(f"{row['psnr']:7.2f}{seconds:9.1f}{row['old_psnr']:7.2f}{above:9.1e}", flush=True)
    return rows


def scans(images: list[Tensor], seeds: list[int], weight: float, steps: int) -> list[dict]:
    """Rows of slices."""
    op, rows = operators.ct(images[0].shape[-1], 60, 0.5), []
    print("slice   gap  steps      s   PSNR   old: s   PSNR  times as fast")
    for x, seed in zip(images, seeds, strict=True):
        y = op(x, generator=torch.Generator().manual_seed(seed))
        begin = start(y, op)
        state, row = new(data_term(y, op, strength=1 / weight), begin, steps, 0.0)
        row |= {"psnr": float(psnr(state.x, x))}
        image, seconds = old(data_term(y, op), begin, 50, "hqs")
        row |= {"old_seconds": seconds, "old_psnr": float(psnr(image, x))}
        rows.append(row)
        print(f"{seed:5d}{row['gap']:7.0e}{row['steps']:6d}{row['seconds']:7.1f}", end="")
        print(f"{row['psnr']:7.2f}{seconds:9.1f}{row['old_psnr']:7.2f}", end="")
        print(f"{seconds / row['seconds']:8.1f}", flush=True)
    return rows


def main(argv: Sequence[str] | None = None) -> tuple[list[dict], list[dict]]:
    """Print both tables; the rows."""
    parser = argparse.ArgumentParser(description="total variation, solved with its gap")
    parser.add_argument("--side", type=int, default=256, help="of the demo's images")
    parser.add_argument("--steps", type=int, default=1500, help="on the demo, at most")
    parser.add_argument("--slices", type=int, default=1, help="of ct/test, spread evenly")
    parser.add_argument("--weight", type=float, default=WEIGHT_CT, help="of the prior on slices")
    parser.add_argument("--steps-ct", type=int, default=STEPS_CT)
    args = parser.parse_args(argv)
    rows = demo(args.side, args.steps)
    if not args.slices:
        return rows, []
    slices = load_ct(find_data("ct/test"))
    chosen = sorted({i * len(slices) // args.slices for i in range(args.slices)})
    images = [slices[i][None, None] for i in chosen]
    return rows, scans(images, chosen, args.weight, args.steps_ct)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
