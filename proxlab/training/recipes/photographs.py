"""Recipes of denoisers of photographs and CT slices: architecture, data and schedule of each.

The learned proximal networks, and the unconstrained networks of their size that they are compared
with, are all trained by the squared loss. `proxlab train NAME` trains one.
"""

from proxlab.images import HOUNSFIELD
from proxlab.images.folders import load_ct
from proxlab.images.stored import open_color, open_gray
from proxlab.priors.crate.denoiser import CrateConfig, CrateDenoiser
from proxlab.priors.dncnn import DnCNNConfig, DnCNNDenoiser
from proxlab.priors.lpn.mixture_config import MixtureConfig
from proxlab.priors.unet import UNetConfig, UNetDenoiser
from proxlab.training.config import TrainConfig
from proxlab.training.recipe import Recipe
from proxlab.training.recipes.denoising import Denoising, untrained, untrained_lpn

GRAY_CRATE = Denoising(open_gray, untrained(CrateDenoiser))
GRAY_LPN = Denoising(open_gray, untrained_lpn)
GRAY_UNET = Denoising(open_gray, untrained(UNetDenoiser))
CT_LEVELS = (0.5, 2, 5, 15)
CT_LPN = Denoising(load_ct, untrained_lpn, data="ct/train", levels=CT_LEVELS, hounsfield=HOUNSFIELD)
CT_UNET = Denoising(
    load_ct, untrained(UNetDenoiser), data="ct/train", levels=CT_LEVELS, hounsfield=HOUNSFIELD
)

lpn_gray = Recipe(
    "lpn-gray",
    "gray photographs, learned proximal network, squared loss",
    GRAY_LPN,
    MixtureConfig(),
    TrainConfig(),
)
lpn_gray_small = Recipe(
    "lpn-gray-small",
    "gray photographs, small learned proximal network, squared loss",
    GRAY_LPN,
    MixtureConfig(components=32, bases=4),
    TrainConfig(),
)
lpn_gray_large = Recipe(
    "lpn-gray-large",
    "gray photographs, learned proximal network of three times the parameters, squared loss",
    GRAY_LPN,
    MixtureConfig(components=32, bases=16, kept=32),
    TrainConfig(),
)
lpn_gray_wide = Recipe(
    "lpn-gray-wide",
    "gray photographs, learned proximal network of the size of crate-gray, squared loss",
    GRAY_LPN,
    MixtureConfig(components=40, bases=48, kept=36),
    TrainConfig(clip=1.0),
)
lpn_color = Recipe(
    "lpn-color",
    "colour photographs, learned proximal network, squared loss",
    Denoising(open_color, untrained_lpn),
    MixtureConfig(bases=6, kept=48, channels=3),
    TrainConfig(),
)
lpn_color_small = Recipe(
    "lpn-color-small",
    "colour photographs, small learned proximal network, squared loss",
    Denoising(open_color, untrained_lpn),
    MixtureConfig(components=32, bases=3, kept=36, channels=3, lean=True),
    TrainConfig(),
)
lpn_ct = Recipe(
    "lpn-ct",
    "CT slices, -1024 to 3071 Hounsfield units mapped to [0, 1]; squared loss",
    CT_LPN,
    MixtureConfig(),
    TrainConfig(sigma_range=(0.001, 0.1)),
)
unet_ct = Recipe(
    "unet-ct",
    "CT slices, -1024 to 3071 Hounsfield units mapped to [0, 1]; unconstrained network",
    CT_UNET,
    UNetConfig(channels=1),
    TrainConfig(sigma_range=(0.001, 0.1)),
)
unet_gray = Recipe(
    "unet-gray",
    "gray photographs, unconstrained network, squared loss",
    GRAY_UNET,
    UNetConfig(channels=1),
    TrainConfig(),
)
unet_gray_small = Recipe(
    "unet-gray-small",
    "gray photographs, unconstrained network of the size of lpn-gray-small, squared loss",
    GRAY_UNET,
    UNetConfig(channels=1, widths=(7, 12, 18, 27)),
    TrainConfig(),
)
unet_gray_large = Recipe(
    "unet-gray-large",
    "gray photographs, unconstrained network of the size of lpn-gray-large, squared loss",
    GRAY_UNET,
    UNetConfig(channels=1, widths=(15, 25, 38, 56)),
    TrainConfig(),
)
unet_gray_wide = Recipe(
    "unet-gray-wide",
    "gray photographs, unconstrained network of the size of crate-gray, squared loss",
    GRAY_UNET,
    UNetConfig(channels=1, widths=(29, 48, 74, 109)),
    # at the default rate, as its smaller sisters have it, it was lost before the 1000th step
    TrainConfig(clip=1.0, learning_rate=1e-3),
)
unet_color = Recipe(
    "unet-color",
    "colour photographs, unconstrained network, squared loss",
    Denoising(open_color, untrained(UNetDenoiser)),
    UNetConfig(channels=3, widths=(18, 30, 48, 72)),
    TrainConfig(),
)
dncnn_gray = Recipe(
    "dncnn-gray",
    "gray photographs, DnCNN of the size of crate-gray, squared loss",
    Denoising(open_gray, untrained(DnCNNDenoiser)),
    DnCNNConfig(),
    TrainConfig(clip=1.0),
)
crate_gray = Recipe(
    "crate-gray",
    "gray photographs, CRATE encoder and decoder, squared loss",
    GRAY_CRATE,
    CrateConfig(),
    TrainConfig(clip=1.0, learning_rate=6e-3),
)
