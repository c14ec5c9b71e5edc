"""LPIPS, a distance between images that judges as people do, where its weights are at hand.

It is deepinv's, which gives a value for each image; torchmetrics' own function averages them and
builds its network anew at every call. It needs torchvision's AlexNet, which is looked for in
torch's cache and never fetched from here.
"""

from functools import cache
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor

SMALLEST_SIDE = 32
"""Side of the smallest image of which AlexNet's layers leave anything."""


def lpips(x: Tensor, truth: Tensor) -> Tensor | None:
    """LPIPS [B] of images [B, C, H, W], C 1 or 3; lower is better. [Zhang18b]

    None without weights, and for images with a side below `SMALLEST_SIDE`. Values are clipped to
    [0, 1], outside of which it is not defined; gray levels are taken as equal colours. Raises
    ValueError for a file that holds other weights.
    """
    path = weights_path()
    if min(x.shape[-2:]) < SMALLEST_SIDE or not path.is_file():
        return None
    a, b = (z.cpu().float().clamp(0, 1).expand(-1, 3, -1, -1) for z in (x, truth))
    with torch.no_grad():
        return _metric(path)(a, b).flatten()


def weights_path() -> Path:
    """Path at which torchvision keeps AlexNet, whether the file is there or not."""
    from torchvision.models import AlexNet_Weights

    return Path(torch.hub.get_dir()) / "checkpoints" / Path(AlexNet_Weights.DEFAULT.url).name


@cache
def _metric(path: Path):
    from deepinv.loss.metric import LPIPS

    try:
        return LPIPS(device="cpu")  # finds `path` by itself
    except (RuntimeError, OSError, EOFError, UnpicklingError, KeyError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(
            f"{path} does not hold torchvision's AlexNet; fetch it again, or remove it to do "
            f"without LPIPS: {reason}"
        ) from error
