"""deepinv's pretrained networks and its BM3D as priors with a name.

Weights come from torch's cache, where deepinv looks for them first, or are fetched by deepinv. A
further network is a row of `PRETRAINED`.
"""

import pickle
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import torch
from deepinv.models import BM3D, Denoiser, DnCNN, DRUNet, FFDNet, GSDRUNet
from torch import Tensor

from proxlab.priors.arguments import check_channels
from proxlab.priors.contract import LEARNED_WEIGHT
from proxlab.priors.denoiser_prior import DenoiserPrior

COLOR = "-color"
"""End of the name of a network for colour images."""


class Pretrained(NamedTuple):
    """A class of deepinv whose networks take (x, sigma)."""

    build: Callable[[int], Denoiser]
    """The network with its weights, for 1 channel or 3."""
    files: dict[int, str]
    """Names of the files of weights, by channels."""
    levels: tuple[float, float]
    """Noise levels that the network was trained for, image units."""


PRETRAINED = {
    "DRUNet": Pretrained(
        lambda c: DRUNet(c, c),
        {1: "drunet_deepinv_gray_finetune_26k.pth", 3: "drunet_deepinv_color_finetune_22k.pth"},
        (1 / 255, 50 / 255),
    ),
    "GSDRUNet": Pretrained(
        lambda c: GSDRUNet(in_channels=c, out_channels=c, pretrained="download"),
        {1: "GSDRUNet_grayscale_torch.ckpt", 3: "GSDRUNet_torch.ckpt"},
        (1 / 255, 50 / 255),
    ),
    "FFDNet": Pretrained(
        lambda c: FFDNet() if c == 1 else FFDNet(n_conv_layers=12, nf=96, img_channels=3),
        {1: "ffdnet_gray.pth", 3: "ffdnet_color.pth"},
        (1 / 255, 75 / 255),
    ),
    "DnCNN": Pretrained(
        lambda c: DnCNN(c, c),
        {1: "dncnn_sigma2_gray.pth", 3: "dncnn_sigma2_color.pth"},
        (2 / 255, 2 / 255),  # trained for one level, whatever sigma it is handed
    ),
}
"""The networks by the name of their class: DRUNet [Zhang21], GSDRUNet [Hurault22], FFDNet
[Zhang18a], DnCNN [Zhang17]. A name followed by `COLOR` is that of the network for colour images."""


class Channels(Denoiser):
    """A network for images of so many channels; with one it takes every channel as an image."""

    def __init__(self, network: Denoiser, name: str, channels: int):
        super().__init__()
        self.network, self.name, self.channels = network, name, channels

    def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """[B, C, H, W] -> the same; sigma a float or [B]. Raises ValueError if C does not suit."""
        check_channels(self.name, x, self.channels)
        if isinstance(sigma, Tensor):
            sigma = sigma.repeat_interleave(x.shape[1] // self.channels)
        return self.network(x.reshape(-1, self.channels, *x.shape[2:]), sigma).view_as(x)


def pretrained(name: str) -> DenoiserPrior:
    """The prior of a name in `PRETRAINED`: "DRUNet" for gray images, "DRUNet-color" for colour.

    Raises ValueError for another name, for weights that are neither there nor to be fetched, and
    for weights that are not those of the network.
    """
    kind, channels = name.removesuffix(COLOR), 3 if name.endswith(COLOR) else 1
    if kind not in PRETRAINED:
        raise ValueError(
            f"no denoiser of deepinv is known here as {name!r}; known are "
            f"{', '.join(PRETRAINED)}, each with {COLOR} behind it too; wear another as a "
            "proxlab.DenoiserPrior"
        )
    chosen = PRETRAINED[kind]
    path = Path(torch.hub.get_dir()) / "checkpoints" / chosen.files[channels]
    try:
        network = chosen.build(channels)
    except OSError as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"the weights of deepinv:{name} are not at {path} and cannot be fetched; put the file "
            f"there by hand ({reason})"
        ) from error
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(
            f"{path} does not hold the weights of deepinv:{name}; remove it, and it is fetched "
            f"again: {reason}"
        ) from error
    network = Channels(network, f"deepinv:{name}", channels).requires_grad_(False)
    return DenoiserPrior(
        network, chosen.levels, name=f"deepinv:{name}", default_weight=LEARNED_WEIGHT
    )


def bm3d() -> DenoiserPrior:
    """BM3D [Dabov07] by the package bm3d, on the CPU, image by image and channel by channel.

    Raises ValueError where the package is missing: its licence forbids commercial use, so proxlab
    does not depend on it.
    """
    if find_spec("bm3d") is None:
        raise ValueError(
            "bm3d needs the package of that name, which is free for non-commercial use alone; "
            "install it with pip install 'proxlab[bm3d]'"
        )
    return DenoiserPrior(_BM3D(), (1 / 255, 1.0), name="bm3d", default_weight=LEARNED_WEIGHT)


class _BM3D(Denoiser):
    """deepinv's BM3D, made anew at each call: it holds a module, and cannot be copied."""

    def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        return BM3D()(x, sigma)
