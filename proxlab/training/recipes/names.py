"""The recipes by name, and where each is found. No slow imports: the command line reads it."""

RECIPES = {
    "lpn-gray": "photographs:lpn_gray",
    "lpn-gray-small": "photographs:lpn_gray_small",
    "lpn-gray-large": "photographs:lpn_gray_large",
    "lpn-gray-pm": "proximal_matching:lpn_gray_pm",
    "lpn-color": "photographs:lpn_color",
    "lpn-ct": "photographs:lpn_ct",
    "unet-gray": "photographs:unet_gray",
    "unet-gray-small": "photographs:unet_gray_small",
    "unet-gray-large": "photographs:unet_gray_large",
    "unet-color": "photographs:unet_color",
    "crate-gray": "crate:crate_gray",
    "crate-gray-step": "crate:crate_gray_step",
    "lpn-gray-wide": "photographs:lpn_gray_wide",
    "unet-gray-wide": "photographs:unet_gray_wide",
    "dncnn-gray": "photographs:dncnn_gray",
    "crate-completion": "completion:crate_completion",
    "proxdm-mnist": "diffusion:proxdm_mnist",
    "score-mnist": "diffusion:score_mnist",
    "proxdm-cifar10": "diffusion:proxdm_cifar10",
    "digit-classifier": "digits:digit_classifier",
}
"""Name -> file of this folder and `Recipe` in it. A new recipe is a file and a row."""

ALL = tuple(RECIPES)
