"""Gain from a second process in a comparison: the same cases by one process and by several.

    PROXLAB_DATA=... python examples/benchmarks/bench_compare.py [--processes 2] [--count 4]

The first photographs of Set12, or of the folder --images, are restored with every prior and
problem: by one process of one thread, by several of torchrun's, and by one again. Printed are the
seconds, which include the start of Python, and the gain, the mean time of the two single runs over
that of the shared one.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from proxlab.comparison.rows import ROWS
from proxlab.images import list_images
from proxlab.images.data_sets import find_data


def seconds(arguments: Sequence[str], out: Path, processes: int) -> float:
    """Seconds of one `proxlab compare` into the new folder `out`."""
    python = [sys.executable, "-m"]
    if processes > 1:
        python += ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m"]
    began = time.perf_counter()
    subprocess.run(
        [*python, "proxlab", "compare", *arguments, "--out", str(out), "--quiet"],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=True,
    )
    return time.perf_counter() - began


def figures(out: Path) -> list[tuple]:
    """Figures that have to be the same however cases are shared."""
    rows = [json.loads(line) for line in (out / ROWS).read_text().splitlines()]
    names = ("prior", "problem", "image", "psnr", "iterations")
    return sorted(tuple(row[name] for name in names) for row in rows)


def main(argv: Sequence[str] | None = None) -> float:
    """Print seconds and the gain; return the gain."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, help="folder (default: set12 of PROXLAB_DATA)")
    parser.add_argument("--count", type=int, default=4, help="how many of its images")
    parser.add_argument("--priors", default="lpn-gray,crate-gray,tv")
    parser.add_argument("--problems", default="deblur,inpaint,ct")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--steps", type=int, default=400, help="at most")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "images"
        images.mkdir()
        for path in list_images(args.images or find_data("set12"))[: args.count]:
            shutil.copy(path, images)
        told = ["--priors", args.priors, "--problems", args.problems, "--images", str(images)]
        told += ["--device", "cpu", "--steps", str(args.steps)]
        took, found = [], []
        for i, processes in enumerate((1, args.processes, 1)):
            out = Path(folder) / f"{i}"
            took.append(seconds(told, out, processes))
            found.append(figures(out))
            print(f"{processes} processes: {took[-1]:.1f} s for {len(found[-1])} cases", flush=True)
    if not found[0] == found[1] == found[2]:
        raise RuntimeError("the figures depend on how the cases are shared")
    gain = (took[0] + took[2]) / 2 / took[1]
    print(f"{args.processes} processes are {gain:.2f} times as fast as one")
    return gain


if __name__ == "__main__":
    main()
