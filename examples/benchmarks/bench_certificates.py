"""Certificates on Set12: 100 runs at default parameters, 10 that break a condition each.

    PROXLAB_DATA=... python examples/benchmarks/bench_certificates.py
        [--prior lpn-gray] [--out FILE.jsonl]

The 100 runs are 25 measurements by 4 solvers (pgd, admm, drs, hqs). The operators are two kernels
of Levin et al. 2009, a Gaussian blur, and half the pixels missing, at noise 0.01, each on six or
seven images. To save time images are cut to their middle 128 x 128 pixels (--side changes that).
The bench counts rises beyond rounding, of the objective and of what the solver's theorem makes
fall, and certificates. For the ten runs that leave the conditions it prints the reasons given. Last
comes the largest eigenvalue lam of the prior's Jacobian at restorations, by Lanczos: near a
solution tau L <= lam / (lam - 1) is enough for ADMM, and the experiments released with [Fang24]
have tau L = 10. With --out each run is a line of a file as soon as it is done, and what the file
holds is not run again.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from proxlab import operators
from proxlab.checkpoints import load
from proxlab.images.data_sets import find_data
from proxlab.images.folders import load_gray
from proxlab.jobs import restore
from proxlab.priors.contract import Capabilities
from proxlab.restoration import Restoration
from solvers import Diverged
from solvers.certificate import rises
from solvers.spectrum import jacobian_spectrum

SOLVERS = ("pgd", "admm", "drs", "hqs")
MEASUREMENTS = 25
NOISE = 0.01
AUTHORS = 10.0
"""Value of tau L in the experiments released with [Fang24]."""


class NoProx:
    """A prior that claims to be exact, and moves the image a little: its prox is no gradient."""

    name, sigma_range = "twisted", (1 / 255, 1.0)
    capabilities = Capabilities(exact=True)

    def prox(self, v: Tensor, sigma: float) -> Tensor:
        """Sum of 0.9 v and of 0.1 v moved by a pixel along both axes."""
        return 0.9 * v + 0.1 * v.roll(1, -1)

    def prox_and_value(self, v: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """The prox, and zeros [B] for the value."""
        return self.prox(v, sigma), v.new_zeros(len(v), dtype=torch.float64)


def operator(kind: int, side: int, kernels: list[np.ndarray]):
    """Operator number `kind`: 0, 1 a kernel each, 2 a Gaussian blur, 3 half the pixels missing."""
    if kind == 3:
        seed = torch.Generator().manual_seed(0)
        return operators.inpaint(operators.random_mask((side, side), 0.5, seed), noise=NOISE)
    kernel = operators.gaussian_kernel(1.6) if kind == 2 else kernels[kind]
    return operators.deblur(kernel, noise=NOISE)


def defaults(images: int, measurements: int) -> Iterator[dict]:
    """Cases at default parameters: pairs of image and operator, spread evenly, by the 4 solvers."""
    for k in range(measurements):
        for solver in SOLVERS:
            image, kind = k % images, (k + k // images) % 4
            yield {"set": "default", "image": image, "operator": kind, "solver": solver}


def broken() -> Iterator[dict]:
    """Cases that leave the conditions, ten; `times` multiplies the default sigma."""
    rows = [
        ("admm", 3.0, 3), ("drs", 3.0, 3), ("admm", 3.2, 2), ("admm", 1.5, 0), ("drs", 1.5, 1),
        ("pgd", 1.2, 2), ("pgd", 1.2, 3), ("pgd", 1.6, 0), ("fista", 1.0, 2),
    ]  # fmt: skip
    for image, (solver, times, kind) in enumerate(rows):
        yield {
            "set": "broken", "image": image, "operator": kind, "solver": solver, "times": times
        }  # fmt: skip
    yield {"set": "broken", "image": 9, "operator": 2, "solver": "pgd", "prior": "twisted"}


def once(case: dict, image: Tensor, kernels, prior) -> tuple[dict, Restoration | None]:
    """Row of a case, and its restoration; a run that diverges has a row alone, with the doubt."""
    side = image.shape[-1]
    op = operator(case["operator"], side, kernels)
    y = op(image, generator=torch.Generator().manual_seed(case["image"]))
    sigma = None
    if case.get("times"):
        sigma = case["times"] * restore(y, op, prior, "hqs", steps=1).sigma
    if case.get("prior") == "twisted":
        prior = NoProx()
    began = time.perf_counter()
    try:
        result = restore(y, op, prior, case["solver"], sigma=sigma)
    except Diverged as error:
        step = {"tau_L": 0.9801 * case.get("times", 1.0) ** 2, "rises": 0, "merit_rises": 0}
        lost = {"certified": False, "doubt": str(error), "steps": error.step}
        return case | step | lost | {"seconds": time.perf_counter() - began}, None
    after = slice(result.descent, int(result.steps))
    row = case | {
        "tau_L": float(result.premises.tau * result.premises.lipschitz[0]),
        "rises": int((rises(result.trace.objective[after, 0]) > 0).sum()),
        "merit_rises": int((rises(result.trace.merit[after, 0]) > 0).sum()),
        "certified": result.certified[0],
        "doubt": result.doubts[0],
        "steps": int(result.steps),
        "seconds": time.perf_counter() - began,
    }
    return row, result


def largest(result: Restoration, prior) -> float:
    """Largest eigenvalue of the prior's Jacobian at a restoration, from below."""
    sigma = result.sigma
    with torch.no_grad():
        found = jacobian_spectrum(
            lambda v: prior.prox(v, sigma), result.image.double(), step=1e-3 * sigma, steps=12
        )
    return float(found.highest[0])


