"""Cost of posterior samples: seconds of the prior, of its Jacobian and of all else.

    python -m examples.posteriors.cost [--side 256] [--samples 16] [--steps 10] [--prior lpn-gray]
        [--problems deblur,inpaint,ct] [--plain]

The image is a part of scikit-image's camera man, blurred by a Gaussian of 1.6 pixels (borders wrap
around) or half of its pixels missing, noise 0.02, or seen in 60 views, noise 0.5 in line integrals.
`--plain` leaves out the preconditioner of the draws, to see what it saves. Seconds are those of the
processor, of all threads together, so that others on the machine matter less. The pass that makes a
Jacobian is the one that its prox is taken from, and counts as the prior's. The design asks that 16
samples of 256 x 256 take a minute on two cores, and that half of the time goes to the prior.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from unittest.mock import patch

import torch
from deepinv.physics import LinearPhysics
from skimage.data import camera
from torch import Tensor

import proxlab
from proxlab.priors.contract import Prior
from proxlab.priors.jacobians.contract import Jacobian, KnowsProx
from proxlab.priors.jacobians.spread import jacobian
from solvers.posteriors import observations
from solvers.posteriors.preconditioner import preconditioner

BLUR, MISSING, NOISE = 1.6, 0.5, 0.02
VIEWS, CT_NOISE = 60, 0.5


@dataclass
class Watch:
    """Seconds spent inside, and how often."""

    seconds: float = 0.0
    count: int = 0
    _begun: float = field(default=0.0, repr=False)

    def __enter__(self) -> None:
        self._begun = time.process_time()

    def __exit__(self, *_) -> None:
        self.seconds += time.process_time() - self._begun
        self.count += 1


class Watched:
    """A prior whose evaluations and products with its Jacobian are timed."""

    def __init__(self, prior: Prior):
        self.prior, self.name = prior, prior.name
        self.sigma_range, self.capabilities = prior.sigma_range, prior.capabilities
        self.prox_watch, self.product_watch = Watch(), Watch()

    def prox(self, v: Tensor, sigma: float | Tensor) -> Tensor:
        """That of the prior."""
        with self.prox_watch:
            return self.prior.prox(v, sigma)

    def jacobian(self, v: Tensor, sigma: float | Tensor) -> "WatchedJacobian":
        """That of the prior; making it is the pass of an evaluation, and counts as its part."""
        before = self.prox_watch.count
        with self.prox_watch:
            found = jacobian(self.prior, v, sigma)
        self.prox_watch.count = before
        return WatchedJacobian(found, self.prox_watch, self.product_watch)


class WatchedJacobian:
    """A Jacobian whose products are timed, and whose prox is one of the prior's."""

    def __init__(self, inner: Jacobian, prox_watch: Watch, watch: Watch):
        self.inner, self.watch, self.symmetric = inner, watch, inner.symmetric
        self.prox_watch = prox_watch

    def prox(self) -> Tensor:
        """That of the prior, from the pass that made the Jacobian."""
        assert isinstance(self.inner, KnowsProx)
        with self.prox_watch:
            return self.inner.prox()

    def __call__(self, u: Tensor) -> Tensor:
        """The product with u."""
        with self.watch:
            return self.inner(u)

    def diagonal(self, probes: int, seed: int):
        """The diagonal, which no sample asks for."""
        return self.inner.diagonal(probes, seed)


def operators(side: int) -> dict[str, LinearPhysics]:
    """The operators, by name."""
    mask = proxlab.operators.random_mask((side, side), MISSING, torch.Generator().manual_seed(0))
    kernel = proxlab.operators.gaussian_kernel(BLUR)
    return {
        "deblur": proxlab.operators.deblur(kernel, noise=NOISE),
        "inpaint": proxlab.operators.inpaint(mask, noise=NOISE),
        "ct": proxlab.operators.ct(side, VIEWS, CT_NOISE),
    }


def image(side: int) -> Tensor:
    """The middle of camera man, [1, 1, side, side]; 512 pixels at most."""
    first = (512 - side) // 2
    part = camera()[first : first + side, first : first + side]
    return torch.from_numpy(part / 255).float()[None, None]


def main(argv: Sequence[str] | None = None) -> list[dict]:
    """Print the table; its rows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--prior", default="lpn-gray")
    parser.add_argument("--problems", default="deblur,inpaint,ct")
    parser.add_argument("--plain", action="store_true", help="draws without a preconditioner")
    args = parser.parse_args(argv)
    x, rows = image(args.side), []
    made = (lambda *_: None) if args.plain else preconditioner
    print(f"{args.samples} samples of {args.side} x {args.side}, {torch.get_num_threads()} threads")
    print("| problem | seconds | prior | Jacobian | else | products a sample | one in proxes |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    every = operators(args.side)
    for name, op in ((name, every[name]) for name in args.problems.split(",")):
        y = op(x, generator=torch.Generator().manual_seed(1))
        prior = Watched(proxlab.load(args.prior))
        own, products = prior.prox_watch, prior.product_watch
        begun = time.process_time()
        with patch.object(observations, "preconditioner", made):
            post = proxlab.posterior(y, op, prior, args.samples, steps=args.steps)
        seconds = time.process_time() - begun
        r = {
            "problem": name,
            "seconds": seconds,
            "prior": own.seconds / seconds,
            "jacobian": products.seconds / seconds,
            "products": post.products,
            "ratio": products.seconds / products.count * own.count / own.seconds,
        }
        print(
            f"| {name} | {seconds:.1f} | {r['prior']:.0%} | {r['jacobian']:.0%} | "
            f"{1 - r['prior'] - r['jacobian']:.0%} | {r['products']} | {r['ratio']:.2f} |",
            flush=True,
        )
        rows.append(r)
    return rows


if __name__ == "__main__":
    main()
