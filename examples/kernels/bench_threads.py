"""Time of one prox by one thread and by all, alone and beside busy processes.

    python -m examples.kernels.bench_threads [--prior lpn-gray] [--size 512] [--busy 0 1] [--runs 3]

"looking" is OpenMP's own way, in which a thread that waits holds its core for milliseconds;
"asleep" is that of the commands (`proxlab.commands.main`). Each figure is the median of the
runs' medians, in a process of its own, in turn; the last column is that over one thread's beside as
many busy processes. The last line of each is what as many processes of one thread take for a prox,
all in all: no way of sharing one prox can be faster. Run it where nothing else works.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import median

from proxlab.commands.main import POLICIES, SPINS

PROX = """
import sys, time, torch, proxlab
name, size, threads, count = sys.argv[1], *map(int, sys.argv[2:])
torch.set_num_threads(threads)
prior = proxlab.load(name)
v = torch.rand(1, prior.channels, size, size, generator=torch.Generator().manual_seed(0))
seconds = []
with torch.no_grad():
    while len(seconds) <= count and sum(seconds) < 20:  # the first one warms up
        began = time.perf_counter()
        prior.prox(v, 0.1)
        seconds.append(time.perf_counter() - began)
print(sorted(seconds[1:] or seconds)[len(seconds[1:]) // 2])
"""
BUSY = "while True: pass"


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Inside, so many processes that never rest."""
    others = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def seconds(prior: str, size: int, threads: int, spins: str | None, count: int) -> float:
    """Median time of a prox in a process of so many threads."""
    (took,) = side_by_side(1, [prior, *map(str, (size, threads, count))], spins)
    return took


def side_by_side(processes: int, words: Sequence[str], spins: str | None = None) -> list[float]:
    """The median times of a prox in so many processes at once."""
    kept = {k: v for k, v in os.environ.items() if k not in (*POLICIES, "OMP_NUM_THREADS")}
    if spins is not None:
        kept["GOMP_SPINCOUNT"] = spins
    command = [sys.executable, "-c", PROX, *words]
    run = [
        subprocess.Popen(command, env=kept, stdout=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    said = [one.communicate()[0] for one in run]
    if any(one.returncode for one in run):
        raise RuntimeError(f"a process with {' '.join(words)} failed; its error is above")
    return [float(text) for text in said]


def main(argv: Sequence[str] | None = None) -> list[tuple[int, str, float, float]]:
    """Print the table; its rows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--prior", default="lpn-gray")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--count", type=int, default=8, help="proxes of a run")
    args = parser.parse_args(argv)
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    ways = {
        "1 thread": (1, None),
        f"{cores} threads, looking": (cores, None),
        f"{cores} threads, asleep": (cores, SPINS),
    }
    print("| busy processes | threads | seconds | over one thread |\n| --- | --- | --- | --- |")
    rows = []
    for others in args.busy:
        found: dict[str, list[float]] = {way: [] for way in ways}
        with busy(others):
            for _ in range(args.runs):
                for way, (threads, spins) in ways.items():
                    took = seconds(args.prior, args.size, threads, spins, args.count)
                    found[way].append(took)
            # As fast as a prox in several threads could be: each does its own, none waits.
            words = [args.prior, *map(str, (args.size, 1, args.count))]
            found[f"{cores} processes, a prox each"] = [
                median(side_by_side(cores, words)) / cores for _ in range(args.runs)
            ]
        one = median(found["1 thread"])
        for way, times in found.items():
            rows.append((others, way, median(times), median(times) / one))
            print(f"| {others} | {way} | {rows[-1][2]:.3f} | {rows[-1][3]:.2f} |", flush=True)
    return rows


if __name__ == "__main__":
    main()