def run_cases(images: list[Tensor], kernels, name: str, out: Path | None, measurements: int):
    """Rows of all cases; those that the file `out` holds are not run again."""
    prior = load(name)
    rows = [json.loads(line) for line in out.read_text().splitlines()] if _there(out) else []
    key = ("set", "image", "operator", "solver", "times", "prior")
    done = {tuple(row.get(k) for k in key) for row in rows}
    for case in [*defaults(len(images), measurements), *broken()]:
        case["image"] %= len(images)
        if tuple(case.get(k) for k in key) in done:
            continue
        row, result = once(case, images[case["image"]], kernels, prior)
        if case["set"] == "default" and case["solver"] == "admm":
            row["largest"] = largest(result, prior)
        rows.append(row)
        if out:
            with open(out, "a") as file:
                file.write(json.dumps(row) + "\n")
    return rows


def report(rows: list[dict]) -> None:
    """Print counts at defaults, by solver and in all, then the reasons of the other runs."""
    print("at defaults   runs  objective rose  merit rose  certified  steps: mean (most)")
    for solver in (*SOLVERS, "all"):
        mine = [r for r in rows if r["set"] == "default" and solver in (r["solver"], "all")]
        if not mine:
            continue
        steps = [r["steps"] for r in mine]
        print(
            f"{solver:12s}{len(mine):6d}{sum(r['rises'] > 0 for r in mine):16d}"
            f"{sum(r['merit_rises'] > 0 for r in mine):12d}"
            f"{sum(r['certified'] for r in mine):11d}{np.mean(steps):8.0f} ({max(steps)})"
        )
    for row in rows:
        if row["set"] == "default" and not row["certified"]:
            print(f"  {row['solver']}, image {row['image']}: {row['doubt']}")
    print("outside the conditions")
    for row in rows:
        if row["set"] == "broken":
            verdict = "CERTIFIED" if row["certified"] else "not certified"
            print(f"  {row['solver']}, tau L = {row['tau_L']:.2f}, {verdict}: {row['doubt']}")
    lam = [r["largest"] for r in rows if "largest" in r]
    near = [x / (x - 1) if x > 1 else np.inf for x in lam]
    print(
        f"largest eigenvalue of the Jacobian at {len(lam)} restorations: {min(lam):.2f} to "
        f"{max(lam):.2f}; local bound on tau L: {min(near):.2f} to {max(near):.2f}; "
        f"{sum(b >= AUTHORS for b in near)} of {len(lam)} allow the authors' {AUTHORS:g}"
    )


def _there(out: Path | None) -> bool:
    return out is not None and out.exists()


def main(argv: list[str] | None = None) -> None:
    """Run the bench and print its report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prior", default="lpn-gray")
    parser.add_argument("--out", type=Path, help="JSON lines; runs found there are not run again")
    parser.add_argument("--side", type=int, default=128, help="of the middle part of each image")
    parser.add_argument("--measurements", type=int, default=MEASUREMENTS)
    args = parser.parse_args(argv)
    images = [_middle(x, args.side) for x in load_gray(find_data("set12"))]
    with np.load(find_data("kernels/levin09.npz")) as stored:
        kernels = [stored["kernel_1"], stored["kernel_5"]]
    report(run_cases(images, kernels, args.prior, args.out, args.measurements))


def _middle(x: Tensor, side: int) -> Tensor:
    top, left = ((n - side) // 2 for n in x.shape)
    return x[None, None, top : top + side, left : left + side] / 255


if __name__ == "__main__":
    main()
