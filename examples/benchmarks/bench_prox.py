"""The cost of one learned prox of a gray image: ours against the way of its inventors.

Theirs [Fang24] is rebuilt from its description with random weights, for timing alone: two networks
are compared, not two ways to one function. All runs in one process, interleaved.

    python examples/benchmarks/bench_prox.py --size 512 --threads 1
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from math import prod
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from proxlab.priors.lpn.mixture_config import MixtureConfig
from proxlab.priors.lpn.mixture_potential import MixturePotential
from proxlab.priors.lpn.network import LPN
from proxlab.training.recipes.photographs import lpn_gray_large, lpn_gray_small

PATCH, STEP, SIGMA = 128, 64, 25 / 255
STRIDES, LAST, FEATURES = (2, 1, 2, 1, 2), 16, 64
# Linux only. Not by ru_maxrss: a new process inherits the peak of the one that started it.
MEMORY = """
import sys, torch
peak = lambda: int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) * 1024 / 1e6
size, threads = map(int, sys.argv[1:])
torch.set_num_threads(threads)
alone = peak()
from proxlab.priors.lpn.mixture_potential import MixturePotential
from proxlab.priors.lpn.mixture_config import MixtureConfig
from proxlab.priors.lpn.network import LPN
before = peak()
with torch.no_grad():
    LPN(MixturePotential(MixtureConfig())).prox(torch.rand(1, 1, size, size), 0.1)
print(f"ours in a fresh process, peak MB: torch imported {alone:.0f}, all imported {before:.0f}, "
      f"after one prox {peak():.0f}, a rise of {peak() - before:.0f}")
"""


class InventorsNetwork(nn.Module):
    """Their convolutional potential for 128-pixel patches: weights on features >= 0, on x free.

    At full, 1/2, 1/2, 1/4, 1/4, 1/8 resolution, x entering each layer anew, bilinearly reduced;
    then filters of 16 x 16 and a weighted sum. [Fang24; sizes from the code they published]
    """

    def __init__(self, width: int = 256):
        super().__init__()
        self.first = nn.Conv2d(1, width, 3, padding=1)
        self.skips = nn.ModuleList(nn.Conv2d(1, width, 3, s, padding=1) for s in STRIDES)
        self.skips.append(nn.Conv2d(1, FEATURES, LAST))
        convolutions = [nn.Conv2d(width, width, 3, s, padding=1, bias=False) for s in STRIDES]
        self.layers = nn.ModuleList([*convolutions, nn.Conv2d(width, FEATURES, LAST, bias=False)])
        self.head = nn.Parameter(torch.empty(FEATURES))
        self.requires_grad_(False)
        for weights in self.convex_weights():
            weights.normal_(-10, 0.1).exp_()

    def convex_weights(self) -> list[Tensor]:
        """The weights that must not be negative."""
        layers = [layer for layer in self.layers if isinstance(layer, nn.Conv2d)]
        return [*(layer.weight for layer in layers), self.head]

    def psi(self, x: Tensor) -> Tensor:
        """psi, [B]; beyond 128 pixels the sum over all positions of the last layer."""
        z = F.softplus(self.first(x), beta=100)
        for layer, skip in zip(self.layers, self.skips, strict=True):
            reduced = F.interpolate(x, z.shape[-2:], mode="bilinear")
            z = F.softplus(layer(z) + skip(reduced), beta=100)
        return z.sum((2, 3)) @ self.head + 1e-6 * x.square().sum((1, 2, 3))

    def prox(self, x: Tensor) -> Tensor:
        """grad psi, by automatic differentiation."""
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            return torch.autograd.grad(self.psi(x).sum(), x)[0]


def patchwise(prox: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The mean of the prox over patches of 128 pixels, one every 64; nan where there is none."""
    total, count = torch.zeros_like(x), torch.zeros_like(x)
    for top in range(0, x.shape[-2] - PATCH + 1, STEP):
        for left in range(0, x.shape[-1] - PATCH + 1, STEP):
            at = (..., slice(top, top + PATCH), slice(left, left + PATCH))
            total[at] += prox(x[at])
            count[at] += 1
    return total / count


