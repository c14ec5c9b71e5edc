"""Order of the gallery: what most people come for first, what goes deeper after it."""

from pathlib import Path

ORDER = (
    "deblur",
    "measured_psf",
    "inpaint",
    "color",
    "superres",
    "sparse_ct",
    "rotation_axis",
    "mri",
    "own_operator",
    "own_denoiser",
    "deepinv_admm",
    "train_on_folder",
    "compare_priors",
    "sample_digits",
    "posterior",
    "read_prior",
    "crate_layers",
)


def place(script: str | Path) -> tuple[int, str]:
    """Key of a script by which the gallery is sorted; those that are not in ORDER come last."""
    name = Path(script).stem.removeprefix("plot_")
    return (ORDER.index(name) if name in ORDER else len(ORDER), name)
