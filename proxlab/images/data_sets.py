"""Data sets in the folder PROXLAB_DATA: where a user gets each; MNIST and CIFAR-10 as tensors."""

import io
import os
import zipfile
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from proxlab.images.admission import check_bytes, regular_file
from proxlab.images.folders import HELD_OUT_EVERY

CIFAR_SIDE = 32
MOST_IMAGE = 2**20
"""Bytes of the largest file of one of its images: a PNG of them has some 2,000."""

_DNCNN = "from folder testsets of https://github.com/cszn/DnCNN"
SOURCES = {
    "bsds400": "BSDS500 (Berkeley, Arbelaez et al. 2011), images of train and test as jpg",
    "set12": f"Set12 {_DNCNN}",
    "bsd68": f"BSD68 {_DNCNN}",
    "cbsd68": "CBSD68, the colour originals of BSD68",
    "mnist": "MNIST (LeCun, Cortes, Burges), as torchvision.datasets.MNIST(root, download=True) "
    "lays it out",
    "cifar10_train.zip": "CIFAR-10 (Krizhevsky 2009), the training images as image files in class "
    "folders in one zip",
    "cifar10_test.zip": "CIFAR-10 (Krizhevsky 2009), the test images as image files in class "
    "folders in one zip",
    "datasaurus/datasaurus.csv": "the Datasaurus Dozen (Matejka and Fitzmaurice 2017), columns "
    "dataset, x, y",
    "ct": "CT Medical Images of The Cancer Imaging Archive (TCGA-LUAD, CC BY 3.0), folders train "
    "and test of 16-bit PNG, Hounsfield units + 1024",
    "kernels/levin09.npz": "the 8 kernels of Levin et al. 2009 (kernels/Levin09.mat of "
    "https://github.com/cszn/KAIR), saved as arrays kernel_1 .. kernel_8",
}
"""Data set -> where a user gets it."""


def find_data(name: str) -> Path:
    """Path of a data set ("set12") or of a file in one ("bsd68/test001.png") in PROXLAB_DATA.

    Raises ValueError if the environment variable is not set, FileNotFoundError if the file is not
    there; both say where a user gets it.
    """
    origin = next((o for key, o in SOURCES.items() if f"{name}/".startswith(f"{key}/")), None)
    hint = f"; get it here: {origin}" if origin else f"; known are {', '.join(SOURCES)}"
    root = os.environ.get("PROXLAB_DATA")
    if not root:
        raise ValueError(f"{name} is wanted, but PROXLAB_DATA names no data folder: set it{hint}")
    path = Path(root) / name
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing from the folder PROXLAB_DATA{hint}")
    return path


class Digits(NamedTuple):
    """Images of digits and what they show."""

    images: Tensor
    """uint8 [N, 1, 28, 28], 0 .. 255."""
    labels: Tensor
    """int64 [N], 0 .. 9."""


def load_digits(part: Literal["train", "held-out", "test"], root: Path | None = None) -> Digits:
    """A part of MNIST: 57,000 digits to train on, 3,000 held out, 10,000 to test.

    root: the folder that holds `MNIST`, by default that of PROXLAB_DATA. Raises ValueError or
    FileNotFoundError, which say where a user gets it, if it is not there.
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


def load_cifar10(part: Literal["train", "held-out", "test"], path: Path | None = None) -> Tensor:
    """A part of CIFAR-10, uint8 [N, 3, 32, 32], in the order of the names of its files.

    Of the training images each 20th is held out. path: the zip of the training or test images, by
    default that of PROXLAB_DATA. Raises ValueError or FileNotFoundError, which say where a user
    gets it, if it is not there, and ValueError for a file that is no zip or holds no images, and
    for images of another size.
    """
    from PIL import Image

    if path is None:
        path = find_data("cifar10_test.zip" if part == "test" else "cifar10_train.zip")
    regular_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(n for n in archive.namelist() if n.endswith((".jpg", ".png")))
            if part != "test":
                held_out = part == "held-out"
                names = [n for i, n in enumerate(names) if (i % HELD_OUT_EVERY == 0) == held_out]
            images = np.empty((len(names), CIFAR_SIDE, CIFAR_SIDE, 3), dtype=np.uint8)
            for image, name in zip(images, names, strict=True):
                check_bytes(f"{name} of {path}", archive.getinfo(name).file_size, MOST_IMAGE)
                picture = Image.open(io.BytesIO(archive.read(name)), formats=("PNG", "JPEG"))
                if picture.size != (CIFAR_SIDE, CIFAR_SIDE):
                    raise ValueError(
                        f"{name} of {path} has {picture.height} x {picture.width} pixels, "
                        f"expected {CIFAR_SIDE} x {CIFAR_SIDE}; give CIFAR-10"
                    )
                image[:] = np.asarray(picture.convert("RGB"))
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path} is not a zip of CIFAR-10 images ({error})") from error
    if not names:
        raise ValueError(f"{path} holds no .jpg or .png; give a zip of CIFAR-10's class folders")
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
