"""Reading a learned prior: what becomes of R when a digit is noised, blurred or mixed.

    PROXLAB_DATA=... python examples/read_the_prior.py --out prior.png

A learned proximal network is trained on MNIST's training digits, then R_sigma is taken at 100 test
digits along three paths: x + t e with one noise e per digit, x blurred by a Gaussian of width t,
and (1 - t) x + t x' with another digit x'. No clipping. The inventors [Fang24, Fig. 3] see R grow
along all three; printed is the share of digits for which ours does. See `--help` for the choices.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from proxlab.convex import MixtureConfig, MixturePotential
from proxlab.data import Patches
from proxlab.datasets import find_data
from proxlab.files import check_writable, writing
from proxlab.losses import balanced_squared_error
from proxlab.lpn import LPN
from proxlab.operators import gaussian_kernel
from proxlab.train import TrainConfig, train

PATHS = {
    "noise": ((0.0, 0.05, 0.1, 0.2, 0.3), "standard deviation of the noise"),
    "blur": ((0.0, 0.5, 1.0, 2.0, 4.0), "width of the blur, pixels"),
    "mixing": ((0.0, 0.1, 0.2, 0.3, 0.4, 0.5), "share of the other digit"),
}


def digits(train_split: bool, count: int | None = None) -> Tensor:
    """MNIST as uint8 [N, 28, 28], the first `count`. Raises as `find_data` if it is missing."""
    find_data(f"mnist/MNIST/raw/{'train' if train_split else 't10k'}-images-idx3-ubyte")
    from torchvision.datasets import MNIST

    return MNIST(find_data("mnist"), train=train_split, download=False).data[:count]


def learn(images: Tensor, config: TrainConfig, architecture: MixtureConfig, loss) -> LPN:
    """A learned proximal network of whole images, uint8 [N, S, S]."""
    prior = LPN(MixturePotential(architecture), config.sigma_range, name="digits")
    groups = prior.potential.parameter_groups(config.learning_rate)
    patches = Patches(list(images), images.shape[-1])
    with tempfile.TemporaryDirectory() as folder:
        train(prior, groups, patches, loss, config, Path(folder), progress=True)
    return prior.requires_grad_(False)
