"""Costs of sampling: seconds of 10 steps of 1000 digits, of half of them, and what is no network's.

    python examples/benchmarks/bench_sampling.py [--threads 2] [--device cuda]

Overhead: every call of the network is timed; the time that remains is that of the sampler, the
noise and the bookkeeping, as a share of the calls. bf16 is autocast around the network, and its
error the distance of the samples from those in float32, by the same noise. torch.compile is timed
after its first batch.
"""

import argparse
import copy
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from proxlab.checkpoints import load_diffusion
from proxlab.diffusion.models import DiffusionModel
from proxlab.sampling import sample


class Timed(nn.Module):
    """A network that adds up the seconds of its calls."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network, self.seconds = network, 0.0
        self.schedule = network.schedule

    def forward(self, y: Tensor, condition: Tensor) -> Tensor:
        started = _now(y.device)
        answer = self.network(y, condition)
        self.seconds += _now(y.device) - started
        return answer


class HalfPrecision(nn.Module):
    """A network under autocast to bfloat16, with answers in float32."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network, self.schedule = network, network.schedule

    def forward(self, y: Tensor, condition: Tensor) -> Tensor:
        with torch.autocast(y.device.type, torch.bfloat16):
            return self.network(y, condition).float()


def main(
    model: str | Path = "proxdm-mnist",
    n: int = 1000,
    steps: int = 10,
    repeats: int = 3,
    *,
    batches: tuple[int, ...] = (32, 128, 512),
    compiled: bool = True,
    device: str = "cpu",
) -> dict[str, float]:
    """Print and return the figures: seconds (least of `repeats`), ratios and relative errors.

    batches: sizes of batches that are timed as well; compiled: whether torch.compile is tried.
    """
    network = load_diffusion(model).to(device)
    figures = {}
    for batch in batches:
        figures[f"seconds, batch {batch}"], _ = _least(network, n, steps, repeats, batch)
    plain, digits = _least(network, n, steps, repeats)
    timed = _with(network, Timed(network.net))
    shares = []
    for _ in range(repeats):
        timed.net.seconds, started = 0.0, _now(device)
        sample(timed, n, steps=steps)
        shares.append((_now(device) - started) / timed.net.seconds - 1)
    figures |= {f"seconds, {n} digits in {steps} steps": plain, "overhead, share": min(shares)}
    figures[f"{steps // 2} steps over {steps}, seconds"] = min(
        _least(network, n, steps // 2, 1)[0] / _least(network, n, steps, 1)[0]
        for _ in range(repeats)
    )
    halved, rounded = _least(_with(network, HalfPrecision(network.net)), n, steps, repeats)
    figures["bf16, times faster"] = plain / halved
    figures["bf16, relative error of a digit"] = float((rounded - digits).norm() / digits.norm())
    if compiled:
        fast = _with(network, torch.compile(network.net))
        fast.net.schedule = network.schedule
        started = _now(device)
        sample(fast, n, steps=steps)
        figures["torch.compile, seconds of the first run"] = _now(device) - started
        seconds, same = _least(fast, n, steps, repeats)
        figures["torch.compile, times faster"] = plain / seconds
        figures["torch.compile, relative error"] = float((same - digits).norm() / digits.norm())
    for name, value in figures.items():
        print(f"{name:42s} {value:.4g}", flush=True)
    return figures


def _with(model: DiffusionModel, network: nn.Module) -> DiffusionModel:
    changed = copy.copy(model)
    changed._modules = dict(model._modules, net=network)
    return changed


def _least(
    model: DiffusionModel, n: int, steps: int, repeats: int, batch: int | None = None
) -> tuple[float, Tensor]:
    device, seconds = next(model.parameters()).device, []
    for _ in range(repeats):
        started = _now(device)
        digits = sample(model, n, steps=steps, batch=batch)
        seconds.append(_now(device) - started)
    return min(seconds), digits


def _now(device: str | torch.device) -> float:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="proxdm-mnist")
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--no-compile", action="store_true")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    main(args.model, args.n, args.steps, compiled=not args.no_compile, device=args.device)
