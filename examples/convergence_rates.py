"""Orders of convergence of the samplers: how fast the law of their output nears its target.

Laws are exact (`examples.sampler_laws`). With every sampler the errors of mean, variance, W1 and W2
fall as 1 / N, and KL as 1 / N^2. So the bounds of [Fang25], 1 / N^2 for backward and 1 / N for
hybrid and score, are met, and the latter two are not sharp. For a Gaussian target the constants are
known too (`leading`). All samplers start from p_1: the error of a start at N(0, 1) never
vanishes (`floor`).

    python -m examples.convergence_rates --out figures
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import torch

from examples.sampler_laws import Gaussian, gaussian_errors, mixture_errors, output_law
from proxlab.images.files import check_writable, writing
from proxlab.priors.exact.mixtures import Mixture
from solvers import VP, even_grid, uniform_grid
from solvers.diffusion.score import LAST_TIME

KINDS = ("sde", "ode", "hybrid", "backward")
"""Kinds of steps, as `proxlab.sample` calls them."""
GRIDS = {
    "uniform": uniform_grid,
    "even": lambda n: even_grid(n, VP()),
    f"from {LAST_TIME:g}": lambda n: uniform_grid(n, LAST_TIME),
}
"""Time grids of n steps, by name."""
GAUSSIAN = Gaussian(
    torch.tensor([0.5, -1.0, 1.0, 0.3], dtype=torch.float64),
    torch.tensor([0.2, 0.5, 1.0, 2.0], dtype=torch.float64),
)
MIXTURE = Mixture(
    *(
        torch.tensor(c, dtype=torch.float64)
        for c in ([0.5, 0.3, 0.2], [[-1.2], [0.5], [1.8]], [0.25, 0.2, 0.3])
    )
)


LOCAL = {
    "sde": lambda V: (-1 / 8, 1 / V - 1 / 2 - V / 4),
    "ode": lambda V: (-1 / 8, (1 - V * V) / (4 * V)),
    "hybrid": lambda V: (-1 / 8, 1 / 2 - V / 4 - 1 / V),
    "backward": lambda V: (1 / 8, V / 4 + 1 / 2 - 1 / V),
}
"""Errors of one step from an exact N(mu, V): in mean, over gamma^2 mu, and in variance, over
gamma^2. Expand each update in gamma against mu_s = exp(gamma / 2) mu and
V_s = 1 + exp(gamma) (V - 1)."""


def leading(target: Gaussian, kind: str, grid: str) -> dict[str, float]:
    """Constants C of the errors C / N, for KL C / N^2, by the names of `gaussian_errors`.

    The errors LOCAL of all steps add up. Each is damped on its way to time 0, by the linear reverse
    SDE (exp(-B / 2) v / V in mean, its square in variance) or by its ODE ((v / V)^(1/2), and its
    square). With gamma = w / N, where w is beta on uniform grids and B(1) on even ones, the sum
    tends to an integral. The last step of a score sampler, the posterior mean, lacks the variance
    of the posterior, which is gamma_1 at first order. On a grid that starts above 0 that is a
    floor, which is left out here (see `limit`).
    """
    first = LAST_TIME if grid.startswith("from") else 0.0
    t = torch.linspace(first, 1, 20001, dtype=torch.float64)[:, None]
    beta, B = VP().beta(t), VP().integral(0.0, t)
    a = torch.exp(-B)
    mu, V = a.sqrt() * target.m, a * target.v + 1 - a
    w = torch.full_like(B, VP().integral(0.0, 1.0)) if grid == "even" else (1 - first) * beta
    damp = (a.sqrt() if kind != "ode" else a[0].sqrt() * (V / V[0]).sqrt()) * target.v / V
    mean, variance = LOCAL[kind](V)
    m = torch.trapezoid(w * beta * mean * mu * damp, t, dim=0)
    v = torch.trapezoid(w * beta * variance * damp**2, t, dim=0)
    if kind in ("sde", "ode") and first == 0:
        v = v - w[0]
    return {
        "mean": float(m.norm()),
        "variance": float(v.norm()),
        "W2": float((m.square() + v.square() / (4 * target.v)).sum().sqrt()),
        "KL": float((m.square() / target.v / 2 + (v / target.v).square() / 4).sum()),
    }


def limit(target: Gaussian, grid: str) -> Gaussian:
    """Law of the output for many steps: the target, or E[x_0 | x_t] at the least t of the grid."""
    t = LAST_TIME if grid.startswith("from") else 0.0
    return Gaussian(target.m, VP().signal(t) * target.v.square() / target.at(t).v)


def floor(target: Gaussian, kind: str) -> Gaussian:
    """Shifts of mean and variance by a start at N(0, 1), in the limit of many steps."""
    a, V = VP().signal(1.0), target.at(1.0).v
    damp = (target.v / V).sqrt() if kind == "ode" else a**0.5 * target.v / V
    return Gaussian(-(a**0.5) * target.m * damp, (1 - V) * damp**2)


def rows(about: dict, sizes: list[int], errors: Callable[[list[float]], dict], predicted: dict):
    """Rows of a target, sampler and grid, one for each kind of error.

    A row has the errors at these numbers of steps N, and their order: minus the slope of log error
    over log N through the last three.
    """
    found = [errors(GRIDS[about["grid"]](n)) for n in sizes]
    for q in found[0]:
        e, theory = [float(f[q]) for f in found], 2 if q == "KL" else 1
        slope = np.polyfit(np.log(sizes[-3:]), np.log(e[-3:]), 1)[0]
        yield about | {
            "quantity": q, "steps": sizes, "errors": e, "order": -float(slope), "theory": theory,
            "constant": e[-1] * sizes[-1] ** theory, "predicted": predicted.get(q),
        }  # fmt: skip


def measure(steps: int, mixture_steps: int) -> Iterator[dict]:
    """All rows, for 8, 16, ... steps up to `steps` (Gaussian target) and `mixture_steps`."""
    for grid, kind in product(GRIDS, KINDS):
        early = grid.startswith("from")
        if early and kind not in ("sde", "ode"):
            continue
        about = {"sampler": kind, "grid": grid}
        sizes = [2**k for k in range(4 if kind == "backward" else 3, 30)]  # 8 has gamma > 2
        many, some = ([n for n in sizes if n <= most] for most in (steps, mixture_steps))
        theory = leading(GAUSSIAN, kind, grid)
        yield from rows({"target": "Gaussian"} | about, many, partial(errors, kind, grid), theory)
        if not early:
            on_line = partial(mixture_errors, MIXTURE, kind)
            yield from rows({"target": "mixture"} | about, some, on_line, {})


def errors(kind: str, grid: str, times: list[float]) -> dict[str, float]:
    """Errors of a sampler of the Gaussian target, from the law that its grid leads to."""
    law = output_law(GAUSSIAN, kind, times, GAUSSIAN.at(1.0))
    return gaussian_errors(law, limit(GAUSSIAN, grid))


def main(argv: Sequence[str] | None = None) -> list[dict]:
    """Measure, print a table, write the rows (JSON lines) and a figure; return the rows."""
    parser = argparse.ArgumentParser(description="measured orders of samplers against theory")
    parser.add_argument("--out", type=Path, default=Path("."), help="folder for the two files")
    parser.add_argument("--steps", type=int, default=4096, help="most steps, Gaussian target")
    parser.add_argument("--mixture-steps", type=int, default=1024, help="most steps, mixture")
    parser.add_argument("--overwrite", action="store_true")
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    results, picture = (args.out / f"convergence_rates.{end}" for end in ("jsonl", "png"))
    for path in (results, picture):
        check_writable(path, args.overwrite)
    print("| target | sampler | grid | error | order | theory | constant | theory |")
    print("|---|---|---|---|---|---|---|---|")
    found = []
    for r in measure(args.steps, args.mixture_steps):
        found.append(r)
        names = " | ".join(r[k] for k in ("target", "sampler", "grid", "quantity"))
        said = f"{r['predicted']:.4g}" if r["predicted"] else ""
        numbers = f"{r['order']:.3f} | {r['theory']} | {r['constant']:.4g} | {said}"
        print(f"| {names} | {numbers} |", flush=True)
    lost = (limit(GAUSSIAN, "from").v - GAUSSIAN.v).norm()
    print(f"\nLeft at t = {LAST_TIME:g}, score samplers lack {lost:.2g} of variance at any N.")
    for kind in KINDS:
        f = floor(GAUSSIAN, kind)
        print(f"A start at N(0, 1) shifts {kind} by {f.m.norm():.2g} in mean, {f.v.norm():.2g} in "
              "variance at any N.")  # fmt: skip
    with writing(results, args.overwrite) as path:
        path.write_text("".join(json.dumps(r) + "\n" for r in found))
    with writing(picture, args.overwrite) as path:
        _draw(path, found)
    return found


def _draw(path: Path, found: list[dict]) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 7.5), layout="constrained")
    FigureCanvasAgg(figure)
    panels = [("Gaussian", "W2"), ("Gaussian", "KL"), ("mixture", "W1"), ("mixture", "KL")]
    axes = figure.subplots(2, 4)
    for (ax, (target, q)), grid in zip(
        zip(axes.flat, 2 * panels, strict=True), 4 * ["uniform"] + 4 * ["even"], strict=True
    ):
        for kind, colour in zip(KINDS, ("C1", "C3", "C0", "C2"), strict=True):
            for r in found:
                if (r["target"], r["quantity"], r["grid"], r["sampler"]) != (target, q, grid, kind):
                    continue
                N = np.array(r["steps"])
                ax.loglog(N, r["errors"], "o-", ms=3.5, color=colour, label=kind)
                C = r["predicted"] or r["constant"]
                ax.loglog(N, C / N.astype(float) ** r["theory"], ":", lw=1, color=colour)
        ax.set(title=f"{target}, {grid} steps: {q}", xlabel="steps N")
        ax.grid(alpha=0.3)
    axes[0, 0].legend(fontsize=8, frameon=False, title="dotted: leading term")
    figure.savefig(path, dpi=110, format="png")


if __name__ == "__main__":
    main()