def inventors_flops(width: int, size: int) -> int:
    """FLOP of psi and its gradient on a square image: each product once forward, once back."""
    side, products = size, 9 * width * size**2
    for stride in STRIDES:
        side = -(-side // stride)
        products += 9 * width * (width + 1) * side**2
    return 4 * (products + LAST**2 * FEATURES * (width + 1) * (side - LAST + 1) ** 2)


def our_flops(prior: LPN, x: Tensor) -> int:
    """FLOP of one prox by torch's counter.

    It fails at automatic differentiation alone, and must be told of the product that adds in place.
    """
    in_place = {torch.ops.aten.baddbmm_: lambda _, a, b, out_shape: 2 * prod(a) * b[-1]}
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=in_place) as counter:
        prior.prox(x, SIGMA)
    return counter.get_total_flops()


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Print the report, and return the least seconds of each way."""
    parser = argparse.ArgumentParser(description="seconds for one learned prox of a gray image")
    parser.add_argument("--size", type=int, default=512, help="image height and width")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=5, help="counted runs, after one that is not")
    parser.add_argument("--width", type=int, default=256, help="channels of the inventors' network")
    args = parser.parse_args(argv)
    if args.size < PATCH or min(args.threads, args.runs, args.width) < 1:
        parser.error(f"--size is at least {PATCH}, the others at least 1")
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    size, width = args.size, args.width
    x, maps = torch.rand(1, 1, size, size), torch.rand(1, 64, 128, 128)
    ours, theirs = LPN(MixturePotential(MixtureConfig())), InventorsNetwork(width)
    small, large = (
        LPN(MixturePotential(recipe.start)) for recipe in (lpn_gray_small, lpn_gray_large)
    )
    whole = InventorsNetwork(width).to(memory_format=torch.channels_last)  # in 2/3 of the time
    convolution, mine = nn.Conv2d(64, 64, 3, padding=1), our_flops(ours, x)
    patches, patch = ((size - PATCH) // STEP + 1) ** 2, inventors_flops(width, PATCH)
    ways: dict[str, tuple[Callable[[], object], int]] = {
        "ours, prox": (lambda: ours.prox(x, SIGMA), mine),
        "ours, prox and value": (lambda: ours.prox_and_value(x, SIGMA), mine),
        "ours, lpn-gray-small": (lambda: small.prox(x, SIGMA), our_flops(small, x)),
        "ours, lpn-gray-large": (lambda: large.prox(x, SIGMA), our_flops(large, x)),
        "theirs, patches": (lambda: patchwise(theirs.prox, x), patches * patch),
        "theirs, whole image": (lambda: whole.prox(x), inventors_flops(width, size)),
        "conv 64 -> 64, 3 x 3": (lambda: convolution(maps), 18 * 64 * maps.numel()),
    }
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if free < 6 * 4 * width * size**2:  # measured: the room of 4 float32 maps of full size
        del ways["theirs, whole image"]
        print(f"theirs, whole image: left out, with {free / 1e9:.1f} GB of memory free")
    times: dict[str, list[float]] = {name: [] for name in ways}
    with torch.no_grad():
        for _ in range(args.runs + 1):
            for name, (way, _flops) in ways.items():
                start = time.perf_counter()
                way()
                times[name].append(time.perf_counter() - start)
    best = {name: min(seconds[1:]) for name, seconds in times.items()}
    speed = {name: ways[name][1] / best[name] / 1e9 for name in ways}
    print(f"{size} x {size} gray, {args.threads} thread(s), {args.runs} run(s), seconds:")
    print(f"{'':22}{'min':>9}{'median':>9}{'min / ours':>12}{'GFLOP':>9}{'GFLOP/s':>9}")
    for name, (_, flops) in ways.items():
        print(f"{name:22}{best[name]:9.4f}{median(times[name][1:]):9.4f}", end="")
        print(f"{best[name] / best['ours, prox']:12.2f}{flops / 1e9:9.2f}{speed[name]:9.1f}")
    hole = patchwise(lambda patch: patch, x).isnan().double().mean()
    part = speed["ours, prox"] / speed["conv 64 -> 64, 3 x 3"]
    print(f"ours: {part:.0%} of the convolution's throughput")
    print(f"theirs: {patches} patches, {patch / 1e9:.2f} GFLOP each; {hole:.1%} undefined")
    command = [sys.executable, "-c", MEMORY, str(size), str(args.threads)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    print(subprocess.check_output(command, env=env, text=True), end="")
    return best


if __name__ == "__main__":
    main()
