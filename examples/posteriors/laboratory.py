"""Samplers of posteriors judged where the posterior is exact: mixtures seen through a matrix.

    python -m examples.posteriors.laboratory --seeds 100 101

A cell is a mixture of Gaussians in 16 or 64 dimensions, a matrix (a mask, a blur or a random one)
and a level of noise. Every sampler draws 800 points; printed are the sliced W2 distance from exact
draws over the deviation of the posterior, geometric mean over cells, the share of cells in which
80 % intervals hold 75 to 85 % of the posterior, and their mean. Settings were chosen on other seeds
by `--tune`, twelve of each sampler; ours has one setting for all.
"""

import argparse
import itertools
import math
from collections.abc import Sequence
from statistics import mean

import torch
from torch import Tensor

import solvers
from examples.posteriors.rivals import DAPS, Cell, DiffPIR, PiGDM, PnPDM, Rival, falling
from proxlab.priors.exact.mixtures import Mixture
from solvers.posteriors.covariances import Applied

DIMENSIONS, MATRICES, NOISES = (16, 64), ("mask", "blur", "random"), (0.05, 0.2, 1.0)
EVALUATIONS = (5, 10, 20)
DRAWS, DIRECTIONS = 800, 100
HIGH, LOW = 0.7, 0.1
"""Levels of ours, over the deviation of the data."""


def cells(seeds: Sequence[int]) -> list[Cell]:
    """One cell for each seed, dimension, matrix and noise."""
    return [
        cell(d, matrix, noise, seed)
        for seed, d, matrix, noise in itertools.product(seeds, DIMENSIONS, MATRICES, NOISES)
    ]


