"""CIFAR-10 from one zip of image files in class folders, airplane/0000.jpg and so on."""

import io
import zipfile
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from proxlab.data import HELD_OUT_EVERY
from proxlab.datasets import find_data

SIDE = 32


def load_cifar10(part: Literal["train", "held-out", "test"], path: Path | None = None) -> Tensor:
    """uint8 [N, 3, 32, 32] in the order of their names; each 20th training image is held out.

    `path` is the zip of the training or test images, by default that of PROXLAB_DATA. Raises
    ValueError or FileNotFoundError, which say where a user gets it, if it is not there, and
    ValueError for a file that is no zip, and for images of another size.
    """
    from PIL import Image

    if path is None:
        path = find_data("cifar10_test.zip" if part == "test" else "cifar10_train.zip")
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(n for n in archive.namelist() if n.endswith((".jpg", ".png")))
            if part != "test":
                held_out = part == "held-out"
                names = [n for i, n in enumerate(names) if (i % HELD_OUT_EVERY == 0) == held_out]
            images = np.empty((len(names), SIDE, SIDE, 3), dtype=np.uint8)
            for image, name in zip(images, names, strict=True):
                pixels = np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB"))
                if pixels.shape != image.shape:
                    raise ValueError(
                        f"{name} of {path} has {pixels.shape[0]} x {pixels.shape[1]} pixels, "
                        f"expected {SIDE} x {SIDE}; give CIFAR-10"
                    )
                image[:] = pixels
    except (zipfile.BadZipFile, IsADirectoryError) as error:
        raise ValueError(f"{path} is not a zip of CIFAR-10 images ({error})") from error
    if not names:
        raise ValueError(f"{path} holds no .jpg or .png; give a zip of CIFAR-10's class folders")
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
