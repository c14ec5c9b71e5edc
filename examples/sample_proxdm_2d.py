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
the hybrid does.
"""

import argparse
import csv
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import mean, stdev

import torch
from torch import Tensor

from examples.diffusers_rivals import RIVALS, predictor
from proxlab.diffusion.distances import wasserstein
from proxlab.diffusion.mean_prox import MeanProx
from proxlab.images.data_sets import find_data
from proxlab.images.files import check_writable, writing
from proxlab.priors.exact.mixtures import Mixture
from solvers import VP, even_grid, power_grid, proxdm, score, uniform_grid
from solvers.diffusion.proximal import Sample
from solvers.diffusion.score import LAST_TIME

LONG, CURVED, POWER = 0.4, 1.2, 1.5
"""Time at which the long step ends, the power of the grid below it, and that of the power grid."""
FLOOR = "the target itself"
SHOWN = ("flow, long", "hybrid, long", "sde, N", "DPM-Solver++ 2M, Karras")
CURVES = {
    "hybrid, uniform": "tab:blue o :",
    "hybrid, long": "tab:blue o -",
    "flow, long": "tab:orange o -",
    "backward, uniform": "tab:cyan s -",
    "hybrid by posterior mean, long": "tab:purple v -",
    "sde, N + 1": "tab:red ^ -",
    "ode, N + 1": "tab:pink ^ -",
    "DDIM": "tab:olive . -",
    "DPM-Solver++ 2M, Karras": "tab:green D -",
    "DPM-Solver++ 2M, log sigma": "tab:green D :",
    "Heun": "tab:brown . -",
}
"""Samplers whose errors are drawn, each with its colour, marker and line."""

Sampler = Callable[[Tensor, int, torch.Generator], Iterator[Sample]]
"""A sampler, (x ~ N(0, I) [N, 2], steps, source of fresh noise) -> states."""


def dino() -> Mixture:
    """Dino of the Datasaurus in [-1, 1]^2, as point masses. Raises as `find_data` without it."""
    with find_data("datasaurus/datasaurus.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["dataset"] == "dino"]
    points = torch.tensor([[float(row["x"]), float(row["y"])] for row in rows]).double()
    return Mixture.points((points - 50) / 50)


def four() -> Mixture:
    """Three long Gaussians around a small round one."""
    numbers = partial(torch.tensor, dtype=torch.float64)
    means = numbers([[-0.8, -0.5], [0.0, 0.8], [0.9, -0.3], [0.1, -0.1]])
    long = [[0.25, 0, 0.15, 0.06], [0.3, 0, -0.1, 0.05], [0.05, 0, 0.1, 0.2]]
    roots = numbers([*long, [0.04, 0, 0, 0.04]]).reshape(4, 2, 2)
    return Mixture(numbers([0.3, 0.3, 0.25, 0.15]), means, roots @ roots.mT)


def long_grid(steps: int) -> list[float]:
    """Grid of one step from 1 to LONG and a power grid below it. Raises ValueError for one step."""
    return [LONG * t for t in power_grid(steps - 1, CURVED)] + [1.0]


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
        _draw(path, rows, states, targets)
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
    points, weights = _reference(target, n)
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


def _reference(target: Mixture, n: int) -> tuple[Tensor, Tensor | None]:
    """Points that samples are compared with, [M, d], and weights: the target's, or 2 n draws."""
    if not target.covariances.any():
        return target.means, target.weights
    return target.draw(2 * n, torch.Generator().manual_seed(99_999)), None


def _draw(path: Path, rows: list[dict], states: dict, targets: dict[str, Mixture]) -> None:
    """Write the figure, PNG: above, states of the samplers SHOWN; below, W2 on each target."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    first, count = next(iter(targets)), min(row["steps"] for row in rows)
    shown = {name: states[first, name, count] for name in SHOWN if (first, name, count) in states}
    tall = 2.3 * len(shown)
    figure = Figure(figsize=(2.1 * (count + 1), tall + 5), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subfigures(2, 1, height_ratios=[tall, 5])
    panels = above.subplots(len(shown), count + 1, squeeze=False)
    for line, (name, walked) in zip(panels, shown.items(), strict=True):
        for ax, state in zip(line, walked, strict=True):
            ax.scatter(*state.x.T.numpy(), color="tab:blue", s=4, alpha=0.5, linewidths=0)
            ax.set(xlim=(-2, 2), ylim=(-2, 2), aspect="equal", xticks=[], yticks=[])
            ax.set_title(f"t = {state.t:.2g}", fontsize=9)
        line[0].set_ylabel(name, fontsize=9)
    for ax, name in zip(below.subplots(1, len(targets), squeeze=False)[0], targets, strict=True):
        _curves(ax, [row for row in rows if row["target"] == name])
    names = ax.get_legend_handles_labels()
    below.legend(*names, loc="outside right center", fontsize=8, frameon=False)
    figure.savefig(path, dpi=110, format="png")


def _curves(ax, rows: list[dict]) -> None:
    for name, look in CURVES.items():
        runs = [row for row in rows if row["sampler"] == name]
        counts = sorted({row["evaluations"] for row in runs})
        w2 = [mean(row["w2"] for row in runs if row["evaluations"] == n) for n in counts]
        color, marker, ls = look.split()
        ax.loglog(counts, w2, label=name, color=color, marker=marker, ls=ls)
    floor = mean(row["w2"] for row in rows if row["sampler"] == FLOOR)
    ax.axhline(floor, label=FLOOR, color="black", ls="--")
    ax.set_xticks(counts := sorted({row["steps"] for row in rows}), map(str, counts))
    ax.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
    for which in (ax.yaxis.set_major_formatter, ax.yaxis.set_minor_formatter):
        which("{x:.2g}")
    ax.set(xlabel="evaluations of the prox or the score", ylabel="W2 to the target")
    ax.set_title(f"{rows[0]['target']}, seeds: {len({row['seed'] for row in rows})}", fontsize=10)
    ax.grid(alpha=0.3, which="both")


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
