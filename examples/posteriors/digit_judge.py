"""The judge of samples of digits: PSNR of their mean, what their intervals hold, and who is ahead.

A digit has 8 bits and most of its pixels are 0 exactly, so that an interval of exact draws, ends
included, holds too many: of digits drawn at random, those of nine others hold 87 and 96 % where 50
and 80 are said. Samples are therefore rounded to 8 bits, and noise of one gray level is added to
them and to the truth: ties fall at random, all other order is kept, and intervals of draws of the
truth's own law hold what they say, 49 and 80 % there. `raw` is the count without either.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

import proxlab


def judged(samples: Tensor, truth: Tensor) -> dict:
    """Figures of samples [n, B, 1, H, W], see the head of this file."""
    generator = torch.Generator().manual_seed(7)
    rounded, whole = [((x.clamp(-1, 1) + 1) * 127.5).round() for x in (samples, truth)]
    parted, point = [x + torch.rand(x.shape, generator=generator) for x in (rounded, whole)]
    quality = proxlab.posterior_quality(parted, point)
    error = ((rounded.mean(0) - whole) / 255).square().flatten(1).mean(1)
    return {
        "psnr": (-10 * error.log10()).tolist(),
        "coverage": quality.coverage,
        "busy": {level: q[-1] for level, q in quality.coverage_by_quarter.items()},
        "raw": proxlab.posterior_quality(samples, truth).coverage,
        "spread": quality.spread_over_error,
        "energy": float(quality.energy_score.mean()) / 127.5,
    }


def said(r: dict) -> str:
    """A row in one line."""
    psnr = sum(r["psnr"]) / len(r["psnr"])
    shares = [" ".join(f"{v:.3f}" for v in r[k].values()) for k in ("coverage", "busy", "raw")]
    return f"| {psnr:.2f} | " + " | ".join(shares) + f" | {r['spread']:.2f} | {r['energy']:.3f}"


def behind(r: dict, rows: Sequence[dict], digits: int, rival: str = "PiGDM") -> str:
    """PSNR of a row less that of the rival's on the same task, over the digits that both have.

    digits: the number that rows of fewer are spread over, evenly.
    """
    same = ("model", "problem", "evaluations", "samples")
    other = [s for s in rows if s["method"] == rival and all(s[k] == r[k] for k in same)]
    if not other or r["method"] == rival:
        return ""
    other = max(other, key=lambda s: s["digits"])
    found = [{digits // s["digits"] * i: v for i, v in enumerate(s["psnr"])} for s in (r, other)]
    gaps = torch.tensor([found[0][k] - found[1][k] for k in found[0].keys() & found[1].keys()])
    return f"{gaps.mean():+.2f} +- {gaps.std() / len(gaps) ** 0.5:.2f} dB on {len(gaps)}"
