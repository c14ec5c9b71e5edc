"""Where the data lies: the folder PROXLAB_DATA, and where a user gets what belongs there."""

import os
from pathlib import Path

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
    """A data set ("set12") or a file of one ("bsd68/test001.png") in the folder PROXLAB_DATA.

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
