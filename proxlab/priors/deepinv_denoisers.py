"""deepinv's pretrained networks and its BM3D as priors with a name.

Weights lie in torch's cache, where deepinv looks for them too; those whose sha256 is known here are
fetched if they are not there. A further network is a row of `PRETRAINED`.
"""

from collections.abc import Callable, Collection
from importlib.util import find_spec
from typing import NamedTuple

import torch
from deepinv.models import BM3D, Denoiser, DnCNN, DRUNet, FFDNet, GSDRUNet
from torch import Tensor

from proxlab.foreign_weights import Weights, checked_sha256
from proxlab.priors.arguments import check_channels
from proxlab.priors.contract import LEARNED_WEIGHT
from proxlab.priors.denoiser_prior import DenoiserPrior

COLOR = "-color"
"""End of the name of a network for colour images."""


class Pretrained(NamedTuple):
    """A class of deepinv whose networks take (x, sigma)."""

    build: Callable[[int], Denoiser]
    """The network with random weights, for 1 channel or 3."""
    place: str
    """Name of the folder of its weights at huggingface.co/deepinv."""
    files: dict[int, tuple[str, str]]
    """Name of the file of weights and its sha256, empty if it is not known here, by channels."""
    levels: tuple[float, float]
    """Noise levels that the network was trained for, image units."""

    def weights(self, name: str, channels: int) -> Weights:
        """The file of weights; name: that of the network."""
        return Weights(f"deepinv:{name}", *self.files[channels])

    def address(self, channels: int) -> str:
        """Address of the file of weights."""
        return f"https://huggingface.co/deepinv/{self.place}/resolve/main/{self.files[channels][0]}"


# deepinv publishes no sha256. Those of DnCNN are of copies that others keep in public repositories
# (aoncodev/imageEnhancer, smcmfmf/upscaleService), read as weights alone and found to gain 5.0 and
# 2.6 dB at noise 2/255; that of DRUNet-color is as a public log of another project has it.
PRETRAINED = {
    "DRUNet": Pretrained(
        lambda c: DRUNet(c, c, pretrained=None),
        "drunet",
        {
            1: ("drunet_deepinv_gray_finetune_26k.pth", ""),
            3: (
                "drunet_deepinv_color_finetune_22k.pth",
                "20296845d272d3d786b89ea3c1208d5f2ceb57658a499d4dd28073cbb73508aa",
            ),
        },
        (1 / 255, 50 / 255),
    ),
    "GSDRUNet": Pretrained(
        lambda c: GSDRUNet(in_channels=c, out_channels=c, pretrained=None),
        "gradientstep",
        {1: ("GSDRUNet_grayscale_torch.ckpt", ""), 3: ("GSDRUNet_torch.ckpt", "")},
        (1 / 255, 50 / 255),
    ),
    "FFDNet": Pretrained(
        lambda c: (
            FFDNet(pretrained=None)
            if c == 1
            else FFDNet(n_conv_layers=12, nf=96, img_channels=3, pretrained=None)
        ),
        "FFDNet",
        {1: ("ffdnet_gray.pth", ""), 3: ("ffdnet_color.pth", "")},
        (1 / 255, 75 / 255),
    ),
    "DnCNN": Pretrained(
        lambda c: DnCNN(c, c, pretrained=None),
        "dncnn",
        {
            1: (
                "dncnn_sigma2_gray.pth",
                "be3c1a4fb240c8a001188e33f2149c25474b78d0e2882a39eba63af3616cf81d",
            ),
            3: (
                "dncnn_sigma2_color.pth",
                "a405031e6bf63712d87fb09535531fda83ba77e40e5a66320e725cc302ae2bb8",
            ),
        },
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


def pretrained(name: str, allowed: Collection[str] = ()) -> DenoiserPrior:
    """The prior of a name in `PRETRAINED`: "DRUNet" for gray images, "DRUNet-color" for colour.

    allowed: sha256 of files of weights that are let in besides the one known here. Raises
    ValueError for another name, for weights that are neither there nor to be fetched, for a file
    with another sha256, and for weights that are not those of the network.
    """
    kind, channels = name.removesuffix(COLOR), 3 if name.endswith(COLOR) else 1
    if kind not in PRETRAINED:
        raise ValueError(
            f"no denoiser of deepinv is known here as {name!r}; known are "
            f"{', '.join(PRETRAINED)}, each with {COLOR} behind it too; wear another as a "
            "proxlab.DenoiserPrior"
        )
    allowed = [checked_sha256(each) for each in allowed]
    chosen = PRETRAINED[kind]
    weights = chosen.weights(name, channels)
    if not weights.path.exists():
        _fetch(weights, chosen.address(channels), bool(allowed))
    state = weights.read(allowed)
    network = chosen.build(channels)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{weights.path} does not hold the weights of deepinv:{name}; remove it, and fetch it "
            f"again: {reason}"
        ) from error
    network = Channels(network, f"deepinv:{name}", channels).requires_grad_(False)
    return DenoiserPrior(
        network, chosen.levels, name=f"deepinv:{name}", default_weight=LEARNED_WEIGHT
    )


def _fetch(weights: Weights, address: str, allowed: bool) -> None:
    """Fetch a file of weights, if it would be let in."""
    path = weights.path
    if not weights.sha256 and not allowed:
        raise ValueError(
            f"the weights of {weights.what} are not at {path}, and their sha256 is not known here; "
            f"put {address} there, and if you trust it, allow it by --allow-weights SHA256, in "
            f"Python by proxlab.load({weights.what!r}, sha256=...)"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(address, str(path))
    except OSError as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"the weights of {weights.what} are not at {path} and cannot be fetched; put {address} "
            f"there by hand ({reason})"
        ) from error


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
