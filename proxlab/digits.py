"""MNIST, as torchvision lays it out under PROXLAB_DATA: 60,000 digits to train on, 10,000 to test.

Every 20th training digit is held out, for choosing settings; the test digits are for figures only.
"""

from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from proxlab.data import HELD_OUT_EVERY
from proxlab.datasets import find_data


class Digits(NamedTuple):
    """Images and what they show."""

    images: Tensor
    """uint8 [N, 1, 28, 28], 0 .. 255"""
    labels: Tensor
    """int64 [N]"""


def load_digits(part: Literal["train", "held-out", "test"], root: Path | None = None) -> Digits:
    """A part of MNIST: 57,000, 3,000 and 10,000 digits. `root` is the folder that holds `MNIST`.

    Raises ValueError or FileNotFoundError, which say where a user gets it, if it is not there.
    """
    from torchvision.datasets import MNIST

    root = find_data("mnist") if root is None else Path(root)
    try:
        whole = MNIST(root, train=part != "test", download=False)
    except RuntimeError as error:
        raise FileNotFoundError(
            f"{root} does not hold MNIST as torchvision lays it out (MNIST/raw/...); "
            "torchvision.datasets.MNIST(root, download=True) makes it"
        ) from error
    kept = torch.ones(len(whole.data), dtype=torch.bool)
    if part != "test":
        kept = (torch.arange(len(whole.data)) % HELD_OUT_EVERY == 0) == (part == "held-out")
    return Digits(whole.data[kept][:, None], whole.targets[kept])
