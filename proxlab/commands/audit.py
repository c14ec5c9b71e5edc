"""The command `proxlab audit`: whether a diffusion hands its training images back.

proxlab audit mine.safetensors --train photos --held-out others --figure audit.png
"""

import json
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from proxlab.audits.auditing import Audit, audit
from proxlab.audits.figure import draw_audit
from proxlab.checkpoints import load_diffusion
from proxlab.images.decoders.npy import read_npy
from proxlab.images.files import check_writable, writing
from proxlab.images.stored import open_tree


def audit_model(args: Namespace) -> None:
    """Print what an audit of args.model finds; write args.json and args.figure where asked for.

    Raises ValueError as `proxlab.audit`.
    """
    for path, suffix in ((args.json, ".json"), (args.figure, ".png")):
        if path is not None:
            if path.suffix.lower() != suffix:
                raise ValueError(f"{path} is not named {suffix}; rename it")
            check_writable(path, args.overwrite)
    model = load_diffusion(args.model)
    train, held_out = (_opened(place, model.shape[0]) for place in (args.train, args.held_out))
    found = audit(
        model, train, held_out, n=args.n, steps=args.steps, seed=args.seed, level=args.level
    )
    if args.json is not None:
        with writing(args.json, args.overwrite) as place:
            place.write_text(json.dumps(told(found), indent=2) + "\n", encoding="utf-8")
    if args.figure is not None:
        draw_audit(found, args.figure, args.overwrite)
    if not args.quiet:
        print(f"{args.model}: {found.verdict}")
        power = ", ".join(
            f"{100 * share:.0f} % at {noise:g}" for noise, share in found.power.items()
        )
        print(f"copies with noise that the test sees: {power}")
        print(f"ratio below 1/3: {100 * found.paper_share:.3g} % of {len(found.ratio)} samples")


def told(found: Audit) -> dict:
    """Entries of the JSON of an audit."""
    return {
        "verdict": found.verdict,
        "samples": len(found.ratio),
        "share": found.share,
        "interval": found.interval,
        "p_value": found.p_value,
        "level": found.level,
        "threshold": found.threshold,
        "power": found.power,
        "share_below_a_third": found.paper_share,
        "worst": found.worst.tolist(),
        "nearest_to_worst": found.index[found.worst].tolist(),
        "ratios_of_worst": found.ratio[found.worst].tolist(),
    }


class WithChannels(Sequence[Tensor]):
    """Images [H, W] or [3, H, W] as [C, H, W]."""

    def __init__(self, images: Sequence[Tensor]):
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, place):
        x = self.images[place]
        return x[None] if x.ndim == 2 else x


def _opened(place: Path, channels: int) -> Tensor | Sequence[Tensor]:
    """The images of a folder, or of an npy of [n, H, W], [n, C, H, W]."""
    if place.suffix.lower() != ".npy":
        return WithChannels(open_tree(channels == 1)(place))
    array = read_npy(place)
    if array.ndim == 3:
        array = array[:, None]
    if array.ndim != 4 or (array.dtype != np.uint8 and array.dtype.kind != "f"):
        raise ValueError(
            f"{place} holds {array.dtype} {list(array.shape)}; images are [n, H, W] or "
            "[n, C, H, W], uint8 or floats 0 to 1"
        )
    return torch.from_numpy(array)
