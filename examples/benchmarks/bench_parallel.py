"""Is data-parallel training the training of one process? Losses step by step, and what it saves.

    python examples/benchmarks/bench_parallel.py
        [--recipe lpn-gray-small] [--processes 2] [--device cpu]

torchrun trains a recipe from scratch in one process and in K, on the same whole batches, a core or
a CUDA device each. Printed are the largest difference between the losses of the whole batch at any
step, relative to that loss, and the efficiency: the time of one process over that of K, times K.
Sums in another order are rounded otherwise, and training enlarges that, the more the higher its
rate: beside it stands the difference between two trainings in one process, one of which has the
images of each batch in reverse. Images: scikit-image's photographer, or the folder --data.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import torch
from skimage.data import camera
from torch import Generator, Tensor

from proxlab.images.folders import load_gray
from proxlab.training import processes
from proxlab.training.config import Run, TrainConfig
from proxlab.training.draws import Drawn
from proxlab.training.loop import Task, train
from proxlab.training.losses import balanced_squared_error
from proxlab.training.patches import NoisyPatches, Patches
from proxlab.training.recipes import photographs

RECIPES = {
    "lpn-gray-small": (photographs.GRAY_LPN.build, photographs.lpn_gray_small.start),
    "unet-gray-small": (photographs.GRAY_UNET.build, photographs.unet_gray_small.start),
    "crate-gray": (photographs.GRAY_CRATE.build, photographs.crate_gray.start),
}
"""Recipe -> what builds its model, and from which architecture."""


class Trained(NamedTuple):
    losses: list[float]
    """Of the whole batch, at each step."""
    seconds: float


class Recorded:
    """The loss of a recipe, which keeps what the images of this process add to it."""

    def __init__(self, batch: int):
        self.batch, self.shares = batch, []

    def __call__(self, estimate: Tensor, clean: Tensor, sigma: Tensor) -> Tensor:
        value = balanced_squared_error(estimate, clean, sigma)
        if value.requires_grad:  # else the loop asks whether the loss can be shared
            self.shares.append(float(value.detach()) * len(estimate) / self.batch)
        return value


def record(args: argparse.Namespace) -> None:
    """Train, in each process that torchrun started; a file with its shares and its time."""
    build, architecture = RECIPES[args.recipe]
    config = TrainConfig(
        args.steps, args.batch, args.patch, learning_rate=args.rate, clip=1.0,
        checkpoint_every=args.steps,
    )  # fmt: skip
    images = load_gray(args.data) if args.data else [torch.from_numpy(camera())]
    loss = Recorded(config.batch)
    draw = NoisyPatches(Patches(images, config.patch), config.sigma_range).draw

    def pairs(count: int, generator: Generator) -> Drawn:
        target, given, condition = draw(count, generator)
        if args.reverse:
            return target.flip(0), given.flip(0), condition.flip(0)
        return target, given, condition

    with processes.joined(args.device) as place:
        model, groups = build(architecture, config)
        model.to(place)
        start = time.perf_counter()
        task = Task(model, groups, pairs, loss)
        train(task, config, args.record / "run", Run(device=place))
        found = Trained(loss.shares, time.perf_counter() - start)
        (args.record / f"{processes.rank()}.json").write_text(json.dumps(found))


def launch(count: int, argv: list[str]) -> None:
    """This file by torchrun, a thread for each of `count` processes."""
    run = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    command = [sys.executable, "-m", *run, str(Path(__file__).resolve()), *argv]
    subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})


def trained(count: int, argv: list[str]) -> Trained:
    """By `count` processes: the losses of whole batches, and the seconds of the slowest."""
    with tempfile.TemporaryDirectory() as folder:
        launch(count, [*argv, "--record", folder])
        found = [Trained(*json.loads(path.read_text())) for path in Path(folder).glob("*.json")]
    assert len(found) == count
    losses = [float(sum(shares)) for shares in zip(*(one.losses for one in found), strict=True)]
    return Trained(losses, max(one.seconds for one in found))


def difference(one: Trained, other: Trained) -> float:
    """The largest of all steps, relative to the loss of `one` there."""
    return max(abs(a - b) / abs(a) for a, b in zip(one.losses, other.losses, strict=True))


def main(argv: list[str] | None = None) -> tuple[float, float] | None:
    """Print, and return the largest relative difference of a loss and the efficiency."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--recipe", choices=RECIPES, default="lpn-gray-small")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch", type=int, default=8, help="of all processes together")
    parser.add_argument("--patch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=1e-3, help="of learning")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--data", type=Path, help="a folder of images")
    parser.add_argument("--record", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--reverse", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.record:
        return record(args)
    alone, together = trained(1, argv), trained(args.processes, argv)
    found, rounding = (
        difference(alone, other) for other in (together, trained(1, [*argv, "--reverse"]))
    )
    efficiency = alone.seconds / (args.processes * together.seconds)
    print(f"{args.recipe}, {args.steps} steps at {args.rate:g}, batch {args.batch}, {args.device}")
    print(
        f"loss from {alone.losses[0]:.3f} to {alone.losses[-1]:.3f}, largest difference at a step:"
    )
    print(f"  {args.processes} processes and 1: {found:.1e}")
    print(f"  1 process, batches in reverse: {rounding:.1e}")
    print(
        f"{alone.seconds:.1f} s by 1 process, {together.seconds:.1f} s by {args.processes}: "
        f"efficiency {100 * efficiency:.0f} %"
    )
    return found, efficiency


if __name__ == "__main__":
    main()
