"""Large images on the command line: tiles, chosen or asked for, and how long it will take."""

import argparse
import sys
import time
from collections.abc import Callable
from math import ceil
from typing import NamedTuple

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from proxlab.operators.foreign import as_operator
from proxlab.priors.contract import Prior
from proxlab.priors.tiles.tiled_prior import TiledPrior
from proxlab.priors.tiles.within_memory import need
from proxlab.restoration.data_terms import data_term
from proxlab.restoration.restoring import STEPS
from proxlab.tiled import Tiled
from solvers.primal_dual import HasComposite
from solvers.protocols import HasProxAndValue

WHOLE = 2**40
"""Side of a tile that holds any image."""
NUMBERS = 2**20
"""Numbers of an image from which on its time is estimated."""
SAMPLE, WARM = 384, 64
"""Sides of the parts of an image on which a prior is timed, and warmed up before."""
LEVEL = 0.05
"""Noise level at which it is."""
TYPICAL = 50
"""Steps that a run by a prior's prox takes, in round numbers: `bench_megapixels` prints its."""
CHECKS = 12
"""Steps of the data term that the checks before and after a run cost."""
WORTH_SAYING = 60
"""Seconds from which on an estimate is said."""


class Step(NamedTuple):
    """Seconds that one step takes."""

    prior: float
    data: float


def prepared(
    args: argparse.Namespace,
    prior: Prior,
    y: Tensor,
    op: LinearPhysics,
    noise: float | None,
    pages: int = 1,
) -> Prior:
    """The prior that will run, in tiles of --tile, whole for --tile 0, else as memory asks.

    pages: how many images of that size there are, of which y is one. Tiles that were chosen, and
    the time of all pages where it is worth saying, are said on stderr.
    Raises ValueError for a side below 0, and for tiles of a prior without a reach.
    """
    shape = image_shape(y, op)
    found, words = need(prior, shape, y.device), []
    if args.tile is not None and args.tile != 0:
        ready: Prior = Tiled(prior, args.tile)
    elif found.side is None:
        ready = prior
    else:
        ready = TiledPrior(prior, found.side if args.tile is None else WHOLE)
        if args.tile is None:
            words.append(
                f"tiles of {found.side} pixels: {prior.name} would take {found.whole / 1e9:.1f} GB "
                "for the whole image; --tile 0 takes it whole"
            )
    by_gap = isinstance(prior, HasComposite) and args.solver in (None, "pdhg")  # asks for no prox
    if not (args.quiet or by_gap) and shape.numel() * pages >= NUMBERS:
        most = STEPS if args.steps is None else args.steps
        one = timed(ready, y, op, noise)
        every = torch.Size((shape[0] * pages, *shape[1:]))
        words.append(said(every, Step(one.prior * pages, one.data * pages), most))
    if not args.quiet:
        print(*filter(None, words), sep="\n", end="\n" * any(words), file=sys.stderr, flush=True)
    return ready


def image_shape(y: Tensor, op: LinearPhysics) -> torch.Size:
    """Shape [B, C, H, W] of the images behind y. Raises ValueError for a y that does not fit."""
    with torch.no_grad():
        return op.A_adjoint(as_operator(op).usable(y)).shape


def said(shape: torch.Size, step: Step, most: int) -> str:
    """The sentence for images of that shape, runs of at most so many steps; empty if not worth it.

    >>> from proxlab.commands.large_image import Step, said
    >>> said(torch.Size((1, 3, 3000, 4000)), Step(prior=24.0, data=5.0), most=400)
    '12.0 megapixels: about 26 minutes for 50 steps, which ...; 400 at most, 3.3 hours'
    """
    each = step.prior + step.data
    expected = min(TYPICAL, most)
    seconds, longest = (CHECKS * step.data + count * each for count in (expected, most))
    if seconds < WORTH_SAYING:
        return ""
    pixels = shape[-2] * shape[-1] * shape[0] / 1e6
    begun = f"{pixels:.1f} megapixels: "
    if expected == most:
        return begun + f"at most {_duration(longest)}, for {most} steps"
    return (
        begun + f"about {_duration(seconds)} for {expected} steps, which is usual; {most} at most, "
        f"{_duration(longest)}"
    )


def timed(prior: Prior, y: Tensor, op: LinearPhysics, noise: float | None) -> Step:
    """Seconds of a step for the measurement y, its prox timed on a part of the image."""
    with torch.no_grad():
        f = data_term(y, op, noise=noise)
        x = as_operator(op).first_estimate(y)
        tau = float((1 / f.lipschitz().clamp(min=1e-12)).min())
        data = _seconds(lambda: f.value(f.prox(x, tau)), y)
        return Step(_seconds_of_prior(prior, x), data)


def _seconds_of_prior(prior: Prior, x: Tensor) -> float:
    """Seconds of one prox at x, from those of a part in its middle."""
    inner, factor = prior, 1.0
    if isinstance(prior, TiledPrior):
        inner, factor = prior.prior, prior.cost(x.shape[-2:])
    low, high = prior.sigma_range
    sigma = min(max(LEVEL, low), high)

    def part(side: int) -> Tensor:
        rows, columns = (slice((n - min(n, side)) // 2, (n + side) // 2) for n in x.shape[-2:])
        return x[..., rows, columns].clone()

    ask = inner.prox_and_value if isinstance(inner, HasProxAndValue) else inner.prox
    warm, sample = part(WARM), part(SAMPLE)
    ask(warm, sigma)
    return _seconds(lambda: ask(sample, sigma), x) * factor * x.numel() / sample.numel()


def _seconds(work: Callable[[], object], like: Tensor) -> float:
    """Seconds that it takes on the device of a tensor."""
    _wait(like)
    began = time.perf_counter()
    work()
    _wait(like)
    return time.perf_counter() - began


def _wait(like: Tensor) -> None:
    if like.device.type == "cuda":
        torch.cuda.synchronize(like.device)


def _duration(seconds: float) -> str:
    """Minutes, or hours from two on."""
    if seconds < 7200:
        count = max(1, ceil(seconds / 60))
        return f"{count} minute{'s' * (count > 1)}"
    return f"{seconds / 3600:.1f} hours"
