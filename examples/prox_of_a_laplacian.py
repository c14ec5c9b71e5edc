"""Training losses of a learned proximal network: what each of them learns, against closed forms.

Clean points come from a Laplacian, from mixtures of two Gaussians, and from a mixture in the plane;
noise of standard deviation 1 is added. The squared loss learns the posterior mean, proximal
matching the prox of -log p, and with it -log p itself. A learned prox is continuous: where the true
one jumps it climbs steeply instead. Its prior is then the proximal hull of -log p, the least
function with the same Moreau envelope [Fang24].

    python examples/prox_of_a_laplacian.py --out figures
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from proxlab.images.files import writing
from proxlab.priors.exact.densities import Density, GaussianMixture, Laplace, proximal_hull, sample
from proxlab.priors.lpn.icnn import VectorICNN, VectorICNNConfig
from proxlab.training.losses import (
    ProximalMatching,
    balanced_absolute_error,
    balanced_squared_error,
)

ONE = torch.ones(1)
FAR = 4.0
"""Error, as a multiple of gamma, beyond which a sample weighs less than 1e-6 and is left out."""


@dataclass(frozen=True)
class Problem:
    """A density to learn, and how."""

    name: str
    density: Density
    gammas: tuple[tuple[float, float, int, int], ...]
    """Stages of proximal matching after the l1 phase: gamma, learning rate, steps, batch."""
    region: tuple[float, float] | None = None
    """Largest |v| at which the prox is judged, and largest |x| of the prior; None: 99 % of the
    mass."""
    jump: float = 0.0
    """Half the width of the part around a jump at zero that is not judged."""


COARSE = ((1.0, 1e-2, 200, 4096), (0.5, 1e-2, 200, 4096))
FINE = ((0.25, 5e-3, 200, 8192), (0.12, 4e-3, 300, 16384), (0.06, 1.5e-3, 400, 32768))
PAIR = ((2.0, 1e-2, 200, 4096), *COARSE, (0.25, 3e-3, 500, 16384))
LAPLACE = (*COARSE, *FINE, (0.025, 5e-4, 700, 65536))
MODES = (-4.0,), (4.0,)
SMOOTH = GaussianMixture((0.6, 0.4), MODES, (5**0.5, 5**0.5))
JUMPING = GaussianMixture((0.5, 0.5), MODES, (1.0, 1.0))
CORNERS = (-3.0, -2.0), (3.0, -2.0), (0.0, 3.5)
THREE = GaussianMixture((0.4, 0.35, 0.25), CORNERS, (2.0, 2.0, 2.0))
PROBLEMS = (
    Problem("Laplace(0, 1)", Laplace(), LAPLACE, region=(5.0, 3.0)),
    Problem("0.6 N(-4, 5) + 0.4 N(4, 5)", SMOOTH, PAIR),
    Problem("N(-4, 1) / 2 + N(4, 1) / 2, a jump at 0", JUMPING, PAIR, jump=0.5),
)
PLANE = Problem(
    "three Gaussians in the plane", THREE, ((1.0, 5e-3, 300, 4096), (0.5, 2e-3, 400, 8192))
)


def fit(problem: Problem, loss: str, effort: float) -> VectorICNN:
    """Network trained on fresh samples by a loss, with its averaged weights, in float64.

    effort: share of the steps and, below 1, of the batches.
    """
    d = problem.density
    spread = 3.0 if isinstance(d, Laplace) else 7.0
    config = VectorICNNConfig(d.dimension, width=16 * d.dimension, spread=spread, corner=0.05)
    net = VectorICNN(config)
    stages = [(balanced_absolute_error, 2e-2, 400, 4096)]
    if loss == "squared":
        squared = balanced_squared_error
        stages = [(squared, 2e-2, 400, 4096), (squared, 3e-3, 300, 8192)]
    if loss == "proximal matching":
        stages += [(ProximalMatching(g, growth=0), *rest) for g, *rest in problem.gammas]
    # Points of a scrambled Sobol sequence fill the space of (sample, noise) evenly, so that small
    # gammas, which look at few samples closely, need a tenth of the independent ones.
    points = torch.quasirandom.SobolEngine(d.uniforms + d.dimension, scramble=True, seed=0)
    for criterion, rate, steps, batch in stages:
        steps, batch = max(2, round(effort * steps)), max(256, round(min(1, effort) * batch))
        optimiser = torch.optim.Adam(net.parameters(), betas=(0.9, 0.99))
        average = [p.detach().clone() for p in net.parameters()]
        for k in range(steps):
            u = points.draw(batch, dtype=torch.float64).clamp(2.0**-54, 1 - 2.0**-53)
            x = d.draw(u[:, : d.uniforms])
            y = (x + torch.special.ndtri(u[:, d.uniforms :])).float()[:, None, None]
            x = x.float()[:, None, None]
            share = 1.0
            if isinstance(criterion, ProximalMatching):
                with torch.no_grad():
                    error = (net.gradient(y, ONE) - x).square().mean((1, 2, 3)).sqrt()
                near = error < FAR * criterion.gamma
                x, y, share = x[near], y[near], float(near.float().mean())
                if not share:
                    continue
            pace = min(1, (k + 1) / 50, max(0.02, 2 - 2 * k / steps))
            optimiser.param_groups[0]["lr"] = rate * pace
            optimiser.zero_grad()
            (share * criterion(net.gradient(y, ONE), x, ONE)).backward()
            optimiser.step()
            with torch.no_grad():
                for a, p in zip(average, net.parameters(), strict=True):
                    a.lerp_(p, 1 - min(0.99, (k + 1) / (k + 10)))
        with torch.no_grad():
            for a, p in zip(average, net.parameters(), strict=True):
                p.copy_(a)
    return net.double().requires_grad_(False)


def learned(net: VectorICNN, v: Tensor) -> tuple[Tensor, Tensor]:
    """Learned prox of points [N, d], and the value of the learned prior there, [N], at no cost."""
    x, gap = net.gradient_and_gap(v[:, None, None], ONE.double())
    x = x[:, 0, 0]
    return x, gap - (x - v).square().sum(1) / 2


def true_prior(problem: Problem, x: Tensor) -> Tensor:
    """Prior -log p at points [N, d], or its proximal hull if the prox jumps."""
    d = problem.density
    return proximal_hull(d, x) if problem.jump else d.neg_log_density(x)


def errors(problem: Problem, net: VectorICNN) -> dict[str, float]:
    """Largest errors: "prox" against the prox, "mean" against the posterior mean, and "prior"."""
    d, generator = problem.density, torch.Generator().manual_seed(1)
    clean = sample(d, 200_000, generator)
    noisy = clean + torch.randn(clean.shape, dtype=clean.dtype, generator=generator)
    if d.dimension == 1:
        v = torch.linspace(-16, 16, 1601, dtype=torch.float64)[:, None]
        if problem.region:
            (inside, judged) = (v.abs() <= problem.region[0], problem.region[1])
            bounds = torch.tensor([-judged, judged])
        else:
            ends = torch.tensor([0.005, 0.995], dtype=torch.float64)
            bounds, (low, high) = clean.quantile(ends), noisy.quantile(ends)
            inside = (v >= low) & (v <= high)
        inside = (inside & (v.abs() >= problem.jump))[:, 0]
        x, r = learned(net, v)
        counted = ((x >= bounds[0]) & (x <= bounds[1]))[:, 0]
        truth = true_prior(problem, x)
    else:  # where the density of what is seen, or of what is clean, is above its quantile of 1 %
        v = noisy[:2000]
        seen = GaussianMixture(d.weights, d.means, tuple((t * t + 1) ** 0.5 for t in d.deviations))
        inside = seen.neg_log_density(v) <= seen.neg_log_density(noisy).quantile(0.99)
        x, r = learned(net, v)
        counted = d.neg_log_density(x) <= d.neg_log_density(clean).quantile(0.99)
        truth = d.neg_log_density(x)
    gap = (r - truth)[counted]
    return {
        "prox": float((x - d.prox(v, 1.0))[inside].norm(dim=1).max()),
        "mean": float((x - d.posterior_mean(v, 1.0))[inside].norm(dim=1).max()),
        "prior": float(gap.max() - gap.min()) / 2,  # the constant that is best is removed
    }


def main(argv: Sequence[str] | None = None) -> dict[tuple[str, str], dict[str, float]]:
    """Train, print the errors, draw; return the errors by problem and loss."""
    parser = argparse.ArgumentParser(description="learned prox and prior against closed forms")
    parser.add_argument("--out", type=Path, default=Path("."), help="folder for the figures")
    parser.add_argument("--effort", type=float, default=1.0, help="share of the steps; 1: minutes")
    parser.add_argument("--only", type=int, help="number of the problem, 0 to 3")
    parser.add_argument("--overwrite", action="store_true")
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    found, nets = {}, {}
    losses = ("squared", "l1", "proximal matching")
    every = [*PROBLEMS, PLANE]
    chosen = every if args.only is None else every[args.only : args.only + 1]
    print(f"{'largest error':42}{'loss':>18}{'prox':>8}{'mean':>8}{'prior':>8}{'seconds':>9}")
    for problem in chosen:
        for loss in losses if problem is not PLANE else losses[::2]:
            start = time.monotonic()
            net = nets[problem.name, loss] = fit(problem, loss, args.effort)
            row = found[problem.name, loss] = errors(problem, net)
            print(f"{problem.name:42}{loss:>18}", end="")
            print("".join(f"{row[k]:8.3f}" for k in ("prox", "mean", "prior")), end="")
            print(f"{time.monotonic() - start:9.0f}", flush=True)
    print("prox: against the prox of -log p; mean: against the posterior mean; both on [-5, 5] for "
          "the Laplacian, else on\n99 % of the mass; prior: against -log p, best constant removed, "
          "on [-3, 3] or 99 %. At the jump |v| < 0.5 is left\nout, for no bound holds there, and "
          "the prior is held against the proximal hull of -log p.")  # fmt: skip
    line = [p for p in chosen if p is not PLANE]
    if line:
        with writing(args.out / "prox_of_a_laplacian.png", overwrite=args.overwrite) as path:
            _draw_lines(path, line, nets)
    if PLANE in chosen:
        with writing(args.out / "prox_in_the_plane.png", overwrite=args.overwrite) as path:
            _draw_plane(path, nets)
    return found


def _figure(width: float, height: float):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _draw_lines(path: Path, problems: list[Problem], nets: dict) -> None:
    figure = _figure(11, 3.9 * len(problems))
    colours = {"squared": "tab:orange", "l1": "tab:green", "proximal matching": "tab:blue"}
    axes = figure.subplots(len(problems), 2, squeeze=False)
    for (left, right), problem in zip(axes, problems, strict=True):
        d, reach = problem.density, problem.region[0] if problem.region else 9.0
        x = torch.linspace(-reach, reach, 601, dtype=torch.float64)[:, None]
        v = 4 / reach * x  # further out the proxes do not differ
        left.plot(v, d.prox(v, 1.0), "k", lw=4, alpha=0.25, label="prox of -log p")
        left.plot(v, d.posterior_mean(v, 1.0), "k:", lw=1.8, zorder=3, label="posterior mean")
        low, high = d.neg_log_density(x).min(), d.neg_log_density(x).max()
        right.plot(x, d.neg_log_density(x) - low, "k", lw=4, alpha=0.25, label="-log p")
        if problem.jump:
            hull = proximal_hull(d, x) - low
            right.plot(x, hull, "k--", lw=1.2, zorder=3, label="its proximal hull")
        far = torch.linspace(-20, 20, 4001, dtype=torch.float64)[:, None]
        for loss, colour in colours.items():
            net, look = nets[problem.name, loss], {"color": colour, "label": f"learned, {loss}"}
            left.plot(v, learned(net, v)[0], **look)
            z, r = learned(net, far)
            gap = (r - true_prior(problem, z))[z[:, 0].abs() <= 0.6 * reach]
            right.plot(z, r - (gap.max() + gap.min()) / 2 - low, **look)
        left.set(title=f"{problem.name}: prox", xlabel="v")
        right.set(title="prior, best constant removed", xlabel="x")
        right.axis((-1.05 * reach, 1.05 * reach, -0.5, 1.15 * float(high - low)))
        for ax in (left, right):
            ax.grid(alpha=0.3)
            ax.legend(fontsize=8, frameon=False)
    figure.savefig(path, dpi=110, format="png")


def _draw_plane(path: Path, nets: dict) -> None:
    figure, d = _figure(13, 4.2), PLANE.density
    axis = torch.linspace(-14, 14, 141, dtype=torch.float64)
    v = torch.cartesian_prod(axis, axis)
    panels = [("-log p", v, d.neg_log_density(v))]
    for loss in ("squared", "proximal matching"):
        panels.append((f"learned prior, {loss}", *learned(nets[PLANE.name, loss], v)))
    levels, axes = [0, 0.1, 0.25, 0.5, 1, 1.5, 2, 3, 4, 5, 6], figure.subplots(1, 3)
    for ax, (title, x, r) in zip(axes, panels, strict=True):
        near = x.abs().amax(1) < 9
        x, r = x[near].numpy(), (r - r.min())[near].numpy()
        look = {"levels": levels, "extend": "max"}
        shades = ax.tricontourf(x[:, 0], x[:, 1], r, cmap="viridis", norm="symlog", **look)
        ax.tricontour(x[:, 0], x[:, 1], r, levels=levels[1:], colors="w", linewidths=0.6)
        ax.set(title=title, xlim=(-8, 8), ylim=(-8, 8), aspect="equal")
    figure.colorbar(shades, ax=axes, ticks=levels, format="%g", label="above its least value")
    figure.savefig(path, dpi=110, format="png")


if __name__ == "__main__":
    main()
