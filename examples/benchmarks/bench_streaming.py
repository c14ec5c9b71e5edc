"""What images that stay on disk cost a training: ms to draw a batch, and ms of a step with it.

    PROXLAB_DATA=... OMP_NUM_THREADS=1 python examples/benchmarks/bench_streaming.py

The photographs of bsds400 (JPEG, 481 x 321) lie in memory, in their folder, and in shards that are
made for it, cut as webdataset cuts them. No decoded image is kept, the worst case: of a data set
much larger than the cache hardly any draw finds its image there. The files are in the system's own
cache; a slow disk adds its part. A step is one of lpn-gray, without the average of its weights.
Times are of the processor, so that no other program counts; on a GPU, which works while the next
batches are drawn, they are of the clock, and a third column draws ahead.
"""

import argparse
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import torch

from proxlab.images import list_images
from proxlab.images.data_sets import find_data
from proxlab.images.stored import StoredImages, find_photographs
from proxlab.training.draws import draws, spare_threads
from proxlab.training.losses import balanced_squared_error
from proxlab.training.patches import NoisyPatches, Patches
from proxlab.training.recipes.photographs import GRAY_LPN, lpn_gray


def main(argv: Sequence[str] | None = None) -> dict[tuple[str, int], tuple[float, ...]]:
    """Print and return by (place, batch): ms of a draw, of a step, on a GPU of one drawn ahead."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", type=Path, help="a folder of images; default bsds400")
    parser.add_argument("--batches", type=int, nargs="+", default=[8, 32])
    parser.add_argument("--patch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=10, help="timed, after 2 that are not")
    parser.add_argument("--per-shard", type=int, default=100, help="images")
    parser.add_argument("--threads", type=int, default=spare_threads(), help="that draw ahead")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args(argv)
    clock = time.process_time if args.device == "cpu" else time.perf_counter
    found = {}
    with tempfile.TemporaryDirectory() as shards:
        folder = args.data or find_data("bsds400")
        write_shards(folder, Path(shards), args.per_shard)
        places = {}
        for name, place in (("folder", folder), ("shards", shards)):
            start = clock()
            places[name] = StoredImages(find_photographs(place), gray=True, most=0)
            each = 1e3 * (clock() - start) / len(places[name])
            print(f"{name}: {len(places[name])} images, {each:.2f} ms each to find and measure")
        places = {"memory": list(places["folder"]), **places}
        print(f"{'':12}{'batch':>6}{'draw, ms':>10}{'step, ms':>10}{'draw/step':>11}", end="")
        print("" if args.device == "cpu" else f"{f'ahead in {args.threads}, ms':>18}")
        for batch in args.batches:
            for name, images in places.items():
                pairs = NoisyPatches(Patches(images, args.patch), lpn_gray.config.sigma_range).draw
                step, aheads = training_step(args.device), (0,)
                if args.device != "cpu":
                    aheads = (0, args.threads)
                draw = per_step(pairs, batch, args.steps, 0, lambda *_: None, clock)
                whole = [per_step(pairs, batch, args.steps, a, step, clock) for a in aheads]
                if name == "memory":
                    training = whole[0] - draw
                found[name, batch] = draw, *whole
                print(f"{name:12}{batch:6d}{draw:10.1f}{whole[0]:10.1f}", end="")
                print(f"{draw / training:11.3f}", *(f"{ms:17.1f}" for ms in whole[1:]), flush=True)
    print("draw/step: of the step from memory without its draw")
    return found


def write_shards(folder: Path, out: Path, count: int) -> None:
    """The images of a folder in shards of `count`, as webdataset's ShardWriter names them."""
    paths = list_images(folder)
    for first in range(0, len(paths), count):
        with tarfile.open(out / f"shard-{first // count:06d}.tar", "w") as tar:
            for path in paths[first : first + count]:
                tar.add(path, path.name)


def training_step(device: str) -> Callable:
    """A step of lpn-gray from its untrained weights, given what is drawn."""
    model, groups = GRAY_LPN.build(lpn_gray.start, lpn_gray.config)
    model.to(device)
    optimiser = torch.optim.Adam(groups, betas=(0.9, 0.99))

    def step(target, given, condition) -> None:
        target, given, condition = (a.to(device) for a in (target, given, condition))
        loss = balanced_squared_error(model(given, condition), target, condition)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        loss.item()

    return step


def per_step(pairs, batch: int, steps: int, ahead: int, step: Callable, clock) -> float:
    """Milliseconds from one step to the next, the first two left out."""
    with closing(draws(pairs, batch, 0, range(steps + 2), ahead)) as drawn:
        for k, (_, values) in enumerate(drawn):
            if k == 2:
                start = clock()
            step(*values)
    return 1e3 * (clock() - start) / steps


if __name__ == "__main__":
    main()
