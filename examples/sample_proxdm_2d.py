"""Samplers on targets whose prox and score are exact, so that only the steps are at fault.

    PROXLAB_DATA=... python -m examples.sample_proxdm_2d --out figures --seeds 10

Targets are the dino of the Datasaurus (142 points) and a mixture of four Gaussians, both in the
plane. Samplers are judged by the Wasserstein distances W1 and W2 [Fang25, Sec. 4] between n samples
and the points, or 2 n draws from the mixture. The row "the target itself" has n exact samples:
below it no sampler can be told from a perfect one. Tables are printed; a row per run (JSON lines)
and a figure are written.

All samplers start from the same noise at t = 1 and evaluate the prox or the score N times, but for
"N + 1": it walks the authors' grid for scores, N steps down to t = 1e-3, and denoises there, at one
evaluation more. "long" is a grid chosen on these two targets: one step from t = 1, where nothing is
to be seen yet, to LONG, and shorter and shorter ones below. The flow loses nothing in that step,
the hybrid does. "from moments" starts at a noise of HIGH over the signal, where X_t is nearly a
Gaussian with the target's mean and covariance, and takes the levels of `few_levels`; by the
posterior mean these restricted steps without fresh noise are those of DPM-Solver++ 2M.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import mean, stdev

import torch
from torch import Tensor

from examples.diffusers_rivals import RIVALS, predictor
from examples.planar_figure import draw
from examples.planar_targets import Moments, dino, four, reference
from proxlab.diffusion.distances import wasserstein
from proxlab.diffusion.mean_prox import MeanProx
from proxlab.images.files import check_writable, writing
from proxlab.priors.exact.mixtures import Mixture
from solvers import (
    VP,
    Restricted,
    even_grid,
    karras_grid,
    power_grid,
    proxdm,
    score,
    uniform_grid,
)
from solvers.diffusion.proximal import Sample
from solvers.diffusion.score import LAST_TIME

LONG, CURVED, POWER = 0.4, 1.2, 1.5
"""Time at which the long step ends, the power of the grid below it, and that of the power grid."""
HIGH, LOW, FALL = 0.9, 0.13, 0.44
"""Greatest level of restricted steps, and the least, LOW / N^FALL, of N of them; chosen at 5, 7 and
10 evaluations on other seeds of the dino."""
FLOOR = "the target itself"
BY_MEAN = "restricted by posterior mean, eta 0, from moments"
SHOWN = (BY_MEAN, "flow, long", "hybrid, long", "DPM-Solver++ 2M, Karras")
Sampler = Callable[[Tensor, int, torch.Generator], Iterator[Sample]]
"""A sampler, (x ~ N(0, I) [N, 2], steps, source of fresh noise) -> states."""


def long_grid(steps: int) -> list[float]:
    """Grid of one step from 1 to LONG and a power grid below it. Raises ValueError for one step."""
    return [LONG * t for t in power_grid(steps - 1, CURVED)] + [1.0]


def few_levels(steps: int) -> list[float]:
    """Grid of restricted steps, from HIGH to LOW / N^FALL and to 0."""
    return karras_grid(steps, LOW / steps**FALL, HIGH, power=4.0)


def samplers(target: Mixture) -> dict[str, Sampler]:
    """Samplers of a target by name, ours first. Without diffusers there are no rivals."""

    def prox(y: Tensor, t: float, lam: float) -> Tensor:
        return target.at(t).prox(y, lam)

    def ours(grid, of, kind):
        return lambda x, n, noise: proxdm(of, x, grid(n), kind=kind, noise=noise)

    def scores(extra: int, kind):
        slope, grid = (lambda x, t: target.at(t).score(x)), partial(uniform_grid, first=LAST_TIME)
        return lambda x, n, noise: score(slope, x, grid(n - 1 + extra), kind=kind, noise=noise)

    grids = {
        "uniform": uniform_grid,
        "even": partial(even_grid, schedule=VP()),
        f"power {POWER}": partial(power_grid, power=POWER),
        "long": long_grid,
    }
    mean_prox = MeanProx(lambda x, sigma: target.posterior_mean(x, sigma**2))
    found = {f"hybrid, {name}": ours(grid, prox, "hybrid") for name, grid in grids.items()}
    for name in ("uniform", "long"):
        found[f"flow, {name}"] = ours(grids[name], prox, "flow")
        found[f"hybrid by posterior mean, {name}"] = ours(grids[name], mean_prox, "hybrid")
    moments, still = Moments(target), Restricted(eta=0.0)
    for name, of in {BY_MEAN: mean_prox, "restricted, eta 0, from moments": prox}.items():

        def restricted(x, n, noise, of=of):
            times = few_levels(n)
            return proxdm(of, moments.begin(x, times[-1]), times, kind=still, noise=noise)

        found[name] = restricted
    for name in ("uniform", "even"):
        found[f"backward, {name}"] = ours(grids[name], prox, "backward")
    for kind in ("sde", "ode"):
        found |= {f"{kind}, N": scores(0, kind), f"{kind}, N + 1": scores(1, kind)}
    for name, rival in (RIVALS if find_spec("diffusers") else {}).items():
        # The noise is that of the start only: rivals walk the probability flow.
        found[name] = lambda x, n, _, rival=rival: rival.walk(predictor(target), x, n)
    return found


def main(
    out: Path,
    steps: Sequence[int] = (5, 7, 10, 20, 50),
    n: int = 1000,
    seed: int = 0,
    seeds: int = 1,
    targets: dict[str, Mixture] | None = None,
    overwrite: bool = False,
) -> list[dict]:
    """Run all samplers, print tables, write proxdm_2d.jsonl and .png into `out`; return the rows.

    steps: numbers of evaluations; n: number of samples; seed, seeds: the first seed, and how many;
    targets: mixtures in the plane by name, by default the dino and the four Gaussians. Raises
    FileExistsError for files that exist without `overwrite`, ValueError without POT or for fewer
    than 2 steps.
    """
    out.mkdir(parents=True, exist_ok=True)
    for path in (table := out / "proxdm_2d.jsonl", picture := out / "proxdm_2d.png"):
        check_writable(path, overwrite)
    targets = {"dino": dino(), "mixture": four()} if targets is None else targets
    rows, states = [], {}
    for name, target in targets.items():
        for each in range(seed, seed + seeds):
            for row in _runs(target, n, each, steps):
                walked = row.pop("states")
                rows.append({"target": name, **row})
                if each == seed:
                    states[name, row["sampler"], row["steps"]] = walked
        print(f"\n{name}\n\n{markdown([row for row in rows if row['target'] == name], seed)}")
    with writing(table, overwrite) as path:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with writing(picture, overwrite) as path:
        draw(path, rows, states, SHOWN, FLOOR)
    return rows


def markdown(rows: list[dict], seed: int) -> str:
    """Table, sampler by steps: W1 / W2 of `seed`, and W2 over all seeds, mean +- deviation."""
    steps = sorted({row["steps"] for row in rows})
    lines = ["| " + "".join(f"| {n} steps " for n in steps) + "|", "|---" * (len(steps) + 1) + "|"]
    for name in dict.fromkeys(row["sampler"] for row in rows):
        cells = []
        for n in steps:
            runs = [row for row in rows if (row["sampler"], row["steps"]) == (name, n)]
            first = [f"{r['w1']:.3f} / {r['w2']:.3f}" for r in runs if r["seed"] == seed]
            w2 = [row["w2"] for row in runs]
            spread = f" ({mean(w2):.3f} +- {stdev(w2):.3f})" if len(w2) > 1 else ""
            cells.append(first[0] + spread if runs else "-")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _runs(target: Mixture, n: int, seed: int, steps: Sequence[int]) -> Iterator[dict]:
    points, weights = reference(target, n)
    exact = target.draw(n, torch.Generator().manual_seed(10_000 + seed))
    walks = {FLOOR: None, **samplers(target)}
    for count in steps:
        for name, walk in walks.items():
            noise = torch.Generator().manual_seed(seed)
            x = torch.randn(n, target.dimension, generator=noise, dtype=torch.float64)
            states = [Sample(exact if walk is None else x, 1.0)]
            try:
                states += walk(x, count, noise) if walk else []
            except ValueError as refused:
                if "gamma" not in str(refused):
                    raise
                continue  # no backward step is that long
            spent = len(states) - 1
            row = {"sampler": name, "steps": count, "evaluations": spent, "seed": seed, "n": n}
            for p in (1, 2):
                row[f"w{p}"] = round(wasserstein(states[-1].x, points, p, None, weights), 5)
            yield row | {"states": states}


def _command() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("."))
    parser.add_argument("--steps", type=int, nargs="+", default=[5, 7, 10, 20, 50])
    parser.add_argument("--n", type=int, default=1000, help="samples")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="how many")
    parser.add_argument("--overwrite", action="store_true")
    main(**vars(parser.parse_args()))


if __name__ == "__main__":
    _command()
