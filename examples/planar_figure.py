"""Figure of samplers in the plane: states of some of them, and errors of many by evaluations."""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean

CURVES = {
    "restricted by posterior mean, eta 0, from moments": "black * -",
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


def draw(path: Path, rows: list[dict], states: dict, shown: Sequence[str], floor: str) -> None:
    """Write the figure, PNG: above, states of the samplers shown; below, W2 on each target.

    rows: those of `sample_proxdm_2d.main`; states: by (target, sampler, steps); floor: the sampler
    that is exact.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    targets = list(dict.fromkeys(row["target"] for row in rows))
    first, count = targets[0], min(row["steps"] for row in rows)
    walks = {name: states[first, name, count] for name in shown if (first, name, count) in states}
    tall = 2.3 * len(walks)
    figure = Figure(figsize=(2.1 * (count + 1), tall + 5), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subfigures(2, 1, height_ratios=[tall, 5])
    panels = above.subplots(len(walks), count + 1, squeeze=False)
    for line, (name, walked) in zip(panels, walks.items(), strict=True):
        for ax, state in zip(line, walked, strict=True):
            ax.scatter(*state.x.T.numpy(), color="tab:blue", s=4, alpha=0.5, linewidths=0)
            ax.set(xlim=(-2, 2), ylim=(-2, 2), aspect="equal", xticks=[], yticks=[])
            ax.set_title(f"t = {state.t:.2g}", fontsize=9)
        line[0].set_ylabel(name, fontsize=9)
    for ax, name in zip(below.subplots(1, len(targets), squeeze=False)[0], targets, strict=True):
        _curves(ax, [row for row in rows if row["target"] == name], floor)
    names = ax.get_legend_handles_labels()
    below.legend(*names, loc="outside right center", fontsize=8, frameon=False)
    figure.savefig(path, dpi=110, format="png")


def _curves(ax, rows: list[dict], exact: str) -> None:
    for name, look in CURVES.items():
        runs = [row for row in rows if row["sampler"] == name]
        counts = sorted({row["evaluations"] for row in runs})
        w2 = [mean(row["w2"] for row in runs if row["evaluations"] == n) for n in counts]
        color, marker, ls = look.split()
        ax.loglog(counts, w2, label=name, color=color, marker=marker, ls=ls)
    floor = mean(row["w2"] for row in rows if row["sampler"] == exact)
    ax.axhline(floor, label=exact, color="black", ls="--")
    ax.set_xticks(counts := sorted({row["steps"] for row in rows}), map(str, counts))
    ax.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
    for which in (ax.yaxis.set_major_formatter, ax.yaxis.set_minor_formatter):
        which("{x:.2g}")
    ax.set(xlabel="evaluations of the prox or the score", ylabel="W2 to the target")
    ax.set_title(f"{rows[0]['target']}, seeds: {len({row['seed'] for row in rows})}", fontsize=10)
    ax.grid(alpha=0.3, which="both")