def cell(d: int, matrix: str, noise: float, seed: int) -> Cell:
    """A mixture of 6 Gaussians whose spectra fall, observed once."""
    generator = torch.Generator().manual_seed(1000 * seed + d)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    spectrum = 1 / (1 + torch.arange(d, dtype=torch.float64))
    axes = torch.linalg.qr(normal(6, d, d))[0]
    covariances = axes @ torch.diag(spectrum / spectrum.mean() / 4) @ axes.mT
    weights = (0.5 * normal(6)).softmax(0)
    prior = Mixture(weights, normal(6, d), (covariances + covariances.mT) / 2)
    eye = torch.eye(d, dtype=torch.float64)
    if matrix == "mask":
        A = eye[torch.randperm(d, generator=generator)[: d // 2]]
    elif matrix == "blur":
        A = 0.3 * eye.roll(-1, 1) + 0.4 * eye + 0.3 * eye.roll(1, 1)
    else:
        A = normal(d // 2, d) / d**0.5
    x = prior.draw(1, generator)[0]
    return Cell(prior, A, A @ x + noise * normal(len(A)), noise, DRAWS)


def annealed(covariance: str, high: float = HIGH, low: float = LOW) -> Rival:
    """Ours with a covariance: "wiener", measured to scale, or "jacobian"."""

    def draw(c: Cell, evaluations: int, generator: torch.Generator) -> Tensor:
        S, mu = c.prior.covariance(), c.prior.mean()
        unit = float(S.diagonal().mean()) ** 0.5
        by = solvers.LinearObservation(
            lambda x: x @ c.A.T, lambda y: y @ c.A, c.y.expand(c.n, -1), c.noise**2, tol=1e-6
        )
        prior = Applied(lambda u: u @ S, c.prior.dimension)
        x = by.draw(mu.expand(c.n, -1), prior, generator)
        model = Wiener(c) if covariance == "wiener" else solvers.JacobianCovariance(4)
        levels = falling(high * unit, low * unit, evaluations)
        *_, last = solvers.posterior(c.denoise, by, x, levels, covariance=model, noise=generator)
        return last.x

    return draw


class Wiener:
    """S sigma^2 (S + sigma^2)^-1, scaled to the measured error of the denoiser."""

    def __init__(self, c: Cell):
        generator = torch.Generator().manual_seed(0)
        self.x = c.prior.draw(400, generator)
        self.e = torch.randn(self.x.shape, generator=generator, dtype=torch.float64)
        self.values, self.axes = torch.linalg.eigh(c.prior.covariance())

    def around(self, denoise, x: Tensor, sigma: float):
        """See `solvers.posteriors.covariances.Covariance`."""
        miss = denoise(self.x + sigma * self.e, sigma) - self.x
        wiener = self.values * sigma**2 / (self.values + sigma**2)
        wiener = (wiener * (miss.square().mean() / wiener.mean())).clamp(max=sigma**2)
        matrix = (self.axes * wiener) @ self.axes.T
        root = (self.axes * wiener.sqrt()) @ self.axes.T
        return denoise(x, sigma), Dense(matrix, root)


class Dense:
    """A covariance as a matrix, and its root."""

    def __init__(self, matrix: Tensor, root: Tensor):
        self.matrix, self.half = matrix, root

    def product(self, u: Tensor, /) -> Tensor:
        """C u."""
        return u @ self.matrix

    def root(self, z: Tensor) -> Tensor:
        """C^(1/2) z."""
        return z @ self.half


def judged(c: Cell, drawn: Tensor) -> tuple[float, float]:
    """Sliced W2 over the posterior's deviation, and what 80 % intervals hold of the posterior."""
    truth = c.prior.posterior(c.A, c.y, c.noise)
    generator = torch.Generator().manual_seed(7)
    exact = truth.draw(c.n, generator)
    directions = torch.randn(c.prior.dimension, DIRECTIONS, generator=generator).to(exact)
    directions /= directions.norm(dim=0)
    gaps = (drawn @ directions).sort(0).values - (exact @ directions).sort(0).values
    deviation = float(truth.covariance().diagonal().mean()) ** 0.5
    low, high = drawn.quantile(0.1, 0), drawn.quantile(0.9, 0)
    many = truth.draw(4000, generator)
    held = ((many > low) & (many < high)).double().mean()
    return float(gaps.square().mean().sqrt()) / deviation, float(held)


def figures(rival: Rival, on: Sequence[Cell], evaluations: int) -> tuple[float, float, float]:
    """Geometric mean of the distances, share of cells that cover, mean of what is covered."""
    found = []
    for k, c in enumerate(on):
        with torch.no_grad():
            found.append(judged(c, rival(c, evaluations, torch.Generator().manual_seed(k))))
    distance = math.exp(mean(math.log(max(w, 1e-9)) for w, _ in found))
    return distance, mean(abs(h - 0.8) <= 0.05 for _, h in found), mean(h for _, h in found)


TRIED = {
    "PiGDM": [PiGDM(h, l, e) for h in (2.0, 5.0) for l in (0.03, 0.1) for e in (0.0, 0.5, 1.0)],
    "DAPS, exact draw": [
        DAPS(h, l, r) for h in (1.0, 3.0) for l in (0.05, 0.15) for r in (0.5, 0.7, 1.0)
    ],
    "DiffPIR": [
        DiffPIR(h, l, w, f)
        for h, l in ((5.0, 0.05), (2.0, 0.1))
        for w in (1.0, 3.0)
        for f in (0.3, 0.7, 1.0)
    ],
    "PnP-DM": [PnPDM(h, l, i) for h in (1.0, 3.0) for l in (0.1, 0.2, 0.4) for i in (1, 2)],
}
"""Twelve settings of each rival."""


def tune(seeds: Sequence[int]) -> dict[str, Rival]:
    """The setting of each rival with the least product of distances over the evaluations."""
    on = [c._replace(n=100) for c in cells(seeds)]
    best = {}
    for name, settings in TRIED.items():
        scored = [
            (math.prod(figures(setting, on, k)[0] for k in EVALUATIONS), i)
            for i, setting in enumerate(settings)
        ]
        best[name] = settings[min(scored)[1]]
        print(f"{name}: {best[name]}", flush=True)
    return best


def main(seeds: Sequence[int], rivals: dict[str, Rival]) -> None:
    """Print the table."""
    on = cells(seeds)
    print(f"{len(on)} cells | " + " | ".join(map(str, EVALUATIONS)))
    ours = {f"annealed, {kind}": annealed(kind) for kind in ("wiener", "jacobian")}
    for name, rival in {**ours, **rivals}.items():
        row = [figures(rival, on, k) for k in EVALUATIONS]
        print(
            f"{name} | " + " | ".join(f"{w:.2f}, {s:.2f}, {h:.2f}" for w, s, h in row), flush=True
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="samplers of posteriors against exact ones")
    parser.add_argument("--seeds", type=int, nargs="+", default=[100, 101])
    parser.add_argument("--tune", type=int, nargs="+", default=[1], help="seeds of settings")
    args = parser.parse_args()
    main(args.seeds, tune(args.tune))
