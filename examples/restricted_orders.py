"""Weak orders of restricted steps: exact laws for a Gaussian, coupled paths for a mixture.

For a Gaussian the law of the output is exact (`examples.sampler_laws`). For a mixture on the line
the mean of x^2 and of cos 2x over paths is compared between N, 2 N and 4 N steps that share their
noise: the noise of a long step is that of its two halves, and so the differences are known far
better than the means. Of order p they fall as N^-p. Standard errors stand beside them.

    python -m examples.restricted_orders --paths 1000000
"""

import argparse
import math
from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from examples.convergence_rates import GAUSSIAN, MIXTURE
from examples.sampler_laws import output_law
from proxlab.diffusion.mean_prox import MeanProx
from solvers import VP, JacobianSpread, Restricted, proxdm

LOW, HIGH = 0.3, 20.0
"""Levels that the steps lead between, noise over signal; the law at LOW is judged."""
ETAS = (0.0, 0.5, 1.0)


class Found(NamedTuple):
    """Differences of a mean between N and 2 N, and 2 N and 4 N steps."""

    first: float
    second: float
    deviations: tuple[float, float]
    """Their standard errors."""

    @property
    def order(self) -> float:
        """Logarithm of their ratio, to base 2."""
        return math.log2(abs(self.first / self.second))


def levels(n: int) -> list[float]:
    """Times of n steps of one length in log sigma; those of 2 n hold them."""
    logs = [math.log(LOW) + math.log(HIGH / LOW) * k / n for k in range(n + 1)]
    return [VP().time_of_noise(math.exp(x)) for x in logs]


def gaussian_error(kind: Restricted, n: int, walk=proxdm) -> float:
    """Error of the variances after n steps, in norm, for `GAUSSIAN`."""
    times = levels(n)

    def walked(target, kind, x, times, noise):
        return walk(lambda y, t, lam: target.at(t).prox(y, lam), x, times, kind=kind, noise=noise)

    law = output_law(GAUSSIAN, kind, times, GAUSSIAN.at(times[-1]), walked)
    return float((law.v - GAUSSIAN.at(times[0]).v).norm())


def mixture_differences(
    kind: Restricted, n: int, paths: int, walk=proxdm, seed: int = 0
) -> dict[str, Found]:
    """Differences of means over paths from n to 2 n and 4 n steps, for `MIXTURE`, by its mean."""
    generator = torch.Generator().manual_seed(seed)
    start = MIXTURE.at(levels(1)[-1]).draw(paths, generator)
    fresh = [torch.randn(paths, 1, generator=generator, dtype=torch.float64) for _ in range(4 * n)]
    centre = MeanProx(lambda x, sigma: MIXTURE.posterior_mean(x, sigma**2))
    ends = []
    for noises in (
        halved(kind, halved(kind, fresh, 4 * n), 2 * n),
        halved(kind, fresh, 4 * n),
        fresh,
    ):
        source = iter(noises)
        *_, last = walk(
            centre, start, levels(len(noises)), kind=kind, noise=lambda x, s=source: next(s)
        )
        ends.append(last.x)
    found = {}
    for name, of in {"x^2": torch.square, "cos 2x": lambda x: torch.cos(2 * x)}.items():
        few, more, most = (of(x) for x in ends)
        gaps = (few - more, more - most)
        found[name] = Found(
            *(float(g.mean()) for g in gaps), tuple(float(g.std()) / paths**0.5 for g in gaps)
        )
    return found


def halved(kind: Restricted, fresh: Sequence[Tensor], n: int) -> list[Tensor]:
    """Noises of n / 2 steps that are the sums of those of n steps, each standard normal.

    A step shrinks what came before by r^((1 + eta^2) / 2), and its noise has the variance
    sigma_s^2 (1 - r^(eta^2)), with r one number for all steps of these levels.
    """
    if kind.eta == 0:
        return list(fresh[: n // 2])
    r = (LOW / HIGH) ** (2 / n)
    carried = r ** ((1 + kind.eta**2) / 2) * r**-0.5  # a step before, sigma is r^(-1/2) times it
    whole = ((1 - r ** (2 * kind.eta**2)) / (1 - r ** (kind.eta**2))) ** 0.5
    return [(carried * fresh[k] + fresh[k + 1]) / whole for k in range(0, n, 2)]


def main(paths: int) -> None:
    """Print both tables."""
    print("| Gaussian | error, 32 steps | 64 | order |\n| --- | --- | --- | --- |")
    for order, eta in product((1, 2), ETAS):
        few, many = (gaussian_error(Restricted(order, eta), n) for n in (32, 64))
        print(
            f"| order {order}, eta {eta} | {few:.2e} | {many:.2e} | {math.log2(few / many):.2f} |"
        )
    exact = gaussian_error(Restricted(spread=JacobianSpread(), order=1), 2)
    print(f"| order 1, Jacobian's spread, 2 steps | {exact:.1e} | | exact |\n")
    print(
        "| mixture | mean of | 16 - 32 steps | 32 - 64 | order |\n| --- | --- | --- | --- | --- |"
    )
    for order, eta in product((1, 2), ETAS):
        for name, f in mixture_differences(Restricted(order, eta), 16, paths).items():
            print(
                f"| order {order}, eta {eta} | {name} | {f.first:.2e} +- {f.deviations[0]:.0e} | "
                f"{f.second:.2e} +- {f.deviations[1]:.0e} | {f.order:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--paths", type=int, default=1_000_000)
    main(parser.parse_args().paths)
