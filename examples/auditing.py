"""Audits of the shipped digit diffusions, of a model that must be flagged and of digits themselves.

    PROXLAB_DATA=... python -m examples.auditing [--n 1024] [--figure DIR]

Training digits are the 57,000 that the models were trained on, held-out ones the 3,000 that they
were not. "64 digits" is the posterior mean of a prior of 64 training digits and nothing else, which
can but reproduce them; "test digits" were drawn by people.
"""

import argparse
import time
from pathlib import Path

import torch
from torch import Tensor

import proxlab
from proxlab.audits.auditing import Audit
from proxlab.audits.figure import draw_audit
from proxlab.images.data_sets import load_digits

HEAD = (
    "| | samples | suspect, % (95 %) | p | least ratio | below 1/3, % | "
    "power at 0.05 / 0.1 / 0.2, % | verdict | s |"
)


class Points(torch.nn.Module):
    """The posterior mean of a prior of points: the denoiser that has memorised them."""

    def __init__(self, points: Tensor):
        super().__init__()
        self.points = points.flatten(1)

    def forward(self, x: Tensor, sigma: float) -> Tensor:
        """[B, C, H, W] -> the same."""
        points = self.points.to(x)
        away = torch.cdist(x.flatten(1), points).square() / (2 * sigma**2)
        return (torch.softmax(-away, 1) @ points).view_as(x)


def line(name: str, found: Audit, seconds: float) -> str:
    """A row of the table."""
    low, high = (100 * end for end in found.interval)
    power = " / ".join(f"{100 * share:.0f}" for share in found.power.values())
    return (
        f"| {name} | {len(found.ratio)} | {100 * found.share:.2f} ({low:.2f} to {high:.2f}) | "
        f"{found.p_value:.2g} | {float(found.ratio.min()):.3f} | {100 * found.paper_share:.2f} | "
        f"{power} | {found.verdict.partition(':')[0]} | {seconds:.0f} |"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--figure", type=Path, help="folder of a figure for each")
    args = parser.parse_args()
    torch.set_num_threads(1)
    train, held_out, test = (load_digits(part).images for part in ("train", "held-out", "test"))
    memory = proxlab.DenoiserDiffusion(Points(train[:64] / 255), (1, 28, 28))
    print(HEAD)
    print("| --- " * 9 + "|")
    for name, model in (
        ("`proxdm-mnist`", "proxdm-mnist"),
        ("`score-mnist`", "score-mnist"),
        ("64 digits", memory),
        ("test digits", test[: args.n]),
    ):
        began = time.perf_counter()
        found = proxlab.audit(model, train, held_out, n=args.n, steps=args.steps)
        print(line(name, found, time.perf_counter() - began), flush=True)
        if args.figure:
            args.figure.mkdir(parents=True, exist_ok=True)
            draw_audit(found, args.figure / f"{name.strip('`')}.png".replace(" ", "-"), True)
