"""The names of the recipes, for the command line: no slow imports."""

RECIPES = (
    "lpn-gray",
    "lpn-gray-small",
    "lpn-gray-large",
    "lpn-gray-pm",
    "lpn-color",
    "lpn-ct",
    "unet-gray",
    "unet-gray-small",
    "unet-gray-large",
    "unet-color",
)
"""What `train` knows of priors: the functions of `photographs`."""

CRATES = ("crate-gray", "crate-gray-step", "lpn-gray-wide", "unet-gray-wide", "dncnn-gray")
"""Those of `crate`."""

COMPLETION = "crate-completion"

DIFFUSIONS = ("proxdm-mnist", "score-mnist", "proxdm-cifar10")
"""Those of `diffusion`."""

CLASSIFIER = "digit-classifier"

ALL = (*RECIPES, *CRATES, COMPLETION, *DIFFUSIONS, CLASSIFIER)
