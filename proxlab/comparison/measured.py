"""Picture of a measurement as it was measured: a sinogram is a sinogram, not its back-projection.

A measurement of the shape of the image is drawn in the image's gray levels, any other from its
least value, black, to its largest, white. `measured.json` beside the picture says which.
"""

from pathlib import Path

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from proxlab.comparison.names import MEASURED
from proxlab.images import write_image
from proxlab.images.files import write_json
from proxlab.operators.tomography.operator import Tomography

LONGEST_SIDE = 4096
"""Largest side of a picture; of a longer measurement every second value is drawn, or every third.
WebP ends at 16383."""
FOLDED = 256
"""Length of the rows into which a measurement without rows is folded."""


def write_measured(folder: Path, y: Tensor, op: LinearPhysics, truth: Tensor) -> None:
    """Write measured.png and measured.json into the folder; y [1, ...], truth [1, C, H, W]."""
    like_image = y.shape == truth.shape and not y.is_complex()
    sheet = flat(y[0])
    low, high = (0.0, 1.0) if like_image else (float(sheet.min()), float(sheet.max()))
    shades = (sheet - low) / ((high - low) or 1.0)
    write_image(folder / f"{MEASURED}.png", shades.clamp(0, 1).float()[None], overwrite=True)
    said = _words(y, op) + ("" if like_image else f"; black is {low:.4g}, white {high:.4g}")
    facts = {"said": said, "low": low, "high": high, "like_image": like_image}
    write_json(folder / f"{MEASURED}.json", facts, overwrite=True)


def flat(y: Tensor) -> Tensor:
    """A measurement [...] as rows and columns: channels side by side, of complex numbers the size.

    What is not finite is 0; numbers without rows are folded.
    """
    y = (y.abs() if y.is_complex() else y).cpu().double().nan_to_num(0, 0, 0)
    if y.ndim < 2:
        y = y.flatten()
        y = torch.nn.functional.pad(y, (0, -len(y) % min(FOLDED, max(1, len(y)))))
        y = y.reshape(-1, min(FOLDED, max(1, len(y))))
    sheets = y.reshape(-1, *y.shape[-2:])
    y = torch.cat(list(sheets), 1)
    down, across = (-(-side // LONGEST_SIDE) for side in y.shape)
    return y[::down, ::across]


def _words(y: Tensor, op: LinearPhysics) -> str:
    """Words on what the picture shows."""
    if isinstance(op, Tomography):
        views, detectors = y.shape[-2:]
        return f"sinogram, {views} views down, {detectors} detectors across"
    return f"{' x '.join(map(str, y.shape[1:]))} values"
