"""The inverse of a learned prox: L-BFGS of ours against 1000 Adam steps, the way of its inventors.

    PROXLAB_DATA=... python examples/benchmarks/bench_inverse.py

Eight gray 64 x 64 parts of photographs held out of bsds400 are noised, and their prox is inverted.
Adam starts at zero with rate 0.01 in image units and minimises psi(v) - <x, v>, by automatic
differentiation [Fang24]; its second row has our hand-written gradient in place of that. Where
`--adam` asks for fewer steps, its time is measured over those and scaled up. All runs in one
process; the time is CPU time of this process, which other programs disturb least.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from proxlab.checkpoints import load
from proxlab.images.data_sets import find_data
from proxlab.images.folders import hold_out, load_gray
from proxlab.priors.lpn.network import LPN

STEPS, RATE = 1000, 0.01


def adam(prior: LPN, x: Tensor, sigma: float, steps: int, by_hand: bool) -> tuple[Tensor, float]:
    """The inverse at x and the seconds it took."""
    s = torch.full((len(x),), sigma, dtype=x.dtype)
    target = x / sigma
    v = torch.zeros_like(x).requires_grad_()
    optimiser = torch.optim.Adam([v], lr=RATE / sigma)
    start = time.process_time()
    for _ in range(steps):
        optimiser.zero_grad()
        if by_hand:
            with torch.no_grad():
                v.grad = prior.potential.gradient(v, s) - target
        else:
            (prior.potential.value(v, s).sum() - (target * v).sum()).backward()
        optimiser.step()
    return sigma * v.detach(), time.process_time() - start


def residual(prior: LPN, v: Tensor, x: Tensor, sigma: float) -> float:
    """|prox(v) - x| / |x - mean of x| of the worst image."""
    away = (prior.prox(v, sigma) - x).flatten(1).norm(dim=1)
    return float((away / (x - x.mean((1, 2, 3), keepdim=True)).flatten(1).norm(dim=1)).max())


def main(argv: Sequence[str] | None = None) -> dict[tuple[int, str], float]:
    """Print the report; return Adam's time over ours for each level and dtype."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--levels", default="25,10", help="sigma * 255")
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--adam", type=int, default=STEPS, help="steps of Adam really taken")
    parser.add_argument("--prior", default="lpn-gray")
    parser.add_argument("--data", type=Path, help="a folder of images; default bsds400")
    args = parser.parse_args(argv)
    prior, size = load(args.prior), args.size
    if not isinstance(prior, LPN):
        parser.error(f"--prior names a learned proximal network, not {args.prior}")
    _, held_out = hold_out(load_gray(args.data or find_data("bsds400")))
    parts = [x[100 : 100 + size, 100 : 100 + size] / 255 for x in held_out[: args.images]]
    clean, ratios = torch.stack(parts)[:, None].double(), {}
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0)).double()
    gradient, evaluated = prior.potential.gradient, 0

    def counted(v: Tensor, sigma: Tensor) -> Tensor:
        nonlocal evaluated
        evaluated += len(v)
        return gradient(v, sigma)

    for level in map(int, args.levels.split(",")):
        sigma = level / 255
        for dtype in (torch.float32, torch.float64):
            x, free = prior.prox_and_value((clean + sigma * noise).to(dtype), sigma)
            evaluated, prior.potential.gradient = 0, counted
            start = time.process_time()
            v = prior.inverse(x, sigma)
            ours = time.process_time() - start
            del prior.potential.gradient
            name = str(dtype).removeprefix("torch.")
            print(f"sigma {level}, {name}, {len(x)} images of {size} x {size}")
            print(f"  ours: {ours:.2f} s, {evaluated / len(x):.0f} gradients an image, ", end="")
            print(f"residual {residual(prior, v, x, sigma):.1e}", end="; ")
            worst = float((prior.value(x, sigma) / free - 1).abs().max())
            print(f"value against the free value: {worst:.1e}", flush=True)
            for way, by_hand in (("as its inventors", False), ("with our gradient", True)):
                v, seconds = adam(prior, x, sigma, args.adam, by_hand)
                seconds *= STEPS / args.adam
                print(f"  Adam, {way}: {seconds:.1f} s, {seconds / ours:.1f} times ours, ", end="")
                print(f"residual {residual(prior, v, x, sigma):.1e} after {args.adam} steps")
                ratios.setdefault((level, name), seconds / ours)
    return ratios


if __name__ == "__main__":
    main()
